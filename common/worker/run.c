/* SPDX-License-Identifier: MIT */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "worker_own.h"

/*
 * Handing calls to handlers. Everything that arrived while the last batch was handled is the next
 * batch: under load batches grow by themselves, without load nothing waits. Three kinds take turns:
 * core requests, to which each workspace gives one in turn (core.c); messages delivered for the first time, in batches of one command, to which each
 * workspace gives one in turn; and suspects: redelivered ones, those of a list that was taken apart and
 * later attempts, each alone, so that one that kills the program or fails a transaction takes no other
 * with it.
 *
 * Gathering. At a low rate each message would be a batch of its own, and what a batch costs (a
 * transaction, a signature, a confirmed acknowledgement) is more than what a message costs. So messages for
 * whose effect nobody waits (`gathered` in their route) stay queued for up to GATHER_MS, or until they
 * are GATHER_MAX, or until anything comes that somebody waits for.
 */
#define GATHER_MS  100
#define GATHER_MAX 16u /* at most half of fetch.c's CREDIT_MIN: so many are always asked for */

/* --- queues ----------------------------------------------------------------------------------- */

static bool
is_hurried(const struct delivery *delivery)
{
    return delivery->refused || !delivery->route->gathered;
}

/* A refusal is not mixed with calls for the handler. */
static bool
fits(const struct delivery *delivery, const struct delivery *first)
{
    return delivery->call.command == first->call.command && delivery->refused == first->refused;
}

static void
leave_ring(struct consumer *consumer)
{
    TAILQ_REMOVE(&consumer->w->ring, consumer, ring);
    consumer->in_ring = false;
}

static void
join_ring(struct consumer *consumer)
{
    if (consumer->in_ring)
        return;
    TAILQ_INSERT_TAIL(&consumer->w->ring, consumer, ring);
    consumer->in_ring = true;
}

/* One that came again, in whatever form, may have ended a worker. */
static bool
is_suspect(const struct delivery *delivery)
{
    return delivery->call.deliveries > 1 || delivery->attempts || delivery->part;
}

void
delivery_enqueue(struct delivery *delivery)
{
    struct worker *w = delivery->w;
    struct consumer *consumer = delivery->consumer;
    delivery_ready(delivery);
    if (!consumer) {
        w->gathered_first = w->gathered_first || w->core.count == 0;
        core_push(&w->core, delivery);
        return;
    }
    consumer->queued++;
    if (is_suspect(delivery)) {
        queue_push(&w->suspects, delivery);
        return;
    }
    queue_push(&consumer->fresh, delivery);
    if (w->fresh++ == 0)
        w->gather_us = clock_mono_us();
    w->hurried += is_hurried(delivery);
    join_ring(consumer);
}

static void
take(struct worker *w, struct queue *queue, struct delivery *delivery, size_t place)
{
    queue_remove(queue, delivery);
    if (delivery->consumer)
        delivery->consumer->queued--;
    w->batch[place] = &delivery->call;
}

/* Up to max from the head, as long as they fit together. */
static size_t
take_from(struct worker *w, struct queue *queue, size_t max)
{
    size_t count = 0;
    struct delivery *delivery;
    while (count < max && (delivery = TAILQ_FIRST(&queue->list)) != NULL) {
        if (count && !fits(delivery, w->batch[0]->own))
            break;
        take(w, queue, delivery, count++);
    }
    return count;
}

/* A workspace whose events AUDIT does not take gets no new work. */
static struct delivery *
head_of(const struct consumer *consumer)
{
    return consumer->unrecorded ? NULL : TAILQ_FIRST(&consumer->fresh.list);
}

static struct delivery *
first_fresh(const struct worker *w)
{
    struct consumer *consumer;
    TAILQ_FOREACH (consumer, &w->ring, ring)
        if (head_of(consumer))
            return head_of(consumer);
    return NULL;
}

/* One of each workspace, round after round. A workspace whose next call does not fit keeps its place,
 * so the next batch begins with it. */
static size_t
take_fresh(struct worker *w, size_t max)
{
    size_t count = 0, before;
    do {
        struct consumer *consumer, *next, *last = TAILQ_LAST(&w->ring, consumer_list);
        before = count;
        for (consumer = TAILQ_FIRST(&w->ring); consumer && count < max; consumer = next) {
            struct delivery *delivery = head_of(consumer);
            next = consumer == last ? NULL : TAILQ_NEXT(consumer, ring);
            if (!delivery || (count && !fits(delivery, w->batch[0]->own)))
                continue;
            take(w, &consumer->fresh, delivery, count++);
            w->fresh--;
            w->hurried -= is_hurried(delivery);
            leave_ring(consumer);
            if (consumer->fresh.count)
                join_ring(consumer);
        }
    } while (count > before && count < max);
    return count;
}

/* --- handlers --------------------------------------------------------------------------------- */

static void
nothing(void *arg, unsigned events)
{
    (void)arg;
    (void)events;
}

/* The handler waits for the database: meanwhile the loop turns, until there is something to read. */
static void
turn_meanwhile(void *arg, int fd, bool or_writable)
{
    struct worker *w = arg;
    struct loop_watch *watch = NULL;
    struct pollfd ready = { .fd = fd, .events = (short)(POLLIN | (or_writable ? POLLOUT : 0)) };
    unsigned events = LOOP_READ | (or_writable ? LOOP_WRITE : 0);
    if (loop_watch_new(w->loop, fd, events, nothing, NULL, &watch, NULL) != RC_OK)
        return;
    do
        loop_turn(w->loop, LOOP_WAIT_MAX_MS);
    while (poll(&ready, 1, 0) == 0);
    loop_watch_free(watch);
}

static void
begin_handling(struct delivery *delivery, int64_t now_us)
{
    delivery->handed_us = now_us;
    delivery_record(delivery, STAGE_QUEUE, delivery->ready_us, now_us);
    delivery_done(delivery); /* of the queue: now with the handler */
}

static void
end_handling(struct delivery *delivery, int64_t now_us)
{
    struct call *call = &delivery->call;
    delivery->handled_us = now_us;
    if (delivery->w->db)
        call->database_us = db_usage(delivery->w->db, &call->database_start_us);
    delivery_done(delivery);
}

static void
call_handler(struct worker *w, size_t count)
{
    struct delivery *first = w->batch[0]->own;
    worker_handle_fn *handle = first->refused ? w->spec->refused : first->route->handle;
    int64_t start_us = clock_mono_us();
    for (size_t i = 0; i < count; i++)
        begin_handling(w->batch[i]->own, start_us);
    w->in_handler = true;
    if (w->db)
        db_usage_begin(w->db);
    if (w->db && w->spec->turns_meanwhile)
        db_on_wait(w->db, turn_meanwhile, w);
    FAULT("before_handler");
    if (handle)
        handle(w, w->batch, count);
    else
        first->route->start(w, w->batch[0]);
    FAULT("after_effect");
    if (w->db)
        db_on_wait(w->db, NULL, NULL);
    w->in_handler = false;
    w->metrics.batches++;
    int64_t end_us = clock_mono_us();
    w->metrics.handler_us += (uint64_t)(end_us - start_us);
    if (!first->consumer && handle)
        core_took(&w->core, first->call.command, count, end_us - start_us);
    for (size_t i = 0; i < count && handle; i++)
        end_handling(w->batch[i]->own, end_us);
    if (w->tick_due)
        worker_tick(w);
}

static bool
slots_left(struct worker *w)
{
    return !w->spec->slots_free || w->spec->slots_free(w) > 0;
}

/* How many may be taken that begin with this one: 0, one, or a batch. */
static size_t
may_take(struct worker *w, const struct delivery *first, bool alone)
{
    if (!first)
        return 0;
    if (!first->refused && first->route->start) {
        if (!first->consumer || slots_left(w))
            return 1;
        worker_full_still(w, BOUND_SLOTS, first->call.actor.workspace);
        return 0;
    }
    size_t max = w->spec->batch_max ? w->spec->batch_max : 64;
    return alone ? 1 : max < WORKER_BATCH_CAP ? max : WORKER_BATCH_CAP;
}

/* The caller of a core request waits: an answer or a refusal, now. */
static void
work_unhealthily(struct worker *w)
{
    struct delivery *delivery;
    while ((delivery = core_first(&w->core)) != NULL) {
        (void)core_take(&w->core, w->batch, 1);
        if (worker_only_kv_unavailable(w) && delivery->route->without_kv) {
            call_handler(w, 1);
            continue;
        }
        delivery_done(delivery);
        delivery_refuse_unavailable(delivery);
        delivery_done(delivery);
    }
}

static size_t
take_kind(struct worker *w, unsigned kind)
{
    struct delivery *first;
    switch (kind) {
    case 0:
        return core_take(&w->core, w->batch, may_take(w, core_first(&w->core), false));
    case 1:
        first = first_fresh(w);
        return first ? take_fresh(w, may_take(w, first, false)) : 0;
    default:
        return take_from(w, &w->suspects, may_take(w, TAILQ_FIRST(&w->suspects.list), true));
    }
}

/* How long what waits may go on waiting for more; 0 = it is due. */
static int
gather_ms(const struct worker *w)
{
    if (w->hurried || w->core.count || w->suspects.count || w->n_careful || w->stopping ||
        w->fresh >= GATHER_MAX)
        return 0;
    int64_t left_ms =
        FAULT_NUMBER("FAULT_GATHER_MS", GATHER_MS) - (clock_mono_us() - w->gather_us) / 1000;
    return left_ms > 0 ? (int)left_ms : 0;
}

/* A core request sees the effects of what was gathered before it. */
static unsigned
first_kind(struct worker *w)
{
    unsigned kind = w->gathered_first ? 1 : (w->last_queue + 1) % 3;
    w->gathered_first = false;
    return kind;
}

/* One batch for a handler; false when there was nothing to do. */
static bool
work(struct worker *w)
{
    if (!w->core.count && !w->fresh && !w->suspects.count)
        return false;
    if (!worker_check_health(w)) {
        work_unhealthily(w);
        return false;
    }
    unsigned first = first_kind(w);
    for (unsigned i = 0; i < 3; i++) {
        unsigned kind = (first + i) % 3;
        size_t count = take_kind(w, kind);
        if (count == 0)
            continue;
        w->last_queue = kind;
        call_handler(w, count);
        return true;
    }
    return false;
}

/* One turn, in this order: work, then all that it leaves to be sent; the bus writes it at the end. */
int
worker_turn(void *arg)
{
    struct worker *w = arg;
    if (!w->ready)
        return -1;
    bool worked = false;
    int wait_ms = -1;
    if (!w->in_turn) {
        w->in_turn = true;
        bool waits = w->fresh && (wait_ms = gather_ms(w)) > 0;
        worked = !waits && work(w);
        w->in_turn = false;
    }
    worker_send_answers(w);
    int audits_ms = worker_send_audits(w);
    worker_send_acks(w);
    if (!w->stopping)
        worker_fetch(w);
    if (worked || w->look_again)
        return 0;
    if (wait_ms <= 0)
        return audits_ms;
    return audits_ms > 0 && audits_ms < wait_ms ? audits_ms : wait_ms;
}
