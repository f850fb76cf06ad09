/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "crypto/hash.h"
#include "worker_own.h"

/*
 * Settling. The only place that acknowledges:
 *
 *   done     request event -> answer -> ack, each confirmed before the next
 *   retry    held in this process, kept alive, handled again later
 *   reject   request event -> on_dead -> dead letter -> .done with 500 -> term
 *
 * Many tasks are in these steps at once; each publishes and goes on when its confirmation comes. A
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

static uint32_t
grown(uint32_t first_ms, uint32_t max_ms, unsigned n)
{
    uint64_t delay_ms = (uint64_t)first_ms << (n > 16 ? 16 : n);
    return delay_ms > max_ms ? max_ms : (uint32_t)delay_ms;
}

void
task_step_later(struct task *task)
{
    task->awaiting = false;
    task_wake_after(task, grown(RETRY_FIRST_MS, STEP_MAX_MS, task->tries++));
}

static void
enter(struct task *task, enum task_state state)
{
    task->state = state;
    task->tries = 0;
    task_step(task);
}

static void
finished(struct task *task)
{
    struct worker *w = task->w;
    const struct result *result = &task->call.result;
    uint64_t settle_us = (uint64_t)(clock_mono_us() - task->arrived_us);
    if (!task->lane)
        w->metrics.requests_done++;
    else if (!task->reason)
        w->metrics.jobs_done++;
    if (!task->reason && result->status >= 400)
        w->metrics.jobs_failed++;
    w->metrics.settle_us += settle_us;
    service_count(task, settle_us);
    if (log_enabled(LOG_DEBUG))
        log_fields(LOG_DEBUG, "settled", "command", command_info(task->call.command)->tail,
                   "workspace", task->call.actor.workspace, "id", task->call.id, NULL);
    task_free(task);
}

/* --- the last step: ack or term --------------------------------------------------------------- */

static void
on_acked(void *arg, enum rc rc, bool duplicate, const struct err *err)
{
    struct task *task = arg;
    (void)duplicate;
    (void)err;
    if (rc == RC_OK) {
        finished(task);
    } else if (task->tries < ACK_TRIES) {
        task_step_later(task);
    } else {
        /* It will come again and find its effect done. */
        task->w->metrics.ack_lost++;
        task_free(task);
    }
}

static void
ack(struct task *task)
{
    FAULT("before_ack");
    task->awaiting = true;
    if (!task->reason)
        queue_push(&task->lane->acks, task); /* until the end of this turn */
    else if (bus_settle(task->w->bus, task->msg, BUS_TERM, 0, on_acked, task, NULL) != RC_OK)
        on_acked(task, RC_TEMP, false, NULL);
}

/* Of acks sent together: the last one's confirmation stands for all. */
static void
on_all_acked(void *arg, enum rc rc, bool duplicate, const struct err *err)
{
    struct task *next;
    for (struct task *task = arg; task; task = next) {
        next = task->next;
        task->next = NULL;
        on_acked(task, rc, duplicate, err);
    }
}

/* The server takes a consumer's acks in the order in which one connection sends them, and when the
 * connection ends before the last one is confirmed, none is taken as confirmed. */
static void
send_acks(struct worker *w, struct queue *acks)
{
    struct task *first = acks->first, *last = acks->last;
    *acks = (struct queue){ 0 };
    for (struct task *task = first; task != last; task = task->next)
        (void)bus_settle(w->bus, task->msg, BUS_ACK, 0, NULL, NULL, NULL);
    if (bus_settle(w->bus, last->msg, BUS_ACK, 0, on_all_acked, first, NULL) != RC_OK)
        on_all_acked(first, RC_TEMP, false, NULL);
}

void
worker_send_acks(struct worker *w)
{
    for (struct lane *lane = w->lanes; lane; lane = lane->next)
        if (lane->acks.first)
            send_acks(w, &lane->acks);
}

void
task_hand_back(struct task *task, uint32_t delay_ms)
{
    (void)bus_settle(task->w->bus, task->msg, BUS_NAK, delay_ms, NULL, NULL, NULL);
    task_free(task);
}

/* --- the answer ------------------------------------------------------------------------------- */

static void
reply_core(struct task *task)
{
    const struct result *result = &task->call.result;
    struct bus_header headers[2];
    char code[16];
    size_t n = 0;
    if (result->status >= 400) {
        snprintf(code, sizeof(code), "%d", result->status);
        const char *name = result->code < PROBLEM_COUNT ? problem_name(result->code) : "internal";
        headers[n++] = (struct bus_header){ "Nats-Service-Error", name };
        headers[n++] = (struct bus_header){ "Nats-Service-Error-Code", code };
    }
    struct bus_out out = { .subject = task->msg->reply,
                           .headers = headers,
                           .n_headers = n,
                           .data = result->body,
                           .len = result->body_len };
    if (out.subject) /* else it wanted no answer; it is carried out and recorded all the same */
        (void)bus_publish(task->w->bus, &out, NULL); /* not connected: the asker's time-out tells */
    finished(task);
}

static void
publish_done(struct task *task)
{
    static const struct bus_header HEADERS[] = { { EVENT_HEADER, "done" } };
    const struct call *call = &task->call;
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
    (void)bus_publish(task->w->bus, &out, NULL); /* lost: the caller polls, or asks again */
}

/* --- the request event is stored, or not --------------------------------------------------------- */

static void
after_audit(struct task *task)
{
    FAULT("after_audit");
    if (task->reason) {
        enter(task, TASK_DYING);
    } else if (task->lane) {
        publish_done(task);
        FAULT("after_answer");
        enter(task, TASK_ACKING);
    } else {
        reply_core(task);
    }
}

void
task_audited(struct task *task, enum rc rc, const struct err *err)
{
    task->awaiting = false;
    if (rc == RC_OK) {
        after_audit(task);
        return;
    }
    if (task->w->metrics.audit_retried++ % 1000 == 0)
        log_fields(LOG_WARN, "AUDIT did not take a request event: trying again", "reason",
                   err ? err->text : "", NULL);
    if (task->lane) {
        task_step_later(task);
        return;
    }
    /* What cannot be audited is not answered. */
    call_problem(&task->call, PROBLEM_UNAVAILABLE, NULL, "The audit log takes no events now.");
    reply_core(task);
}

/* --- dead letters ----------------------------------------------------------------------------- */

static void
on_buried(void *arg, enum rc rc, bool duplicate, const struct err *err)
{
    struct task *task = arg;
    (void)duplicate;
    task->awaiting = false;
    if (rc == RC_OK) {
        task->w->metrics.jobs_dead++;
        FAULT("after_dead");
        call_problem(&task->call, PROBLEM_INTERNAL, NULL, "The command could not be carried out.");
        publish_done(task);
        enter(task, TASK_ACKING);
    } else if (rc == RC_LIMIT) {
        log_fields(LOG_ERROR, "a dead letter was not taken: the message goes back", "workspace",
                   task->call.actor.workspace, "reason", task->reason, "because", err->text, NULL);
        task_hand_back(task, WORKER_DEAD_FULL_MS);
    } else {
        log_fields(LOG_WARN, "a dead letter was not taken: trying again", "reason", err->text,
                   NULL);
        task_step_later(task);
    }
}

/* A header's value is one line of printable text. */
static const char *
one_line(struct task *task, const char *text)
{
    char *copy = arena_strndup(&task->mem, text, strnlen(text, REASON_MAX));
    for (char *c = copy; c && *c; c++)
        if (iscntrl((unsigned char)*c))
            *c = ' ';
    return copy ? copy : "";
}

/* So that forget can find the dead letters of a scope without reading their bodies. */
static bool
scope_hash(const struct task *task, char hex[HASH_TEXT_MAX])
{
    const char *scope = json_string(task->doc, "scope");
    const char *workspace = task->call.actor.workspace;
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
publish_dead(struct task *task)
{
    const struct call *call = &task->call;
    const char *actor = bus_msg_header(task->msg, ACTOR_HEADER);
    const char *original_id = bus_msg_header(task->msg, MSG_ID_HEADER);
    char subject[SUBJECT_MAX], deliveries[24], time[CLOCK_TEXT_MAX], hash[HASH_TEXT_MAX];
    char msg_id[96], length[24];
    struct bus_header headers[8];
    size_t n = 0;
    snprintf(subject, sizeof(subject), SUBJECT_PREFIX "%s.dead.%s", call->actor.workspace,
             task->w->spec->name);
    snprintf(deliveries, sizeof(deliveries), "%llu", (unsigned long long)call->deliveries);
    snprintf(msg_id, sizeof(msg_id), "dead.%s.%llu.%lld", task->w->spec->name,
             (unsigned long long)task->msg->stream_seq, (long long)call->stream_ns);
    headers[n++] = (struct bus_header){ "Gantry-Reason", one_line(task, task->reason) };
    headers[n++] = (struct bus_header){ "Gantry-Deliveries", deliveries };
    headers[n++] = (struct bus_header){ "Gantry-Subject", task->msg->subject };
    headers[n++] = (struct bus_header){ "Gantry-Time", clock_format(clock_wall_ms(), time) };
    if (original_id)
        headers[n++] = (struct bus_header){ "Gantry-Msg-Id", one_line(task, original_id) };
    if (actor && strlen(actor) < ACTOR_WIRE_MAX) /* a longer one is none of ours */
        headers[n++] = (struct bus_header){ ACTOR_HEADER, actor };
    if (scope_hash(task, hash))
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
    task->awaiting = true;
    enum rc rc = bus_js_publish(task->w->bus, &out, msg_id, CONFIRM_MS, on_buried, task, &err);
    if (rc != RC_OK)
        on_buried(task, rc, false, &err);
}

static void
die(struct task *task)
{
    struct worker *w = task->w;
    struct err err = { .rc = RC_OK };
    bool known = task->route && id_valid(task->call.id);
    if (known && w->spec->on_dead &&
        w->spec->on_dead(w, &task->call, task->reason, &err) == RC_TEMP) {
        task_step_later(task);
        return;
    }
    publish_dead(task);
}

void
task_bury(struct task *task, const char *reason)
{
    task->reason = reason ? reason : "no memory for the reason";
    log_fields(LOG_ERROR, "dead letter", "reason", task->reason, "workspace",
               task->call.actor.workspace, "id", task->call.id, NULL);
    if (!task->call.actor.workspace[0]) { /* no subject of ours: nowhere to put it */
        (void)bus_settle(task->w->bus, task->msg, BUS_TERM, 0, NULL, NULL, NULL);
        task_free(task);
        return;
    }
    enter(task, TASK_AUDITING);
}

/* --- the verdict ------------------------------------------------------------------------------ */

static void
hold(struct task *task)
{
    struct worker *w = task->w;
    const struct err *err = &task->call.result.err;
    uint32_t delay_ms = grown(RETRY_FIRST_MS, RETRY_MAX_MS, task->attempts++);
    w->metrics.jobs_retried++;
    if (err->text[0]) /* a call without a reason has not failed, its time has not come */
        log_fields(err->rc == RC_CONFIG ? LOG_ERROR : LOG_WARN,
                   "failed for now: trying again later", "command",
                   command_info(task->call.command)->tail, "id", task->call.id, "reason", err->text,
                   NULL);
    task->waited_ms += delay_ms;
    if (task->waited_ms > FAULT_NUMBER("FAULT_GIVE_UP_MS", WORKER_GIVE_UP_MS)) {
        task_bury(task, arena_printf(&task->mem, "failed for 24 hours: %.200s", err->text));
        return;
    }
    task->state = TASK_HELD;
    w->held++;
    task_wake_after(task, delay_ms);
}

void
task_settle(struct task *task)
{
    struct call *call = &task->call;
    enum verdict verdict = rc_verdict(call->result.rc);
    if (verdict == VERDICT_DONE && call->result.status == 0) {
        (void)err_set(&call->result.err, RC_BUG, "the handler gave no answer");
        verdict = VERDICT_REJECT;
    }
    if (!task->lane && verdict == VERDICT_RETRY) {
        (void)worker_check_health(task->w);
        task_refuse_unavailable(task);
    } else if (!task->lane && verdict == VERDICT_REJECT) {
        log_fields(LOG_ERROR, "a request failed", "command", command_info(call->command)->tail,
                   "reason", call->result.err.text, NULL);
        call_problem(call, PROBLEM_INTERNAL, NULL, "The request could not be carried out.");
    } else if (verdict == VERDICT_RETRY) {
        hold(task);
        return;
    } else if (verdict == VERDICT_REJECT) {
        task_bury(task, arena_strdup(&task->mem, call->result.err.text));
        return;
    }
    enter(task, TASK_AUDITING);
}

void
task_step(struct task *task)
{
    switch (task->state) {
    case TASK_AUDITING:
        task_audit(task);
        break;
    case TASK_DYING:
        die(task);
        break;
    case TASK_ACKING:
        ack(task);
        break;
    case TASK_QUEUED:
    case TASK_WITH_HANDLER:
    case TASK_HELD:
        break;
    }
}
