/* SPDX-License-Identifier: MIT */
/*
 * tracer - begins traces, decides which are exported, and takes their finished spans.
 *
 * Every request has a trace id, for logs, audit events and the headers that go on; spans are made of
 * sampled ones only, and only while an endpoint is configured. Who asks without our word for it (an HTTP
 * client, a NATS client) chooses its trace id and the sampled flag: of traces that would be exported for
 * that reason alone, TRACE_CLIENTS_PER_MINUTE are; the others are sampled as if they had begun here.
 *
 * Units:   *_us microseconds, monotonic
 * Errors:  RC_CONFIG  variables that make no sense
 * Threads: the loop's thread only
 * Source:  OpenTelemetry: sampling, semantic conventions of HTTP and messaging
 */
#ifndef GANTRY_TRACE_TRACER_H
#define GANTRY_TRACE_TRACER_H

#include "base/loop.h"
#include "base/rc.h"
#include "trace/context.h"
#include "trace/trace_conf.h"

struct tracer;

struct tracer_options {
    const struct trace_conf *conf;           /* borrowed during tracer_new() */
    const char *program, *instance, *region; /* borrowed during tracer_new() */
};

struct tracer_counts {
    uint64_t exported, dropped; /* spans */
    uint64_t bounded;           /* traces */
};

enum rc tracer_new(struct loop *loop, const struct tracer_options *options, struct tracer **out,
                   struct err *err);
/* Sends what waits, for at most 2 s, in which the loop turns. NULL allowed. */
void tracer_flush(struct tracer *tracer);
void tracer_free(struct tracer *tracer); /* before loop_free(); NULL allowed */
const struct tracer_counts *tracer_counts(const struct tracer *tracer);

bool tracer_on(const struct tracer *tracer); /* spans are exported */

/* The headers of a request, or NULL. trusted: a program of ours says so. */
struct trace_headers {
    const char *parent, *state;
    bool trusted;
    const char *request_id; /* a UUID that a program of ours made; NULL = unknown, or a client's */
};
/* A new span in the caller's trace, or in a new one: that of the request's id, if there is one. A program of
 * ours that says the id and no parent has begun that trace, and does not export it. headers->state stays
 * borrowed. */
void trace_begin(struct tracer *tracer, const struct trace_headers *headers, struct trace *out);
uint64_t trace_span_id(struct tracer *tracer);

/* Numbers and names are OTLP's. */
enum span_kind { SPAN_INTERNAL = 1, SPAN_SERVER, SPAN_CLIENT, SPAN_PRODUCER, SPAN_CONSUMER };

struct span_attribute {
    const char *name;
    const char *text; /* NULL: the number counts */
    int64_t number;
};

struct span {
    const struct trace *trace;
    uint64_t id, parent; /* parent 0 = none */
    enum span_kind kind;
    const char *name;
    int64_t start_us, end_us;
    const char *error; /* its type; NULL = it went well */
    const struct span_attribute *attributes;
    size_t n_attributes;
};

/* A span has ended; nothing happens when its trace is not sampled. All is copied. */
void trace_span(struct tracer *tracer, const struct span *span);

#endif
