/* SPDX-License-Identifier: MIT */
/*
 * bus_msg - messages that were delivered: their headers, and keeping them beyond the callback.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "bus/bus_own.h"

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
        log_no_memory("a message");
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
