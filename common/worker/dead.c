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
#include "protocol/audit_event.h"
#include "worker_own.h"

/*
 * Dead letters. A workspace has room for a number of them in DEAD (max_msgs_per_subject); when it is
 * full, the stream drops the oldest of that workspace and program (or, now and then, the one after it:
 * docs/protocol.md), so that a message that cannot be processed never waits in MEMORY, TASKS or AUDIT
 * for room. What is lost is counted: the worker asks
 * how many letters there are, at most every few seconds and only after it has added one, and tells
 * the audit log how many were dropped since. (With several workers the count is approximate.)
 */
#define CONFIRM_MS    5000u
#define REASON_MAX    256
#define ROOM_EVERY_MS 5000
#define ROOM_WAIT_MS  5000u
#define ROOM_LOOK_MS  20u
#define TELL_EVERY_MS 10000
#define BODY_MAX      512

/* A workspace can make these happen at will: bounded by worker_may_say(). */
static const char DEAD_LETTER[] = "dead letter";
static const char NOT_STORED[] = "a dead letter was not stored: trying again";

static void
subject_of(const struct delivery *delivery, char subject[SUBJECT_MAX])
{
    snprintf(subject, SUBJECT_MAX, SUBJECT_PREFIX "%s.dead.%s", delivery->call.actor.workspace,
             delivery->w->spec->name);
}

/* --- how much room there is -------------------------------------------------------------------- */

static void
on_room(void *arg, enum rc rc, const struct bus_msg *msg, const struct err *err)
{
    struct consumer *consumer = arg;
    AUTO(json) cJSON *doc = NULL;
    (void)err;
    consumer->dead_asking = false;
    consumer->awaited--;
    if (consumer->dead_room < 0)
        consumer->dead_room = INT64_MAX; /* if the answer says nothing, nothing is counted */
    if (rc != RC_OK || json_read(msg->data, msg->len, &doc, NULL) != RC_OK)
        return;
    int64_t most = json_int(json_member(doc, "config"), "max_msgs_per_subject", -1);
    const cJSON *subjects = json_member(json_member(doc, "state"), "subjects");
    int64_t count = subjects && subjects->child ? (int64_t)subjects->child->valuedouble : 0;
    int64_t room = most > count ? most - count : 0;
    /* Letters that were stored meanwhile may be in it or not: then our own count is the better one. */
    if (most > 0 && (consumer->dead_since == 0 || room < consumer->dead_room))
        consumer->dead_room = room;
}

static void
ask_room(const struct delivery *delivery)
{
    struct consumer *consumer = delivery->consumer;
    char subject[SUBJECT_MAX];
    AUTO(buf) struct buf body = { 0 };
    struct json_writer json;
    int64_t now_ms = clock_mono_ms();
    if (consumer->dead_asking ||
        (consumer->dead_asked_ms && now_ms - consumer->dead_asked_ms < ROOM_EVERY_MS))
        return;
    subject_of(delivery, subject);
    buf_init(&body, BODY_MAX);
    json_begin(&json, &body);
    json_object(&json, NULL);
    json_put_string(&json, "subjects_filter", subject);
    json_close(&json);
    (void)json_end(&json);
    struct bus_out out = { .subject = "$JS.API.STREAM.INFO.DEAD",
                           .data = body.data,
                           .len = body.len };
    consumer->dead_asked_ms = now_ms;
    consumer->dead_since = 0;
    consumer->dead_asking =
        bus_request(delivery->w->bus, &out, ROOM_WAIT_MS, on_room, consumer, NULL) == RC_OK;
    consumer->awaited += consumer->dead_asking;
}

static void
count_letter(const struct delivery *delivery)
{
    struct consumer *consumer = delivery->consumer;
    delivery->w->metrics.dead_letters++;
    if (!consumer->workspace[0])
        return; /* letters of many workspaces, each with its room */
    consumer->dead_since++;
    if (consumer->dead_room > 0) {
        consumer->dead_room--;
    } else if (consumer->dead_room == 0) {
        consumer->dead_lost++;
        delivery->w->metrics.dead_lost++;
        worker_full(delivery->w, BOUND_DEAD, consumer->workspace);
    }
    ask_room(delivery);
}

/* --- what was lost, to the audit log ------------------------------------------------------------ */

struct told {
    struct consumer *consumer;
    uint64_t count;
};

static void
on_told(void *arg, enum rc rc, bool duplicate, const struct err *err)
{
    struct told *told = arg;
    (void)duplicate;
    (void)err;
    told->consumer->awaited--;
    if (rc != RC_OK)
        told->consumer->dead_lost += told->count; /* again in the next event */
    free(told);
}

static void
tell(struct worker *w, struct consumer *consumer)
{
    char subject[SUBJECT_MAX], id[ID_TEXT_MAX], msg_id[ID_TEXT_MAX + 8];
    AUTO(buf) struct buf text = { 0 };
    struct told *told = calloc(1, sizeof(*told));
    if (!told)
        log_no_memory("a dead letter");
    id_new(id);
    const struct audit_request_event event = { .event_id = id,
                                               .actor = AUDIT_ACTOR_NATS,
                                               .action = "dead_letters.lost",
                                               .target = w->spec->name,
                                               .status = AUDIT_FAILED,
                                               .error_code = "dead_letters_full",
                                               .duration_ms = -1,
                                               .region = worker_region(w),
                                               .time_ms = clock_wall_ms(),
                                               .count = (int64_t)consumer->dead_lost };
    *told = (struct told){ .consumer = consumer, .count = consumer->dead_lost };
    consumer->awaited++;
    consumer->dead_lost = 0;
    consumer->dead_told_ms = clock_mono_ms();
    log_fields(LOG_ERROR, "DEAD is full: the oldest letters of a workspace were dropped",
               "workspace", consumer->workspace, NULL);
    buf_init(&text, AUDIT_EVENT_MAX);
    snprintf(subject, sizeof(subject), SUBJECT_PREFIX "%s.audit.request.%s", consumer->workspace,
             w->spec->name);
    snprintf(msg_id, sizeof(msg_id), "%s.audit", id);
    enum rc rc = audit_event_write(&event, &text);
    struct bus_out out = { .subject = subject, .data = text.data, .len = text.len };
    if (rc == RC_OK)
        rc = bus_js_publish(w->bus, &out, msg_id, CONFIRM_MS, on_told, told, NULL);
    if (rc != RC_OK)
        on_told(told, rc, false, NULL);
}

void
dead_letters_tick(struct worker *w)
{
    int64_t now_ms = clock_mono_ms();
    struct consumer *consumer;
    TAILQ_FOREACH (consumer, &w->consumers, all) {
        if (now_ms - consumer->dead_told_ms < TELL_EVERY_MS)
            continue;
        if (consumer->dead_lost)
            tell(w, consumer);
        consumer->dead_told_ms = now_ms;
    }
}

/* --- one letter --------------------------------------------------------------------------------- */

static void
on_dead_lettered(void *arg, enum rc rc, bool duplicate, const struct err *err)
{
    struct delivery *delivery = arg;
    if (rc != RC_OK) {
        if (worker_may_say(delivery->w, NOT_STORED, delivery->call.actor.workspace))
            log_fields(LOG_WARN, NOT_STORED, CALL_FIELDS(&delivery->call), "reason", err->text,
                       NULL);
        delivery_step_later(delivery);
        return;
    }
    if (!duplicate)
        count_letter(delivery);
    FAULT("after_dead");
    if (delivery->call.result.status < 400)
        call_problem(&delivery->call, PROBLEM_INTERNAL, NULL, "The command could not be executed.");
    delivery_done(delivery);
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
    const char *actor = delivery->claim, *original_id = delivery->msg_id;
    const char *list = bus_msg_header(delivery->msg, LIST_HEADER);
    char subject[SUBJECT_MAX], deliveries[24], time[CLOCK_TEXT_MAX], hash[HASH_TEXT_MAX];
    char msg_id[96], length[24];
    struct bus_header headers[9];
    size_t n = 0;
    subject_of(delivery, subject);
    snprintf(deliveries, sizeof(deliveries), "%llu", (unsigned long long)call->deliveries);
    int len = snprintf(msg_id, sizeof(msg_id), "dead.%s.%llu.%lld", delivery->w->spec->name,
                       (unsigned long long)delivery->msg->stream_seq, (long long)call->stream_ns);
    if (delivery->list)
        snprintf(msg_id + len, sizeof(msg_id) - (size_t)len, ".%u", delivery->place);
    headers[n++] = (struct bus_header){ "Gantry-Reason", one_line(delivery, delivery->reason) };
    headers[n++] = (struct bus_header){ "Gantry-Deliveries", deliveries };
    headers[n++] = (struct bus_header){ "Gantry-Subject", delivery->msg->subject };
    headers[n++] = (struct bus_header){ "Gantry-Time", clock_format(clock_wall_ms(), time) };
    if (original_id)
        headers[n++] = (struct bus_header){ "Gantry-Msg-Id", one_line(delivery, original_id) };
    if (actor && strlen(actor) < ACTOR_WIRE_MAX) /* the gateway's are shorter */
        headers[n++] = (struct bus_header){ ACTOR_HEADER, actor };
    if (scope_hash(delivery, hash))
        headers[n++] = (struct bus_header){ "Gantry-Scope-Hash", hash };
    if (list && !delivery->list)
        headers[n++] = (struct bus_header){ LIST_HEADER, one_line(delivery, list) };
    snprintf(length, sizeof(length), "%zu", call->payload_len);
    headers[n] = (struct bus_header){ CUT_HEADER, length };
    size_t room = room_for_payload(headers, n + 1, msg_id);
    bool cut = call->payload_len > room;
    struct bus_out out = { .subject = subject,
                           .headers = headers,
                           .n_headers = cut ? n + 1 : n,
                           .data = call->payload,
                           .len = cut ? room : call->payload_len };
    struct err err = { 0 };
    delivery->awaiting = true;
    enum rc rc = bus_js_publish(delivery->w->bus, &out, msg_id, CONFIRM_MS, on_dead_lettered,
                                delivery, &err);
    if (rc != RC_OK)
        on_dead_lettered(delivery, rc, false, &err);
}

/* The step. The first letter of a workspace waits until its room is known. */
void
delivery_write_dead_letter(struct delivery *delivery)
{
    if (delivery->consumer->dead_room < 0) {
        ask_room(delivery);
        delivery_wake_after(delivery, ROOM_LOOK_MS);
        return;
    }
    struct worker *w = delivery->w;
    struct err err = { 0 };
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
        log_fields(LOG_ERROR, DEAD_LETTER, CALL_FIELDS(&delivery->call), "reason", delivery->reason,
                   NULL);
}
