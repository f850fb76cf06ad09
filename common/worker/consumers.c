/* SPDX-License-Identifier: MIT */
#include <bsd/string.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "protocol/audit_event.h"
#include "worker_own.h"

/*
 * Consumers. Each workspace has its own on the program's stream, <program>_<workspace>, made from a
 * template in nats/consumers by `gantry provision` and `workspace create`. So what one workspace
 * leaves unsettled (messages that wait here for another attempt, or for room) fills only its own
 * max_ack_pending, its backlog delays nobody else's first message, and the server's queue has a
 * head for each. A worker lists them every second or so. Up to version 1 all shared one, which is
 * called as the program: it is there until an upgrade is over, and taken from like any other.
 *
 * Careful mode, per consumer: after a crash somewhere the messages that it left behind come again.
 * They are asked for one at a time, for all careful consumers together, so that a message that
 * crashes the worker is in hand alone, and the deliveries of its neighbours are not counted up with
 * it. A consumer begins careful, until the server says that nothing of it is outstanding.
 */
#define LIST_EVERY_MS    1000
#define INFO_EVERY_MS    500
#define KEEPALIVE_MIN_MS 200
#define CAREFUL_MS       2000
#define API_TIMEOUT_MS   5000u

/* Which stream this program's JetStream commands are in; NULL when it has none. */
const char *
worker_stream(const struct worker *w)
{
    for (size_t i = 0; i < w->spec->n_routes; i++) {
        const char *name = stream_name(command_info(w->spec->routes[i].command)->stream);
        if (name)
            return name;
    }
    return NULL;
}

/* --- careful mode ----------------------------------------------------------------------------- */

static void
be_careful_until(struct consumer *consumer, int64_t until_ms)
{
    consumer->w->n_careful += !consumer->careful;
    consumer->careful = true;
    consumer->careful_seq = 0;
    if (until_ms > consumer->careful_until_ms)
        consumer->careful_until_ms = until_ms;
    consumer_due(consumer);
}

void
consumer_be_careful(struct consumer *consumer)
{
    be_careful_until(consumer, clock_mono_ms() + CAREFUL_MS);
}

static void
end_care(struct consumer *consumer)
{
    struct worker *w = consumer->w;
    if (!consumer->careful)
        return;
    consumer->careful = false;
    consumer->careful_until_ms = 0;
    w->n_careful--;
    if (w->careful_turn == consumer)
        w->careful_turn = NULL;
    consumer_due(consumer);
}

static void
learn_ack_wait(struct worker *w, const cJSON *config)
{
    int64_t wait_ms = json_int(config, "ack_wait", 0) / 1000000;
    int64_t every_ms = wait_ms / 3 > KEEPALIVE_MIN_MS ? wait_ms / 3 : KEEPALIVE_MIN_MS;
    if (wait_ms <= 0 || every_ms == w->keepalive_ms)
        return;
    w->keepalive_ms = every_ms;
    loop_timer_set(w->keepalive, (uint32_t)every_ms, (uint32_t)every_ms);
}

/* The answer tells how long the server waits for an acknowledgement, and whether somebody has left
 * deliveries behind: nobody has, when no more are unsettled than we have, or when everything is
 * settled that was delivered before the first answer (the rest is what other replicas work on). */
static void
on_info(void *arg, enum rc rc, const struct bus_msg *msg, const struct err *err)
{
    struct consumer *consumer = arg;
    AUTO(json) cJSON *doc = NULL;
    (void)err;
    consumer->awaited--;
    consumer_due(consumer);
    if (rc != RC_OK || json_read(msg->data, msg->len, &doc, NULL) != RC_OK)
        return;
    learn_ack_wait(consumer->w, json_member(doc, "config"));
    int64_t settled = json_int(json_member(doc, "ack_floor"), "stream_seq", 0);
    if (consumer->careful_seq == 0)
        consumer->careful_seq = json_int(json_member(doc, "delivered"), "stream_seq", 0);
    if (json_int(doc, "num_ack_pending", 0) <= (int64_t)consumer->in_hand ||
        settled >= consumer->careful_seq || clock_mono_ms() > consumer->careful_until_ms)
        end_care(consumer);
}

void
consumer_ask_info(struct consumer *consumer)
{
    char subject[256];
    int64_t now_ms = clock_mono_ms();
    if (consumer->info_asked_ms && now_ms - consumer->info_asked_ms < INFO_EVERY_MS)
        return;
    consumer->info_asked_ms = now_ms;
    snprintf(subject, sizeof(subject), "$JS.API.CONSUMER.INFO.%s.%s", worker_stream(consumer->w),
             consumer->name);
    struct bus_out out = { .subject = subject };
    if (bus_request(consumer->w->bus, &out, API_TIMEOUT_MS, on_info, consumer, NULL) == RC_OK)
        consumer->awaited++;
}

/* --- which there are -------------------------------------------------------------------------- */

void
consumer_due(struct consumer *consumer)
{
    if (consumer->is_due)
        return;
    consumer->is_due = true;
    TAILQ_INSERT_TAIL(&consumer->w->due, consumer, due);
}

static enum rc
consumer_new(struct worker *w, const char *name, const char *workspace, struct err *err)
{
    struct consumer *consumer = calloc(1, sizeof(*consumer));
    if (!consumer)
        log_no_memory("a consumer");
    consumer->w = w;
    consumer->seen = true;
    consumer->dead_room = *workspace ? -1 : INT64_MAX;
    queue_init(&consumer->fresh);
    queue_init(&consumer->acks);
    (void)strlcpy(consumer->name, name, sizeof(consumer->name));
    (void)strlcpy(consumer->workspace, workspace, sizeof(consumer->workspace));
    enum rc rc = bus_pull_new(w->bus, worker_stream(w), name, consumer_pulled, consumer,
                              &consumer->pull, err);
    if (rc != RC_OK) {
        free(consumer);
        return rc;
    }
    TAILQ_INSERT_TAIL(&w->consumers, consumer, all);
    be_careful_until(consumer, clock_mono_ms() + 2 * (int64_t)WORKER_ACK_WAIT_MS);
    consumer_ask_info(consumer);
    return RC_OK;
}

static void
consumer_free(struct consumer *consumer)
{
    struct worker *w = consumer->w;
    end_care(consumer);
    TAILQ_REMOVE(&w->consumers, consumer, all);
    if (consumer->is_due)
        TAILQ_REMOVE(&w->due, consumer, due);
    if (consumer->is_active)
        w->n_active--;
    bus_pull_free(consumer->pull);
    free(consumer);
}

void
consumers_free(struct worker *w)
{
    while (!TAILQ_EMPTY(&w->consumers)) {
        struct consumer *consumer = TAILQ_FIRST(&w->consumers);
        TAILQ_REMOVE(&w->consumers, consumer, all);
        free(consumer); /* its pull went with the bus */
    }
}

static bool
has_consumer(const struct worker *w, const char *name)
{
    struct consumer *consumer;
    TAILQ_FOREACH (consumer, &w->consumers, all)
        if (strcmp(consumer->name, name) == 0) {
            consumer->seen = true;
            return true;
        }
    return false;
}

/* A consumer that is gone on the server: ours stays while something points to it. */
static void
drop_unseen(struct worker *w)
{
    struct consumer *consumer, *next;
    for (consumer = TAILQ_FIRST(&w->consumers); consumer; consumer = next) {
        next = TAILQ_NEXT(consumer, all);
        if (!consumer->seen && !consumer->in_hand && !consumer->awaited)
            consumer_free(consumer);
        else
            consumer->seen = false;
    }
}

static bool
names_workspace(const char *text)
{
    return workspace_valid(text, strlen(text)) || strcmp(text, AUDIT_NO_WORKSPACE) == 0;
}

static void ask_names(struct worker *w);

static void
on_names(void *arg, enum rc rc, const struct bus_msg *msg, const struct err *err)
{
    struct worker *w = arg;
    AUTO(json) cJSON *doc = NULL;
    const cJSON *item;
    struct err why = { 0 };
    size_t count = 0, len = strlen(w->spec->name);
    (void)err;
    w->listing = false;
    if (rc != RC_OK || json_read(msg->data, msg->len, &doc, NULL) != RC_OK)
        return;
    const cJSON *names = json_member(doc, "consumers");
    int64_t total = json_int(doc, "total", 0);
    cJSON_ArrayForEach (item, names) {
        const char *name = cJSON_IsString(item) ? item->valuestring : "";
        count++;
        if (strncmp(name, w->spec->name, len) != 0 || has_consumer(w, name))
            continue;
        const char *workspace = name + len + (name[len] == '_');
        if (name[len] && (name[len] != '_' || !names_workspace(workspace)))
            continue;
        if (consumer_new(w, name, workspace, &why) != RC_OK)
            log_warn("%s", why.text);
    }
    w->list_offset += count;
    if (count && (int64_t)w->list_offset < total)
        ask_names(w);
    else if (names)
        drop_unseen(w);
}

/* The listing comes in pages. */
static void
ask_names(struct worker *w)
{
    char subject[64];
    AUTO(buf) struct buf text = { 0 };
    struct json_writer json;
    buf_init(&text, 48);
    json_begin(&json, &text);
    json_object(&json, NULL);
    json_put_int(&json, "offset", (int64_t)w->list_offset);
    json_close(&json);
    (void)json_end(&json);
    snprintf(subject, sizeof(subject), "$JS.API.CONSUMER.NAMES.%s", worker_stream(w));
    struct bus_out out = { .subject = subject, .data = text.data, .len = text.len };
    w->listing = bus_request(w->bus, &out, API_TIMEOUT_MS, on_names, w, NULL) == RC_OK;
}

void
worker_list_consumers(struct worker *w)
{
    int64_t now_ms = clock_mono_ms();
    if (w->listing || (w->listed_ms && now_ms - w->listed_ms < LIST_EVERY_MS))
        return;
    w->listed_ms = now_ms;
    w->list_offset = 0;
    ask_names(w);
}

/* --- listening -------------------------------------------------------------------------------- */

static void
on_request(void *arg, const struct bus_msg *msg)
{
    delivery_receive(arg, NULL, msg);
}

enum rc
worker_listen(struct worker *w, struct err *err)
{
    char subject[SUBJECT_MAX];
    enum rc rc = RC_OK;
    for (size_t i = 0; i < w->spec->n_routes && rc == RC_OK; i++) {
        enum command command = w->spec->routes[i].command;
        if (command_info(command)->stream != STREAM_NONE)
            continue;
        command_subject(subject, "*", command);
        rc = bus_subscribe(w->bus, subject, w->spec->name, on_request, w, &w->subs[command], err);
    }
    if (rc == RC_OK && worker_stream(w))
        worker_list_consumers(w);
    return rc;
}

void
worker_stop_listening(struct worker *w)
{
    for (size_t i = 0; i < CMD_COUNT; i++)
        bus_sub_drain(w->subs[i]);
    bus_pull_drain(w->bus);
}
