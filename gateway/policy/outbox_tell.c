/* SPDX-License-Identifier: MIT */
/*
 * outbox_tell - what the audit log and the listeners are told of an approval.
 */
#include <stdio.h>
#include <string.h>

#include "audit/audit.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "events/events.h"
#include "gateway.h"
#include "policy/outbox_own.h"

static void
on_told(void *arg, enum rc rc)
{
    struct errand *e = arg;
    if (rc != RC_OK) { /* it is kept and sent again under its id; and again by the next who looks */
        errand_give_up(e, "AUDIT did not take its event");
        return;
    }
    errand_go_on(e);
}

static void
tell_listeners(const struct errand *e, const char *state)
{
    AUTO(buf) struct buf data = { 0 };
    struct json_writer w;
    buf_init(&data, EVENTS_TEXT_MAX / 2);
    json_begin(&w, &data);
    json_object(&w, NULL);
    json_put_string(&w, "id", e->ref.id);
    json_put_string(&w, "state", state);
    json_put_string(&w, "action", e->ref.action);
    json_close(&w);
    if (json_end(&w) == RC_OK)
        events_tell(e->outbox->gw, e->workspace, SCOPE_ACTIONS_APPROVE, "approval",
                    buf_text(&data));
}

/* Its answer is on_told(). */
static void
send_event(struct errand *e, struct audit_request_event *event)
{
    struct gateway *gw = e->outbox->gw;
    event->request_id = e->claim.request_id;
    event->region = gw->settings->region;
    if (audit_send(gw->audit, e->workspace, event, on_told, e) != RC_OK)
        errand_give_up(e, "AUDIT is unavailable");
}

static enum audit_actor
actor_of(const char *key_id)
{
    return key_id[0] ? AUDIT_ACTOR_KEY : AUDIT_ACTOR_OPERATOR;
}

/* It says what was decided when it was asked, however fast somebody has approved it since. */
bool
errand_tell_asked(struct errand *e)
{
    struct audit_request_event event = {
        .event_id = e->asked_event,
        .actor = actor_of(e->claim.key_id),
        .key_id = e->claim.key_id[0] ? e->claim.key_id : NULL,
        .action = "approval.asked",
        .target = e->ref.id,
        .status = AUDIT_SUCCESS,
        .decision = "requires_approval",
        .duration_ms = -1,
        .policy = e->decision,
        .time_ms = clock_wall_ms(),
    };
    if (e->asked_told)
        return false;
    e->asked_told = true;
    tell_listeners(e, "waiting");
    send_event(e, &event);
    return true;
}

/* The decision with whoever approved it, as the program that executes the action writes it. */
static void
approved_decision(const struct errand *e, struct buf *out)
{
    AUTO(json) cJSON *decision = NULL;
    const cJSON *member;
    struct json_writer w;
    buf_init(out, sizeof(e->decision) + 64);
    if (json_read(e->decision, strlen(e->decision), &decision, NULL) != RC_OK)
        return;
    json_begin(&w, out);
    json_object(&w, NULL);
    json_put_string(&w, "approved_by", e->decided_by);
    cJSON_ArrayForEach (member, decision)
        json_put_doc(&w, member->string, member);
    json_close(&w);
    (void)json_end(&w);
}

/* The end of a job that was cancelled after its approval. A program that has had it after all uses the same id,
 * and the log keeps one of the two. */
void
errand_tell_cancelled(struct errand *e)
{
    AUTO(buf) struct buf policy = { 0 };
    struct audit_request_event event = {
        .event_id = e->ref.id,
        .actor = actor_of(e->claim.key_id),
        .key_id = e->claim.key_id[0] ? e->claim.key_id : NULL,
        .action = e->command,
        .target = e->ref.action,
        .status = AUDIT_FAILED,
        .decision = "allowed",
        .http_status = 200,
        .error_code = "cancelled",
        .duration_ms = clock_wall_ms() - e->claim.accepted_ms,
        .idempotency_sha256 = e->claim.idem_hash[0] ? e->claim.idem_hash : NULL,
        .time_ms = e->claim.accepted_ms,
    };
    approved_decision(e, &policy);
    event.policy = policy.len ? buf_text(&policy) : NULL;
    if (event.duration_ms < 0)
        event.duration_ms = 0;
    send_event(e, &event);
}

bool
errand_tell_decided(struct errand *e)
{
    bool approved = strcmp(e->state, "approved") == 0;
    bool failed = strcmp(e->state, "failed") == 0;
    char error[32];
    if (e->decided_told || strcmp(e->state, "waiting") == 0)
        return false;
    e->decided_told = true;
    (void)snprintf(error, sizeof(error), "approval_%s", e->state);
    struct audit_request_event event = {
        .event_id = e->decided_event,
        .actor = failed ? AUDIT_ACTOR_PROGRAM : actor_of(e->decided_by),
        .key_id = e->decided_by[0] ? e->decided_by : NULL,
        .action = "approval.decided",
        .target = e->ref.id,
        .status = approved ? AUDIT_SUCCESS : AUDIT_DENIED,
        .decision = approved ? "allowed" : "denied",
        .error_code = approved ? NULL : error,
        .duration_ms = -1,
        .policy = e->decision,
        .time_ms = clock_wall_ms(),
    };
    tell_listeners(e, e->state);
    send_event(e, &event);
    return true;
}
