/* SPDX-License-Identifier: MIT */
/*
 * traced - the trace of a request: where it comes from, what goes on with its messages, its span.
 *
 * Source: semantic conventions of HTTP server spans
 */
#ifndef GANTRY_GATEWAY_REQUESTS_TRACED_H
#define GANTRY_GATEWAY_REQUESTS_TRACED_H

#include "bus/bus.h"
#include "requests/request.h"

#define TRACED_HEADERS_MAX 2

/* The headers of the request decide: traceparent, tracestate. own_id: its request_id is made by us. */
void traced_begin(struct request *r, bool own_id);
/* A program that reads the claim of the request's command finds the trace by it: no header has to say it. A header
 * costs nats.c and the server more than all else that is done for a trace which is not exported. */
static inline bool
traced_by_claim(const struct request *r)
{
    return r->trace.implied && !r->trace.sampled && request_is_first(r);
}

/* The headers of a message that goes on with a claim, where it needs any, added at headers[n]; returns how many there are then. parent is
 * theirs and must live as long. */
size_t traced_headers(const struct request *r, uint64_t span, char parent[TRACEPARENT_MAX],
                      struct bus_header *headers, size_t n);
/* A message leaves; its answer is here. */
void traced_hop_begin(struct request *r, struct request_hop *hop);
void traced_hop_end(struct request *r, enum stage stage, enum command command,
                    const struct request_hop *hop, const char *message_id, const char *error);
/* Its answer leaves: the span of the whole. */
void traced_end(const struct request *r, int64_t end_us);

#endif
