/* SPDX-License-Identifier: MIT */
/*
 * fetch - the one door to libcurl: a POST of JSON to a configured server, with retries.
 *
 * Only http and https, no redirects, certificate and host verified, no proxy from the environment,
 * bounded answer, time-outs for connecting and for the whole. 408, 429, 5xx and network errors are
 * retried with growing, jittered delay (Retry-After is honoured up to the deadline).
 *
 * Errors:  RC_TEMP    no usable answer within the deadline
 *          RC_CONFIG  401, 403, 404, a redirect, a bad URL, a certificate that does not verify
 *          RC_INVALID any other 4xx (err has the status) · RC_LIMIT answer larger than its bound
 *          No error repeats the URL, the credential or the answer.
 * Threads: blocks; one struct fetch belongs to one thread
 */
#ifndef GANTRY_FETCH_FETCH_H
#define GANTRY_FETCH_FETCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/rc.h"

struct fetch;

struct fetch_options {
    const char *url;
    const char *bearer;                         /* NULL = none; never logged */
    uint32_t connect_ms, total_ms, deadline_ms; /* per try, per try, over all tries */
    unsigned tries;
};

enum rc fetch_new(const struct fetch_options *options, struct fetch **out, struct err *err);
void fetch_free(struct fetch *fetch);
void fetch_patience(struct fetch *fetch, uint32_t deadline_ms); /* over all tries, from now on */
void fetch_cleanup(struct fetch **fetch);
/* The connection is kept alive between calls. answer is appended to, on success only. */
enum rc fetch_post(struct fetch *fetch, const void *body, size_t len, struct buf *answer,
                   struct err *err);

#endif
