/* SPDX-License-Identifier: MIT */
#include "base/histogram.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

static const struct {
    uint64_t us;
    const char *seconds;
} BOUNDS[HISTOGRAM_BOUNDS] = {
    { 100, "0.0001" },    { 250, "0.00025" }, { 500, "0.0005" },  { 1000, "0.001" },
    { 2500, "0.0025" },   { 5000, "0.005" },  { 10000, "0.01" },  { 25000, "0.025" },
    { 50000, "0.05" },    { 100000, "0.1" },  { 250000, "0.25" }, { 500000, "0.5" },
    { 1000000, "1.0" },   { 2500000, "2.5" }, { 5000000, "5.0" }, { 10000000, "10.0" },
    { 30000000, "30.0" },
};

unsigned
histogram_bucket(uint64_t us)
{
    unsigned bucket = 0;
    while (bucket < HISTOGRAM_BOUNDS && us > BOUNDS[bucket].us)
        bucket++;
    return bucket;
}

const char *
histogram_bound(unsigned bucket)
{
    return bucket < HISTOGRAM_BOUNDS ? BOUNDS[bucket].seconds : "+Inf";
}

void
histogram_set_exemplar(struct histogram *histogram, unsigned bucket,
                       const struct exemplar *exemplar)
{
    if (!histogram->exemplars)
        histogram->exemplars = calloc(HISTOGRAM_BUCKETS, sizeof(*histogram->exemplars));
    if (histogram->exemplars && bucket < HISTOGRAM_BUCKETS)
        histogram->exemplars[bucket] = *exemplar;
}

void
histogram_add(struct histogram *histogram, uint64_t us, const char *trace_id)
{
    unsigned bucket = histogram_bucket(us);
    histogram->counts[bucket]++;
    histogram->sum_us += us;
    if (!trace_id || strlen(trace_id) >= TRACE_ID_TEXT_MAX || !*trace_id)
        return;
    struct exemplar exemplar = { .value_us = us, .at_ms = clock_wall_ms() };
    memcpy(exemplar.trace_id, trace_id, strlen(trace_id));
    histogram_set_exemplar(histogram, bucket, &exemplar);
}

uint64_t
histogram_count(const struct histogram *histogram)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        count += histogram->counts[i];
    return count;
}

void
histogram_fini(struct histogram *histogram)
{
    free(histogram->exemplars);
    histogram->exemplars = NULL;
}
