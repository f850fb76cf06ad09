/* SPDX-License-Identifier: MIT */
/*
 * command_list - commands that travel in one message of a stream.
 *
 * Header:  Gantry-List: the number of commands. Gantry-Actor is a claim over the whole payload.
 * Shape:   for each command "<Nats-Msg-Id> <claim> <traceparent> <length> <tracestate>\n<payload>\n":
 *          what it would travel with alone on the same subject, so that a worker can send it on alone
 *          (docs/states.md). Of an empty tracestate nothing but the space is there.
 * Alone:   what a worker sends on alone has Gantry-Stored, the time of the list in the stream in
 *          nanoseconds: a command does not become younger by it, and a later forget still covers it.
 *          It counts beside a valid claim only. Commands of one list are a nanosecond apart.
 * Bounds:  COMMAND_LIST_MAX commands and COMMAND_LIST_BYTES; RC_CORRUPT beyond them
 */
#ifndef GANTRY_PROTOCOL_COMMAND_LIST_H
#define GANTRY_PROTOCOL_COMMAND_LIST_H

#include <stddef.h>

#include "base/buf.h"
#include "base/rc.h"
#include "protocol/actor.h"

#define LIST_HEADER        "Gantry-List"
#define STORED_HEADER      "Gantry-Stored"
#define LIST_MSG_ID_MAX    128
#define LIST_PARENT_MAX    56  /* bytes with the NUL, of a traceparent */
#define LIST_STATE_MAX     513 /* of a tracestate */
#define COMMAND_LIST_MAX   64
#define COMMAND_LIST_BYTES (256u << 10)

/* One command. Of one that was read, the payload is borrowed from the list. */
struct list_item {
    char msg_id[LIST_MSG_ID_MAX], claim[ACTOR_WIRE_MAX], parent[LIST_PARENT_MAX];
    char state[LIST_STATE_MAX]; /* "" = none */
    const char *payload;
    size_t len;
};

void command_list_add(struct buf *out, const struct list_item *item);
/* How many bytes that adds at most. */
size_t command_list_size(const struct list_item *item);
/* Takes the first command off *text; RC_CORRUPT: it is malformed. */
enum rc command_list_next(const char **text, size_t *left, struct list_item *out);
/* Looks at the whole of it; RC_CORRUPT also when there are none, or too many. */
enum rc command_list_check(const char *text, size_t len, size_t *count, struct err *err);

#endif
