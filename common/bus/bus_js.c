/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "bus/bus_own.h"
#include "json/json.h"

/*
 * JetStream without nats.c's JetStream context: publishing is a publish with a reply inbox, pulling
 * is a request for each message, acknowledging twice is a request to the ack subject. All replies
 * come through one subscription and one table.
 */
#define SETTLE_TIMEOUT_MS 5000
#define PULL_GRACE_MS     2000 /* past the server's own end of a pull request */
#define PULL_BODY_MAX     96
#define PULL_PAUSE_MS     250 /* after a refusal */
#define PULL_TELL_MS      60000

/* --- PubAcks and confirmations ---------------------------------------------------------------- */

/* The JetStream errors that mean "this subject is full": 10077 (store failed: a maximum), 10047 and
 * 10023 (no storage left). */
static enum rc
rc_from_api(int64_t code, const char *text, struct err *err)
{
    switch (code) {
    case 10023:
    case 10047:
        return err_set(err, RC_LIMIT, "the stream is full: %s", text);
    case 10077: /* a maximum: the subject's own share, or the stream's as a whole */
        return err_set(err, strstr(text, "per subject") ? RC_LIMIT : RC_TEMP,
                       "the stream is full: %s", text);
    case 10054:
        return err_set(err, RC_LIMIT, "the message is too large for the stream");
    default:
        return err_set(err, RC_TEMP, "JetStream: %s (%lld)", text, (long long)code);
    }
}

/* The server writes the member with a space before its value. */
static bool
is_duplicate(const struct bus_msg *msg)
{
    static const char NAME[] = "\"duplicate\":";
    const char *end = msg->data + msg->len;
    const char *at = memmem(msg->data, msg->len, NAME, sizeof(NAME) - 1);
    for (at = at ? at + sizeof(NAME) - 1 : end; at < end && *at == ' '; at++)
        continue;
    return at < end && *at == 't';
}

static enum rc
read_puback(const struct bus_msg *msg, bool *duplicate, struct err *err)
{
    static const char ERROR[] = "\"error\":";
    if (msg->len == 0)
        return err_set(err, RC_TEMP, "no stream takes this subject");
    *duplicate = is_duplicate(msg);
    if (!memmem(msg->data, msg->len, ERROR, sizeof(ERROR) - 1))
        return RC_OK;
    AUTO(json) cJSON *doc = NULL;
    enum rc rc = json_read(msg->data, msg->len, &doc, err);
    if (rc != RC_OK)
        return err_set(err, RC_TEMP, "JetStream sent an answer that cannot be read");
    const cJSON *error = json_member(doc, "error");
    const char *text = json_string(error, "description");
    return rc_from_api(json_int(error, "err_code", 0), text ? text : "an error", err);
}

static void
answer_ack(struct bus *bus, struct pending *pending, const struct bus_msg *msg)
{
    struct err err = { .rc = RC_OK };
    bool duplicate = false;
    enum rc rc = RC_OK;
    bus_ack_fn *fn = pending->ack_fn;
    void *arg = pending->arg;
    if (pending->kind == PENDING_PUBACK)
        rc = read_puback(msg, &duplicate, &err);
    pending_free(bus, pending);
    fn(arg, rc, duplicate, &err);
}

enum rc
bus_js_publish(struct bus *bus, const struct bus_out *out, const char *msg_id, uint32_t timeout_ms,
               bus_ack_fn *fn, void *arg, struct err *err)
{
    char reply[BUS_SUBJECT_MAX];
    enum rc rc = bus_need(bus, err);
    if (rc != RC_OK)
        return rc;
    struct pending *pending = pending_new(bus, PENDING_PUBACK, timeout_ms);
    if (!pending)
        return err_set(err, RC_TEMP, "too many answers are awaited");
    pending->ack_fn = fn;
    pending->arg = arg;
    pending_reply(bus, pending, "j", reply);
    rc = bus_send(bus, out, reply, msg_id, err);
    if (rc != RC_OK)
        pending_free(bus, pending);
    return rc;
}

/* --- pulling ---------------------------------------------------------------------------------- */

static struct bus_pull **
chain_of(struct bus *bus, const char *key, size_t len)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)key[i]) * 16777619u;
    return &bus->pulls[hash % BUS_PULL_SLOTS];
}

static struct bus_pull *
find_pull(struct bus *bus, const char *key, size_t len)
{
    for (struct bus_pull *pull = *chain_of(bus, key, len); pull; pull = pull->next)
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
        exit(EXIT_TEMP);
    *pull = (struct bus_pull){ .bus = bus, .fn = fn, .arg = arg };
    int len = snprintf(pull->key, sizeof(pull->key), "%s.%s", stream, consumer);
    if (len < 0 || (size_t)len >= sizeof(pull->key) ||
        find_pull(bus, pull->key, (size_t)len) != NULL) {
        free(pull);
        return err_set(err, RC_BUG, "consumer %s of %s cannot be pulled (twice?)", consumer,
                       stream);
    }
    struct bus_pull **chain = chain_of(bus, pull->key, (size_t)len);
    pull->next = *chain;
    *chain = pull;
    *out = pull;
    return RC_OK;
}

void
bus_pull_free(struct bus_pull *pull)
{
    if (!pull)
        return;
    while (pull->requests.first)
        pending_free(pull->bus, pull->requests.first);
    for (struct bus_pull **at = chain_of(pull->bus, pull->key, strlen(pull->key)); *at;
         at = &(*at)->next)
        if (*at == pull) {
            *at = pull->next;
            break;
        }
    free(pull);
}

unsigned
bus_pull_credit(const struct bus_pull *pull)
{
    unsigned credit = 0;
    for (const struct pending *request = pull->requests.first; request; request = request->next)
        credit += request->wanted - request->got;
    return credit;
}

static enum rc
pull_body(uint32_t wait_ms, struct buf *text)
{
    struct json_writer json;
    json_begin(&json, text);
    json_object(&json, NULL);
    json_put_int(&json, "batch", 1);
    json_put_int(&json, "expires", (int64_t)wait_ms * 1000000);
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
    struct pending *pending = pending_new(bus, PENDING_PULL, wait_ms + PULL_GRACE_MS);
    if (!pending)
        return err_set(err, RC_TEMP, "too many answers are awaited");
    pending->pull = pull;
    pending_append(&pull->requests, pending);
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

/* Tells the owner that this request brings nothing more. */
void
bus_pull_end(struct pending *pending)
{
    struct bus_pull *pull = pending->pull;
    pending_free(pull->bus, pending);
    pull->fn(pull->arg, NULL);
}

/* One of the requests ended without a message: 404 and 408, nothing came; 409 has many reasons (too many
 * requests wait, the consumer was deleted, the server shuts down), and is not asked again at once. */
static void
end_by_status(struct pending *pending, const struct bus_msg *msg)
{
    struct bus_pull *pull = pending->pull;
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
        bus_pull_end(pending);
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
deliver_pulled(struct bus *bus, struct delivery *delivery)
{
    const char *key;
    size_t key_len;
    if (!parse_ack(delivery->msg.reply, &delivery->msg, &key, &key_len))
        return;
    struct bus_pull *pull = find_pull(bus, key, key_len);
    if (!pull)
        return;
    struct pending *request = pull->requests.first;
    bool complete = request && ++request->got >= request->wanted;
    if (complete)
        pending_free(bus, request);
    pull->fn(pull->arg, &delivery->msg);
    /* The callback may have ended the pull; look it up again. */
    if (complete && find_pull(bus, key, key_len) == pull)
        pull->fn(pull->arg, NULL);
}

void
bus_js_deliver(struct bus *bus, struct delivery *delivery)
{
    const struct bus_msg *msg = &delivery->msg;
    size_t inbox_len = strlen(bus->inbox);
    if (strncmp(msg->subject, bus->inbox, inbox_len) != 0) {
        if (msg->reply && strncmp(msg->reply, "$JS.ACK.", 8) == 0)
            deliver_pulled(bus, delivery);
        return;
    }
    struct pending *pending = pending_find(bus, msg->subject);
    if (!pending)
        return;
    if (pending->kind == PENDING_PULL)
        end_by_status(pending, msg);
    else if (pending->kind == PENDING_PUBACK || pending->kind == PENDING_SETTLE)
        answer_ack(bus, pending, msg);
}

enum rc
bus_settle(struct bus *bus, const struct bus_msg *msg, enum bus_settle how, uint32_t delay_ms,
           bus_ack_fn *fn, void *arg, struct err *err)
{
    static const char *const WORDS[] = {
        [BUS_ACK] = "+ACK", [BUS_NAK] = "-NAK", [BUS_TERM] = "+TERM", [BUS_PROGRESS] = "+WPI"
    };
    char body[64], reply[BUS_SUBJECT_MAX];
    struct pending *pending = NULL;
    int len = how == BUS_NAK && delay_ms
                  ? snprintf(body, sizeof(body), "-NAK {\"delay\":%llu}", delay_ms * 1000000ULL)
                  : snprintf(body, sizeof(body), "%s", WORDS[how]);
    if (fn) {
        pending = pending_new(bus, PENDING_SETTLE, SETTLE_TIMEOUT_MS);
        if (!pending)
            return err_set(err, RC_TEMP, "too many answers are awaited");
        pending->ack_fn = fn;
        pending->arg = arg;
        pending_reply(bus, pending, "j", reply);
    }
    struct bus_out out = { .subject = msg->reply, .data = body, .len = (size_t)len };
    enum rc rc = bus_send(bus, &out, fn ? reply : NULL, NULL, err);
    if (rc != RC_OK && pending)
        pending_free(bus, pending);
    return rc;
}
