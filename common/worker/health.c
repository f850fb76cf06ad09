/* SPDX-License-Identifier: MIT */
/*
 * health - does every dependency answer? While one does not, nothing is fetched.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "worker_own.h"

#define HEALTH_EVERY_MS 500

static enum server
find_unavailable(struct worker *w, struct err *err)
{
    if (!bus_connected(w->bus)) {
        (void)err_set_of(err, SERVER_NATS, RC_TEMP, "NATS");
        return SERVER_NATS;
    }
    if (w->db && db_ready(w->db, err) != RC_OK)
        return SERVER_POSTGRESQL;
    if (!w->kv || w->spec->kv_optional || kv_connected(w->kv))
        return SERVER_NONE;
    *err = *kv_down(w->kv);
    return SERVER_REDIS;
}

bool
worker_check_health(struct worker *w)
{
    struct err err = { 0 };
    int64_t now_ms = clock_mono_ms();
    /* A look at a healthy connection costs one poll(2); an attempt to connect can block. */
    if (!w->healthy && now_ms - w->healthy_checked_ms < HEALTH_EVERY_MS)
        return false;
    if (w->in_handler) /* its connections are in use */
        return w->healthy;
    w->healthy_checked_ms = now_ms;
    w->unavailable = find_unavailable(w, &err);
    bool healthy = w->unavailable == SERVER_NONE;
    if (healthy != w->healthy)
        log_fields(healthy ? LOG_INFO : LOG_WARN,
                   healthy ? "every dependency answers again: working"
                           : "a dependency is down: nothing is fetched until it answers",
                   "reason", healthy ? "" : err.text, NULL);
    w->healthy = healthy;
    return healthy;
}

bool
worker_only_kv_unavailable(const struct worker *w)
{
    return w->unavailable == SERVER_REDIS;
}

void
delivery_refuse_unavailable(struct delivery *delivery)
{
    enum server away = delivery->w->unavailable;
    enum server failed =
        delivery->call.result.err.server; /* it answers in general, but not this time */
    char detail[128];
    if (away != SERVER_NONE)
        (void)snprintf(detail, sizeof(detail), "%s is unavailable.", server_name(away));
    else if (failed == SERVER_EMBEDDING) /* the one server that is not ours */
        (void)snprintf(detail, sizeof(detail), "%s does not work: ask by words (mode text).",
                       server_name(failed));
    else
        (void)snprintf(detail, sizeof(detail), "%s failed: try again.",
                       failed != SERVER_NONE ? server_name(failed) : "A part of the service");
    call_problem(&delivery->call, PROBLEM_UNAVAILABLE, NULL, detail);
}
