/* SPDX-License-Identifier: MIT */
/*
 * cellcache - the cells of the workspaces that are being written to.
 *
 * An entry is asked again for news after CELLCACHE_FRESH_MS. A stale one does no harm: a row that is
 * put into a retired cell is found and moved like the others, and into a cell that is gone it is
 * not put (statement "ingest").
 *
 * Errors: those of the database
 */
#ifndef CELLCACHE_H
#define CELLCACHE_H

#include <stddef.h>
#include <stdint.h>

#include "base/id.h"
#include "db/db.h"

#define CELLCACHE_FRESH_MS 5000
#define CELLCACHE_ENTRIES  64

struct cell_set {
    char workspace[WORKSPACE_TEXT_MAX];
    int64_t checked_ms; /* monotonic; 0 = never */
    int64_t used_ms;
    int64_t newest;   /* 0 = no cells */
    int64_t inserted; /* rows since the sizes were last looked at */
    bool sized;       /* the sizes were looked at once */
    size_t n, dim;
    int32_t *numbers; /* owned */
    float *centroids; /* owned: n * dim */
};

struct cellcache;
struct cellcache *cellcache_new(void);
void cellcache_free(struct cellcache *cache);

/* The entry, fresh; borrowed until the next call. */
enum rc cellcache_get(struct cellcache *cache, struct db *db, const char *workspace, int64_t model,
                      size_t dim, struct cell_set **out, struct err *err);
/* Look again at the next call: the cells of this workspace were changed. */
void cellcache_forget(struct cellcache *cache, const char *workspace);

/* 0 when the set has no cells. */
int32_t cell_of(const struct cell_set *set, const float *vector);

#endif
