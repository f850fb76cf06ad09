/* SPDX-License-Identifier: MIT */
/*
 * fetch_pool - many requests to one server at once, over a few kept-alive connections.
 *
 * For tools that send thousands of requests: fetch_pool_send() blocks only while all connections
 * are busy. 408, 5xx and network errors are tried again; 429 for as long as the server wishes. A
 * request that changes something must therefore carry an idempotency key.
 *
 * Errors:  done() gets RC_OK and the status of any answer that is no retry (2xx, 4xx), or RC_TEMP
 *          after the last try, RC_CONFIG for a certificate that does not verify, RC_LIMIT
 * Threads: one thread; done() runs inside send and wait
 */
#ifndef GANTRY_FETCH_FETCH_POOL_H
#define GANTRY_FETCH_FETCH_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/rc.h"

#define FETCH_ANSWER_MAX (8u * 1024 * 1024) /* bytes */

struct fetch_pool;

struct fetch_answer {
    enum rc rc;
    int status; /* of the HTTP answer; 0 when there was none */
    const char *body;
    size_t len;
    const char *error; /* what happened, when rc is not RC_OK */
};

#define FETCH_PROBLEM_MAX 360 /* bytes with the NUL */

/* The error in a sentence for a person: the first of the problem's errors with its field, or its detail. */
void fetch_problem(const struct fetch_answer *answer, char out[FETCH_PROBLEM_MAX]);

typedef void fetch_done_fn(void *arg, const struct fetch_answer *answer);

/* key: sent as X-API-Key, never logged; NULL = none. tries: of each request. */
enum rc fetch_pool_new(const char *base_url, const char *key, unsigned parallel, unsigned tries,
                       struct fetch_pool **out, struct err *err);
void fetch_pool_free(struct fetch_pool *pool);
void fetch_pool_cleanup(struct fetch_pool **pool);

struct fetch_request {
    const char *method;
    const char *path;            /* with query, percent-encoded */
    const char *idempotency_key; /* NULL = none */
    const void *body;            /* copied; NULL = none */
    size_t len;
    bool once;           /* never tried again */
    long timeout_ms;     /* of one try; 0 = 90 s */
    bool retry_conflict; /* 409 is tried again: the same request is still under way */
};

enum rc fetch_pool_send(struct fetch_pool *pool, const struct fetch_request *request,
                        fetch_done_fn *done, void *arg, struct err *err);
/* Until everything sent is answered. */
void fetch_pool_wait(struct fetch_pool *pool);

/* One request and its answer; RC_NOTFOUND, RC_DENIED … by status with the problem's detail in err. */
enum rc fetch_pool_call(struct fetch_pool *pool, const struct fetch_request *request,
                        struct buf *answer, struct err *err);

#endif
