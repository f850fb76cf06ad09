/* SPDX-License-Identifier: MIT */
/*
 * forward - commands and queries over NATS, and the answers that come back.
 *
 * Source: contract 4.1 (waiting) and 5
 */
#ifndef GANTRY_GATEWAY_EFFECTS_FORWARD_H
#define GANTRY_GATEWAY_EFFECTS_FORWARD_H

#include "bus/bus.h"
#include "protocol/actor.h"
#include "protocol/command.h"
#include "requests/routes.h"

struct gateway;
struct request;

/* The subject and the claim of a message that is sent on behalf of a request. */
struct forward_head {
    char subject[SUBJECT_MAX];
    char actor[ACTOR_WIRE_MAX];
};
/* id: the command's; NULL = the request's own. */
enum rc forward_sign(const struct request *r, enum command command, const char *id,
                     const char *payload, size_t len, struct forward_head *head, struct err *err);

#define FORWARD_PUBLISH_MS 5000

/* A .done event: whoever waits for that command is answered. */
void forward_done(struct gateway *gw, const struct bus_msg *msg);
/* The answers to a list of commands (protocol/answer_list.h). */
void forward_answers(struct gateway *gw, const struct bus_msg *msg);

/* A gateway that ends waits no longer than this for a command: its client hears 202, and asks another
 * gateway. Requests that come later are under the same bound (checks_head.c). */
#define FORWARD_DRAIN_MS 5000
void forward_drain(struct gateway *gw);

/* A query and its answer: what most routes of ROUTE_QUERY do. */
enum step forward_query(struct request *r);
/* Ask the worker of the request's route; fn gets its reply. unrecorded: the gateway records what comes
 * of the request. */
enum step forward_ask(struct request *r, bool unrecorded, bus_reply_fn *fn, void *arg);
/* The reply as the request's answer. */
enum step forward_reply(struct request *r, enum rc rc, const struct bus_msg *msg,
                        const struct err *err);

#endif
