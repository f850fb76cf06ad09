/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <bsd/string.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "bus/bus_own.h"

/* --- subscriptions ---------------------------------------------------------------------------- */

enum rc
bus_sub_open(struct bus_sub *sub, struct err *err)
{
    natsConnection *nc = sub->bus->nc;
    natsStatus s = sub->queue
                       ? natsConnection_QueueSubscribeSync(&sub->sub, nc, sub->subject, sub->queue)
                       : natsConnection_SubscribeSync(&sub->sub, nc, sub->subject);
    if (s == NATS_OK)
        s = natsSubscription_SetPendingLimits(sub->sub, -1, -1); /* drained after each read */
    return rc_from_nats(s, sub->subject, err);
}

static void
sub_free(struct bus_sub *sub)
{
    natsSubscription_Destroy(sub->sub);
    free(sub->subject);
    free(sub->queue);
    free(sub);
}

/* Before the connection exists (the mux), the subscription is only noted. */
enum rc
bus_subscribe(struct bus *bus, const char *subject, const char *queue, bus_fn *fn, void *arg,
              struct bus_sub **out, struct err *err)
{
    struct bus_sub *sub = calloc(1, sizeof(*sub));
    if (!sub)
        exit(EXIT_TEMP);
    *sub = (struct bus_sub){ .bus = bus, .fn = fn, .arg = arg };
    sub->subject = bus_copy_text(subject);
    sub->queue = bus_copy_text(queue);
    enum rc rc = bus->nc && !bus->closed ? bus_sub_open(sub, err) : RC_OK;
    if (rc != RC_OK) {
        sub_free(sub);
        return rc;
    }
    sub->next = bus->subs;
    bus->subs = sub;
    if (out)
        *out = sub;
    return RC_OK;
}

void
bus_unsubscribe(struct bus_sub *sub)
{
    if (!sub || sub->dead)
        return;
    if (sub->sub)
        (void)natsSubscription_Unsubscribe(sub->sub);
    sub->dead = true;
    sub->bus->some_dead = true;
}

void
bus_sub_drain(struct bus_sub *sub)
{
    if (sub && !sub->dead && sub->sub)
        (void)natsSubscription_Drain(sub->sub);
}

void
bus_pull_drain(struct bus *bus)
{
    bus_sub_drain(bus->pulled);
}

static void
free_ended(struct bus *bus)
{
    bus->some_dead = false;
    for (struct bus_sub **at = &bus->subs; *at;) {
        struct bus_sub *sub = *at;
        if (!sub->dead) {
            at = &sub->next;
            continue;
        }
        *at = sub->next;
        sub_free(sub);
    }
}

void
bus_subs_free(struct bus *bus)
{
    while (bus->subs) {
        struct bus_sub *sub = bus->subs;
        bus->subs = sub->next;
        sub_free(sub);
    }
}

/* --- delivering ------------------------------------------------------------------------------- */

static void
answer_reply(struct bus *bus, struct pending *pending, struct delivery *delivery)
{
    bus_reply_fn *fn = pending->reply_fn;
    void *arg = pending->arg;
    pending_free(bus, pending);
    fn(arg, RC_OK, &delivery->msg, NULL);
}

/* Whoever asks chooses where the answer goes. Commands, events and the server's own requests live under
 * "gantry." and "$": no answer goes there with this program's rights. Such a question wants none. The
 * server itself, which asks about keys, has its inbox under "$SYS._INBOX.". */
static const char *
answerable(const char *reply)
{
    static const char SERVER[] = "$SYS._INBOX.";
    if (!reply || strncmp(reply, SERVER, sizeof(SERVER) - 1) == 0)
        return reply;
    return strncmp(reply, "gantry.", 7) != 0 && reply[0] != '$' ? reply : NULL;
}

static void
deliver(struct bus_sub *sub, natsMsg *nats)
{
    struct delivery delivery = {
        .msg = { .subject = natsMsg_GetSubject(nats),
                 .reply = natsMsg_GetReply(nats),
                 .data = natsMsg_GetData(nats),
                 .len = (size_t)natsMsg_GetDataLength(nats) },
        .nats = nats,
        .bus = sub->bus,
    };
    delivery.msg.handle = &delivery;
    if (sub == sub->bus->mux || sub == sub->bus->pulled) {
        bus_js_deliver(sub->bus, &delivery);
    } else if (sub->class) {
        struct pending *pending = pending_find(sub->bus, delivery.msg.subject);
        if (pending && pending->kind == PENDING_REPLY)
            answer_reply(sub->bus, pending, &delivery);
    } else {
        delivery.msg.reply = answerable(delivery.msg.reply);
        sub->fn(sub->arg, &delivery.msg);
    }
    if (!delivery.kept)
        bus_waste(delivery.bus, nats);
}

/* Everything that the last read has put into the queues. */
void
bus_drain(struct bus *bus)
{
    if (bus->in_drain)
        return; /* a callback turned the loop */
    bus->in_drain = true;
    for (struct bus_sub *sub = bus->subs; sub; sub = sub->next) {
        uint64_t queued = 0;
        while (!sub->dead && natsSubscription_QueuedMsgs(sub->sub, &queued) == NATS_OK && queued) {
            natsMsg *nats = NULL;
            natsStatus s = natsSubscription_NextMsg(&nats, sub->sub, 0);
            if (s == NATS_OK)
                deliver(sub, nats);
            else if (s == NATS_NO_RESPONDERS && sub->class && sub->class->waiting.first)
                pending_fail(bus, sub->class->waiting.first, "nobody answers this request now");
            else if (s != NATS_NO_RESPONDERS)
                break;
        }
    }
    bus->in_drain = false;
    if (bus->some_dead)
        free_ended(bus);
}

const char *
bus_msg_header(const struct bus_msg *msg, const char *name)
{
    const struct delivery *delivery = msg->handle;
    const char *value = NULL;
    if (!delivery || natsMsgHeader_Get(delivery->nats, name, &value) != NATS_OK)
        return NULL;
    return value;
}

/* The message moves into a copy; the callback's own view of it stays valid as long as the copy. */
struct bus_msg *
bus_msg_keep(const struct bus_msg *msg)
{
    struct delivery *source = (struct delivery *)(uintptr_t)msg->handle;
    struct delivery *copy = malloc(sizeof(*copy));
    if (!copy)
        exit(EXIT_TEMP);
    assert(!source->kept);
    *copy = *source;
    copy->kept = source->kept = true;
    copy->msg.handle = copy;
    return &copy->msg;
}

void
bus_msg_release(struct bus_msg *msg)
{
    if (!msg)
        return;
    struct delivery *delivery = (struct delivery *)(uintptr_t)msg->handle;
    bus_waste(delivery->bus, delivery->nats);
    free(delivery);
}

/* --- requests --------------------------------------------------------------------------------- */

/* The service of a subject: without its workspace, which is the third token of all of ours. */
static void
class_key(const char *subject, char key[BUS_SUBJECT_MAX])
{
    const char *first = strchr(subject, '.');
    const char *second = first ? strchr(first + 1, '.') : NULL;
    const char *third = second ? strchr(second + 1, '.') : NULL;
    if (third && strncmp(subject, "gantry.v1.", 10) == 0)
        snprintf(key, BUS_SUBJECT_MAX, "gantry.v1%s", third);
    else if (third && strncmp(subject, "gantry.sys.", 11) == 0)
        snprintf(key, BUS_SUBJECT_MAX, "%.*s", (int)(third - subject), subject);
    else
        snprintf(key, BUS_SUBJECT_MAX, "%s", subject);
}

/* The last class is for all that found no place of their own. */
static enum rc
find_class(struct bus *bus, const char *subject, struct reply_class **out, struct err *err)
{
    char key[BUS_SUBJECT_MAX], replies[BUS_SUBJECT_MAX];
    class_key(subject, key);
    for (size_t i = 0; i < bus->n_classes; i++)
        if (strcmp(bus->classes[i].key, key) == 0 || i == BUS_CLASSES_MAX - 1) {
            *out = &bus->classes[i];
            return RC_OK;
        }
    struct reply_class *class = &bus->classes[bus->n_classes];
    (void)strlcpy(class->key, key, sizeof(class->key));
    snprintf(replies, sizeof(replies), "%s.r%zu.*", bus->inbox, bus->n_classes);
    enum rc rc = bus_subscribe(bus, replies, NULL, NULL, bus, &class->sub, err);
    if (rc != RC_OK)
        return rc;
    class->sub->class = class;
    bus->n_classes++;
    *out = class;
    return RC_OK;
}

enum rc
bus_request(struct bus *bus, const struct bus_out *out, uint32_t timeout_ms, bus_reply_fn *fn,
            void *arg, struct err *err)
{
    struct reply_class *class = NULL;
    char where[16], reply[BUS_SUBJECT_MAX];
    enum rc rc = bus_need(bus, err);
    if (rc == RC_OK)
        rc = find_class(bus, out->subject, &class, err);
    if (rc != RC_OK)
        return rc;
    struct pending *pending = pending_new(bus, PENDING_REPLY, timeout_ms);
    if (!pending)
        return err_set(err, RC_TEMP, "too many answers are awaited");
    pending->reply_fn = fn;
    pending->arg = arg;
    pending->class = class;
    pending_append(&class->waiting, pending);
    snprintf(where, sizeof(where), "r%zu", (size_t)(class - bus->classes));
    pending_reply(bus, pending, where, reply);
    rc = bus_send(bus, out, reply, NULL, err);
    if (rc != RC_OK)
        pending_free(bus, pending);
    return rc;
}

struct waiting {
    bool done;
    enum rc rc;
    char *data;
    size_t len;
    struct err *err;
};

static void
note_reply(void *arg, enum rc rc, const struct bus_msg *msg, const struct err *err)
{
    struct waiting *waiting = arg;
    waiting->done = true;
    waiting->rc = rc;
    if (rc != RC_OK) {
        if (waiting->err)
            *waiting->err = *err;
        return;
    }
    waiting->data = malloc(msg->len + 1);
    if (!waiting->data)
        exit(EXIT_TEMP);
    if (msg->len)
        memcpy(waiting->data, msg->data, msg->len);
    waiting->data[msg->len] = '\0';
    waiting->len = msg->len;
}

enum rc
bus_request_sync(struct bus *bus, const struct bus_out *out, uint32_t timeout_ms, char **data,
                 size_t *len, struct err *err)
{
    struct waiting waiting = { .err = err };
    enum rc rc = bus_request(bus, out, timeout_ms, note_reply, &waiting, err);
    while (rc == RC_OK && !waiting.done)
        loop_turn(bus->loop, 20);
    if (rc != RC_OK || waiting.rc != RC_OK)
        return rc != RC_OK ? rc : waiting.rc;
    *data = waiting.data;
    *len = waiting.len;
    return RC_OK;
}
