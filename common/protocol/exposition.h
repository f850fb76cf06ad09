/* SPDX-License-Identifier: MIT */
/*
 * exposition - metrics as text for Prometheus, in its own format or in OpenMetrics.
 *
 * Each family is begun once, and all of its values follow before the next family.
 *
 * Shape:   text format 0.0.4, or OpenMetrics 1.0.0: families of counters without their _total, the
 *          exemplars of histograms, "# EOF" at the end
 * Source:  prometheus.io/docs/instrumenting/exposition_formats; OpenMetrics 1.0.0
 */
#ifndef GANTRY_PROTOCOL_EXPOSITION_H
#define GANTRY_PROTOCOL_EXPOSITION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/histogram.h"

/* UNKNOWN: a gauge whose name ends in _total, which both formats keep for counters. */
enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM, METRIC_UNKNOWN };

struct exposition {
    struct buf *out; /* borrowed */
    bool openmetrics;
};

#define EXPOSITION_TEXT        "text/plain; version=0.0.4; charset=utf-8"
#define EXPOSITION_OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* Whether an Accept header prefers OpenMetrics 1.0.0 to the text format; NULL = no header. */
bool exposition_wants_openmetrics(const char *accept);

/* name: with the _total of a counter. */
void exposition_family(const struct exposition *e, const char *name, enum metric_kind kind,
                       const char *help);
/* labels: a="b",c="d" as exposition_label() writes them; "" = none. */
void exposition_value(const struct exposition *e, const char *name, const char *labels,
                      uint64_t value);
void exposition_seconds(const struct exposition *e, const char *name, const char *labels,
                        uint64_t us);
void exposition_histogram(const struct exposition *e, const char *name, const char *labels,
                          const struct histogram *histogram);
void exposition_end(const struct exposition *e);

/* Append name="value" with its escapes, after a comma if there is something. */
void exposition_label(struct buf *labels, const char *name, const char *value);

#endif
