/* SPDX-License-Identifier: MIT */
/*
 * waiters - the requests that wait for the .done event of their command, by workspace and id.
 *
 * Threads: the loop's thread only
 */
#ifndef GANTRY_GATEWAY_EFFECTS_WAITERS_H
#define GANTRY_GATEWAY_EFFECTS_WAITERS_H

#include "requests/request.h"

struct waiters;

enum rc waiters_new(struct waiters **out, struct err *err);
void waiters_free(struct waiters *waiters);
void waiters_add(struct waiters *waiters, struct request *r);
void waiters_remove(struct request *r); /* nothing if it is not there */
/* The request that waits for this command; with several, each in turn (it must be removed). */
struct request *waiters_find(const struct waiters *waiters, const char *workspace, const char *id);

/* fn may change the request, not who waits. */
void waiters_each(struct waiters *waiters, void (*fn)(struct request *r));

#endif
