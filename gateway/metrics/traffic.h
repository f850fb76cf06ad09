/* SPDX-License-Identifier: MIT */
/*
 * traffic - what each workspace's requests came to at this gateway: for its own overview.
 *
 * A table of TRAFFIC_ROWS rows in the gateway's memory: it begins anew with the process, and of more
 * workspaces those that asked last are in it.
 *
 * Units:   *_us microseconds; *_ms milliseconds
 * Threads: the loop's thread only
 */
#ifndef GANTRY_GATEWAY_METRICS_TRAFFIC_H
#define GANTRY_GATEWAY_METRICS_TRAFFIC_H

#include <stddef.h>
#include <stdint.h>

#include "base/id.h"
#include "base/rc.h"

#define TRAFFIC_ROWS 512

/* Upper bounds of the ranges of durations; the last range has none. */
#define TRAFFIC_BOUNDS_MS                                                                          \
    {                                                                                              \
        1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000                                \
    }
#define TRAFFIC_BOUNDS 13

struct traffic_row {
    char workspace[WORKSPACE_TEXT_MAX]; /* "" = free */
    int64_t since_ms;                   /* wall: of the first request counted */
    int64_t last_ms;
    uint64_t requests;
    uint64_t refused; /* answers with a status of 400 to 499 */
    uint64_t failed;  /* 500 and more */
    uint64_t durations[TRAFFIC_BOUNDS + 1];
};

struct traffic;

enum rc traffic_new(struct traffic **out, struct err *err);
void traffic_free(struct traffic *traffic); /* NULL allowed */
void traffic_count(struct traffic *traffic, const char *workspace, int status, int64_t duration_us);
/* NULL: none of its requests was counted. */
const struct traffic_row *traffic_row(const struct traffic *traffic, const char *workspace);

#endif
