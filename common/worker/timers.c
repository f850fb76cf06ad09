/* SPDX-License-Identifier: MIT */
/*
 * timers - what happens by the clock: deliveries that wait, the second's tick, keeping alive.
 */
#include "base/clock.h"
#include "worker_own.h"

#define TICK_MS       1000u
#define METRICS_EVERY 5 /* ticks */

void
delivery_wake_after(struct delivery *delivery, uint32_t delay_ms)
{
    struct worker *w = delivery->w;
    heap_set(&w->waiting, &delivery->wake, clock_mono_ms() + delay_ms);
    const struct heap_node *first = heap_first(&w->waiting);
    if (first == &delivery->wake)
        loop_timer_set(w->waker, delay_ms, 0);
}

void
worker_wake_due(void *arg)
{
    struct worker *w = arg;
    int64_t now_ms = clock_mono_ms();
    struct heap_node *node;
    while ((node = heap_first(&w->waiting)) != NULL && node->at_ms <= now_ms) {
        struct delivery *delivery = (struct delivery *)(void *)node;
        heap_remove(&w->waiting, node);
        if (delivery->state == DELIVERY_HELD)
            delivery_done(delivery);
        else
            delivery_step_again(delivery);
    }
    if (node)
        loop_timer_set(w->waker, (uint32_t)(node->at_ms - now_ms), 0);
}

/* Messages in hand are kept from being delivered elsewhere while they wait here. */
static void
keep_alive(void *arg)
{
    struct worker *w = arg;
    const struct delivery *delivery;
    w->kept_alive_ms = clock_mono_ms();
    TAILQ_FOREACH (delivery, &w->all, all)
        if (delivery->consumer && !delivery->list &&
            !(delivery->state == DELIVERY_ACKING && delivery->awaiting))
            (void)bus_settle(w->bus, delivery->msg, BUS_PROGRESS, 0, NULL, NULL, NULL);
}

void
worker_keepalive(struct worker *w)
{
    if (clock_mono_ms() - w->kept_alive_ms < w->keepalive_ms)
        return;
    keep_alive(w);
    bus_push(w->bus);
}

static void
tell(struct worker *w)
{
    if (w->tell_soon || (clock_wall_ms() - w->ready_ms) / TICK_MS % METRICS_EVERY == 0)
        service_publish(w);
    w->tell_soon = false;
}

void
worker_tick(void *arg)
{
    struct worker *w = arg;
    w->tick_due = w->in_handler; /* which may be in the middle of a transaction, for long */
    tell(w);
    if (w->in_handler)
        return;
    (void)worker_check_health(w);
    dead_letters_tick(w);
    worker_say_rest(w, false);
    if (w->spec->on_tick && !w->stopping)
        w->spec->on_tick(w);
}

void
worker_timers_start(struct worker *w)
{
    w->tick = loop_timer_new(w->loop, worker_tick, w);
    w->keepalive = loop_timer_new(w->loop, keep_alive, w);
    loop_timer_set(w->tick, TICK_MS, TICK_MS);
    w->keepalive_ms = WORKER_KEEPALIVE_MS;
    loop_timer_set(w->keepalive, WORKER_KEEPALIVE_MS, WORKER_KEEPALIVE_MS);
    w->kept_alive_ms = clock_mono_ms();
}
