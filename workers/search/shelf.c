/* SPDX-License-Identifier: MIT */
/*
 * shelf - a list, since workspaces in memory are few; the most recently used come first.
 */
#include "shelf.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

struct shelf {
    pthread_mutex_t lock; /* of all that follows */
    size_t max_bytes, bytes, loads;
    LIST_HEAD(, shelf_entry) entries; /* owned */
};

enum rc
shelf_new(size_t max_bytes, struct shelf **out, struct err *err)
{
    struct shelf *shelf = calloc(1, sizeof(*shelf));
    if (!shelf)
        return err_set(err, RC_TEMP, "no memory");
    shelf->max_bytes = max_bytes;
    LIST_INIT(&shelf->entries);
    (void)pthread_mutex_init(&shelf->lock, NULL);
    *out = shelf;
    return RC_OK;
}

static void
free_entry(struct shelf_entry *entry)
{
    collection_free(entry->collection);
    (void)pthread_rwlock_destroy(&entry->lock);
    (void)pthread_mutex_destroy(&entry->syncing);
    free(entry);
}

void
shelf_free(struct shelf *shelf)
{
    if (!shelf)
        return;
    struct shelf_entry *entry;
    while ((entry = LIST_FIRST(&shelf->entries)) != NULL) {
        LIST_REMOVE(entry, link);
        free_entry(entry);
    }
    (void)pthread_mutex_destroy(&shelf->lock);
    free(shelf);
}

static struct shelf_entry *
find(struct shelf *shelf, const char *workspace)
{
    struct shelf_entry *entry;
    LIST_FOREACH (entry, &shelf->entries, link) {
        if (strcmp(entry->workspace, workspace) == 0)
            return entry;
    }
    return NULL;
}

static struct shelf_entry *
make(const char *workspace)
{
    struct shelf_entry *entry = calloc(1, sizeof(*entry));
    if (!entry)
        return NULL;
    memcpy(entry->workspace, workspace, strnlen(workspace, WORKSPACE_TEXT_MAX - 1));
    (void)pthread_rwlock_init(&entry->lock, NULL);
    (void)pthread_mutex_init(&entry->syncing, NULL);
    return entry;
}

struct shelf_entry *
shelf_take(struct shelf *shelf, const char *workspace)
{
    (void)pthread_mutex_lock(&shelf->lock);
    struct shelf_entry *entry = find(shelf, workspace);
    if (entry)
        LIST_REMOVE(entry, link);
    else
        entry = make(workspace);
    if (entry) {
        entry->users++;
        entry->used_ms = clock_mono_ms();
        LIST_INSERT_HEAD(&shelf->entries, entry, link);
    }
    (void)pthread_mutex_unlock(&shelf->lock);
    return entry;
}

void
shelf_give(struct shelf *shelf, struct shelf_entry *entry)
{
    (void)pthread_mutex_lock(&shelf->lock);
    entry->users--;
    /* Nothing was loaded, and nothing has to be remembered. */
    if (entry->users == 0 && !entry->ready && entry->large_ms == 0) {
        LIST_REMOVE(entry, link);
        shelf->bytes -= entry->bytes;
        free_entry(entry);
    }
    (void)pthread_mutex_unlock(&shelf->lock);
}

bool
shelf_ready(struct shelf *shelf, const char *workspace)
{
    (void)pthread_mutex_lock(&shelf->lock);
    const struct shelf_entry *entry = find(shelf, workspace);
    bool ready = entry && entry->ready;
    (void)pthread_mutex_unlock(&shelf->lock);
    return ready;
}

bool
shelf_is_large(struct shelf *shelf, const struct shelf_entry *entry)
{
    (void)pthread_mutex_lock(&shelf->lock);
    bool large = entry->large_ms > clock_mono_ms();
    (void)pthread_mutex_unlock(&shelf->lock);
    return large;
}

static bool
is_above_share(const struct shelf *shelf, size_t bytes)
{
    return bytes > shelf->max_bytes / SHELF_SHARES;
}

/* Of those that nobody uses the one that was used longest ago; first of those above their share. One above
 * its share takes nothing from others that were used lately. */
static bool
evict_one(struct shelf *shelf, bool for_large)
{
    struct shelf_entry *entry, *oldest = NULL;
    bool oldest_is_large = false;
    int64_t lately_ms = clock_mono_ms() - SHELF_LARGE_MS;
    LIST_FOREACH (entry, &shelf->entries, link) {
        bool large = is_above_share(shelf, entry->bytes);
        if (entry->users > 0 || entry->bytes == 0 || (oldest_is_large && !large) ||
            (for_large && !large && entry->used_ms > lately_ms))
            continue;
        oldest = entry;
        oldest_is_large = large;
    }
    if (!oldest)
        return false;
    LIST_REMOVE(oldest, link);
    shelf->bytes -= oldest->bytes;
    log_fields(LOG_DEBUG, "a search index leaves the memory", "workspace", oldest->workspace, NULL);
    free_entry(oldest);
    return true;
}

bool
shelf_account(struct shelf *shelf, struct shelf_entry *entry, size_t bytes, bool ready)
{
    (void)pthread_mutex_lock(&shelf->lock);
    shelf->bytes = shelf->bytes - entry->bytes + bytes;
    entry->bytes = bytes;
    entry->ready = ready;
    bool above = is_above_share(shelf, bytes);
    while (shelf->bytes > shelf->max_bytes && evict_one(shelf, above))
        ;
    bool fits = shelf->bytes <= shelf->max_bytes;
    bool large = bytes > shelf->max_bytes || (above && !fits);
    if (large) {
        if (entry->large_ms == 0)
            log_fields(LOG_WARN,
                       "a workspace's search index does not fit into INDEX_MEMORY_BYTES: its "
                       "searches read it from the database each time",
                       "workspace", entry->workspace, NULL);
        entry->large_ms = clock_mono_ms() + SHELF_LARGE_MS;
    } else if (ready) {
        entry->large_ms = 0;
    }
    (void)pthread_mutex_unlock(&shelf->lock);
    return fits;
}

size_t
shelf_slice_bytes(const struct shelf *shelf)
{
    size_t part = shelf->max_bytes / SHELF_SLICES;
    return part < SHELF_SLICE_BYTES ? part : SHELF_SLICE_BYTES;
}

void
shelf_count_load(struct shelf *shelf)
{
    (void)pthread_mutex_lock(&shelf->lock);
    shelf->loads++;
    (void)pthread_mutex_unlock(&shelf->lock);
}

struct shelf_numbers
shelf_numbers(struct shelf *shelf)
{
    struct shelf_numbers numbers = { 0 };
    const struct shelf_entry *entry;
    int64_t now_ms = clock_mono_ms();
    (void)pthread_mutex_lock(&shelf->lock);
    numbers.bytes = shelf->bytes;
    numbers.loads = shelf->loads;
    LIST_FOREACH (entry, &shelf->entries, link) {
        numbers.workspaces += entry->ready;
        if (entry->large_ms <= now_ms)
            continue;
        if (numbers.large++ == 0)
            memcpy(numbers.large_one, entry->workspace, sizeof(numbers.large_one));
    }
    (void)pthread_mutex_unlock(&shelf->lock);
    return numbers;
}
