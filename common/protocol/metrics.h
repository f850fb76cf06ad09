/* SPDX-License-Identifier: MIT */
/*
 * metrics - the numbers that every worker counts, declared once, and their two forms.
 *
 * Workers have no listening socket: each publishes a snapshot on
 * gantry.sys.metrics.<program>.<instance> every few seconds, and the gateway turns the last snapshot
 * of each instance into the Prometheus text format with the labels program and instance.
 *
 * Shape:   snapshot {"program":text,"instance":text,"values":{"calls":n,…}}
 * Errors:  RC_INVALID  a snapshot that is none
 * Source:  contract section 3 (/metrics); Prometheus text format 0.0.4
 */
#ifndef GANTRY_METRICS_H
#define GANTRY_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/rc.h"

#define METRICS_SUBJECT_PREFIX "gantry.sys.metrics."
#define METRICS_NAME_MAX       40 /* bytes of a program's or an instance's name with the NUL */

/* clang-format off */
/*    field              name                   kind     help                                    */
#define METRICS_TABLE(X)                                                                          \
    X(calls,            "calls_total",            COUNTER, "commands answered and settled")           \
    X(calls_failed,     "calls_failed_total",     COUNTER, "of these, answers with a status of 400 or more") \
    X(calls_retried,    "calls_retried_total",    COUNTER, "attempts that failed for now")            \
    X(dead_letters,     "dead_letters_total",     COUNTER, "messages that became dead letters")       \
    X(dead_lost,        "dead_letters_lost_total", COUNTER, "oldest dead letters dropped because a workspace's were full") \
    X(requests,         "requests_total",         COUNTER, "core requests answered")                  \
    X(redeliveries,     "redeliveries_total",     COUNTER, "messages that came again")                \
    X(audit_retries,    "audit_retries_total",    COUNTER, "request events that AUDIT did not take at once") \
    X(acks_lost,        "acks_lost_total",        COUNTER, "acknowledgements that the server did not confirm") \
    X(batches,          "batches_total",          COUNTER, "batches of calls handed to handlers")     \
    X(handler_us,       "handler_seconds_total",  SECONDS, "time spent in handlers")                  \
    X(settle_us,        "settle_seconds_total",   SECONDS, "from a call's arrival to its settlement, summed") \
    X(in_hand,          "calls_in_hand",          GAUGE,   "calls that are not settled yet")          \
    X(held,             "calls_held",             GAUGE,   "of these, calls that wait for their next attempt") \
    X(healthy,          "healthy",                GAUGE,   "1 while every dependency answers")        \
    X(embedding_failing, "embedding_failing",     GAUGE,   "1 while the embedding server does not work") \
    X(index_bytes,      "index_bytes",            GAUGE,   "memory of the search indexes")            \
    X(index_workspaces, "index_workspaces",       GAUGE,   "workspaces with a search index in memory") \
    X(index_streamed,   "index_streamed_workspaces", GAUGE, "workspaces too large for that: each search reads them anew") \
    X(index_loads,      "index_loads_total",      COUNTER, "times that a workspace was loaded")       \
    X(uptime_seconds,   "uptime_seconds",         GAUGE,   "since the program was ready")
/* clang-format on */

#define METRICS_FIELD(field, name, kind, help) uint64_t field;
struct metrics {
    METRICS_TABLE(METRICS_FIELD)
};
#undef METRICS_FIELD

/* Of one command, for $SRV.STATS. */
struct route_stats {
    uint64_t requests, errors, settle_us;
    int last_status;
    const char *last_error; /* static; NULL = none yet */
};

struct metrics_snapshot {
    char program[METRICS_NAME_MAX];
    char instance[METRICS_NAME_MAX];
    struct metrics values;
};

void metrics_write(const struct metrics_snapshot *snapshot, struct buf *out);
/* Members that this version does not know are passed over; missing ones are 0. */
enum rc metrics_read(const char *text, size_t len, struct metrics_snapshot *out, struct err *err);

/* Append the exposition of all snapshots: gantry_worker_<name>{program="…",instance="…"} n */
void metrics_expose(const struct metrics_snapshot *snapshots, size_t count, struct buf *out);

#endif
