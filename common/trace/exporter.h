/* SPDX-License-Identifier: MIT */
/*
 * exporter - finished spans on their way to a collector: a bounded queue, sent in batches.
 *
 * Nobody waits for it. A span that finds the queue full is dropped and counted; a batch that the
 * collector did not take is tried again a few times while the queue fills, then dropped and counted.
 *
 * Shape:   OTLP/HTTP in JSON (POST /v1/traces, ExportTraceServiceRequest)
 * Threads: the loop's thread only
 * Source:  opentelemetry.io/docs/specs/otlp
 */
#ifndef GANTRY_TRACE_EXPORTER_H
#define GANTRY_TRACE_EXPORTER_H

#include "trace/tracer.h"

#define EXPORTER_QUEUE_SPANS 2048
#define EXPORTER_QUEUE_BYTES (2u << 20)
#define EXPORTER_BATCH_SPANS 512 /* so many leave at once; fewer wait for EXPORTER_EVERY_MS */
#define EXPORTER_EVERY_MS    1000
#define EXPORTER_TRIES       5

struct exporter;

/* counts: borrowed, exported and dropped of it are ours. */
enum rc exporter_new(struct loop *loop, const struct tracer_options *options,
                     struct tracer_counts *counts, struct exporter **out, struct err *err);
void exporter_flush(struct exporter *exporter); /* as tracer_flush() */
void exporter_free(struct exporter *exporter);  /* NULL allowed */
void exporter_add(struct exporter *exporter, const struct span *span);

#endif
