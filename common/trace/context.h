/* SPDX-License-Identifier: MIT */
/*
 * context - which trace a request or command belongs to, as W3C Trace Context writes it.
 *
 * Shape:   traceparent "00-<32 hexadecimal digits>-<16>-<2>"; tracestate is passed on as it came
 * Errors:  a header that is not of its form is as if it were not there
 * Source:  www.w3.org/TR/trace-context
 */
#ifndef GANTRY_TRACE_CONTEXT_H
#define GANTRY_TRACE_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/histogram.h"
#include "base/id.h"

#define TRACEPARENT_HEADER "traceparent"
#define TRACESTATE_HEADER  "tracestate"
#define TRACEPARENT_MAX    56  /* bytes with the NUL */
#define TRACESTATE_MAX     512 /* bytes that are passed on; what is longer is dropped whole */

struct trace {
    char id[TRACE_ID_TEXT_MAX]; /* "" = none */
    uint64_t span;              /* this program's; 0 = none */
    uint64_t parent;            /* of that; 0 = it is the first */
    bool sampled;               /* it is exported */
    bool implied;               /* id is that of the request's id: nobody has to be told */
    const char *state;          /* tracestate; borrowed from the message; NULL = none */
};

/* The fields of a traceparent. */
struct trace_parent {
    char id[TRACE_ID_TEXT_MAX];
    uint64_t span;
    bool sampled;
};

/* 16 hexadecimal digits, without a NUL. */
void trace_put_hex(uint64_t value, char *out);
/* text may be NULL. Of a version that we do not know, the known part is read. */
bool trace_parent_read(const char *text, struct trace_parent *out);
/* The trace of a request that came without a traceparent has the digits of the request's id, so whoever
 * knows that id knows the trace. */
void trace_id_imply(const char request_id[ID_TEXT_MAX], char out[TRACE_ID_TEXT_MAX]);
void trace_parent_write(const struct trace *trace, uint64_t span, char out[TRACEPARENT_MAX]);
/* Whether it can go into a header again. */
bool trace_state_valid(const char *text);

#endif
