/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "bus/bus_own.h"
#include "json/json.h"

/*
 * JetStream without nats.c's JetStream context: publishing is a publish with a reply inbox, pulling
 * is a request for each message (bus_pull.c), acknowledging twice is a request to the ack subject. The
 * replies come through one subscription and one table.
 */
#define SETTLE_TIMEOUT_MS 5000

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
complete_publish(struct bus *bus, struct pending *pending, const struct bus_msg *msg)
{
    struct err err = { 0 };
    bool duplicate = false;
    bus_ack_fn *fn = pending->ack_fn;
    void *arg = pending->arg;
    enum rc rc = read_puback(msg, &duplicate, &err);
    pending_free(bus, pending);
    fn(arg, rc, duplicate, &err);
}

static void
complete_settle(struct bus *bus, struct pending *pending, const struct bus_msg *msg)
{
    struct err err = { 0 };
    bus_ack_fn *fn = pending->ack_fn;
    void *arg = pending->arg;
    (void)msg;
    pending_free(bus, pending);
    fn(arg, RC_OK, false, &err);
}

static void
fail(struct bus *bus, struct pending *pending, const struct err *err)
{
    bus_ack_fn *fn = pending->ack_fn;
    void *arg = pending->arg;
    pending_free(bus, pending);
    fn(arg, err->rc, false, err);
}

static const struct pending_calls PUBLISH = { complete_publish, fail };
static const struct pending_calls SETTLE = { complete_settle, fail };

enum rc
bus_js_publish(struct bus *bus, const struct bus_out *out, const char *msg_id, uint32_t timeout_ms,
               bus_ack_fn *fn, void *arg, struct err *err)
{
    struct pending *pending = NULL;
    char reply[BUS_SUBJECT_MAX];
    enum rc rc = bus_need(bus, err);
    if (rc == RC_OK)
        rc = pending_new(bus, &PUBLISH, NULL, timeout_ms, &pending, err);
    if (rc != RC_OK)
        return rc;
    pending->ack_fn = fn;
    pending->arg = arg;
    pending_reply(bus, pending, "j", reply);
    rc = bus_send(bus, out, reply, msg_id, err);
    if (rc != RC_OK)
        pending_free(bus, pending);
    return rc;
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
        enum rc rc = pending_new(bus, &SETTLE, NULL, SETTLE_TIMEOUT_MS, &pending, err);
        if (rc != RC_OK)
            return rc;
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

/* Completes whatever awaits an answer under .j.: a PubAck, a confirmation, a flush. */
static void
deliver(struct bus_sub *sub, struct bus_msg *msg)
{
    struct pending *pending = pending_find(sub->bus, msg->subject);
    if (pending && !pending->list)
        pending->calls->complete(sub->bus, pending, msg);
}

enum rc
bus_js_listen(struct bus *bus, struct err *err)
{
    static const struct sub_calls CALLS = { .deliver = deliver };
    char subject[BUS_SUBJECT_MAX];
    snprintf(subject, sizeof(subject), "%s.j.*", bus->inbox);
    return bus_sub_new(bus, subject, NULL, &CALLS, &bus->mux, err);
}
