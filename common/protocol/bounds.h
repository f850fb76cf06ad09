/* SPDX-License-Identifier: MIT */
/*
 * bounds - what a worker shares between workspaces and refuses beyond a share: which of it is full.
 *
 * A bound that refuses something is full for BOUND_MS. Workers tell their marks with their metrics; the
 * gateway names those that are full in /readyz and in the metrics. docs/security.md has the table.
 *
 * Shape:   in a snapshot, member "bounds": {"held":{"full":true,"refusals":12},…}, those that ever refused
 * Threads: the loop's thread only
 */
#ifndef GANTRY_PROTOCOL_BOUNDS_H
#define GANTRY_PROTOCOL_BOUNDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "json/json.h"

#define BOUND_MS 60000 /* longer than the usual scrape of metrics */

/* Metadata of a worker (NATS ADR-32): with the name of a bound that is full, whose workspace reached it. */
#define SERVICE_FULL "full."

/* clang-format off */
#define BOUND_TABLE(X)                                                                  \
    X(BOUND_HELD,         "held")            /* a workspace's, that wait for another attempt */ \
    X(BOUND_IN_HAND,      "in_hand")         /* a workspace's, unsettled in a worker */ \
    X(BOUND_DEAD,         "dead_letters")    /* a workspace's, of a program */          \
    X(BOUND_REQUESTS,     "direct_requests") /* all that wait in a worker */            \
    X(BOUND_SHARE,        "core_requests")   /* a workspace's, that wait in a worker */ \
    X(BOUND_RATE,         "direct_rate")     /* a workspace's */                        \
    X(BOUND_LOG,          "log_lines")       /* a workspace's, of one kind */           \
    X(BOUND_SEARCHES,     "searches")        /* a workspace's, that wait */             \
    X(BOUND_SEARCH_TIME,  "search_time")     /* of one search */                        \
    X(BOUND_INDEX,        "index_memory")    /* a workspace's, or all of it */          \
    X(BOUND_JOBS,         "job_records")     /* a workspace's in Redis, a share and a half */ \
    X(BOUND_SLOTS,        "executor_slots")  /* all of them: tasks wait */
/* clang-format on */

enum bound {
#define BOUND_NAME(id, name) id,
    BOUND_TABLE(BOUND_NAME)
#undef BOUND_NAME
        BOUND_COUNT
};

struct bounds {
    struct {
        int64_t until_ms; /* monotonic, of the process that marks */
        bool full;        /* as told */
        uint64_t refusals;
    } marks[BOUND_COUNT];
};

const char *bound_name(enum bound bound);
/* True when it was not full before. */
bool bound_mark(struct bounds *bounds, enum bound bound, int64_t now_ms);
/* The member, with full as of now. */
void bounds_write(const struct bounds *bounds, int64_t now_ms, struct json_writer *w);
/* A member that is not a mark is ignored. */
void bounds_read(const cJSON *doc, struct bounds *out);

#endif
