/* SPDX-License-Identifier: MIT */
/*
 * delivery - a delivery's life, and the queues that it waits in.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "worker_own.h"

void
queue_init(struct queue *queue)
{
    TAILQ_INIT(&queue->list);
    queue->count = 0;
}

void
queue_push(struct queue *queue, struct delivery *delivery)
{
    TAILQ_INSERT_TAIL(&queue->list, delivery, link);
    queue->count++;
}

void
queue_remove(struct queue *queue, struct delivery *delivery)
{
    TAILQ_REMOVE(&queue->list, delivery, link);
    queue->count--;
}

static void
count_in(struct delivery *delivery)
{
    struct consumer *consumer = delivery->consumer;
    if (!consumer)
        return;
    if (delivery->list) {
        consumer->items++;
        delivery->w->items++;
        return;
    }
    delivery->w->in_hand++;
    consumer->in_hand++;
    consumer->bytes += delivery->msg->len;
}

static void
count_out(struct delivery *delivery)
{
    struct consumer *consumer = delivery->consumer;
    if (!consumer)
        return;
    if (delivery->list) {
        consumer->items--;
        delivery->w->items--;
    } else {
        delivery->w->in_hand--;
        consumer->in_hand--;
        consumer->lists -= delivery->state == DELIVERY_OPENED;
        consumer->bytes -= delivery->msg->len;
    }
    consumer->unrecorded -= delivery->unrecorded;
    if (delivery->state == DELIVERY_HELD) {
        delivery->w->held--;
        consumer->held--;
    }
    consumer_due(consumer);
}

static struct delivery *
make(struct worker *w, struct consumer *consumer, struct bus_msg *msg)
{
    struct delivery *delivery = calloc(1, sizeof(*delivery));
    if (!delivery)
        log_no_memory("a delivery");
    delivery->w = w;
    delivery->consumer = consumer;
    delivery->msg = msg;
    delivery->arrived_us = clock_mono_us();
    arena_init(&delivery->mem, w->spec->mem_max ? w->spec->mem_max : 64u << 20);
    delivery->call.mem = &delivery->mem;
    delivery->call.own = delivery;
    delivery->call.actor.role = ROLE_COUNT;
    delivery->call.payload = delivery->msg->data;
    delivery->call.payload_len = delivery->msg->len;
    delivery->call.deliveries = consumer ? msg->deliveries : 1;
    delivery->call.stream_ns = consumer ? msg->stream_ns : 0;
    delivery->call.accepted_ms = consumer ? msg->stream_ns / 1000000 : clock_wall_ms();
    delivery->call.result.code = PROBLEM_COUNT;
    TAILQ_INSERT_HEAD(&w->all, delivery, all);
    return delivery;
}

struct delivery *
delivery_new(struct worker *w, struct consumer *consumer, const struct bus_msg *msg)
{
    struct delivery *delivery = make(w, consumer, bus_msg_keep(msg));
    delivery->claim = bus_msg_header(delivery->msg, ACTOR_HEADER);
    delivery->msg_id = bus_msg_header(delivery->msg, MSG_ID_HEADER);
    delivery->trace_parent = bus_msg_header(delivery->msg, TRACEPARENT_HEADER);
    delivery->trace_state = bus_msg_header(delivery->msg, TRACESTATE_HEADER);
    count_in(delivery);
    return delivery;
}

static const char *
copy(struct arena *mem, const char *text)
{
    const char *made = arena_strdup(mem, text);
    if (!made)
        log_no_memory("a batch");
    return made;
}

/* It lives in its list's message, which is kept until all of its commands are settled. */
struct delivery *
delivery_new_item(struct delivery *list, const struct list_item *item, unsigned place)
{
    struct delivery *delivery = make(list->w, list->consumer, list->msg);
    delivery->list = list;
    delivery->place = place;
    delivery->call.stream_ns += place - 1;
    delivery->call.payload = item->payload;
    delivery->call.payload_len = item->len;
    delivery->msg_id = copy(&delivery->mem, item->msg_id);
    delivery->claim = copy(&delivery->mem, item->claim);
    delivery->trace_parent = copy(&delivery->mem, item->parent);
    delivery->trace_state = item->state[0] ? copy(&delivery->mem, item->state) : NULL;
    count_in(delivery);
    return delivery;
}

/* Whose body may have a secret that somebody gives us. */
static bool
holds_secret(enum command command)
{
    return command == CMD_SECRETS_PUT || command == CMD_HOOKS_CREATE || command == CMD_HOOKS_ROTATE;
}

void
delivery_free(struct delivery *delivery)
{
    struct worker *w = delivery->w;
    if (holds_secret(delivery->call.command))
        json_wipe(delivery->doc);
    heap_remove(&w->waiting, &delivery->wake);
    if (w->late == delivery)
        w->late = NULL;
    TAILQ_REMOVE(&w->all, delivery, all);
    count_out(delivery);
    if (!delivery->list)
        bus_msg_release(delivery->msg);
    cJSON_Delete(delivery->doc);
    arena_fini(&delivery->mem);
    free(delivery);
}
