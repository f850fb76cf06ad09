/* SPDX-License-Identifier: MIT */
#include "admin.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/version.h"
#include "effects/lists.h"
#include "fleet.h"
#include "gateway.h"
#include "health.h"
#include "http/http.h"
#include "keys/keys.h"
#include "metrics/streams.h"
#include "policy/hold.h"
#include "requests/answer.h"
#include "requests/served.h"

#define STATUS_MAX (64u << 10)
#define GAUGES_MAX 16

struct gauge {
    const char *name;
    const char *help;
    int64_t value;
};

static unsigned
read_gauges(const struct gateway *gw, struct gauge gauges[GAUGES_MAX])
{
    const struct http_counts *http = http_counts(gw->http);
    const struct gauge all[] = {
        { "connections", "open HTTP connections", http_connections(gw->http) },
        { "requests_in_flight", "requests that are not finished", gw->in_flight },
        { "buffered_bytes", "bytes of request bodies in memory", (int64_t)gw->buffered_bytes },
        { "keys", "valid API keys known", (int64_t)keys_count(gw->keys) },
        { "nats_up", "NATS is connected", bus_connected(gw->bus) },
        { "redis_up", "Redis is connected and takes writes", health_redis(gw) },
        { "postgresql_up", "PostgreSQL answers", keys_reachable(gw->keys) },
        { "uptime_seconds", "since the start", (clock_wall_ms() - gw->started_ms) / 1000 },
        { "http_refused_total", "requests that are not HTTP", (int64_t)http->faults },
        { "connections_crowded_total", "connections refused because their address has too many",
          (int64_t)http->crowded },
        { "connections_evicted_total", "idle connections closed to make room",
          (int64_t)http->evicted },
        { "connections_slow_total",
          "connections closed because a head, a body or a reader was too slow",
          (int64_t)http->slow },
        { "listed_memory", "commands of MEMORY in lists of this gateway, without one for each list",
          (int64_t)lists_beyond_messages(gw->lists, STREAM_MEMORY) },
        { "listed_audit", "commands of AUDIT in lists of this gateway, without one for each list",
          (int64_t)lists_beyond_messages(gw->lists, STREAM_AUDIT) },
        { "connections_max", "the bound of connections", gw->max_connections },
    };
    memcpy(gauges, all, sizeof(all));
    return sizeof(all) / sizeof(all[0]);
}

/* By Prometheus' conventions. */
static bool
counts(const char *name)
{
    static const char TAIL[] = "_total";
    size_t len = strlen(name);

    return len >= sizeof(TAIL) && strcmp(name + len + 1 - sizeof(TAIL), TAIL) == 0;
}

static void
expose(const struct exposition *e, const char *name, const char *help, uint64_t value)
{
    char full[96];
    (void)snprintf(full, sizeof(full), "gantry_gateway_%s", name);
    exposition_family(e, full, counts(name) ? METRIC_COUNTER : METRIC_GAUGE, help);
    exposition_value(e, full, "", value);
}

static void
expose_self(const struct gateway *gw, const struct exposition *e)
{
    struct gauge gauges[GAUGES_MAX];
    unsigned n = read_gauges(gw, gauges);
#define EXPOSE(name, help) expose(e, #name, help, gw->count.name);
    COUNTER_TABLE(EXPOSE)
#undef EXPOSE
    for (unsigned i = 0; i < n; i++)
        expose(e, gauges[i].name, gauges[i].help,
               gauges[i].value > 0 ? (uint64_t)gauges[i].value : 0);
    full_expose(gw, e);
}

static void
expose_spans(const struct gateway *gw, const struct exposition *e)
{
    const struct tracer_counts *spans = tracer_counts(gw->tracer);
    expose(e, "spans_exported_total", "spans that the collector took", spans->exported);
    expose(e, "spans_dropped_total",
           "spans dropped: the queue was full, or the collector did not take them", spans->dropped);
    expose(e, "traces_bounded_total",
           "traces not sampled although their client wished it: TRACE_CLIENTS_PER_MINUTE",
           spans->bounded);
}

static enum step
metrics(struct request *r)
{
    struct gateway *gw = r->gw;
    AUTO(buf) struct buf out = { 0 };
    const struct exposition e = { &out, exposition_wants_openmetrics(
                                            http_header(r->exchange, "Accept", NULL)) };
    struct metrics_snapshot self = { .program = "gateway",
                                     .version = GANTRY_VERSION,
                                     .started_ms = gw->started_ms,
                                     .series = gw->series };
    memcpy(self.instance, gw->instance, sizeof(self.instance));
    usage_read(&self.usage);
    buf_init(&out, ANSWER_MAX);
    expose_spans(gw, &e);
    served_expose(gw->served, &e);
    streams_expose(gw->streams, fleet_in_hand(gw->fleet, "executor"), &e);
    expose_self(gw, &e);
    waiting_expose(gw->waiting, &e);
    fleet_expose(gw->fleet, &self, &e);
    exposition_end(&e);
    answer_header(r, "Vary", "Accept");
    if (buf_failed(&out))
        return answer_problem(r, PROBLEM_INTERNAL, "the metrics are larger than an answer may be");
    return answer_raw(r, 200, e.openmetrics ? EXPOSITION_OPENMETRICS : EXPOSITION_TEXT,
                      buf_text(&out), out.len);
}

static enum step
status(struct request *r)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    struct gauge gauges[GAUGES_MAX];
    unsigned n = read_gauges(r->gw, gauges);
    buf_init(&out, STATUS_MAX);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_string(&w, "program", "gantry-gateway");
    json_put_time(&w, "started_at", r->gw->started_ms);
    json_put_bool(&w, "draining", r->gw->draining);
    for (unsigned i = 0; i < n; i++)
        json_put_int(&w, gauges[i].name, gauges[i].value);
#define PUT(name, help) json_put_int(&w, #name, (int64_t)r->gw->count.name);
    ANSWER_TABLE(PUT)
    COUNTER_TABLE(PUT)
#undef PUT
    json_close(&w);
    if (json_end(&w) != RC_OK)
        return answer_problem(r, PROBLEM_INTERNAL, "the answer is malformed");
    return answer_object(r, 200, buf_text(&out), out.len);
}

static bool
is(const char *path, size_t len, const char *want)
{
    return len == strlen(want) && memcmp(path, want, len) == 0;
}

enum step
admin_answer(struct request *r, const char *path, size_t len)
{
    bool known = is(path, len, "/metrics") || is(path, len, "/debug/status");
    if (!known)
        return answer_problem(r, PROBLEM_NOT_FOUND, "there is nothing at this path");
    if (r->method != METHOD_GET) {
        answer_header(r, "Allow", "GET, HEAD");
        return answer_problem(r, PROBLEM_METHOD_NOT_ALLOWED, "this path has GET, HEAD");
    }
    return is(path, len, "/metrics") ? metrics(r) : status(r);
}
