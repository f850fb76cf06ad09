/* SPDX-License-Identifier: MIT */
#include <bsd/string.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/version.h"
#include "worker_own.h"

/*
 * What a worker tells about itself: NATS ADR-32 ($SRV.PING|INFO|STATS, each for all, by name and by
 * instance) as plain subscriptions, and a snapshot of its metrics every few seconds.
 */
#define ANSWER_MAX   (64u << 10)
#define SNAPSHOT_MAX (1u << 20)

enum verb { PING, INFO, STATS };
static const char *const VERBS[] = { "PING", "INFO", "STATS" };
static const char *const TYPES[] = { "io.nats.micro.v1.ping_response",
                                     "io.nats.micro.v1.info_response",
                                     "io.nats.micro.v1.stats_response" };

/* The part after "$SRV." as the subject has it. */
static enum verb
verb_of(const char *subject)
{
    const char *word = subject + sizeof("$SRV.") - 1;
    for (enum verb verb = INFO; verb <= STATS; verb++)
        if (strncmp(word, VERBS[verb], strlen(VERBS[verb])) == 0)
            return verb;
    return PING;
}

void
service_count(const struct delivery *delivery, uint64_t settle_us)
{
    const struct result *result = &delivery->call.result;
    struct route_stats *stats = &delivery->w->stats[delivery->call.command];
    if (!delivery->route)
        return;
    stats->requests++;
    stats->settle_us += settle_us;
    if (!delivery->reason && result->status < 400)
        return;
    stats->errors++;
    stats->last_status = result->status;
    stats->last_error = delivery->reason               ? "dead_letter"
                        : result->code < PROBLEM_COUNT ? problem_name(result->code)
                                                       : "internal";
}

static void
put_stats(struct json_writer *json, const struct route_stats *stats)
{
    char last_error[64] = "";
    if (stats->last_error)
        snprintf(last_error, sizeof(last_error), "%d:%s", stats->last_status, stats->last_error);
    json_put_int(json, "num_requests", (int64_t)stats->requests);
    json_put_int(json, "num_errors", (int64_t)stats->errors);
    json_put_string(json, "last_error", last_error);
    json_put_int(json, "processing_time", (int64_t)stats->settle_us * 1000);
    json_put_int(json, "average_processing_time",
                 stats->requests ? (int64_t)(stats->settle_us * 1000 / stats->requests) : 0);
}

static void
put_endpoints(struct json_writer *json, const struct worker *w, enum verb verb)
{
    char subject[SUBJECT_MAX];
    json_array(json, "endpoints");
    for (size_t i = 0; i < w->spec->n_routes; i++) {
        const struct command_info *info = command_info(w->spec->routes[i].command);
        command_subject(subject, "*", info->command);
        if (info->command == CMD_AUDIT_REQUEST) /* its last token is the program's name */
            (void)strlcat(subject, ".*", sizeof(subject));
        json_object(json, NULL);
        json_put_string(json, "name", info->schema);
        json_put_string(json, "subject", subject);
        json_put_string(json, "queue_group", w->spec->name);
        if (verb == STATS)
            put_stats(json, &w->stats[info->command]);
        json_close(json);
    }
    json_close(json);
    if (verb == STATS)
        json_put_time(json, "started", w->ready_ms);
}

/* Metadata are names with texts: one for each bound that is full, of the workspace that reached it. */
static void
put_metadata(struct json_writer *json, const struct worker *w)
{
    char name[64];
    json_object(json, "metadata");
    json_put_string(json, "region", worker_region(w));
    for (enum bound bound = 0; bound < BOUND_COUNT; bound++) {
        if (w->bounds.marks[bound].until_ms <= clock_mono_ms() || !w->full_whose[bound][0])
            continue;
        snprintf(name, sizeof(name), SERVICE_FULL "%s", bound_name(bound));
        json_put_string(json, name, w->full_whose[bound]);
    }
    json_close(json);
}

static void
on_question(void *arg, const struct bus_msg *msg)
{
    struct worker *w = arg;
    enum verb verb = verb_of(msg->subject);
    AUTO(buf) struct buf text = { 0 };
    struct json_writer json;
    char name[METRICS_NAME_MAX + 8];
    if (!msg->reply)
        return;
    snprintf(name, sizeof(name), "gantry-%s", w->spec->name);
    buf_init(&text, ANSWER_MAX);
    json_begin(&json, &text);
    json_object(&json, NULL);
    json_put_string(&json, "name", name);
    json_put_string(&json, "id", w->instance);
    json_put_string(&json, "version", GANTRY_VERSION);
    json_put_string(&json, "type", TYPES[verb]);
    put_metadata(&json, w);
    if (verb == INFO)
        json_put_string(&json, "description", w->spec->description ? w->spec->description : "");
    if (verb != PING)
        put_endpoints(&json, w, verb);
    json_close(&json);
    if (json_end(&json) != RC_OK)
        return;
    struct bus_out out = { .subject = msg->reply, .data = text.data, .len = text.len };
    (void)bus_publish(w->bus, &out, NULL);
}

enum rc
service_listen(struct worker *w, struct err *err)
{
    char subject[SUBJECT_MAX];
    enum rc rc = RC_OK;
    for (enum verb verb = PING; verb <= STATS && rc == RC_OK; verb++) {
        snprintf(subject, sizeof(subject), "$SRV.%s", VERBS[verb]);
        rc = bus_subscribe(w->bus, subject, NULL, on_question, w, NULL, err);
        snprintf(subject, sizeof(subject), "$SRV.%s.gantry-%s", VERBS[verb], w->spec->name);
        if (rc == RC_OK)
            rc = bus_subscribe(w->bus, subject, NULL, on_question, w, NULL, err);
        snprintf(subject, sizeof(subject), "$SRV.%s.gantry-%s.%s", VERBS[verb], w->spec->name,
                 w->instance);
        if (rc == RC_OK)
            rc = bus_subscribe(w->bus, subject, NULL, on_question, w, NULL, err);
    }
    return rc;
}

void
service_publish(struct worker *w)
{
    struct metrics_snapshot snapshot = { .version = GANTRY_VERSION,
                                         .started_ms = w->ready_ms,
                                         .values = w->metrics,
                                         .bounds = w->bounds,
                                         .series = w->series };
    char subject[SUBJECT_MAX];
    AUTO(buf) struct buf text = { 0 };
    snapshot.values.in_hand = w->in_hand;
    snapshot.values.held = w->held;
    snapshot.values.healthy = w->healthy;
    const struct tracer_counts *spans = tracer_counts(w->tracer);
    snapshot.values.spans_exported = spans->exported;
    snapshot.values.spans_dropped = spans->dropped;
    snapshot.values.traces_bounded = spans->bounded;
    snapshot.values.embedding_failing = w->spec->failing && w->spec->failing(w);
    snapshot.values.uptime_seconds = (uint64_t)(clock_wall_ms() - w->ready_ms) / 1000;
    (void)strlcpy(snapshot.program, w->spec->name, sizeof(snapshot.program));
    (void)strlcpy(snapshot.instance, w->instance, sizeof(snapshot.instance));
    snprintf(subject, sizeof(subject), METRICS_SUBJECT_PREFIX "%s.%s", w->spec->name, w->instance);
    usage_read(&snapshot.usage);
    buf_init(&text, SNAPSHOT_MAX);
    metrics_write(&snapshot, &text);
    if (buf_failed(&text))
        return;
    struct bus_out out = { .subject = subject, .data = text.data, .len = text.len };
    (void)bus_publish(w->bus, &out, NULL);
}
