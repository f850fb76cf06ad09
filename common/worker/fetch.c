/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "worker_own.h"

/*
 * Asking for messages. Every consumer always has a request waiting at the server, so a first message
 * arrives at once; one that brings messages is asked for as much as the next batches can take, within
 * its share. Only consumers that changed since the last turn are looked at (`due`): idle ones cost a
 * request every 30 s. A program with slots (the executor) asks each for one message at a time, and only
 * while it has none waiting here.
 */
#define PULL_MS        5000u
#define PULL_IDLE_MS   30000u
#define CAREFUL_MS     1000u
#define CAREFUL_MIN_MS 20u
#define ACTIVE_MS      5000 /* after the last message */
#define CREDIT_MIN     32u /* messages asked for; all replicas share max_waiting of nats/consumers */
#define CREDIT_MAX     384u
#define CREDIT_SHARE   8u

/* Unsettled deliveries: of one workspace, and of all. Past the sum, workspaces that have none are still
 * asked, so no number of busy ones shuts another out. */
#define IN_HAND_MAX 1024u
#define IN_HAND_SUM 2048u
#define HELD_MAX    256u
#define HELD_SUM    1024u
#define BYTES_MAX   (32u << 20) /* of one workspace */

static void
set_active(struct consumer *consumer, bool active)
{
    consumer->w->n_active += active;
    consumer->w->n_active -= consumer->is_active;
    consumer->is_active = active;
}

void
consumer_pulled(void *arg, const struct bus_msg *msg)
{
    struct consumer *consumer = arg;
    consumer_due(consumer);
    if (!msg)
        return;
    consumer->arrived++;
    consumer->arrived_ms = clock_mono_ms();
    set_active(consumer, true);
    delivery_receive(consumer->w, consumer, msg);
}

static bool
has_room(const struct consumer *consumer)
{
    const struct worker *w = consumer->w;
    return consumer->unrecorded == 0 && consumer->held < HELD_MAX &&
           consumer->in_hand + consumer->items < IN_HAND_MAX && consumer->bytes < BYTES_MAX &&
           (w->held < HELD_SUM || consumer->held == 0) &&
           (w->in_hand + w->items < IN_HAND_SUM || consumer->in_hand == 0);
}

static void
say_no_room(const struct consumer *consumer)
{
    const struct worker *w = consumer->w;
    bool held = consumer->held >= HELD_MAX || (w->held >= HELD_SUM && consumer->held > 0);
    if (consumer->unrecorded == 0)
        worker_full_still(consumer->w, held ? BOUND_HELD : BOUND_IN_HAND, consumer->workspace);
}

/* One message, of one careful consumer at a time; each has its turn. */
static void
fetch_carefully(struct consumer *consumer)
{
    struct worker *w = consumer->w;
    consumer_ask_info(consumer);
    if (consumer->in_hand + consumer->items > consumer->held + consumer->lists ||
        bus_pull_credit(consumer->pull) > 0)
        return;
    if (w->careful_turn == consumer) {
        w->careful_turn = NULL; /* it had it: the next one's, at once */
        w->look_again = true;
        if (w->n_careful > 1)
            return;
    }
    if (w->careful_turn)
        return;
    size_t wait_ms = CAREFUL_MS / (w->n_careful ? w->n_careful : 1);
    if (bus_pull_more(consumer->pull, 1,
                      wait_ms > CAREFUL_MIN_MS ? (uint32_t)wait_ms : CAREFUL_MIN_MS, NULL) == RC_OK)
        w->careful_turn = consumer;
}

static unsigned
most_wanted(const struct worker *w)
{
    size_t batch = w->spec->batch_max ? w->spec->batch_max : 64;
    size_t most = 2 * batch < CREDIT_MAX ? 2 * batch : CREDIT_MAX;
    size_t share = w->n_active > 1 ? 2 * most / w->n_active : most;
    return (unsigned)(share > most ? most : share < CREDIT_SHARE ? CREDIT_SHARE : share);
}

/* Twice what came while the last batch was handled: much under load, little that waits without. While
 * one is being handled (turns_meanwhile), as much again and again, up to two batches. */
static void
fetch_batch(struct consumer *consumer)
{
    struct worker *w = consumer->w;
    size_t batch = w->spec->batch_max ? w->spec->batch_max : 64;
    unsigned credit = bus_pull_credit(consumer->pull);
    if (!w->in_handler) {
        size_t most = most_wanted(w);
        size_t least = consumer->is_active ? (CREDIT_MIN < most ? CREDIT_MIN : most) : 1;
        consumer->wanted = 2 * consumer->arrived < least ? least : 2 * consumer->arrived;
        if (consumer->wanted > most)
            consumer->wanted = most;
        consumer->arrived = 0;
    }
    bool again = w->in_handler && consumer->queued + consumer->wanted <= 2 * batch;
    size_t have = again ? credit : consumer->queued + credit;
    if (have < (consumer->wanted + 1) / 2)
        (void)bus_pull_more(consumer->pull, (unsigned)(consumer->wanted - have),
                            consumer->is_active ? PULL_MS : PULL_IDLE_MS, NULL);
}

static void
fetch_one(struct consumer *consumer)
{
    if (consumer->info_asked_ms == 0)
        consumer_ask_info(consumer);
    if (consumer->queued == 0 && bus_pull_credit(consumer->pull) == 0)
        (void)bus_pull_more(consumer->pull, 1, PULL_MS, NULL);
}

/* True while it has to be looked at again in the next turn. */
static bool
fetch_from(struct consumer *consumer)
{
    struct worker *w = consumer->w;
    if (consumer->is_active && clock_mono_ms() - consumer->arrived_ms > ACTIVE_MS)
        set_active(consumer, false);
    if (!has_room(consumer)) {
        say_no_room(consumer);
        return consumer->is_active; /* or it becomes due by what ends */
    }
    if (w->spec->slots_free)
        fetch_one(consumer);
    else if (consumer->careful)
        fetch_carefully(consumer);
    else
        fetch_batch(consumer);
    return consumer->is_active || consumer->careful || bus_pull_credit(consumer->pull) == 0;
}

void
worker_fetch(struct worker *w)
{
    w->look_again = false;
    if (!worker_stream(w) || !worker_check_health(w))
        return;
    worker_list_consumers(w);
    if (w->spec->slots_free && w->spec->slots_free(w) == 0)
        return;
    struct consumer *last = TAILQ_LAST(&w->due, consumer_list), *consumer, *next;
    for (consumer = TAILQ_FIRST(&w->due); consumer; consumer = next) {
        next = consumer == last ? NULL : TAILQ_NEXT(consumer, due);
        TAILQ_REMOVE(&w->due, consumer, due);
        consumer->is_due = false;
        if (fetch_from(consumer))
            consumer_due(consumer);
    }
}
