/* SPDX-License-Identifier: MIT */
/*
 * fetch_loop - one POST of JSON at a time to a configured server, driven by the program's loop.
 *
 * Nothing here waits: libcurl's multi interface tells which descriptors and which time it waits for.
 * There are no retries; the caller knows whether what it sends is worth another try.
 *
 * Errors:  done() gets RC_OK for a 2xx; RC_TEMP when another try may help (network, 408, 429, 5xx; after_s
 *          is the server's Retry-After, or 0); everything else is final. RC_TEMP from
 *          fetch_loop_post(): the last one is still under way
 * Threads: the loop's thread only
 */
#ifndef GANTRY_FETCH_FETCH_LOOP_H
#define GANTRY_FETCH_FETCH_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/loop.h"
#include "base/rc.h"

struct fetch_loop;

struct fetch_loop_options {
    const char *url;
    const char *const *headers; /* "Name: value", never logged */
    size_t n_headers;
    uint32_t connect_ms, total_ms;
};

typedef void fetch_loop_fn(void *arg, enum rc rc, long after_s, const struct err *err);

enum rc fetch_loop_new(struct loop *loop, const struct fetch_loop_options *options,
                       struct fetch_loop **out, struct err *err);
/* Requests under way are dropped: their done is not called. NULL allowed. */
void fetch_loop_free(struct fetch_loop *fetch);
/* body: borrowed until done is called. */
enum rc fetch_loop_post(struct fetch_loop *fetch, const void *body, size_t len, fetch_loop_fn *done,
                        void *arg, struct err *err);

#endif
