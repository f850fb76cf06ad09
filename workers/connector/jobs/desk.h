/* SPDX-License-Identifier: MIT */
/*
 * desk - what threads ask of the loop's thread: PostgreSQL, Redis and NATS belong to it.
 *
 * A thread asks and waits; the question runs on the loop's thread and is answered there, at once or in a
 * later callback. When the program ends, all that wait are told so.
 */
#ifndef GANTRY_CONNECTOR_JOBS_DESK_H
#define GANTRY_CONNECTOR_JOBS_DESK_H

#include <stdbool.h>

#include "base/loop.h"

struct desk;
struct desk_ticket;

enum rc desk_new(struct loop *loop, struct desk **out, struct err *err);
/* From the loop's thread: nothing that waits is answered any more. */
void desk_close(struct desk *desk);
void desk_free(struct desk *desk); /* when no thread uses it any more */

/* Runs on the loop's thread. arg is the asker's, who waits until desk_answer(): not to be touched after. */
typedef void desk_fn(void *arg, struct desk_ticket *ticket);
/* From a thread: fn's answer; -1: the program ends. */
int desk_ask(struct desk *desk, desk_fn *fn, void *arg);
/* From the loop's thread, once for each ticket: answer >= 0. */
void desk_answer(struct desk_ticket *ticket, int answer);

#endif
