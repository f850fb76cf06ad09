/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "protocol/audit_event.h"
#include "worker_own.h"

/*
 * Request events of calls. Those of one turn leave together: one message for each workspace, an array
 * of events, so that under load neither the server nor the audit worker pays for each. An event that
 * AUDIT did not take is sent again alone, under its own id; the audit log records an event once, in
 * whatever message it comes. Until AUDIT has taken it, its consumer is asked for nothing new (fetch.c).
 *
 * The event of a command that was answered delays only the command's acknowledgement. So it waits for
 * others until EVENTS_MS after the last ones were sent: a message and a transaction of the audit worker
 * for each command would cost as much as the command. It does not wait where a crash would cost more
 * than an answer sent twice: a redelivered command counts its deliveries.
 */
#define CONFIRM_MS      5000u
#define EVENTS_MS       10
#define CORE_CONFIRM_MS 3000u
#define TOGETHER_MAX    64 /* events of one message, which stays below max_msg_size */

_Static_assert(TOGETHER_MAX *AUDIT_EVENT_MAX <= 1 << 20, "larger than the stream's max_msg_size");

static bool
needs_audit(const struct delivery *delivery)
{
    const struct call *call = &delivery->call;
    if (call->command == CMD_AUDIT_REQUEST || !delivery->route || delivery->too_large)
        return false;
    /* A part of a request that the gateway records as a whole; it has a claim that was checked. */
    if (!delivery->consumer && !call->direct && call->actor.key_id[0] &&
        bus_msg_header(delivery->msg, UNRECORDED_HEADER))
        return false;
    return !(delivery->w->spec->audits_itself && delivery->consumer && !delivery->refused &&
             !delivery->reason);
}

static enum audit_status
audit_status(const struct delivery *delivery)
{
    const struct call *call = &delivery->call;
    if (call->audit_decision && strcmp(call->audit_decision, "denied") == 0)
        return AUDIT_DENIED;
    if (delivery->reason || call->result.status >= 400)
        return call->result.status == 401 || call->result.status == 403 ? AUDIT_DENIED
                                                                        : AUDIT_FAILED;
    return AUDIT_SUCCESS;
}

static enum rc
write_event(const struct delivery *delivery, struct buf *out)
{
    const struct call *call = &delivery->call;
    const struct result *result = &call->result;
    char params[AUDIT_DIGEST_MAX];
    if (call->params_sha256 || !delivery->doc || audit_digest_json(delivery->doc, params) != RC_OK)
        params[0] = '\0';
    int64_t took_ms = clock_wall_ms() - call->accepted_ms;
    char parent[TRACEPARENT_MAX];
    trace_parent_write(&call->trace, delivery->audit_span, parent);
    bool known = call->actor.key_id[0] != '\0';
    const struct audit_request_event event = {
        .event_id = delivery->audit_id,
        .actor = known ? AUDIT_ACTOR_KEY : AUDIT_ACTOR_NATS,
        .key_id = known ? call->actor.key_id : NULL,
        .request_id = call->request_id[0] ? call->request_id : NULL,
        .action = command_info(call->command)->tail,
        .target = call->audit_target,
        .status = audit_status(delivery),
        .http_status = call->direct       ? 0
                       : delivery->reason ? 500
                                          : result->status,
        .error_code = delivery->reason               ? "dead_letter"
                      : result->code < PROBLEM_COUNT ? problem_name(result->code)
                                                     : call->audit_error,
        .duration_ms = took_ms < 0 ? 0 : took_ms,
        .idempotency_sha256 = call->idem_hash[0] ? call->idem_hash : NULL,
        .params_sha256 = call->params_sha256 ? call->params_sha256 : params,
        .params_prefix64 = call->params_prefix64,
        .policy = call->audit_policy,
        .region = worker_region(delivery->w),
        .traceparent = call->trace.id[0] ? parent : NULL,
        .time_ms = call->accepted_ms,
    };
    return audit_event_write(&event, out);
}

/* AUDIT has stored the event. */
static void
recorded(struct delivery *delivery)
{
    if (delivery->unrecorded) {
        delivery->unrecorded = false;
        delivery->consumer->unrecorded--;
        consumer_due(delivery->consumer);
    }
    delivery_record(delivery, STAGE_AUDIT, delivery->audit_us, clock_mono_us());
    FAULT("after_audit");
    delivery_done(delivery);
}

static void
not_recorded(struct delivery *delivery, const struct err *err)
{
    if (delivery->w->metrics.audit_retries++ % 1000 == 0)
        log_fields(LOG_WARN, "AUDIT did not take a request event: trying again", "reason",
                   err ? err->text : "", NULL);
    if (delivery->consumer) {
        delivery->consumer->unrecorded += !delivery->unrecorded;
        delivery->unrecorded = true;
        delivery_step_later(delivery);
        return;
    }
    /* What cannot be recorded is not answered. */
    call_problem(&delivery->call, PROBLEM_UNAVAILABLE, NULL,
                 "The audit log accepts no events now.");
    delivery_done(delivery);
}

static void
on_taken(void *arg, enum rc rc, bool duplicate, const struct err *err)
{
    struct delivery *next;
    (void)duplicate;
    for (struct delivery *delivery = arg; delivery; delivery = next) {
        next = delivery->peer;
        delivery->peer = NULL;
        delivery->awaiting = false;
        if (rc == RC_OK)
            recorded(delivery);
        else
            not_recorded(delivery, err);
    }
}

/* Chains the events that could be written. The others wait, whatever the reason, and delay nobody. */
static struct delivery *
write_together(struct queue *group, struct buf *text)
{
    size_t count = group->count;
    struct delivery *delivery, *first = NULL, **last = &first;
    if (count > 1)
        buf_putc(text, '[');
    while ((delivery = TAILQ_FIRST(&group->list)) != NULL) {
        size_t len = text->len;
        queue_remove(group, delivery);
        if (first)
            buf_putc(text, ',');
        if (write_event(delivery, text) == RC_OK) {
            *last = delivery;
            last = &delivery->peer;
            continue;
        }
        buf_cut(text, len);
        log_fields(LOG_ERROR, "a request event cannot be written", CALL_FIELDS(&delivery->call),
                   NULL);
        delivery_step_later(delivery);
    }
    if (count > 1)
        buf_putc(text, ']');
    return first;
}

/* All of a group have the same workspace and wait equally long. */
static void
publish(struct worker *w, struct queue *group)
{
    char subject[SUBJECT_MAX], msg_id[ID_TEXT_MAX + 16];
    AUTO(buf) struct buf text = { 0 };
    struct err err = { 0 };
    size_t count = group->count;
    buf_init(&text, count * AUDIT_EVENT_MAX);
    struct delivery *first = write_together(group, &text);
    if (!first)
        return;
    snprintf(subject, sizeof(subject), SUBJECT_PREFIX "%s.audit.request.%s",
             first->call.actor.workspace, w->spec->name);
    if (count == 1)
        snprintf(msg_id, sizeof(msg_id), "%s.audit", first->audit_id);
    else
        snprintf(msg_id, sizeof(msg_id), "%s.%zu.audit", first->audit_id, count);
    struct bus_out out = { .subject = subject, .data = text.data, .len = text.len };
    enum rc rc =
        bus_js_publish(w->bus, &out, msg_id, first->consumer ? CONFIRM_MS : CORE_CONFIRM_MS,
                       on_taken, first, &err);
    if (rc != RC_OK)
        on_taken(first, rc, false, &err);
}

static bool
goes_with(const struct delivery *delivery, const struct delivery *first)
{
    return delivery == first ||
           (delivery->tries == 0 && first->tries == 0 && !delivery->consumer == !first->consumer &&
            strcmp(delivery->call.actor.workspace, first->call.actor.workspace) == 0);
}

/* Whether nothing but its acknowledgement waits for this event. */
static bool
may_gather(const struct delivery *delivery)
{
    return delivery->consumer && delivery->call.deliveries == 1 && !delivery->consumer->careful &&
           delivery->tries == 0 && !delivery->reason;
}

/* How long the events that were gathered still wait; 0: they leave now. */
static int
gathering_ms(const struct worker *w)
{
    if (w->audits.count == 0 || w->audits_due || w->stopping || w->audits.count >= TOGETHER_MAX)
        return 0;
    int64_t until_us = w->audits_sent_us + FAULT_NUMBER("FAULT_EVENTS_MS", EVENTS_MS) * 1000;
    int64_t left_us = until_us - clock_mono_us();
    return left_us > 0 ? (int)((left_us + 999) / 1000) : 0;
}

int
worker_send_audits(struct worker *w)
{
    struct delivery *first;
    int wait_ms = gathering_ms(w);
    if (wait_ms > 0)
        return wait_ms;
    w->audits_due = false;
    if (!TAILQ_EMPTY(&w->audits.list))
        w->audits_sent_us = clock_mono_us();
    while ((first = TAILQ_FIRST(&w->audits.list)) != NULL) {
        struct queue group;
        struct delivery *next;
        queue_init(&group);
        for (struct delivery *delivery = first; delivery && group.count < TOGETHER_MAX;
             delivery = next) {
            next = TAILQ_NEXT(delivery, link);
            if (!goes_with(delivery, first))
                continue;
            queue_remove(&w->audits, delivery);
            queue_push(&group, delivery);
        }
        publish(w, &group);
    }
    return -1;
}

/* The step: the event leaves at the end of this turn, or is gathered. */
void
delivery_audit(struct delivery *delivery)
{
    if (!needs_audit(delivery)) {
        delivery_done(delivery);
        return;
    }
    delivery->awaiting = true;
    if (!delivery->audit_us) {
        delivery->audit_us = clock_mono_us();
        delivery->audit_span = trace_span_id(delivery->w->tracer);
    }
    queue_push(&delivery->w->audits, delivery);
    if (may_gather(delivery))
        FAULT("event_waits");
    else
        delivery->w->audits_due = true;
}
