/* SPDX-License-Identifier: MIT */
/*
 * reindex - a page of names at a time, then its stale rows by the handful.
 */
#include "reindex.h"

#include <string.h>

#include "analysis/analysis.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "crypto/crypto_encode.h"
#include "crypto/hash.h"
#include "db/column.h"
#include "sql_ingest.h"

#define LOOK_EVERY_MS 5000 /* is there anything to do? */
#define NEXT_MS       20   /* between two steps */
#define PAGE_ROWS     1000 /* looked at for each page */
#define STEP_ROWS     32   /* written in one transaction */
#define COLUMN_MAX    (64u * 1024 * 1024)
#define ARENA_MAX     (64u * 1024 * 1024)

struct reindex {
    struct ingest *in;
    struct loop_timer *timer; /* owned */
    char worker[ID_TEXT_MAX];
    /* The page at hand. */
    PGresult *page;          /* owned; NULL: none */
    cJSON *workspaces, *ids; /* owned */
    int at, count;
    int64_t changed;
    bool told;
};

static void
drop_page(struct reindex *r)
{
    PQclear(r->page);
    cJSON_Delete(r->workspaces);
    cJSON_Delete(r->ids);
    r->page = NULL;
    r->workspaces = r->ids = NULL;
    r->at = r->count = 0;
    r->changed = 0;
}

static void
common_params(const struct reindex *r, int64_t model, struct db_params *p)
{
    db_param_int(p, ANALYSIS_VERSION);
    db_param_int(p, model);
    db_param_text(p, r->worker);
}

/* RC_NOTFOUND: nothing to do. */
static enum rc
next_page(struct reindex *r, struct err *err)
{
    struct db *db = worker_db(r->in->worker);
    struct db_params p = { 0 };
    int64_t model = 0;
    drop_page(r);
    enum rc rc = ingest_model(r->in, &model, err);
    if (rc != RC_OK)
        return rc;
    common_params(r, model, &p);
    db_param_int(&p, PAGE_ROWS);
    rc = db_query(db, NULL, SQL_INGEST_REINDEX_NEXT, &p, &r->page, err);
    if (rc != RC_OK)
        return rc;
    if (PQntuples(r->page) == 0)
        return err_set(err, RC_NOTFOUND, "no row is left");
    const char *workspaces = db_text(r->page, 0, 3), *ids = db_text(r->page, 0, 4);
    if (!workspaces || !ids)
        return RC_OK;
    rc = json_read(workspaces, strlen(workspaces), &r->workspaces, err);
    if (rc == RC_OK)
        rc = json_read(ids, strlen(ids), &r->ids, err);
    r->count = rc == RC_OK ? cJSON_GetArraySize(r->ids) : 0;
    return rc;
}

static enum rc
read_rows(struct reindex *r, const char *workspace, int n, PGresult **rows, struct err *err)
{
    AUTO(buf) struct buf ids = { 0 };
    struct db_params p = { 0 };
    column_begin(&ids, COLUMN_UUID, COLUMN_MAX);
    for (int i = 0; i < n; i++)
        column_uuid(&ids, cJSON_GetArrayItem(r->ids, r->at + i)->valuestring);
    db_param_text(&p, workspace);
    column_param(&p, &ids);
    return db_query(worker_db(r->in->worker), workspace, SQL_INGEST_REINDEX_READ, &p, rows, err);
}

static enum rc
send_rows(struct reindex *r, const char *workspace, const PGresult *rows,
          const struct indexed *indexed, size_t *index, struct err *err)
{
    const uint32_t types[] = { COLUMN_UUID, COLUMN_BYTES, r->in->halfvec, COLUMN_BYTES };
    struct buf columns[ARRAY_LEN(types)];
    struct db_params p = { 0 };
    db_param_text(&p, workspace);
    db_param_int(&p, r->in->model);
    for (size_t c = 0; c < ARRAY_LEN(types); c++)
        column_begin(&columns[c], types[c], COLUMN_MAX);
    for (int row = 0; row < PQntuples(rows); row++) {
        const char *hex = db_text(rows, row, 1);
        uint8_t hash[HASH_LEN];
        bool good = strlen(hex) == 2 * HASH_LEN && hex_decode(hex, 2 * HASH_LEN, hash) == RC_OK;
        column_uuid(&columns[0], db_text(rows, row, 0));
        column_bytes(&columns[1], good ? hash : NULL, HASH_LEN);
        column_bytes(&columns[2], indexed[row].half, indexed[row].half_len);
        column_bytes(&columns[3], indexed[row].terms, indexed[row].terms_len);
    }
    for (size_t c = 0; c < ARRAY_LEN(types); c++)
        column_param(&p, &columns[c]);
    enum rc rc = db_send(worker_db(r->in->worker), SQL_INGEST_REINDEX_WRITE, &p, index, err);
    for (size_t c = 0; c < ARRAY_LEN(types); c++)
        buf_fini(&columns[c]);
    return rc;
}

static enum rc
write_rows(struct reindex *r, const char *workspace, const PGresult *rows, struct err *err)
{
    AUTO(arena) struct arena mem = { 0 };
    struct embed_text texts[STEP_ROWS];
    struct indexed indexed[STEP_ROWS];
    struct db *db = worker_db(r->in->worker);
    size_t n = (size_t)PQntuples(rows), index = 0;
    arena_init(&mem, ARENA_MAX);
    for (size_t i = 0; i < n; i++)
        texts[i] =
            (struct embed_text){ db_text(rows, (int)i, 2), (size_t)PQgetlength(rows, (int)i, 2) };
    if (n == 0)
        return RC_OK;
    enum rc rc = ingest_index(r->in, &mem, texts, n, indexed, err);
    if (rc != RC_OK)
        return rc;
    rc = ingest_begin(r->in, workspace, err);
    if (rc == RC_OK)
        rc = send_rows(r, workspace, rows, indexed, &index, err);
    if (rc != RC_OK) {
        db_abort(db);
        return rc;
    }
    rc = db_commit(db, err);
    if (rc == RC_OK)
        r->changed += db_int(db_result(db, index), 0, 0, 0);
    return rc;
}

/* The next rows of one workspace. */
static enum rc
step(struct reindex *r, struct err *err)
{
    AUTO(pgresult) PGresult *rows = NULL;
    const char *workspace = cJSON_GetArrayItem(r->workspaces, r->at)->valuestring;
    int n = 1;
    while (n < STEP_ROWS && r->at + n < r->count &&
           strcmp(cJSON_GetArrayItem(r->workspaces, r->at + n)->valuestring, workspace) == 0)
        n++;
    enum rc rc = read_rows(r, workspace, n, &rows, err);
    if (rc == RC_OK)
        rc = write_rows(r, workspace, rows, err);
    if (rc == RC_OK)
        r->at += n;
    return rc;
}

static enum rc
finish_page(struct reindex *r, struct err *err)
{
    AUTO(pgresult) PGresult *result = NULL;
    struct db_params p = { 0 };
    common_params(r, r->in->model, &p);
    db_param_text(&p, db_text(r->page, 0, 0));
    db_param_text(&p, db_text(r->page, 0, 1));
    db_param_int(&p, db_int(r->page, 0, 2, 0));
    db_param_int(&p, r->changed);
    if (r->changed > 0 && !r->told)
        log_info("bringing memories of an older analyser or another model up to date");
    r->told = r->told || r->changed > 0;
    return db_query(worker_db(r->in->worker), NULL, SQL_INGEST_REINDEX_DONE, &p, &result, err);
}

static void
turn(void *arg)
{
    struct reindex *r = arg;
    struct err err = { 0 };
    enum rc rc = RC_OK;
    if (!r->page)
        rc = next_page(r, &err);
    if (rc == RC_OK && r->at < r->count)
        rc = step(r, &err);
    if (rc == RC_OK && r->at >= r->count) {
        rc = finish_page(r, &err);
        drop_page(r);
    }
    if (rc == RC_NOTFOUND && r->told)
        log_info("all memories are up to date, or another replica is at them");
    if (rc == RC_NOTFOUND)
        r->told = false;
    else if (rc != RC_OK)
        log_debug("memories are not brought up to date for now: %s", err.text);
    if (rc != RC_OK)
        drop_page(r);
    loop_timer_set(r->timer, rc == RC_OK ? NEXT_MS : LOOK_EVERY_MS, 0);
}

struct reindex *
reindex_new(struct ingest *in)
{
    struct reindex *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->in = in;
    id_new_random(r->worker);
    r->timer = loop_timer_new(worker_loop(in->worker), turn, r);
    if (!r->timer) {
        free(r);
        return NULL;
    }
    loop_timer_set(r->timer, NEXT_MS, 0);
    return r;
}

void
reindex_free(struct reindex *r)
{
    if (!r)
        return;
    drop_page(r);
    loop_timer_free(r->timer);
    free(r);
}
