/* SPDX-License-Identifier: MIT */
/*
 * served - requests and how long they took, by route, for /metrics.
 *
 * Labels are bounded: the templates of the route table (one more, "other", for every path that has no
 * route), our methods, and the statuses that we answer.
 *
 * Threads: the loop's thread only
 */
#ifndef GANTRY_GATEWAY_REQUESTS_SERVED_H
#define GANTRY_GATEWAY_REQUESTS_SERVED_H

#include "protocol/exposition.h"
#include "requests/request.h"

struct served;

enum rc served_new(struct served **out, struct err *err);
void served_free(struct served *served); /* NULL allowed */
/* An answer leaves. trace_id: of a trace that is exported; NULL = none. */
void served_count(struct served *served, const struct request *r, uint64_t us,
                  const char *trace_id);
void served_expose(const struct served *served, const struct exposition *e);
/* The route as a label: its template, or "other". */
const char *served_route(const struct request *r);

#endif
