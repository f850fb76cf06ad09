/* SPDX-License-Identifier: MIT */
#include <bsd/string.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "worker_own.h"

/*
 * Where messages come from. One shared consumer is asked for as much as the next batches can take.
 * With a consumer for each workspace (the executor) each is asked for one message at a time, and
 * only while it has none waiting here: so the queue of first deliveries holds at most one delivery of a
 * workspace, and taking from its head hands the slots round-robin.
 *
 * Careful mode: after a crash somewhere the messages that it left behind come again. They are asked
 * for one at a time, so that the one that kills is in hand alone, and its neighbours' deliveries are
 * not counted up with it.
 */
#define LIST_EVERY_MS    2000
#define INFO_EVERY_MS    500
#define KEEPALIVE_MIN_MS 200
#define CAREFUL_MS       2000
#define API_TIMEOUT_MS   5000u
#define SETTLING_MAX     2048u
#define CREDIT_MIN       32u /* messages asked for; all replicas share max_waiting of nats/consumers */
#define CREDIT_MAX       384u

/* --- what the server says of a consumer's backlog --------------------------------------------- */

void
worker_careful(struct worker *w)
{
    int64_t until_ms = clock_mono_ms() + CAREFUL_MS;
    if (until_ms > w->careful_until_ms)
        w->careful_until_ms = until_ms;
    w->careful_seq = 0;
}

/* Which stream this program's JetStream commands are in; NULL when it has none. */
static const char *
stream_of(const struct worker *w)
{
    for (size_t i = 0; i < w->spec->n_routes; i++) {
        const char *name = stream_name(command_info(w->spec->routes[i].command)->stream);
        if (name)
            return name;
    }
    return NULL;
}

/* The answer tells how long the server waits for an acknowledgement, and whether somebody has left
 * deliveries behind: nobody has, when no more are unsettled than we have, or when everything is
 * settled that was delivered before the first answer (the rest is what other replicas work on). */
static void
on_info(void *arg, enum rc rc, const struct bus_msg *msg, const struct err *err)
{
    struct worker *w = arg;
    AUTO(json) cJSON *doc = NULL;
    (void)err;
    if (rc != RC_OK || json_read(msg->data, msg->len, &doc, NULL) != RC_OK)
        return;
    int64_t wait_ms = json_int(json_member(doc, "config"), "ack_wait", 0) / 1000000;
    int64_t every_ms = wait_ms / 3 > KEEPALIVE_MIN_MS ? wait_ms / 3 : KEEPALIVE_MIN_MS;
    if (wait_ms > 0 && every_ms != w->keepalive_ms) {
        w->keepalive_ms = every_ms;
        loop_timer_set(w->keepalive, (uint32_t)every_ms, (uint32_t)every_ms);
    }
    int64_t settled = json_int(json_member(doc, "ack_floor"), "stream_seq", 0);
    if (w->careful_seq == 0)
        w->careful_seq = json_int(json_member(doc, "delivered"), "stream_seq", 0);
    if (!w->spec->consumer_per_workspace &&
        (json_int(doc, "num_ack_pending", 0) <= (int64_t)w->in_hand || settled >= w->careful_seq))
        w->careful_until_ms = 0;
}

static void
ask_info(struct worker *w, const struct consumer *consumer)
{
    char subject[256];
    int64_t now_ms = clock_mono_ms();
    if (now_ms - w->info_asked_ms < INFO_EVERY_MS)
        return;
    w->info_asked_ms = now_ms;
    snprintf(subject, sizeof(subject), "$JS.API.CONSUMER.INFO.%s.%s", stream_of(w), consumer->name);
    struct bus_out out = { .subject = subject };
    (void)bus_request(w->bus, &out, API_TIMEOUT_MS, on_info, w, NULL);
}

/* --- consumers ------------------------------------------------------------------------------------ */

static void
on_pulled(void *arg, const struct bus_msg *msg)
{
    struct consumer *consumer = arg;
    if (!msg)
        return;
    consumer->w->arrived++;
    delivery_receive(consumer->w, consumer, msg);
}

static enum rc
consumer_new(struct worker *w, const char *stream, const char *name, const char *workspace,
             struct err *err)
{
    struct consumer *consumer = calloc(1, sizeof(*consumer));
    if (!consumer)
        exit(EXIT_TEMP);
    consumer->w = w;
    consumer->seen = true;
    (void)strlcpy(consumer->name, name, sizeof(consumer->name));
    (void)strlcpy(consumer->workspace, workspace, sizeof(consumer->workspace));
    enum rc rc = bus_pull_new(w->bus, stream, name, on_pulled, consumer, &consumer->pull, err);
    if (rc != RC_OK) {
        free(consumer);
        return rc;
    }
    consumer->next = w->consumers;
    w->consumers = consumer;
    return RC_OK;
}

static bool
has_consumer(const struct worker *w, const char *name)
{
    for (struct consumer *consumer = w->consumers; consumer; consumer = consumer->next)
        if (strcmp(consumer->name, name) == 0) {
            consumer->seen = true;
            return true;
        }
    return false;
}

/* A consumer that is gone on the server: ours stays while deliveries point to it. */
static void
drop_unseen(struct worker *w)
{
    for (struct consumer **at = &w->consumers; *at;) {
        struct consumer *consumer = *at;
        bool used = consumer->seen;
        for (const struct delivery *delivery = w->all; delivery && !used;
             delivery = delivery->all_next)
            used = delivery->consumer == consumer;
        if (used) {
            consumer->seen = false;
            at = &consumer->next;
            continue;
        }
        *at = consumer->next;
        bus_pull_free(consumer->pull);
        free(consumer);
    }
}

static void ask_names(struct worker *w);

static void
on_names(void *arg, enum rc rc, const struct bus_msg *msg, const struct err *err)
{
    struct worker *w = arg;
    AUTO(json) cJSON *doc = NULL;
    const cJSON *item;
    char prefix[32];
    struct err why = { .rc = RC_OK };
    (void)err;
    w->listing = false;
    if (rc != RC_OK || json_read(msg->data, msg->len, &doc, NULL) != RC_OK)
        return;
    snprintf(prefix, sizeof(prefix), "%s_", w->spec->name);
    const cJSON *names = json_member(doc, "consumers");
    int64_t total = json_int(doc, "total", 0);
    size_t count = 0;
    cJSON_ArrayForEach (item, names) {
        const char *name = cJSON_IsString(item) ? item->valuestring : "";
        const char *workspace = name + strlen(prefix);
        count++;
        if (strncmp(name, prefix, strlen(prefix)) != 0 || has_consumer(w, name) ||
            !workspace_valid(workspace, strlen(workspace)))
            continue;
        if (consumer_new(w, stream_of(w), name, workspace, &why) != RC_OK)
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
    char subject[64], body[48];
    AUTO(buf) struct buf text = { 0 };
    struct json_writer json;
    buf_init(&text, sizeof(body));
    json_begin(&json, &text);
    json_object(&json, NULL);
    json_put_int(&json, "offset", (int64_t)w->list_offset);
    json_close(&json);
    (void)json_end(&json);
    snprintf(subject, sizeof(subject), "$JS.API.CONSUMER.NAMES.%s", stream_of(w));
    struct bus_out out = { .subject = subject, .data = text.data, .len = text.len };
    w->listing = bus_request(w->bus, &out, API_TIMEOUT_MS, on_names, w, NULL) == RC_OK;
}

static void
list_lanes(struct worker *w)
{
    int64_t now_ms = clock_mono_ms();
    if (w->listing || now_ms - w->listed_ms < LIST_EVERY_MS)
        return;
    w->listed_ms = now_ms;
    w->list_offset = 0;
    ask_names(w);
}

/* --- asking ----------------------------------------------------------------------------------- */

static void
fetch_lanes(struct worker *w)
{
    list_lanes(w);
    if (w->spec->slots_free && w->spec->slots_free(w) == 0)
        return;
    if (w->consumers && w->info_asked_ms == 0)
        ask_info(w, w->consumers);
    for (struct consumer *consumer = w->consumers; consumer; consumer = consumer->next)
        if (consumer->queued == 0 && bus_pull_credit(consumer->pull) == 0)
            (void)bus_pull_more(consumer->pull, 1, WORKER_PULL_MS, NULL);
}

static void
fetch_shared(struct worker *w)
{
    struct consumer *consumer = w->consumers;
    size_t batch = w->spec->batch_max ? w->spec->batch_max : 64;
    size_t queued = w->fresh.count + w->suspects.count;
    unsigned credit = bus_pull_credit(consumer->pull);
    if (clock_mono_ms() < w->careful_until_ms) {
        ask_info(w, consumer);
        if (w->in_hand == w->held && credit == 0)
            (void)bus_pull_more(consumer->pull, 1, 1000, NULL);
        return;
    }
    /* Twice what came while the last batch was handled: much under load, little that waits without.
     * While one is being handled (turns_meanwhile), as much again and again, up to two batches. */
    if (!w->in_handler) {
        w->wanted = 2 * w->arrived < CREDIT_MIN ? CREDIT_MIN : 2 * w->arrived;
        if (w->wanted > 2 * batch || w->wanted > CREDIT_MAX)
            w->wanted = 2 * batch < CREDIT_MAX ? 2 * batch : CREDIT_MAX;
        w->arrived = 0;
    }
    size_t have = w->in_handler && queued + w->wanted <= 2 * batch ? credit : queued + credit;
    if (have < w->wanted / 2 && w->in_hand < SETTLING_MAX)
        (void)bus_pull_more(consumer->pull, (unsigned)(w->wanted - have), WORKER_PULL_MS, NULL);
}

void
worker_fetch(struct worker *w)
{
    if (!stream_of(w) || w->held >= WORKER_HELD_MAX || !worker_check_health(w))
        return;
    if (w->spec->consumer_per_workspace)
        fetch_lanes(w);
    else
        fetch_shared(w);
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
    const char *stream = stream_of(w);
    enum rc rc = RC_OK;
    for (size_t i = 0; i < w->spec->n_routes && rc == RC_OK; i++) {
        enum command command = w->spec->routes[i].command;
        if (command_info(command)->stream != STREAM_NONE)
            continue;
        command_subject(subject, "*", command);
        rc = bus_subscribe(w->bus, subject, w->spec->name, on_request, w, &w->subs[command], err);
    }
    if (rc == RC_OK && stream && !w->spec->consumer_per_workspace)
        rc = consumer_new(w, stream, w->spec->name, "", err);
    /* Until the server says that nobody before us left anything behind. */
    w->careful_until_ms = clock_mono_ms() + 2 * (int64_t)WORKER_ACK_WAIT_MS;
    return rc;
}

void
worker_stop_listening(struct worker *w)
{
    for (size_t i = 0; i < CMD_COUNT; i++)
        bus_sub_drain(w->subs[i]);
    bus_pull_drain(w->bus);
}
