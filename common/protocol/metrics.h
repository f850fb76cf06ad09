/* SPDX-License-Identifier: MIT */
/*
 * metrics - the numbers that every program counts, declared once, and their two forms.
 *
 * Workers have no listening socket: each publishes a snapshot on
 * gantry.sys.metrics.<program>.<instance> every few seconds, and the gateway shows the last snapshot
 * of each as Prometheus reads it, with the labels program and replica, beside its own.
 *
 * Shape:   snapshot {"program":text,"instance":text,"version":text,"started_ms":n,"values":{"calls":n,…},
 *          "usage":{"cpu_us":n,…},"series":[{"family":n,"labels":[a,b],"sum_us":n,"counts":[n,…],
 *          "exemplars":[[bucket,trace id,us,ms],…]},…]}
 * Errors:  RC_INVALID  a malformed snapshot
 * Source:  contract section 3 (/metrics)
 */
#ifndef GANTRY_PROTOCOL_METRICS_H
#define GANTRY_PROTOCOL_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/rc.h"
#include "base/usage.h"
#include "protocol/bounds.h"
#include "protocol/exposition.h"
#include "protocol/series.h"

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
    X(index_streamed,   "index_streamed_workspaces", GAUGE, "workspaces too large for that: each search reads them from PostgreSQL") \
    X(index_loads,      "index_loads_total",      COUNTER, "times that a workspace was loaded")       \
    X(webhooks_delivered, "webhooks_delivered_total", COUNTER, "deliveries that a webhook's receiver took") \
    X(webhooks_refused, "webhooks_refused_total", COUNTER, "attempts of deliveries that failed")      \
    X(webhooks_pending, "webhooks_pending",       GAUGE,   "deliveries that wait, of all workspaces") \
    X(webhooks_disabled, "webhooks_disabled",     GAUGE,   "webhooks that are disabled, of all workspaces") \
    X(spans_exported,   "spans_exported_total",   COUNTER, "spans that the collector took")           \
    X(spans_dropped,    "spans_dropped_total",    COUNTER, "spans dropped: the queue was full, or the collector did not take them") \
    X(traces_bounded,   "traces_bounded_total",   COUNTER, "traces not sampled although their client wished it: TRACE_CLIENTS_PER_MINUTE") \
    X(uptime_seconds,   "uptime_seconds",         GAUGE,   "since the program was ready")

/* Of every process; the names are those of Prometheus' client libraries. */
#define USAGE_TABLE(X)                                                                            \
    X(cpu_us,           "process_cpu_seconds_total",     SECONDS, "processor time, of users and the kernel")  \
    X(resident_bytes,   "process_resident_memory_bytes", GAUGE,   "memory that is in RAM")            \
    X(virtual_bytes,    "process_virtual_memory_bytes",  GAUGE,   "address space in use")            \
    X(open_fds,         "process_open_fds",              GAUGE,   "open file descriptors")           \
    X(max_fds,          "process_max_fds",               GAUGE,   "the bound of open file descriptors")
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
    char version[METRICS_NAME_MAX];
    int64_t started_ms; /* wall */
    struct metrics values;
    struct usage usage;
    struct series_set series; /* owned by a snapshot that was read; else borrowed */
    struct bounds bounds;
};

void metrics_write(const struct metrics_snapshot *snapshot, struct buf *out);
/* Members that this version does not know are passed over; missing ones are 0. */
enum rc metrics_read(const char *text, size_t len, struct metrics_snapshot *out, struct err *err);
void metrics_fini(struct metrics_snapshot *snapshot); /* of one that was read */

/* Append the exposition of all snapshots. The first is of the gateway that answers, which has no
 * gantry_worker_*. */
void metrics_expose(const struct metrics_snapshot *const *snapshots, size_t count,
                    const struct exposition *e);

#endif
