/* SPDX-License-Identifier: MIT */
#include "sync.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "analysis/analysis.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "crypto/crypto_encode.h"
#include "db/column.h"
#include "pool.h"
#include "rows.h"
#include "sql_search.h"

#define PAGE_ROWS    1000  /* a buffer of libpq's stays as large as the largest page */
#define TRIM_ROWS    10000 /* a load of so many leaves room worth giving back */
#define CHANGES_ROWS 2000  /* read at once; a transaction with more is read whole */

/* Columns of "changes". */
enum { CH_VERSION, CH_STAMP, CH_WHOLE, CH_ID, CH_SCOPE };

struct version {
    int64_t number;
    uint8_t stamp[SHELF_STAMP_LEN];
};

static enum rc
ask_version(struct searcher *t, const char *workspace, struct version *out, struct err *err)
{
    AUTO(pgresult) PGresult *result = NULL;
    struct db_params p = { .binary = true };
    size_t len = 0;
    db_param_text(&p, workspace);
    enum rc rc = db_query(t->db, workspace, SQL_SEARCH_VERSION, &p, &result, err);
    if (rc != RC_OK)
        return rc;
    *out = (struct version){ 0 };
    if (PQntuples(result) == 0)
        return RC_OK;
    out->number = db_binary_int(result, 0, 0, 0);
    const uint8_t *stamp = db_binary(result, 0, 1, &len);
    if (stamp && len == SHELF_STAMP_LEN)
        memcpy(out->stamp, stamp, len);
    return RC_OK;
}

/* --- pages ------------------------------------------------------------------------------------ */

/* The next page is asked for before this one's rows are put: the server reads it meanwhile. */
struct pages {
    struct searcher *t;
    const char *workspace;
    uint8_t last[COLLECTION_ID_LEN];
    PGresult *rows;         /* owned */
    int row;                /* the next one */
    bool asked;             /* a page is on its way */
    bool end;               /* there is none after this one */
    struct row_space space; /* owned */
};

static enum rc
pages_ask(struct pages *pages, struct err *err)
{
    struct db_params p = { .binary = true };
    db_param_text(&p, pages->workspace);
    db_param_bytes(&p, pages->last, sizeof(pages->last));
    db_param_int(&p, pages->t->model);
    db_param_int(&p, ANALYSIS_VERSION);
    db_param_int(&p, PAGE_ROWS);
    enum rc rc = db_ask(pages->t->db, pages->workspace, SQL_SEARCH_LOAD, &p, err);
    pages->asked = rc == RC_OK;
    return rc;
}

static enum rc
pages_init(struct pages *pages, struct searcher *t, const char *workspace, struct err *err)
{
    *pages = (struct pages){ .t = t, .workspace = workspace };
    enum rc rc = rows_init(&pages->space, embed_dim(t->embedder), err);
    return rc == RC_OK ? pages_ask(pages, err) : rc;
}

static void
pages_fini(struct pages *pages)
{
    PQclear(pages->rows);
    pages->rows = NULL;
    if (pages->asked)
        (void)db_take(pages->t->db, &pages->rows, NULL);
    PQclear(pages->rows);
    rows_fini(&pages->space);
}

/* The next page when the last one is used up. */
static enum rc
pages_more(struct pages *pages, struct err *err)
{
    size_t len = 0;
    if (pages->end || (pages->rows && pages->row < PQntuples(pages->rows)))
        return RC_OK;
    if (pool_stopping(pages->t->search->pool))
        return err_set(err, RC_TEMP, "the program ends");
    PQclear(pages->rows);
    pages->rows = NULL;
    pages->row = 0;
    pages->asked = false;
    enum rc rc = db_take(pages->t->db, &pages->rows, err);
    if (rc != RC_OK)
        return rc;
    int n = PQntuples(pages->rows);
    pages->end = n < PAGE_ROWS;
    const uint8_t *last = n > 0 ? db_binary(pages->rows, n - 1, 0, &len) : NULL;
    if (last && len == sizeof(pages->last))
        memcpy(pages->last, last, len);
    return pages->end ? RC_OK : pages_ask(pages, err);
}

static bool
pages_over(const struct pages *pages)
{
    return pages->end && (!pages->rows || pages->row >= PQntuples(pages->rows));
}

/* The rows of the page, until the collection is as large as it may be. */
static enum rc
pages_put(struct pages *pages, struct collection *c, size_t max_bytes, struct err *err)
{
    enum rc rc = RC_OK;
    while (rc == RC_OK && pages->row < PQntuples(pages->rows)) {
        if (pages->row % 64 == 0)
            db_drain(pages->t->db);
        if (max_bytes && pages->row % 64 == 0 && collection_bytes(c) > max_bytes)
            return RC_OK;
        rc = rows_put(&pages->space, c, pages->rows, pages->row++, 0, 1, err);
    }
    return rc;
}

/* --- loading ---------------------------------------------------------------------------------- */

static void
replace(struct searcher *t, struct shelf_entry *entry, struct collection *fresh)
{
    (void)pthread_rwlock_wrlock(&entry->lock);
    struct collection *old = entry->collection;
    entry->collection = fresh;
    (void)pthread_rwlock_unlock(&entry->lock);
    collection_free(old);
    (void)shelf_account(t->search->shelf, entry, fresh ? collection_bytes(fresh) : 0,
                        fresh != NULL);
}

/* Into a collection of its own, so that nobody waits for the lock. */
static enum rc
read_all(struct searcher *t, struct shelf_entry *entry, struct collection *fresh,
         sync_page_fn *page, void *arg, bool *fits, struct err *err)
{
    struct pages pages;
    enum rc rc = pages_init(&pages, t, entry->workspace, err);
    *fits = true;
    while (rc == RC_OK && *fits && !pages_over(&pages)) {
        rc = pages_more(&pages, err);
        if (rc == RC_OK)
            rc = pages_put(&pages, fresh, 0, err);
        *fits = shelf_account(t->search->shelf, entry, collection_bytes(fresh), false);
        page(arg);
    }
    pages_fini(&pages);
    return rc;
}

static enum rc
load(struct searcher *t, struct shelf_entry *entry, const struct version *version,
     sync_page_fn *page, void *arg, bool *fits, struct err *err)
{
    AUTO(collection) struct collection *fresh = NULL;
    replace(t, entry, NULL);
    shelf_count_load(t->search->shelf);
    enum rc rc = collection_new(embed_dim(t->embedder), &fresh, err);
    if (rc == RC_OK)
        rc = read_all(t, entry, fresh, page, arg, fits, err);
    if (rc == RC_LIMIT) { /* more rows than a collection holds */
        *fits = false;
        rc = RC_OK;
    }
    if (rc != RC_OK || !*fits) {
        (void)shelf_account(t->search->shelf, entry, 0, false);
        return rc;
    }
    entry->version = version->number;
    memcpy(entry->stamp, version->stamp, SHELF_STAMP_LEN);
    entry->model = t->model;
    bool many = collection_rows(fresh) >= TRIM_ROWS;
    replace(t, entry, TAKE(fresh));
    if (many)
        (void)malloc_trim(0);
    return RC_OK;
}

/* --- changes ---------------------------------------------------------------------------------- */

static enum rc
apply(struct searcher *t, struct shelf_entry *entry, const PGresult *rows, struct err *err)
{
    struct row_space space;
    size_t len = 0;
    enum rc rc = rows_init(&space, embed_dim(t->embedder), err);
    (void)pthread_rwlock_wrlock(&entry->lock);
    for (int row = 0; rc == RC_OK && row < PQntuples(rows); row++) {
        const uint8_t *id = db_binary(rows, row, CH_ID, &len);
        if (!id || len != COLLECTION_ID_LEN)
            continue;
        if (PQgetisnull(rows, row, CH_SCOPE))
            (void)collection_remove(entry->collection, id);
        else
            rc = rows_put(&space, entry->collection, rows, row, CH_ID, CH_SCOPE, err);
    }
    (void)pthread_rwlock_unlock(&entry->lock);
    rows_fini(&space);
    return rc;
}

/* *whole: false: this is not the index's own past. */
static enum rc
follow(struct searcher *t, struct shelf_entry *entry, bool *whole, struct err *err)
{
    AUTO(pgresult) PGresult *rows = NULL;
    struct db_params p = { .binary = true };
    size_t len = 0;
    db_param_text(&p, entry->workspace);
    db_param_int(&p, entry->version);
    db_param_bytes(&p, entry->stamp, SHELF_STAMP_LEN);
    db_param_int(&p, t->model);
    db_param_int(&p, ANALYSIS_VERSION);
    db_param_int(&p, CHANGES_ROWS);
    enum rc rc = db_query(t->db, entry->workspace, SQL_SEARCH_CHANGES, &p, &rows, err);
    if (rc != RC_OK)
        return rc;
    const uint8_t *said = PQntuples(rows) > 0 ? db_binary(rows, 0, CH_WHOLE, &len) : NULL;
    *whole = said && len == 1 && said[0];
    const uint8_t *stamp = *whole ? db_binary(rows, 0, CH_STAMP, &len) : NULL;
    if (!stamp || len != SHELF_STAMP_LEN) {
        *whole = false;
        return RC_OK;
    }
    rc = apply(t, entry, rows, err);
    if (rc != RC_OK)
        return rc;
    entry->version = db_binary_int(rows, 0, CH_VERSION, 0);
    memcpy(entry->stamp, stamp, SHELF_STAMP_LEN);
    return RC_OK;
}

/* *current: false: the index has to be loaded. */
static enum rc
catch_up(struct searcher *t, struct shelf_entry *entry, const struct version *version,
         bool *current, struct err *err)
{
    enum rc rc = RC_OK;
    *current = entry->steady = false;
    if (!entry->collection || entry->model != t->model || entry->version > version->number)
        return RC_OK;
    bool changed = entry->version < version->number;
    bool whole = changed || memcmp(entry->stamp, version->stamp, SHELF_STAMP_LEN) == 0;
    while (rc == RC_OK && whole && entry->version < version->number)
        rc = follow(t, entry, &whole, err);
    if (rc == RC_LIMIT) { /* full */
        whole = false;
        rc = RC_OK;
    }
    *current = rc == RC_OK && whole;
    if (*current && changed &&
        !shelf_account(t->search->shelf, entry, collection_bytes(entry->collection), true))
        *current = !shelf_is_large(t->search->shelf, entry);
    entry->steady = *current && !changed;
    return rc;
}

bool
sync_guess(struct searcher *t, struct shelf_entry *entry, char version[SHELF_VERSION_TEXT_MAX])
{
    bool good = false;
    if (pthread_mutex_trylock(&entry->syncing) != 0)
        return false;
    if (entry->steady && entry->collection && entry->model == t->model) {
        int len = snprintf(version, SHELF_VERSION_TEXT_MAX, "%lld:", (long long)entry->version);
        hex_encode(entry->stamp, SHELF_STAMP_LEN, version + len);
        (void)pthread_rwlock_rdlock(&entry->lock);
        good = true;
    }
    (void)pthread_mutex_unlock(&entry->syncing);
    return good;
}

enum rc
sync_entry(struct searcher *t, struct shelf_entry *entry, sync_page_fn *page, void *arg,
           bool *streamed, struct err *err)
{
    struct version version;
    bool current = false, fits = true;
    (void)pthread_mutex_lock(&entry->syncing);
    enum rc rc = ask_version(t, entry->workspace, &version, err);
    if (rc == RC_OK)
        rc = catch_up(t, entry, &version, &current, err);
    if (rc == RC_OK && !current && shelf_is_large(t->search->shelf, entry)) {
        replace(t, entry, NULL);
        fits = false;
    } else if (rc == RC_OK && !current) {
        rc = load(t, entry, &version, page, arg, &fits, err);
    }
    (void)pthread_mutex_unlock(&entry->syncing);
    *streamed = !fits;
    return rc;
}

/* --- slices ----------------------------------------------------------------------------------- */

enum rc
sync_slices(struct searcher *t, const char *workspace, sync_slice_fn *fn, void *arg,
            struct err *err)
{
    struct pages pages;
    size_t max_bytes = shelf_slice_bytes(t->search->shelf);
    enum rc rc = pages_init(&pages, t, workspace, err);
    while (rc == RC_OK && !pages_over(&pages)) {
        AUTO(collection) struct collection *slice = NULL;
        rc = collection_new(embed_dim(t->embedder), &slice, err);
        while (rc == RC_OK && !pages_over(&pages) && collection_bytes(slice) <= max_bytes) {
            rc = pages_more(&pages, err);
            if (rc == RC_OK)
                rc = pages_put(&pages, slice, max_bytes, err);
        }
        if (rc == RC_OK)
            rc = fn(arg, slice, err);
    }
    pages_fini(&pages);
    return rc;
}
