/* SPDX-License-Identifier: MIT */
/*
 * bus_sub - subscriptions, and delivering what they have received.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "bus/bus_own.h"

/* --- subscriptions ---------------------------------------------------------------------------- */

/* What nats.c has just given up, and our thread has not heard of, is made anew, with its subscriptions. */
enum rc
bus_sub_open(struct bus_sub *sub, struct err *err)
{
    natsConnection *nc = sub->bus->nc;
    natsStatus s = sub->queue
                       ? natsConnection_QueueSubscribeSync(&sub->sub, nc, sub->subject, sub->queue)
                       : natsConnection_SubscribeSync(&sub->sub, nc, sub->subject);
    if (s == NATS_OK)
        s = natsSubscription_SetPendingLimits(sub->sub, -1, -1); /* drained after each read */
    return s == NATS_CONNECTION_CLOSED ? RC_OK : rc_from_nats(s, sub->subject, err);
}

static void
sub_free(struct bus_sub *sub)
{
    natsSubscription_Destroy(sub->sub);
    free(sub->subject);
    free(sub->queue);
    free(sub);
}

/* Before the connection exists, the subscription is only noted. */
enum rc
bus_sub_new(struct bus *bus, const char *subject, const char *queue, const struct sub_calls *calls,
            struct bus_sub **out, struct err *err)
{
    struct bus_sub *sub = calloc(1, sizeof(*sub));
    if (!sub)
        log_no_memory("a subscription");
    *sub = (struct bus_sub){ .bus = bus, .calls = *calls };
    sub->subject = bus_copy_text(subject);
    sub->queue = bus_copy_text(queue);
    enum rc rc = bus->nc && !bus->closed ? bus_sub_open(sub, err) : RC_OK;
    if (rc != RC_OK) {
        sub_free(sub);
        return rc;
    }
    LIST_INSERT_HEAD(&bus->subs, sub, all);
    if (out)
        *out = sub;
    return RC_OK;
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
deliver_to_program(struct bus_sub *sub, struct bus_msg *msg)
{
    msg->reply = answerable(msg->reply);
    sub->calls.fn(sub->calls.arg, msg);
}

enum rc
bus_subscribe(struct bus *bus, const char *subject, const char *queue, bus_fn *fn, void *arg,
              struct bus_sub **out, struct err *err)
{
    struct sub_calls calls = { .deliver = deliver_to_program, .fn = fn, .arg = arg };
    return bus_sub_new(bus, subject, queue, &calls, out, err);
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

static void
free_ended(struct bus *bus)
{
    struct bus_sub *next;
    bus->some_dead = false;
    for (struct bus_sub *sub = LIST_FIRST(&bus->subs); sub; sub = next) {
        next = LIST_NEXT(sub, all);
        if (!sub->dead)
            continue;
        LIST_REMOVE(sub, all);
        sub_free(sub);
    }
}

void
bus_subs_free(struct bus *bus)
{
    struct bus_sub *sub;
    while ((sub = LIST_FIRST(&bus->subs)) != NULL) {
        LIST_REMOVE(sub, all);
        sub_free(sub);
    }
}

/* --- delivering ------------------------------------------------------------------------------- */

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
    sub->calls.deliver(sub, &delivery.msg);
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
    struct bus_sub *sub;
    LIST_FOREACH (sub, &bus->subs, all) {
        uint64_t queued = 0;
        while (!sub->dead && natsSubscription_QueuedMsgs(sub->sub, &queued) == NATS_OK && queued) {
            natsMsg *nats = NULL;
            natsStatus s = natsSubscription_NextMsg(&nats, sub->sub, 0);
            if (s == NATS_OK)
                deliver(sub, nats);
            else if (s != NATS_NO_RESPONDERS)
                break;
            else if (sub->calls.no_responders)
                sub->calls.no_responders(sub);
        }
    }
    bus->in_drain = false;
    if (bus->some_dead)
        free_ended(bus);
}
