/* SPDX-License-Identifier: MIT */
#include "fleet.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define SILENT_MS 30000
#define ABSENT_MS 15000

struct fleet {
    struct bus_sub *sub;
    int64_t since_ms; /* monotonic: listening since */
    size_t count;
    struct metrics_snapshot snapshots[FLEET_MAX];
    int64_t seen_ms[FLEET_MAX]; /* monotonic */
};

static void
drop_silent(struct fleet *fleet)
{
    int64_t since_ms = clock_mono_ms() - SILENT_MS;
    for (size_t i = 0; i < fleet->count;) {
        if (fleet->seen_ms[i] >= since_ms) {
            i++;
            continue;
        }
        fleet->count--;
        metrics_fini(&fleet->snapshots[i]);
        fleet->snapshots[i] = fleet->snapshots[fleet->count];
        fleet->seen_ms[i] = fleet->seen_ms[fleet->count];
    }
}

static void
on_snapshot(void *arg, const struct bus_msg *msg)
{
    struct fleet *fleet = arg;
    struct metrics_snapshot snapshot;
    size_t i = 0;
    if (metrics_read(msg->data, msg->len, &snapshot, NULL) != RC_OK)
        return;
    while (i < fleet->count && (strcmp(fleet->snapshots[i].instance, snapshot.instance) != 0 ||
                                strcmp(fleet->snapshots[i].program, snapshot.program) != 0))
        i++;
    if (i == FLEET_MAX)
        drop_silent(fleet);
    if (i == FLEET_MAX && fleet->count == FLEET_MAX) {
        metrics_fini(&snapshot);
        return;
    }
    if (i >= fleet->count)
        i = fleet->count++;
    else
        metrics_fini(&fleet->snapshots[i]);
    fleet->snapshots[i] = snapshot;
    fleet->seen_ms[i] = clock_mono_ms();
}

enum rc
fleet_new(struct bus *bus, struct fleet **out, struct err *err)
{
    struct fleet *fleet = calloc(1, sizeof(*fleet));
    if (!fleet)
        return err_set(err, RC_TEMP, "no memory");
    fleet->since_ms = clock_mono_ms();
    enum rc rc =
        bus_subscribe(bus, METRICS_SUBJECT_PREFIX ">", NULL, on_snapshot, fleet, &fleet->sub, err);
    if (rc != RC_OK) {
        free(fleet);
        return rc;
    }
    *out = fleet;
    return RC_OK;
}

void
fleet_free(struct fleet *fleet)
{
    if (!fleet)
        return;
    bus_unsubscribe(fleet->sub);
    for (size_t i = 0; i < fleet->count; i++)
        metrics_fini(&fleet->snapshots[i]);
    free(fleet);
}

bool
fleet_has(const struct fleet *fleet, const char *program)
{
    int64_t since_ms = clock_mono_ms() - ABSENT_MS;

    for (size_t i = 0; i < fleet->count; i++)
        if (fleet->seen_ms[i] >= since_ms && strcmp(fleet->snapshots[i].program, program) == 0)
            return true;
    return clock_mono_ms() - fleet->since_ms < ABSENT_MS; /* nobody had the time to tell */
}

bool
fleet_embedding_fails(const struct fleet *fleet)
{
    int64_t since_ms = clock_mono_ms() - ABSENT_MS;

    for (size_t i = 0; i < fleet->count; i++)
        if (fleet->seen_ms[i] >= since_ms && fleet->snapshots[i].values.embedding_failing)
            return true;
    return false;
}

bool
fleet_is_full(const struct fleet *fleet, enum bound bound)
{
    int64_t since_ms = clock_mono_ms() - ABSENT_MS;

    for (size_t i = 0; i < fleet->count; i++)
        if (fleet->seen_ms[i] >= since_ms && fleet->snapshots[i].bounds.marks[bound].full)
            return true;
    return false;
}

/* Only bounds that ever refused something: a series for each worker and bound would be many. */
static void
expose_bounds(const struct fleet *fleet, const struct exposition *e, const char *name, bool full)
{
    AUTO(buf) struct buf labels = { 0 };
    buf_init(&labels, 256);
    exposition_family(e, name, full ? METRIC_GAUGE : METRIC_COUNTER,
                      full ? "whether the bound refused something within 10 s"
                           : "what the bound refused");
    for (size_t i = 0; i < fleet->count; i++)
        for (enum bound bound = 0; bound < BOUND_COUNT; bound++) {
            const struct metrics_snapshot *one = &fleet->snapshots[i];
            if (!one->bounds.marks[bound].refusals)
                continue;
            buf_reset(&labels);
            exposition_label(&labels, "program", one->program);
            exposition_label(&labels, "instance", one->instance);
            exposition_label(&labels, "bound", bound_name(bound));
            exposition_value(e, name, buf_text(&labels),
                             full ? one->bounds.marks[bound].full
                                  : one->bounds.marks[bound].refusals);
        }
}

uint64_t
fleet_in_hand(const struct fleet *fleet, const char *program)
{
    uint64_t count = 0;

    for (size_t i = 0; i < fleet->count; i++)
        if (strcmp(fleet->snapshots[i].program, program) == 0)
            count += fleet->snapshots[i].values.in_hand;
    return count;
}

void
fleet_expose(struct fleet *fleet, const struct metrics_snapshot *self, const struct exposition *e)
{
    const struct metrics_snapshot *all[1 + FLEET_MAX] = { self };

    drop_silent(fleet);
    for (size_t i = 0; i < fleet->count; i++)
        all[1 + i] = &fleet->snapshots[i];
    metrics_expose(all, 1 + fleet->count, e);
    expose_bounds(fleet, e, "gantry_worker_full", true);
    expose_bounds(fleet, e, "gantry_worker_full_refusals_total", false);
}

/* The first snapshot of its program writes the row of all of them. */
static void
put_program(const struct fleet *fleet, size_t first, struct json_writer *w)
{
    const char *program = fleet->snapshots[first].program;
    int64_t running = 0;
    int64_t healthy = 0;
    for (size_t i = 0; i < fleet->count; i++) {
        if (strcmp(fleet->snapshots[i].program, program) != 0)
            continue;
        if (i < first)
            return;
        running++;
        healthy += fleet->snapshots[i].values.healthy != 0;
    }
    json_object(w, NULL);
    json_put_string(w, "program", program);
    json_put_int(w, "running", running);
    json_put_int(w, "healthy", healthy);
    json_close(w);
}

void
fleet_put(struct fleet *fleet, struct json_writer *w)
{
    drop_silent(fleet);
    json_array(w, "workers");
    for (size_t i = 0; i < fleet->count; i++)
        put_program(fleet, i, w);
    json_close(w);
}
