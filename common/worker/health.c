/* SPDX-License-Identifier: MIT */
/*
 * health - does every dependency answer? While one does not, nothing is fetched.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "worker_own.h"

#define HEALTH_EVERY_MS 500

static const char REDIS[] = "Redis";

static const char *
find_unavailable(struct worker *w, struct err *err)
{
    if (!bus_connected(w->bus)) {
        (void)err_set(err, RC_TEMP, "NATS");
        return "NATS";
    }
    if (w->db && db_ready(w->db, err) != RC_OK)
        return "PostgreSQL";
    if (!w->kv || w->spec->kv_optional || kv_connected(w->kv))
        return NULL;
    *err = *kv_down(w->kv);
    return REDIS;
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
    bool healthy = !w->unavailable;
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
    return w->unavailable == REDIS;
}

/* The server of ours that an error tells of: it answers in general, but not this time. */
static const char *
server_of(const struct err *err)
{
    if (strstr(err->text, "SQLSTATE") || strstr(err->text, "the database"))
        return "PostgreSQL";
    return strstr(err->text, REDIS) ? REDIS : strstr(err->text, "NATS") ? "NATS" : NULL;
}

void
delivery_refuse_unavailable(struct delivery *delivery)
{
    static const char EMBEDDING[] = "the embedding server"; /* the one server that is not ours */
    const struct err *err = &delivery->call.result.err;
    const char *server = server_of(err);
    char detail[128];
    (void)snprintf(detail, sizeof(detail), "%s failed: try again.",
                   server ? server : "A part of the service");
    if (delivery->w->unavailable)
        (void)snprintf(detail, sizeof(detail), "%s is unavailable.", delivery->w->unavailable);
    else if (strncmp(err->text, EMBEDDING, sizeof(EMBEDDING) - 1) == 0)
        (void)snprintf(detail, sizeof(detail), "%s does not work: ask by words (mode text).",
                       EMBEDDING);
    call_problem(&delivery->call, PROBLEM_UNAVAILABLE, NULL, detail);
}
