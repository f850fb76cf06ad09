/* SPDX-License-Identifier: MIT */
#include "audit/audit.h"

#include <stdlib.h>
#include <string.h>

#include "audit/audit_own.h"
#include "base/clock.h"
#include "base/log.h"
#include "gateway.h"
#include "policy/policy.h"
#include "requests/answer.h"
#include "requests/checks.h"
#include "requests/traced.h"

#define CLOSE_MS 2000 /* for the last counts to be taken */

bool
audit_healthy(const struct audit *audit)
{
    return audit->n_late == 0;
}

/* --- what is counted -------------------------------------------------------------------------- */

static enum audit_status
status_of(int http_status)
{
    if (http_status == 401 || http_status == 403 || http_status == 429)
        return AUDIT_DENIED;
    return http_status >= 400 ? AUDIT_FAILED : AUDIT_SUCCESS;
}

/* The counts become events: by way of Redis, else straight to AUDIT. What neither takes stays, and
 * grows. */
static void
flush(void *arg)
{
    struct audit *audit = arg;
    char id[ID_TEXT_MAX];

    bool taken = bus_connected(audit->gw->bus) && audit_healthy(audit);

    refusals_again(audit, taken);
    for (size_t i = 0; i < REFUSALS_MAX; i++) {
        struct refusal *row = &audit->refusals.rows[i];
        if (row->count == 0)
            continue;
        id_new(id);
        const struct audit_request_event event = {
            .event_id = id,
            .actor = row->key_id[0] ? AUDIT_ACTOR_KEY : AUDIT_ACTOR_ANONYMOUS,
            .key_id = row->key_id,
            .action = row->action,
            .status = status_of(row->status),
            .http_status = row->status,
            .error_code = row->code,
            .duration_ms = -1,
            .region = audit->gw->settings->region,
            .client = row->client,
            .time_ms = row->first_ms,
            .count = (int64_t)row->count,
        };
        const char *workspace = row->workspace[0] ? row->workspace : AUDIT_NO_WORKSPACE;
        if (!refusals_store(audit, workspace, &event, row) && taken &&
            audit_send(audit, workspace, &event, NULL, NULL) != RC_LIMIT)
            row->count = 0;
    }
    if (taken)
        refusals_send(audit); /* also what a gateway that is no more has left */
}

/* --- one request ------------------------------------------------------------------------------ */

/* Whether another program writes the event of this request, under r->id. */
static bool
settled_elsewhere(const struct request *r)
{
    return r->effect >= EFFECT_STORED && r->idem.hold != IDEM_REPLAYED && r->idem.attempt <= 1;
}

/* The event shares its id with the worker's where the worker may or may not have seen the request:
 * the log then keeps the first of the two. */
static void
choose_id(const struct request *r, char id[ID_TEXT_MAX])
{
    if (r->audit_id[0])
        memcpy(id, r->audit_id, ID_TEXT_MAX);
    else if (r->effect == EFFECT_SENT && r->idem.hold != IDEM_REPLAYED && r->idem.attempt <= 1)
        memcpy(id, r->id, ID_TEXT_MAX);
    else
        id_new(id);
}

static const char *
target_of(const struct request *r)
{
    static const char *const MEMBERS[] = { "scope", "target", "action", "name" };

    if (r->route && r->route->n_params > 0)
        return r->match.params[0];
    for (size_t i = 0; r->doc && i < ARRAY_LEN(MEMBERS); i++)
        if (json_string(r->doc, MEMBERS[i]))
            return json_string(r->doc, MEMBERS[i]);
    return NULL;
}

static void
refuse_unaudited(struct request *r)
{
    answer_reset(r);
    answer_header(r, "Retry-After", "2");
    (void)answer_problem(r, PROBLEM_UNAVAILABLE,
                         bus_connected(r->gw->bus) ? "the audit log accepts no events at the moment"
                                                   : "NATS is unavailable");
}

static void
event_taken(struct request *r, enum rc rc)
{
    traced_hop_end(r, STAGE_AUDIT, CMD_AUDIT_REQUEST, &r->audit_hop, NULL,
                   rc == RC_OK ? NULL : "unavailable");
}

static void
on_taken(void *arg, enum rc rc)
{
    struct request *r = arg;
    bool counted = rc == RC_LIMIT && status_of(r->answer.status) != AUDIT_SUCCESS;

    event_taken(r, rc);
    if (rc == RC_LIMIT)
        full_note(r->gw, FULL_AUDIT, r->actor.workspace);
    if (rc != RC_OK)
        refuse_unaudited(r);
    if (counted)
        refusals_count(&r->gw->audit->refusals, r);
    request_continue(r, STEP_NEXT);
}

static void
put_decision(const struct request *r, struct buf *text, struct audit_request_event *event)
{
    struct json_writer w;
    buf_init(text, AUDIT_EVENT_MAX / 2);
    json_begin(&w, text);
    policy_put(&w, NULL, r->decision);
    if (json_end(&w) != RC_OK)
        return;
    event->policy = buf_text(text);
    if (r->decision->outcome == POLICY_APPROVAL && event->status == AUDIT_SUCCESS)
        event->decision = policy_outcome_name(POLICY_APPROVAL);
}

/* Who asked for what; how it ended is the caller's. */
static enum rc
send_event(struct request *r, const char *id, const struct audit_request_event *end,
           audit_taken_fn *taken)
{
    char action[96], digest[AUDIT_DIGEST_MAX], prefix[AUDIT_PREFIX_MAX], parent[TRACEPARENT_MAX];
    struct audit_request_event event = *end;
    AUTO(buf) struct buf policy = { 0 };
    const cJSON *params = NULL;

    request_action(r, action);
    traced_hop_begin(r, &r->audit_hop);
    trace_parent_write(&r->trace, r->audit_hop.span, parent);
    event.traceparent = parent;
    event.event_id = id;
    event.actor = AUDIT_ACTOR_KEY;
    event.key_id = r->actor.key_id;
    event.request_id = r->request_id;
    event.action = action;
    event.target = target_of(r);
    event.idempotency_sha256 = r->idem.hash;
    event.region = r->gw->settings->region;
    event.time_ms = r->accepted_ms;
    if (r->doc && audit_digest_json(r->doc, digest) == RC_OK)
        event.params_sha256 = digest;
    if (r->doc && r->route && r->route->scope == SCOPE_ACTIONS_EXECUTE)
        params = json_member(r->doc, "task") ? json_member(r->doc, "task") : r->doc;
    if (params && audit_params_prefix(params, prefix) == RC_OK)
        event.params_prefix64 = prefix;
    if (r->decision && !end->intent)
        put_decision(r, &policy, &event);
    return audit_send(r->gw->audit, r->actor.workspace, &event, taken, r);
}

/* --- before the effect ------------------------------------------------------------------------ */

static void
on_announced(void *arg, enum rc rc)
{
    struct request *r = arg;

    event_taken(r, rc);
    if (rc == RC_OK) {
        request_continue(r, STEP_NEXT);
        return;
    }
    refuse_unaudited(r);
    request_continue(r, STEP_ANSWERED);
}

/* A function of the gateway that changes something: were we killed between that and its event, the
 * log would not know. So its event is announced first. */
enum step
announce_effect(struct request *r)
{
    const struct audit_request_event intent = {
        .status = AUDIT_UNKNOWN,
        .error_code = "interrupted",
        .duration_ms = -1,
        .intent = true,
    };

    if (r->route->kind != ROUTE_LOCAL || r->method == METHOD_GET ||
        r->route->flags & (ROUTE_OPEN | ROUTE_RPC))
        return STEP_NEXT;
    id_new(r->audit_id);
    if (send_event(r, r->audit_id, &intent, on_announced) == RC_OK)
        return STEP_WAIT;
    refuse_unaudited(r);
    return STEP_ANSWERED;
}

/* --- after it --------------------------------------------------------------------------------- */

static enum rc
send_end(struct request *r)
{
    const struct audit_request_event end = {
        .status = status_of(r->answer.status),
        .http_status = r->answer.status,
        .error_code = r->code,
        .duration_ms = (clock_mono_us() - r->start_us) / 1000,
    };
    char id[ID_TEXT_MAX];

    choose_id(r, id);
    return send_event(r, id, &end, on_taken);
}

enum step
close_audit(struct request *r)
{
    struct audit *audit = r->gw->audit;

    if (r->admin || r->preflight || (r->route && r->route->flags & ROUTE_OPEN))
        return STEP_NEXT;
    if (r->authenticated && settled_elsewhere(r))
        return STEP_NEXT;
    /* What was announced, or sent to a worker, may have an event already: it gets its end under the
     * same id, now or when AUDIT is back, and is not counted beside it. */
    bool begun = r->audit_id[0] || r->effect != EFFECT_HERE;
    enum rc rc = RC_LIMIT;
    if (r->authenticated && (begun || (bus_connected(r->gw->bus) && audit_healthy(audit))))
        rc = send_end(r);
    if (rc == RC_OK)
        return STEP_WAIT;
    if (r->authenticated)
        refuse_unaudited(r);
    if (rc != RC_TEMP)
        refusals_count(&audit->refusals, r);
    return STEP_NEXT;
}

void
audit_count_login(struct audit *audit, const char *client)
{
    refusals_count_login(&audit->refusals, client);
}

void
audit_count_refusal(const struct request *r)
{
    refusals_count(&r->gw->audit->refusals, r);
}

/* --- life ------------------------------------------------------------------------------------- */

enum rc
audit_open(struct gateway *gw, struct audit **out, struct err *err)
{
    struct audit *audit = calloc(1, sizeof(*audit));

    if (!audit)
        return err_set(err, RC_TEMP, "no memory");
    audit->gw = gw;
    STAILQ_INIT(&audit->again);
    STAILQ_INIT(&audit->unsure);
    audit->flush_timer = loop_timer_new(gw->loop, flush, audit);
    audit->again_timer = loop_timer_new(gw->loop, audit_send_again, audit);
    loop_timer_set(audit->flush_timer, REFUSALS_EVERY_MS, REFUSALS_EVERY_MS);
    *out = audit;
    return RC_OK;
}

void
audit_settle(struct audit *audit)
{
    int64_t until_ms = clock_mono_ms() + CLOSE_MS;

    flush(audit);
    (void)bus_flush(audit->gw->bus, CLOSE_MS, NULL);
    while ((audit->n_late || audit->n_out) && clock_mono_ms() < until_ms)
        loop_turn(audit->gw->loop, 50);
    if (audit->n_kept)
        log_error("%zu audit events that AUDIT did not take end with this process", audit->n_kept);
}

void
audit_close(struct audit *audit)
{
    if (!audit)
        return;
    audit_drop_kept(audit);
    refusals_drop(audit);
    loop_timer_free(audit->flush_timer);
    loop_timer_free(audit->again_timer);
    free(audit);
}
