/* SPDX-License-Identifier: MIT */
/*
 * core - the core requests that wait for a handler: each workspace has a queue, and they take turns.
 *
 * A handler's batch takes one request of each workspace that waits, round after round. While it runs
 * nobody else's turn can come, so batches of a command whose requests take long become small: one that
 * took more than LONG_US halves the next.
 */
#include <stdlib.h>
#include <string.h>

#include "base/fnv.h"
#include "worker_own.h"

#define LONG_US  10000
#define SHORT_US 3000

void
core_init(struct core *core)
{
    *core = (struct core){ 0 };
    TAILQ_INIT(&core->ring);
    for (unsigned i = 0; i < CORE_BUCKETS; i++)
        SLIST_INIT(&core->buckets[i]);
    for (unsigned i = 0; i < CMD_COUNT; i++)
        core->batch[i] = 1;
}

static uint32_t
place_of(const char *workspace)
{
    return fnv32_text(workspace) % CORE_BUCKETS;
}

static struct core_row *
find(const struct core *core, const char *workspace)
{
    struct core_row *row;
    SLIST_FOREACH(row, &core->buckets[place_of(workspace)], link)
    if (strcmp(row->workspace, workspace) == 0)
        return row;
    return NULL;
}

size_t
core_waiting(const struct core *core, const char *workspace)
{
    const struct core_row *row = find(core, workspace);
    return row ? row->waiting.count : 0;
}

void
core_push(struct core *core, struct delivery *delivery)
{
    const char *workspace = delivery->call.actor.workspace;
    struct core_row *row = find(core, workspace);
    if (!row) {
        row = calloc(1, sizeof(*row));
        if (!row)
            log_no_memory("a workspace's requests");
        memcpy(row->workspace, workspace, sizeof(row->workspace));
        queue_init(&row->waiting);
        SLIST_INSERT_HEAD(&core->buckets[place_of(workspace)], row, link);
        TAILQ_INSERT_TAIL(&core->ring, row, ring);
    }
    queue_push(&row->waiting, delivery);
    core->count++;
}

struct delivery *
core_first(const struct core *core)
{
    const struct core_row *row = TAILQ_FIRST(&core->ring);
    return row ? TAILQ_FIRST(&row->waiting.list) : NULL;
}

/* Its workspace goes behind all others. */
static void
take(struct core *core, struct core_row *row, struct delivery *delivery)
{
    queue_remove(&row->waiting, delivery);
    core->count--;
    TAILQ_REMOVE(&core->ring, row, ring);
    if (row->waiting.count) {
        TAILQ_INSERT_TAIL(&core->ring, row, ring);
        return;
    }
    SLIST_REMOVE(&core->buckets[place_of(row->workspace)], row, core_row, link);
    free(row);
}

size_t
core_take(struct core *core, struct call **batch, size_t max)
{
    size_t count = 0, before;
    const struct delivery *first = core_first(core);
    if (first && max > core->batch[first->call.command])
        max = core->batch[first->call.command];
    do {
        struct core_row *row, *next, *last = TAILQ_LAST(&core->ring, core_ring);
        before = count;
        for (row = TAILQ_FIRST(&core->ring); row && count < max; row = next) {
            struct delivery *delivery = TAILQ_FIRST(&row->waiting.list);
            next = row == last ? NULL : TAILQ_NEXT(row, ring);
            /* NOLINTNEXTLINE: a row is in the ring only while one of its requests waits */
            if (count && delivery->call.command != batch[0]->command)
                continue;
            take(core, row, delivery);
            batch[count++] = &delivery->call;
        }
    } while (count > before && count < max);
    return count;
}

void
core_took(struct core *core, enum command command, size_t count, int64_t us)
{
    size_t *batch = &core->batch[command];
    if (us > LONG_US)
        *batch = count > 1 ? count / 2 : 1;
    else if (us < SHORT_US && count == *batch && *batch < CORE_BATCH_MAX)
        *batch *= 2;
}
