/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "crypto/crypto_encode.h"
#include "crypto/hash.h"
#include "worker_own.h"

/*
 * Settling. The only place that acknowledges:
 *
 *   done     request event -> answer -> ack, each confirmed before the next
 *   retry    held in this process, kept alive, handled again later
 *   reject   request event -> on_dead -> dead letter -> .done with 500 -> term
 *
 * Many deliveries are in these steps at once; each publishes and goes on when its confirmation comes. A
 * step that fails is tried again with growing delay; a crash anywhere redelivers the message, and
 * every step absorbs its repetition (command_done, the event's id, the dead letter's Nats-Msg-Id).
 */
#define CONFIRM_MS     5000u
#define RETRY_FIRST_MS 1000u
#define RETRY_MAX_MS   60000u
#define STEP_MAX_MS    30000u
#define ACK_TRIES      3u
#define REASON_MAX     256
#define DONE_EXTRA     64 /* bytes around the body of a .done event */

/* What a workspace can make happen at will: bounded by worker_may_say(). */
static const char DEAD_LETTER[] = "dead letter";
static const char NOT_TAKEN[] = "a dead letter was not taken: the message goes back";
static const char FAILED[] = "a request failed";

static uint32_t
grown(uint32_t first_ms, uint32_t max_ms, unsigned n)
{
    uint64_t delay_ms = (uint64_t)first_ms << (n > 16 ? 16 : n);
    return delay_ms > max_ms ? max_ms : (uint32_t)delay_ms;
}

void
delivery_step_later(struct delivery *delivery)
{
    delivery->awaiting = false;
    delivery_wake_after(delivery, grown(RETRY_FIRST_MS, STEP_MAX_MS, delivery->tries++));
}

static void
enter(struct delivery *delivery, enum delivery_state state)
{
    delivery->state = state;
    delivery->tries = 0;
    delivery_step(delivery);
}

static void
finished(struct delivery *delivery)
{
    struct worker *w = delivery->w;
    const struct result *result = &delivery->call.result;
    uint64_t settle_us = (uint64_t)(clock_mono_us() - delivery->arrived_us);
    if (!delivery->consumer)
        w->metrics.requests++;
    else if (!delivery->reason)
        w->metrics.calls++;
    if (!delivery->reason && result->status >= 400)
        w->metrics.calls_failed++;
    w->metrics.settle_us += settle_us;
    service_count(delivery, settle_us);
    if (log_enabled(LOG_DEBUG))
        log_fields(LOG_DEBUG, "settled", "command", command_info(delivery->call.command)->tail,
                   "workspace", delivery->call.actor.workspace, "id", delivery->call.id, NULL);
    delivery_free(delivery);
}

/* --- the last step: ack or term --------------------------------------------------------------- */

static void
on_acked(void *arg, enum rc rc, bool duplicate, const struct err *err)
{
    struct delivery *delivery = arg;
    (void)duplicate;
    (void)err;
    if (rc == RC_OK) {
        finished(delivery);
    } else if (delivery->tries < ACK_TRIES) {
        delivery_step_later(delivery);
    } else {
        /* It will come again and find its effect done. */
        delivery->w->metrics.acks_lost++;
        delivery_free(delivery);
    }
}

static void
ack(struct delivery *delivery)
{
    FAULT("before_ack");
    delivery->awaiting = true;
    if (!delivery->reason)
        queue_push(&delivery->consumer->acks, delivery); /* until the end of this turn */
    else if (bus_settle(delivery->w->bus, delivery->msg, BUS_TERM, 0, on_acked, delivery, NULL) !=
             RC_OK)
        on_acked(delivery, RC_TEMP, false, NULL);
}

/* Of acks sent together: the last one's confirmation stands for all. */
static void
on_all_acked(void *arg, enum rc rc, bool duplicate, const struct err *err)
{
    struct delivery *next;
    for (struct delivery *delivery = arg; delivery; delivery = next) {
        next = delivery->next;
        delivery->next = NULL;
        on_acked(delivery, rc, duplicate, err);
    }
}

/* The server takes a consumer's acks in the order in which one connection sends them, and when the
 * connection ends before the last one is confirmed, none is taken as confirmed. */
static void
send_acks(struct worker *w, struct queue *acks)
{
    struct delivery *first = acks->first, *last = acks->last;
    *acks = (struct queue){ 0 };
    for (struct delivery *delivery = first; delivery != last; delivery = delivery->next)
        (void)bus_settle(w->bus, delivery->msg, BUS_ACK, 0, NULL, NULL, NULL);
    if (bus_settle(w->bus, last->msg, BUS_ACK, 0, on_all_acked, first, NULL) != RC_OK)
        on_all_acked(first, RC_TEMP, false, NULL);
}

void
worker_send_acks(struct worker *w)
{
    for (struct consumer *consumer = w->consumers; consumer; consumer = consumer->next)
        if (consumer->acks.first)
            send_acks(w, &consumer->acks);
}

void
delivery_hand_back(struct delivery *delivery, uint32_t delay_ms)
{
    (void)bus_settle(delivery->w->bus, delivery->msg, BUS_NAK, delay_ms, NULL, NULL, NULL);
    delivery_free(delivery);
}

/* --- the answer ------------------------------------------------------------------------------- */

static void
reply_core(struct delivery *delivery)
{
    const struct result *result = &delivery->call.result;
    struct bus_header headers[2];
    char code[16];
    size_t n = 0;
    if (result->status >= 400) {
        snprintf(code, sizeof(code), "%d", result->status);
        const char *name = result->code < PROBLEM_COUNT ? problem_name(result->code) : "internal";
        headers[n++] = (struct bus_header){ "Nats-Service-Error", name };
        headers[n++] = (struct bus_header){ "Nats-Service-Error-Code", code };
    } else if (result->status == 202) {
        headers[n++] = (struct bus_header){ STATUS_HEADER, "202" };
    }
    struct bus_out out = { .subject = delivery->msg->reply,
                           .headers = headers,
                           .n_headers = n,
                           .data = result->body,
                           .len = result->body_len };
    if (out.subject) /* else it wanted no answer; it is carried out and recorded all the same */
        (void)bus_publish(delivery->w->bus, &out,
                          NULL); /* not connected: the asker's time-out tells */
    finished(delivery);
}

static void
publish_done(struct delivery *delivery)
{
    static const struct bus_header HEADERS[] = { { EVENT_HEADER, "done" } };
    const struct call *call = &delivery->call;
    const struct command_info *info = command_info(call->command);
    char subject[SUBJECT_MAX];
    AUTO(buf) struct buf text = { 0 };
    struct json_writer json;
    if (!info->family || call->command == CMD_AUDIT_REQUEST || !call->id[0])
        return;
    done_subject(subject, call->actor.workspace, info->family, call->id);
    buf_init(&text, call->result.body_len + DONE_EXTRA);
    json_begin(&json, &text);
    json_object(&json, NULL);
    json_put_int(&json, "status", call->result.status);
    if (call->result.body_len)
        json_put_raw(&json, "body", call->result.body, call->result.body_len);
    else
        json_put_null(&json, "body");
    json_close(&json);
    if (json_end(&json) != RC_OK)
        return;
    struct bus_out out = {
        .subject = subject, .headers = HEADERS, .n_headers = 1, .data = text.data, .len = text.len
    };
    (void)bus_publish(delivery->w->bus, &out, NULL); /* lost: the caller polls, or asks again */
}

/* --- the request event is stored, or not --------------------------------------------------------- */

static void
after_audit(struct delivery *delivery)
{
    FAULT("after_audit");
    if (delivery->reason) {
        enter(delivery, DELIVERY_DEAD_LETTERING);
    } else if (delivery->consumer) {
        publish_done(delivery);
        FAULT("after_answer");
        enter(delivery, DELIVERY_ACKING);
    } else {
        reply_core(delivery);
    }
}

void
delivery_audited(struct delivery *delivery, enum rc rc, const struct err *err)
{
    delivery->awaiting = false;
    if (rc == RC_OK) {
        after_audit(delivery);
        return;
    }
    if (delivery->w->metrics.audit_retries++ % 1000 == 0)
        log_fields(LOG_WARN, "AUDIT did not take a request event: trying again", "reason",
                   err ? err->text : "", NULL);
    if (delivery->consumer) {
        delivery_step_later(delivery);
        return;
    }
    /* What cannot be audited is not answered. */
    call_problem(&delivery->call, PROBLEM_UNAVAILABLE, NULL, "The audit log takes no events now.");
    reply_core(delivery);
}

/* --- dead letters ----------------------------------------------------------------------------- */

static void
on_dead_lettered(void *arg, enum rc rc, bool duplicate, const struct err *err)
{
    struct delivery *delivery = arg;
    (void)duplicate;
    delivery->awaiting = false;
    if (rc == RC_OK) {
        delivery->w->metrics.dead_letters++;
        FAULT("after_dead");
        call_problem(&delivery->call, PROBLEM_INTERNAL, NULL,
                     "The command could not be carried out.");
        publish_done(delivery);
        enter(delivery, DELIVERY_ACKING);
    } else if (rc == RC_LIMIT) {
        if (worker_may_say(delivery->w, NOT_TAKEN, delivery->call.actor.workspace))
            log_fields(LOG_ERROR, NOT_TAKEN, "workspace", delivery->call.actor.workspace, "reason",
                       delivery->reason, "because", err->text, NULL);
        delivery_hand_back(delivery, WORKER_DEAD_FULL_MS);
    } else {
        log_fields(LOG_WARN, "a dead letter was not taken: trying again", "reason", err->text,
                   NULL);
        delivery_step_later(delivery);
    }
}

/* A header's value is one line of printable text. */
static const char *
one_line(struct delivery *delivery, const char *text)
{
    char *copy = arena_strndup(&delivery->mem, text, strnlen(text, REASON_MAX));
    for (char *c = copy; c && *c; c++)
        if (iscntrl((unsigned char)*c))
            *c = ' ';
    return copy ? copy : "";
}

/* So that forget can find the dead letters of a scope without reading their bodies. */
static bool
scope_hash(const struct delivery *delivery, char hex[HASH_TEXT_MAX])
{
    const char *scope = json_string(delivery->doc, "scope");
    const char *workspace = delivery->call.actor.workspace;
    uint8_t digest[HASH_LEN];
    if (!scope)
        return false;
    const struct hash_part parts[] = { { workspace, strlen(workspace) + 1 },
                                       { scope, strlen(scope) } };
    hash_sha256(parts, ARRAY_LEN(parts), digest);
    hex_encode(digest, HASH_LEN, hex);
    return true;
}

/* A message that filled the bound leaves no room for what is said about it. */
static size_t
room_for_payload(const struct bus_header *headers, size_t n, const char *msg_id)
{
    size_t used = sizeof("NATS/1.0\r\n\r\n" MSG_ID_HEADER ": \r\n") + strlen(msg_id);
    for (size_t i = 0; i < n; i++)
        used += strlen(headers[i].name) + strlen(headers[i].value) + strlen(": \r\n");
    return used < MESSAGE_MAX ? MESSAGE_MAX - used : 0;
}

static void
publish_dead(struct delivery *delivery)
{
    const struct call *call = &delivery->call;
    const char *actor = bus_msg_header(delivery->msg, ACTOR_HEADER);
    const char *original_id = bus_msg_header(delivery->msg, MSG_ID_HEADER);
    char subject[SUBJECT_MAX], deliveries[24], time[CLOCK_TEXT_MAX], hash[HASH_TEXT_MAX];
    char msg_id[96], length[24];
    struct bus_header headers[8];
    size_t n = 0;
    snprintf(subject, sizeof(subject), SUBJECT_PREFIX "%s.dead.%s", call->actor.workspace,
             delivery->w->spec->name);
    snprintf(deliveries, sizeof(deliveries), "%llu", (unsigned long long)call->deliveries);
    snprintf(msg_id, sizeof(msg_id), "dead.%s.%llu.%lld", delivery->w->spec->name,
             (unsigned long long)delivery->msg->stream_seq, (long long)call->stream_ns);
    headers[n++] = (struct bus_header){ "Gantry-Reason", one_line(delivery, delivery->reason) };
    headers[n++] = (struct bus_header){ "Gantry-Deliveries", deliveries };
    headers[n++] = (struct bus_header){ "Gantry-Subject", delivery->msg->subject };
    headers[n++] = (struct bus_header){ "Gantry-Time", clock_format(clock_wall_ms(), time) };
    if (original_id)
        headers[n++] = (struct bus_header){ "Gantry-Msg-Id", one_line(delivery, original_id) };
    if (actor && strlen(actor) < ACTOR_WIRE_MAX) /* a longer one is none of ours */
        headers[n++] = (struct bus_header){ ACTOR_HEADER, actor };
    if (scope_hash(delivery, hash))
        headers[n++] = (struct bus_header){ "Gantry-Scope-Hash", hash };
    snprintf(length, sizeof(length), "%zu", call->payload_len);
    headers[n] = (struct bus_header){ CUT_HEADER, length };
    size_t room = room_for_payload(headers, n + 1, msg_id);
    bool cut = call->payload_len > room;
    struct bus_out out = { .subject = subject,
                           .headers = headers,
                           .n_headers = cut ? n + 1 : n,
                           .data = call->payload,
                           .len = cut ? room : call->payload_len };
    struct err err = { .rc = RC_OK };
    delivery->awaiting = true;
    enum rc rc = bus_js_publish(delivery->w->bus, &out, msg_id, CONFIRM_MS, on_dead_lettered,
                                delivery, &err);
    if (rc != RC_OK)
        on_dead_lettered(delivery, rc, false, &err);
}

static void
die(struct delivery *delivery)
{
    struct worker *w = delivery->w;
    struct err err = { .rc = RC_OK };
    bool known = delivery->route && id_valid(delivery->call.id);
    if (known && w->spec->on_dead &&
        w->spec->on_dead(w, &delivery->call, delivery->reason, &err) == RC_TEMP) {
        delivery_step_later(delivery);
        return;
    }
    publish_dead(delivery);
}

void
delivery_dead_letter(struct delivery *delivery, const char *reason)
{
    delivery->reason = reason ? reason : "no memory for the reason";
    if (worker_may_say(delivery->w, DEAD_LETTER, delivery->call.actor.workspace))
        log_fields(LOG_ERROR, DEAD_LETTER, "reason", delivery->reason, "workspace",
                   delivery->call.actor.workspace, "id", delivery->call.id, NULL);
    if (!delivery->call.actor.workspace[0]) { /* no subject of ours: nowhere to put it */
        (void)bus_settle(delivery->w->bus, delivery->msg, BUS_TERM, 0, NULL, NULL, NULL);
        delivery_free(delivery);
        return;
    }
    enter(delivery, DELIVERY_AUDITING);
}

/* --- the verdict ------------------------------------------------------------------------------ */

static void
hold(struct delivery *delivery)
{
    struct worker *w = delivery->w;
    const struct err *err = &delivery->call.result.err;
    uint32_t delay_ms = grown(RETRY_FIRST_MS, RETRY_MAX_MS, delivery->attempts++);
    w->metrics.calls_retried++;
    if (err->text[0]) /* a call without a reason has not failed, its time has not come */
        log_fields(err->rc == RC_CONFIG ? LOG_ERROR : LOG_WARN,
                   "failed for now: trying again later", "command",
                   command_info(delivery->call.command)->tail, "id", delivery->call.id, "reason",
                   err->text, NULL);
    delivery->waited_ms += delay_ms;
    if (delivery->waited_ms > FAULT_NUMBER("FAULT_GIVE_UP_MS", WORKER_GIVE_UP_MS)) {
        delivery_dead_letter(
            delivery, arena_printf(&delivery->mem, "failed for 24 hours: %.200s", err->text));
        return;
    }
    delivery->state = DELIVERY_HELD;
    w->held++;
    delivery_wake_after(delivery, delay_ms);
}

void
delivery_settle(struct delivery *delivery)
{
    struct call *call = &delivery->call;
    enum verdict verdict = rc_verdict(call->result.rc);
    if (verdict == VERDICT_DONE && call->result.status == 0) {
        (void)err_set(&call->result.err, RC_BUG, "the handler gave no answer");
        verdict = VERDICT_REJECT;
    }
    if (!delivery->consumer && verdict == VERDICT_RETRY) {
        (void)worker_check_health(delivery->w);
        delivery_refuse_unavailable(delivery);
    } else if (!delivery->consumer && verdict == VERDICT_REJECT) {
        if (worker_may_say(delivery->w, FAILED, call->actor.workspace))
            log_fields(LOG_ERROR, FAILED, "command", command_info(call->command)->tail, "reason",
                       call->result.err.text, NULL);
        call_problem(call, PROBLEM_INTERNAL, NULL, "The request could not be carried out.");
    } else if (verdict == VERDICT_RETRY) {
        hold(delivery);
        return;
    } else if (verdict == VERDICT_REJECT) {
        delivery_dead_letter(delivery, arena_strdup(&delivery->mem, call->result.err.text));
        return;
    }
    enter(delivery, DELIVERY_AUDITING);
}

void
delivery_step(struct delivery *delivery)
{
    switch (delivery->state) {
    case DELIVERY_AUDITING:
        delivery_audit(delivery);
        break;
    case DELIVERY_DEAD_LETTERING:
        die(delivery);
        break;
    case DELIVERY_ACKING:
        ack(delivery);
        break;
    case DELIVERY_QUEUED:
    case DELIVERY_WITH_HANDLER:
    case DELIVERY_HELD:
        break;
    }
}
