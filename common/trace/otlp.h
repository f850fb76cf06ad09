/* SPDX-License-Identifier: MIT */
/*
 * otlp - spans in the JSON form of OTLP.
 *
 * Shape:   ids as hexadecimal digits, times and other 64-bit numbers as texts of digits (protobuf's
 *          JSON mapping, with OTLP's exception for ids)
 * Errors:  RC_CONFIG  a list that is not name=value,name=value
 */
#ifndef GANTRY_TRACE_OTLP_H
#define GANTRY_TRACE_OTLP_H

#include "base/buf.h"
#include "trace/tracer.h"

/* The resource of this program: an object of JSON. */
enum rc otlp_resource(const struct tracer_options *options, struct buf *out, struct err *err);
/* One span. wall_us: what to add to a monotonic time. */
enum rc otlp_span(const struct span *span, int64_t wall_us, struct buf *out);
/* spans: objects with commas between them. */
enum rc otlp_request(const struct buf *resource, const struct buf *spans, struct buf *out);

/* One name=value of a list, percent-decoded; *list moves on. RC_NOTFOUND at its end. */
#define OTLP_PAIR_MAX 1024
struct otlp_pair {
    char name[OTLP_PAIR_MAX], value[OTLP_PAIR_MAX];
};
enum rc otlp_pair_next(const char **list, struct otlp_pair *out, struct err *err);

#endif
