/* SPDX-License-Identifier: MIT */
/*
 * shelf - the indexes of the workspaces in memory, within INDEX_MEMORY_BYTES.
 *
 * An index nobody uses goes when the memory is wanted for another: those above a workspace's share
 * first, of these the one unused for longest. One above its share takes no memory from others that were
 * used within SHELF_LARGE_MS. What finds no room so is `large`: read anew for every search, in slices.
 *
 * Errors:  RC_TEMP  no memory
 * Threads: any. An entry that was taken stays. Its collection is read under a read lock and changed
 *          under a write lock; version, stamp, model and steady belong to whoever has `syncing`
 */
#ifndef GANTRY_SEARCH_SHELF_H
#define GANTRY_SEARCH_SHELF_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/id.h"
#include "index/collection.h"

#define SHELF_STAMP_LEN        16
#define SHELF_VERSION_TEXT_MAX (20 + 1 + 2 * SHELF_STAMP_LEN + 1) /* version:stamp */
#define SHELF_SLICES           4 /* a slice of a large workspace takes this part of the memory */
#define SHELF_SHARES           4 /* a workspace's share is such a part of the memory */
#define SHELF_LARGE_MS         600000               /* then a large workspace is tried again */
#define SHELF_SLICE_BYTES      (256u * 1024 * 1024) /* the largest slice */

struct shelf_entry {
    LIST_ENTRY(shelf_entry) link;
    char workspace[WORKSPACE_TEXT_MAX];
    size_t users;     /* the shelf's lock */
    int64_t used_ms;  /* the shelf's lock; monotonic */
    size_t bytes;     /* the shelf's lock: accounted for */
    bool ready;       /* the shelf's lock: there is a collection to search in */
    int64_t large_ms; /* the shelf's lock; monotonic: taken for large until then */
    pthread_rwlock_t lock;
    struct collection *collection; /* owned; NULL: not loaded */
    pthread_mutex_t syncing;
    int64_t version;
    uint8_t stamp[SHELF_STAMP_LEN];
    int64_t model;
    bool steady; /* nothing had changed when it was last asked */
};

struct shelf;

enum rc shelf_new(size_t max_bytes, struct shelf **out, struct err *err);
void shelf_free(struct shelf *shelf); /* nothing is taken any more; NULL allowed */

struct shelf_entry *shelf_take(struct shelf *shelf, const char *workspace); /* NULL: no memory */
void shelf_give(struct shelf *shelf, struct shelf_entry *entry);

/* Is a search in this workspace only a search? False: it has to be read first. */
bool shelf_ready(struct shelf *shelf, const char *workspace);
bool shelf_is_large(struct shelf *shelf, const struct shelf_entry *entry);

/* The entry takes so many bytes now; others go if need be. False: there is no room for so much, and
 * if it is above its share, the entry is large from now on. */
bool shelf_account(struct shelf *shelf, struct shelf_entry *entry, size_t bytes, bool ready);
size_t shelf_slice_bytes(const struct shelf *shelf);

struct shelf_numbers {
    size_t bytes, workspaces, large, loads;
    char
        large_one[WORKSPACE_TEXT_MAX]; /* of the large ones the one used last; "" = there is none */
};
struct shelf_numbers shelf_numbers(struct shelf *shelf);
void shelf_count_load(struct shelf *shelf);

#endif
