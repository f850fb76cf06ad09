/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "protocol/command_list.h"
#include "worker_own.h"

/*
 * A message that holds a list of commands (protocol/command_list.h). Delivered for the first time it is
 * opened: each command is a delivery of its own, which goes through the steps as if it had come alone,
 * and when all are settled the message is acknowledged.
 *
 * Delivered again, nothing in it tells which of its commands ended the worker, and whatever is counted
 * for the message is counted for all. So it is taken apart: each command is published on the same
 * subject as the message that it would have been, with a delivery count of its own, and the list is
 * acknowledged when all of them are stored. A command that was executed before is absorbed by its id.
 */
#define PART_MS 5000u

_Static_assert(LIST_PARENT_MAX == TRACEPARENT_MAX && LIST_STATE_MAX == TRACESTATE_MAX + 1,
               "trace/context.h and protocol/command_list.h differ");

static void
on_part(void *arg, enum rc rc, bool duplicate, const struct err *err)
{
    struct delivery *list = arg;
    (void)duplicate;
    (void)err;
    list->part_failed |= rc != RC_OK;
    if (--list->left > 0)
        return;
    FAULT("after_parts");
    if (list->part_failed)
        delivery_step_later(list);
    else
        delivery_done(list);
}

static enum rc
publish_part(struct delivery *list, const struct list_item *item, unsigned place)
{
    char stored[24];
    const char *version = bus_msg_header(list->msg, PROTOCOL_HEADER);
    snprintf(stored, sizeof(stored), "%lld", (long long)list->call.stream_ns + place - 1);
    const struct bus_header headers[] = { { ACTOR_HEADER, item->claim },
                                          { PROTOCOL_HEADER, version ? version : "2" },
                                          { STORED_HEADER, stored },
                                          { TRACEPARENT_HEADER, item->parent },
                                          { TRACESTATE_HEADER, item->state } };
    struct bus_out out = { .subject = list->msg->subject,
                           .headers = headers,
                           .n_headers = item->state[0] ? 5 : 4,
                           .data = item->payload,
                           .len = item->len };
    return bus_js_publish(list->w->bus, &out, item->msg_id, PART_MS, on_part, list, NULL);
}

void
list_take_apart(struct delivery *list)
{
    const char *text = list->call.payload;
    size_t len = list->call.payload_len;
    struct list_item item;
    unsigned place = 0;
    list->awaiting = true;
    list->part_failed = false;
    list->left = 1; /* until all are sent */
    while (command_list_next(&text, &len, &item) == RC_OK) {
        FAULT("taking_apart");
        list->left++;
        if (publish_part(list, &item, ++place) != RC_OK)
            on_part(list, RC_TEMP, false, NULL);
    }
    on_part(list, RC_OK, false, NULL);
}

/* One of its commands is settled. */
void
list_settled(struct delivery *list)
{
    if (--list->left > 0)
        return;
    list->consumer->lists--;
    delivery_done(list);
}

void
list_open(struct delivery *list)
{
    const char *text = list->call.payload;
    size_t len = list->call.payload_len;
    struct list_item item;
    unsigned place = 0;
    list->left = 1; /* until all are made */
    list->consumer->lists++;
    while (command_list_next(&text, &len, &item) == RC_OK) {
        list->left++;
        delivery_receive_item(list, &item, ++place);
    }
    list_settled(list);
}

static const char *
one_reason(struct delivery *list, const struct err *err)
{
    const char *reason = arena_strdup(&list->mem, err->text);
    return reason ? reason : "no memory for the reason";
}

/* Is it the gateway's, and well formed? A list that is well-formed and not the gateway's has a reason:
 * it is opened, and each of its commands is a dead letter, which can be found by its scope and sent
 * again alone. One that is malformed is a dead letter as a whole. */
enum rc
list_check(struct delivery *list, struct err *err)
{
    const struct call *call = &list->call;
    struct actor_claim claim;
    size_t count;
    enum rc rc = command_list_check(call->payload, call->payload_len, &count, err);
    if (rc != RC_OK)
        return rc;
    rc = list->claim ? actor_verify(&list->w->common.actor, list->claim, list->msg->subject,
                                    call->payload, call->payload_len, &claim, err)
                     : err_set(err, RC_CORRUPT, "a list of commands without a claim");
    list->is_list = true;
    if (rc != RC_OK)
        list->reason = one_reason(list, err);
    return RC_OK;
}
