/* SPDX-License-Identifier: MIT */
/*
 * bus_pull - pulling from consumers of JetStream, one request for each message.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fnv.h"
#include "base/log.h"
#include "bus/bus_own.h"
#include "json/json.h"

#define PULL_GRACE_MS 2000 /* past the server's own end of a pull request */
#define PULL_BODY_MAX 96
#define PULL_PAUSE_MS 250 /* after a refusal */
#define PULL_TELL_MS  60000
#define MARK_MS       2000 /* for the mark behind the requests under way to come back */

static struct pull_chain *
chain_of(struct bus *bus, const char *key, size_t len)
{
    return &bus->pulls[fnv32(FNV32, key, len) % BUS_PULL_SLOTS];
}

static struct bus_pull *
find_pull(struct bus *bus, const char *key, size_t len)
{
    struct bus_pull *pull;
    LIST_FOREACH (pull, chain_of(bus, key, len), chain)
        if (strncmp(pull->key, key, len) == 0 && pull->key[len] == '\0')
            return pull;
    return NULL;
}

enum rc
bus_pull_new(struct bus *bus, const char *stream, const char *consumer, bus_fn *fn, void *arg,
             struct bus_pull **out, struct err *err)
{
    struct bus_pull *pull = calloc(1, sizeof(*pull));
    if (!pull)
        log_no_memory("a consumer");
    *pull = (struct bus_pull){ .bus = bus, .fn = fn, .arg = arg };
    int len = snprintf(pull->key, sizeof(pull->key), "%s.%s", stream, consumer);
    if (len < 0 || (size_t)len >= sizeof(pull->key) ||
        find_pull(bus, pull->key, (size_t)len) != NULL) {
        free(pull);
        return err_set(err, RC_BUG, "consumer %s of %s cannot be pulled (twice?)", consumer,
                       stream);
    }
    TAILQ_INIT(&pull->requests);
    LIST_INSERT_HEAD(chain_of(bus, pull->key, (size_t)len), pull, chain);
    *out = pull;
    return RC_OK;
}

void
bus_pull_free(struct bus_pull *pull)
{
    if (!pull)
        return;
    struct pending *request;
    while ((request = TAILQ_FIRST(&pull->requests)) != NULL)
        pending_free(pull->bus, request);
    LIST_REMOVE(pull, chain);
    free(pull);
}

unsigned
bus_pull_credit(const struct bus_pull *pull)
{
    unsigned credit = 0;
    const struct pending *request;
    TAILQ_FOREACH (request, &pull->requests, place)
        credit += request->wanted - request->got;
    return credit;
}

/* Tells the owner that this request brings nothing more. */
static void
end_request(struct pending *pending)
{
    struct bus_pull *pull = pending->pull;
    pending_free(pull->bus, pending);
    pull->fn(pull->arg, NULL);
}

/* One of the requests ended without a message: 404 and 408, nothing came; 409 has many reasons (too many
 * requests wait, the consumer was deleted, the server shuts down), and is not asked again at once. */
static void
end_by_status(struct bus *bus, struct pending *pending, const struct bus_msg *msg)
{
    struct bus_pull *pull = pending->pull;
    (void)bus;
    const char *status = bus_msg_header(msg, "Status");
    const char *why = bus_msg_header(msg, "Description");
    if (status && strcmp(status, "100") == 0)
        return;
    if (status && strcmp(status, "409") == 0) {
        int64_t now_ms = clock_mono_ms();
        if (now_ms - pull->refused_ms > PULL_TELL_MS || pull->refused_ms == 0)
            log_info("NATS delivers nothing from %s now: %s", pull->key,
                     why ? why : "no reason given");
        pull->refused_ms = now_ms;
    }
    if (++pending->got >= pending->wanted)
        end_request(pending);
}

static void
fail_request(struct bus *bus, struct pending *pending, const struct err *err)
{
    (void)bus;
    (void)err;
    end_request(pending);
}

static const struct pending_calls PULL = { end_by_status, fail_request };

/* wait_ms 0: the server answers at once, with a message or without. */
static enum rc
pull_body(uint32_t wait_ms, struct buf *text)
{
    struct json_writer json;
    json_begin(&json, text);
    json_object(&json, NULL);
    json_put_int(&json, "batch", 1);
    if (wait_ms)
        json_put_int(&json, "expires", (int64_t)wait_ms * 1000000);
    else
        json_put_bool(&json, "no_wait", true);
    json_close(&json);
    return json_end(&json);
}

/* One message each, all with one reply subject: between accounts a request has one answer. (With many,
 * the server takes an empty message for the last one, and the rest of the batch would be lost until it
 * is delivered again: anyone may publish an empty command.) */
enum rc
bus_pull_more(struct bus_pull *pull, unsigned batch, uint32_t wait_ms, struct err *err)
{
    struct bus *bus = pull->bus;
    char subject[BUS_SUBJECT_MAX + 32], reply[BUS_SUBJECT_MAX];
    AUTO(buf) struct buf text = { 0 };
    enum rc rc = bus_need(bus, err);
    if (rc != RC_OK)
        return rc;
    if (pull->refused_ms && clock_mono_ms() - pull->refused_ms < PULL_PAUSE_MS)
        return err_set(err, RC_TEMP, "the server has just refused to deliver");
    buf_init(&text, PULL_BODY_MAX);
    if (pull_body(wait_ms, &text) != RC_OK)
        return err_set(err, RC_BUG, "a pull request that does not fit");
    struct pending *pending;
    rc = pending_new(bus, &PULL, &pull->requests, wait_ms + PULL_GRACE_MS, &pending, err);
    if (rc != RC_OK)
        return rc;
    pending->pull = pull;
    pending_reply(bus, pending, "p", reply);
    snprintf(subject, sizeof(subject), "$JS.API.CONSUMER.MSG.NEXT.%s", pull->key);
    struct bus_out out = { .subject = subject, .data = text.data, .len = text.len };
    while (rc == RC_OK && pending->wanted < batch) {
        rc = bus_send(bus, &out, reply, NULL, err);
        pending->wanted += rc == RC_OK;
    }
    if (pending->wanted > 0)
        return RC_OK;
    pending_free(bus, pending);
    return rc;
}

/* --- the end ---------------------------------------------------------------------------------- */

/* The server chooses a message for a request, and sends it a moment later: what it has chosen when it
 * reads the end of our subscription, it sends into the void, and that counts as a delivery. A request
 * that does not wait is answered in turn, so behind its answer nothing is on its way any more. (But
 * for what is published between that answer and the end of the subscription.) */
static void
end_mark(struct bus *bus, struct pending *mark, const struct bus_msg *msg)
{
    const char *status = bus_msg_header(msg, "Status");
    if (!status || strcmp(status, "100") != 0)
        pending_free(bus, mark);
}

static void
fail_mark(struct bus *bus, struct pending *mark, const struct err *err)
{
    (void)err;
    pending_free(bus, mark);
}

static const struct pending_calls MARK = { end_mark, fail_mark };

static void
send_mark(struct bus_pull *pull)
{
    struct bus *bus = pull->bus;
    char subject[BUS_SUBJECT_MAX + 32], reply[BUS_SUBJECT_MAX];
    AUTO(buf) struct buf text = { 0 };
    struct pending *mark;
    buf_init(&text, PULL_BODY_MAX);
    if (pull_body(0, &text) != RC_OK ||
        pending_new(bus, &MARK, &pull->requests, MARK_MS, &mark, NULL) != RC_OK)
        return;
    mark->pull = pull;
    pending_reply(bus, mark, "p", reply);
    snprintf(subject, sizeof(subject), "$JS.API.CONSUMER.MSG.NEXT.%s", pull->key);
    struct bus_out out = { .subject = subject, .data = text.data, .len = text.len };
    if (bus_send(bus, &out, reply, NULL, NULL) != RC_OK)
        pending_free(bus, mark);
}

/* A mark may be answered with a message: then all requests before it were. */
static bool
waits_for_mark(const struct bus_pull *pull)
{
    const struct pending *last = TAILQ_LAST(&pull->requests, pending_list);
    return last && last->calls == &MARK && bus_pull_credit(pull) > 0;
}

static bool
any_mark_out(const struct bus *bus)
{
    const struct bus_pull *pull;
    for (size_t i = 0; i < BUS_PULL_SLOTS; i++)
        LIST_FOREACH (pull, &bus->pulls[i], chain)
            if (waits_for_mark(pull))
                return true;
    return false;
}

void
bus_pull_drain(struct bus *bus)
{
    struct bus_pull *pull;
    for (size_t i = 0; i < BUS_PULL_SLOTS; i++)
        LIST_FOREACH (pull, &bus->pulls[i], chain)
            if (bus_pull_credit(pull) > 0)
                send_mark(pull);
    while (any_mark_out(bus))
        loop_turn(bus->loop, 20);
    bus_sub_drain(bus->pulled);
}

/* --- deliveries ------------------------------------------------------------------------------- */

/* $JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>, or with a
 * domain and an account hash before the stream and perhaps a random token at the end. */
static bool
parse_ack(const char *reply, struct bus_msg *msg, const char **key, size_t *key_len)
{
    const char *tokens[16];
    size_t count = 0;
    for (const char *at = reply; at && count < ARRAY_LEN(tokens);) {
        tokens[count++] = at;
        at = strchr(at, '.');
        at = at ? at + 1 : NULL;
    }
    size_t first = count == 9 ? 2 : 4;
    if (count != 9 && count != 11 && count != 12)
        return false;
    *key = tokens[first];
    *key_len = (size_t)(tokens[first + 2] - tokens[first] - 1);
    msg->deliveries = strtoull(tokens[first + 2], NULL, 10);
    msg->stream_seq = strtoull(tokens[first + 3], NULL, 10);
    msg->stream_ns = strtoll(tokens[first + 5], NULL, 10);
    return msg->deliveries > 0 && msg->stream_seq > 0;
}

static void
deliver_pulled(struct bus *bus, struct bus_msg *msg)
{
    const char *key;
    size_t key_len;
    if (!parse_ack(msg->reply, msg, &key, &key_len))
        return;
    struct bus_pull *pull = find_pull(bus, key, key_len);
    if (!pull)
        return;
    struct pending *request = TAILQ_FIRST(&pull->requests);
    bool complete = request && ++request->got >= request->wanted;
    if (complete)
        pending_free(bus, request);
    pull->fn(pull->arg, msg);
    /* The callback may have ended the pull; look it up again. */
    if (complete && find_pull(bus, key, key_len) == pull)
        pull->fn(pull->arg, NULL);
}

static void
deliver(struct bus_sub *sub, struct bus_msg *msg)
{
    struct bus *bus = sub->bus;
    if (strncmp(msg->subject, bus->inbox, strlen(bus->inbox)) != 0) {
        if (msg->reply && strncmp(msg->reply, "$JS.ACK.", 8) == 0)
            deliver_pulled(bus, msg);
        return;
    }
    struct pending *pending = pending_find(bus, msg->subject);
    if (pending && (pending->calls == &PULL || pending->calls == &MARK))
        pending->calls->complete(bus, pending, msg);
}

enum rc
bus_pull_listen(struct bus *bus, struct err *err)
{
    static const struct sub_calls CALLS = { .deliver = deliver };
    char subject[BUS_SUBJECT_MAX];
    snprintf(subject, sizeof(subject), "%s.p.*", bus->inbox);
    return bus_sub_new(bus, subject, NULL, &CALLS, &bus->pulled, err);
}
