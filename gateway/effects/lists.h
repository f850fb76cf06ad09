/* SPDX-License-Identifier: MIT */
/*
 * lists - commands of one turn that leave for one subject travel in one message.
 *
 * Source: protocol/command_list.h has the form, docs/states.md what a crash leaves behind
 */
#ifndef GANTRY_GATEWAY_EFFECTS_LISTS_H
#define GANTRY_GATEWAY_EFFECTS_LISTS_H

#include "base/id.h"
#include "bus/bus.h"
#include "effects/forward.h"

struct gateway;
struct lists;
struct request;

#define LISTS_MSG_ID_MAX (2 * ID_TEXT_MAX) /* < LIST_MSG_ID_MAX */

void lists_open(struct gateway *gw, struct lists **out);
void lists_free(struct lists *lists);

/* Publishes the request's command at the end of this turn; fn gets the request and the PubAck. */
void lists_add(struct lists *lists, struct request *r, const struct forward_head *head,
               const char *msg_id, bus_ack_fn *fn);

/* A worker has settled this command. */
void lists_done(struct lists *lists, const char *id);

/* How many more commands than messages wait in the stream because of our lists, as far as we have heard
 * of their end. */
uint64_t lists_beyond_messages(const struct lists *lists, enum stream stream);

#endif
