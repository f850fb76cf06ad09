/* SPDX-License-Identifier: MIT */
/*
 * inner - a request that another request makes, of the same key: MCP's tools are routes.
 *
 * It passes the same stages as one that came over HTTP, but for those that the outer request has
 * passed: the key and the share of requests. It is limited, checked, idempotent and audited by itself;
 * its answer goes to a function instead of a connection. Its body holds what would be parameters of the
 * path and the query.
 *
 * Errors:  RC_TEMP  no memory: nothing was begun
 * Threads: the loop's thread only
 */
#ifndef GANTRY_GATEWAY_REQUESTS_INNER_H
#define GANTRY_GATEWAY_REQUESTS_INNER_H

#include "requests/request.h"

struct inner_ask {
    const struct route *route;
    const char *body; /* JSON; copied */
    size_t len;
    const char *idem_key; /* of the header Idempotency-Key; NULL = none */
    const char *prefer;   /* of the header Prefer; NULL = none */
    const char *trace[2]; /* of traceparent and tracestate; NULL = none */
};

/* fn is called once, later; inner is valid during the call: its answer, code and id. */
typedef void inner_fn(void *arg, struct request *inner);
/* *out: borrowed until fn is called; may be NULL. */
enum rc inner_start(struct request *outer, const struct inner_ask *ask, inner_fn *fn, void *arg,
                    struct request **out);

#endif
