/* SPDX-License-Identifier: MIT */
/*
 * cellcache - a small fixed table, the least recently used entry makes room.
 */
#include "cellcache.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cells.h"
#include "embed/embed.h"
#include "sql_ingest.h"

struct cellcache {
    struct cell_set sets[CELLCACHE_ENTRIES];
};

struct cellcache *
cellcache_new(void)
{
    return calloc(1, sizeof(struct cellcache));
}

static void
clear(struct cell_set *set)
{
    free(set->numbers);
    free(set->centroids);
    *set = (struct cell_set){ 0 };
}

void
cellcache_free(struct cellcache *cache)
{
    for (size_t i = 0; cache && i < CELLCACHE_ENTRIES; i++)
        clear(&cache->sets[i]);
    free(cache);
}

static struct cell_set *
entry(struct cellcache *cache, const char *workspace)
{
    struct cell_set *oldest = &cache->sets[0];
    for (size_t i = 0; i < CELLCACHE_ENTRIES; i++) {
        struct cell_set *set = &cache->sets[i];
        if (strcmp(set->workspace, workspace) == 0)
            return set;
        if (set->used_ms < oldest->used_ms)
            oldest = set;
    }
    clear(oldest);
    (void)snprintf(oldest->workspace, sizeof(oldest->workspace), "%s", workspace);
    return oldest;
}

static enum rc
query(struct db *db, unsigned statement, const char *workspace, int64_t model, PGresult **out,
      struct err *err)
{
    struct db_params p = { 0 };
    db_param_text(&p, workspace);
    db_param_int(&p, model);
    return db_query(db, workspace, statement, &p, out, err);
}

static enum rc
load(struct cell_set *set, struct db *db, int64_t model, size_t dim, struct err *err)
{
    AUTO(pgresult) PGresult *result = NULL;
    enum rc rc = query(db, SQL_INGEST_CELL_LOAD, set->workspace, model, &result, err);
    if (rc != RC_OK)
        return rc;
    size_t n = (size_t)PQntuples(result);
    AUTO(free) int32_t *numbers = calloc(n + 1, sizeof(*numbers));
    AUTO(free) float *centroids = calloc(n * dim + 1, sizeof(*centroids));
    if (!numbers || !centroids)
        return err_set(err, RC_TEMP, "no memory for cells");
    for (size_t i = 0; i < n; i++) {
        AUTO(free) uint8_t *bytes = NULL;
        size_t len;
        rc = db_bytes(result, (int)i, 1, &bytes, &len, err);
        if (rc != RC_OK)
            return rc;
        if (embed_from_half(bytes, len, centroids + i * dim, dim) != dim)
            return err_set(err, RC_BUG, "a centroid is not of dimension %zu", dim);
        numbers[i] = (int32_t)db_int(result, (int)i, 0, 0);
    }
    free(set->numbers);
    free(set->centroids);
    set->numbers = TAKE(numbers);
    set->centroids = TAKE(centroids);
    set->n = n;
    set->dim = dim;
    return RC_OK;
}

enum rc
cellcache_get(struct cellcache *cache, struct db *db, const char *workspace, int64_t model,
              size_t dim, struct cell_set **out, struct err *err)
{
    struct cell_set *set = entry(cache, workspace);
    int64_t now = clock_mono_ms();
    if (set->checked_ms == 0 || now - set->checked_ms > CELLCACHE_FRESH_MS) {
        AUTO(pgresult) PGresult *result = NULL;
        enum rc rc = query(db, SQL_INGEST_CELL_NEWEST, workspace, model, &result, err);
        int64_t newest = rc == RC_OK ? db_int(result, 0, 0, 0) : 0;
        if (rc == RC_OK && newest != set->newest)
            rc = load(set, db, model, dim, err);
        if (rc != RC_OK)
            return rc;
        set->newest = newest;
        set->checked_ms = now;
    }
    set->used_ms = now;
    *out = set;
    return RC_OK;
}

void
cellcache_forget(struct cellcache *cache, const char *workspace)
{
    for (size_t i = 0; i < CELLCACHE_ENTRIES; i++)
        if (strcmp(cache->sets[i].workspace, workspace) == 0)
            cache->sets[i].checked_ms = 0;
}

int32_t
cell_of(const struct cell_set *set, const float *vector)
{
    return set->n ? set->numbers[cells_nearest(set->centroids, set->n, set->dim, vector)] : 0;
}
