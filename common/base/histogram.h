/* SPDX-License-Identifier: MIT */
/*
 * histogram - how long something took, counted by fixed bounds.
 *
 * All histograms have the same bounds, from 100 us to 30 s, so that they can be added up and compared.
 * A bucket may keep the last sampled trace that fell into it.
 *
 * Units:   *_us microseconds; *_ms milliseconds, wall time
 * Errors:  none; an exemplar for which there is no memory is left out
 * Threads: one
 */
#ifndef GANTRY_BASE_HISTOGRAM_H
#define GANTRY_BASE_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BOUNDS  17
#define HISTOGRAM_BUCKETS (HISTOGRAM_BOUNDS + 1) /* the last one has no upper bound */
#define TRACE_ID_TEXT_MAX 33                     /* 32 hexadecimal digits and a NUL */

struct exemplar {
    char trace_id[TRACE_ID_TEXT_MAX]; /* "" = none */
    uint64_t value_us;
    int64_t at_ms;
};

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS]; /* each its own, not cumulative */
    uint64_t sum_us;
    struct exemplar *exemplars; /* owned: HISTOGRAM_BUCKETS; NULL until there is one */
};

/* The bucket of a duration, and its upper bound in seconds as Prometheus writes it ("0.001", "+Inf"). */
unsigned histogram_bucket(uint64_t us);
const char *histogram_bound(unsigned bucket);

/* trace_id: of a trace that is exported; NULL or "" = none. */
void histogram_add(struct histogram *histogram, uint64_t us, const char *trace_id);
void histogram_set_exemplar(struct histogram *histogram, unsigned bucket,
                            const struct exemplar *exemplar);
uint64_t histogram_count(const struct histogram *histogram);
void histogram_fini(struct histogram *histogram);

#endif
