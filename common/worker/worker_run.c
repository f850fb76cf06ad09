/* SPDX-License-Identifier: MIT */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "worker_own.h"

/*
 * Handing calls to handlers. Everything that arrived while the last batch was handled is the next
 * batch: under load batches grow by themselves, without load nothing waits. Three queues take
 * turns: core requests, messages delivered for the first time (in batches of one command), and
 * suspects: redelivered ones and later attempts, each alone, so that one that kills the program or
 * fails a transaction takes nobody with it.
 */
#define HEALTH_EVERY_MS 500

static const char REDIS[] = "Redis";

bool
worker_check_health(struct worker *w)
{
    const struct worker_spec *spec = w->spec;
    struct err err = { .rc = RC_OK };
    bool healthy = bus_connected(w->bus);
    int64_t now_ms = clock_mono_ms();
    /* A look at a healthy connection costs one poll(2); an attempt to connect can block. */
    if (!w->healthy && now_ms - w->healthy_checked_ms < HEALTH_EVERY_MS)
        return false;
    if (w->in_handler) /* its connections are in use */
        return w->healthy;
    w->healthy_checked_ms = now_ms;
    w->away = healthy ? NULL : "NATS";
    if (healthy && w->db && db_ready(w->db, &err) != RC_OK)
        w->away = "PostgreSQL";
    if (!w->away && w->kv && !spec->kv_optional && !kv_connected(w->kv)) {
        w->away = REDIS;
        err = *kv_down(w->kv);
    }
    healthy = !w->away;
    if (healthy != w->healthy)
        log_fields(healthy ? LOG_INFO : LOG_WARN,
                   healthy ? "every dependency answers again: working"
                           : "a dependency is down: nothing is fetched until it answers",
                   "reason",
                   healthy                 ? ""
                   : bus_connected(w->bus) ? err.text
                                           : "NATS",
                   NULL);
    w->healthy = healthy;
    return healthy;
}

void
delivery_refuse_unavailable(struct delivery *delivery)
{
    static const char EMBEDDING[] = "the embedding server"; /* the one server that is not ours */
    char detail[128] = "A part of the service did not answer.";
    if (delivery->w->away)
        (void)snprintf(detail, sizeof(detail), "%s is away.", delivery->w->away);
    else if (strncmp(delivery->call.result.err.text, EMBEDDING, sizeof(EMBEDDING) - 1) == 0)
        (void)snprintf(detail, sizeof(detail), "%s does not work: ask by words (mode text).",
                       EMBEDDING);
    call_problem(&delivery->call, PROBLEM_UNAVAILABLE, NULL, detail);
}

static void
refuse_now(struct delivery *delivery)
{
    delivery_refuse_unavailable(delivery);
    delivery_settle(delivery);
}

static void
take(struct queue *queue, struct delivery *delivery)
{
    queue_remove(queue, delivery);
    if (delivery->consumer)
        delivery->consumer->queued--;
}

/* Up to max deliveries from the head, as long as they name the same command. */
static size_t
take_batch(struct worker *w, struct queue *queue, size_t max)
{
    size_t count = 0;
    while (queue->first && count < max) {
        struct delivery *delivery = queue->first;
        if (count && delivery->call.command != w->batch[0]->command)
            break;
        take(queue, delivery);
        w->batch[count++] = &delivery->call;
    }
    return count;
}

static void
nothing(void *arg, unsigned events)
{
    (void)arg;
    (void)events;
}

/* The handler waits for the database: meanwhile the loop turns, until there is something to read. */
static void
turn_meanwhile(void *arg, int fd)
{
    struct worker *w = arg;
    struct loop_watch *watch = NULL;
    struct pollfd ready = { .fd = fd, .events = POLLIN };
    if (loop_watch_new(w->loop, fd, LOOP_READ, nothing, NULL, &watch, NULL) != RC_OK)
        return;
    do
        loop_turn(w->loop, LOOP_WAIT_MAX_MS);
    while (poll(&ready, 1, 0) == 0);
    loop_watch_free(watch);
}

static void
call_handler(struct worker *w, const struct worker_route *route, size_t count)
{
    int64_t start_us = clock_mono_us();
    for (size_t i = 0; i < count; i++) {
        struct delivery *delivery = w->batch[i]->own;
        delivery->state = DELIVERY_WITH_HANDLER;
        w->batch[i]->result = (struct result){ .rc = RC_BUG, .code = PROBLEM_COUNT };
        (void)err_set(&w->batch[i]->result.err, RC_BUG, "the handler gave no result");
    }
    w->in_handler = true;
    if (w->db && w->spec->turns_meanwhile)
        db_on_wait(w->db, turn_meanwhile, w);
    FAULT("before_handler");
    if (route->handle)
        route->handle(w, w->batch, count);
    else
        route->start(w, w->batch[0]);
    FAULT("after_effect");
    if (w->db)
        db_on_wait(w->db, NULL, NULL);
    w->in_handler = false;
    w->metrics.batches++;
    w->metrics.handler_us += (uint64_t)(clock_mono_us() - start_us);
    for (size_t i = 0; i < count && route->handle; i++)
        delivery_settle(w->batch[i]->own);
    if (w->tick_due)
        worker_tick(w);
}

static bool
slots_left(struct worker *w)
{
    return !w->spec->slots_free || w->spec->slots_free(w) > 0;
}

/* What may be taken from a queue now: 0, one, or a batch. */
static size_t
may_take(struct worker *w, const struct queue *queue)
{
    if (!queue->first)
        return 0;
    const struct worker_route *route = queue->first->route;
    if (route->start)
        return queue == &w->core || slots_left(w) ? 1 : 0;
    if (queue == &w->suspects)
        return 1;
    size_t max = w->spec->batch_max ? w->spec->batch_max : 64;
    return max < WORKER_BATCH_CAP ? max : WORKER_BATCH_CAP;
}

/* A core request has somebody who waits: an answer or a refusal, now. */
static void
work_unhealthily(struct worker *w)
{
    while (w->core.first) {
        struct delivery *delivery = w->core.first;
        take(&w->core, delivery);
        if (w->away != REDIS || !delivery->route->without_kv) {
            refuse_now(delivery);
            continue;
        }
        w->batch[0] = &delivery->call;
        call_handler(w, delivery->route, 1);
    }
}

/* One batch for a handler; false when there was nothing to do. */
static bool
work(struct worker *w)
{
    struct queue *const queues[] = { &w->core, &w->fresh, &w->suspects };
    bool waiting = w->core.first || w->fresh.first || w->suspects.first;
    if (!waiting)
        return false;
    if (!worker_check_health(w)) {
        work_unhealthily(w);
        return false;
    }
    for (unsigned i = 1; i <= 3; i++) {
        unsigned which = (w->last_queue + i) % 3;
        size_t max = may_take(w, queues[which]);
        if (max == 0)
            continue;
        w->last_queue = which;
        const struct worker_route *route = queues[which]->first->route;
        call_handler(w, route, take_batch(w, queues[which], max));
        return true;
    }
    return false;
}

/* The worker's prepare hook: it runs before the bus's, so what it publishes leaves in this turn. */
int
worker_turn(void *arg)
{
    struct worker *w = arg;
    if (!w->ready)
        return -1;
    bool worked = false;
    if (!w->in_turn) {
        w->in_turn = true;
        worked = work(w);
        w->in_turn = false;
    }
    worker_send_audits(w);
    worker_send_acks(w);
    if (!w->stopping)
        worker_fetch(w);
    return worked ? 0 : -1;
}

/* --- timers of deliveries -------------------------------------------------------------------------- */

void
worker_wake_due(void *arg)
{
    struct worker *w = arg;
    int64_t now_ms = clock_mono_ms();
    struct heap_node *node;
    while ((node = heap_first(&w->waiting)) != NULL && node->at_ms <= now_ms) {
        struct delivery *delivery = (struct delivery *)(void *)node;
        heap_remove(&w->waiting, node);
        if (delivery->state == DELIVERY_HELD) {
            w->held--;
            delivery->state = DELIVERY_QUEUED;
            if (delivery->consumer)
                delivery->consumer->queued++;
            queue_push(&w->suspects, delivery);
        } else {
            delivery_step(delivery);
        }
    }
    if (node)
        loop_timer_set(w->waker, (uint32_t)(node->at_ms - now_ms), 0);
}

void
worker_finish(struct worker *w, struct call *call)
{
    (void)w;
    delivery_settle(call->own);
}
