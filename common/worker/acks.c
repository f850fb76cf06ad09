/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "base/clock.h"
#include "worker_own.h"

/*
 * Acknowledgements. Those of one turn leave together, at its end, and the last one's confirmation
 * stands for all of its consumer.
 *
 * One may wait. A stream whose last message is acknowledged is empty, and nats-server then deletes its
 * block file and makes a new one for the next message, at twice the cost of the message itself
 * (docs/performance.md). So the last message that is settled while nothing else is in hand keeps its
 * place until the next one is settled, for LATE_MS at most. Only one that was delivered for the first
 * time may wait: one that came again would count one delivery more with each crash meanwhile, and would
 * be a dead letter in the end, although it is done.
 */
#define ACK_TRIES 3u
#define LATE_MS   1000 /* far below ack_wait: it must not be delivered again */

static void
on_acked(void *arg, enum rc rc, bool duplicate, const struct err *err)
{
    struct delivery *delivery = arg;
    (void)duplicate;
    (void)err;
    if (rc == RC_OK) {
        delivery_done(delivery);
    } else if (delivery->tries < ACK_TRIES) {
        delivery_step_later(delivery);
    } else {
        /* It will come again and find its effect done. */
        delivery->w->metrics.acks_lost++;
        delivery_free(delivery);
    }
}

static void
push_ack(struct delivery *delivery)
{
    struct consumer *consumer = delivery->consumer;
    if (consumer->acks.count == 0)
        TAILQ_INSERT_TAIL(&delivery->w->acking, consumer, acking);
    queue_push(&consumer->acks, delivery);
    delivery->w->n_acking++;
}

/* The step: it leaves at the end of this turn, or later. */
void
delivery_ack(struct delivery *delivery)
{
    if (delivery->list) { /* is acknowledged when all of its commands are settled */
        delivery_done(delivery);
        return;
    }
    FAULT("before_ack");
    delivery->awaiting = true;
    if (delivery->settled_us == 0)
        delivery->settled_us = clock_mono_us();
    if (delivery->reason) {
        if (bus_settle(delivery->w->bus, delivery->msg, BUS_TERM, 0, on_acked, delivery, NULL) !=
            RC_OK)
            on_acked(delivery, RC_TEMP, false, NULL);
        return;
    }
    if (delivery->w->late == delivery) /* its time is over */
        delivery->w->late = NULL;
    push_ack(delivery);
}

/* --- one that waits --------------------------------------------------------------------------- */

static bool
may_wait(const struct delivery *delivery)
{
    return delivery->call.deliveries == 1 && !delivery->acked_late && delivery->tries == 0 &&
           !delivery->consumer->careful;
}

static struct delivery *
newest(const struct worker *w)
{
    struct delivery *delivery, *best = NULL;
    struct consumer *consumer;
    TAILQ_FOREACH (consumer, &w->acking, acking) {
        delivery = TAILQ_LAST(&consumer->acks.list, delivery_list);
        if (!best || delivery->msg->stream_seq > best->msg->stream_seq)
            best = delivery;
    }
    return best;
}

static void
release(struct worker *w)
{
    struct delivery *late = w->late;
    heap_remove(&w->waiting, &late->wake);
    w->late = NULL;
    push_ack(late);
}

static void
keep_back(struct worker *w, struct delivery *delivery)
{
    struct consumer *consumer = delivery->consumer;
    queue_remove(&consumer->acks, delivery);
    w->n_acking--;
    if (consumer->acks.count == 0)
        TAILQ_REMOVE(&w->acking, consumer, acking);
    delivery->acked_late = true;
    w->late = delivery;
    int64_t late_ms = FAULT_NUMBER("FAULT_LATE_ACK_MS", LATE_MS);
    delivery_wake_after(delivery,
                        (uint32_t)(w->keepalive_ms < late_ms ? w->keepalive_ms : late_ms));
    FAULT("ack_waits");
}

static void
choose_late(struct worker *w)
{
    struct delivery *last = newest(w);
    if (w->late && (last || w->stopping || w->late->consumer->careful))
        release(w);
    if (last && !w->stopping && w->in_hand == w->n_acking && may_wait(last))
        keep_back(w, last);
}

/* --- the end of a turn ------------------------------------------------------------------------ */

static void
on_all_acked(void *arg, enum rc rc, bool duplicate, const struct err *err)
{
    struct delivery *next;
    for (struct delivery *delivery = arg; delivery; delivery = next) {
        next = delivery->peer;
        delivery->peer = NULL;
        on_acked(delivery, rc, duplicate, err);
    }
}

/* The server takes a consumer's acks in the order in which one connection sends them, and when the
 * connection ends before the last one is confirmed, none is taken as confirmed. */
static void
send_acks(struct worker *w, struct queue *acks)
{
    struct delivery *first = TAILQ_FIRST(&acks->list), *delivery;
    while ((delivery = TAILQ_FIRST(&acks->list)) != NULL) {
        queue_remove(acks, delivery);
        w->n_acking--;
        delivery->peer = TAILQ_FIRST(&acks->list);
        if (delivery->peer)
            (void)bus_settle(w->bus, delivery->msg, BUS_ACK, 0, NULL, NULL, NULL);
        else if (bus_settle(w->bus, delivery->msg, BUS_ACK, 0, on_all_acked, first, NULL) != RC_OK)
            on_all_acked(first, RC_TEMP, false, NULL);
    }
}

void
worker_send_acks(struct worker *w)
{
    struct consumer *consumer;
    if (TAILQ_EMPTY(&w->acking) && !w->late)
        return;
    choose_late(w);
    while ((consumer = TAILQ_FIRST(&w->acking)) != NULL) {
        TAILQ_REMOVE(&w->acking, consumer, acking);
        send_acks(w, &consumer->acks);
    }
}
