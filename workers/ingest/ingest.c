/* SPDX-License-Identifier: MIT */
/*
 * ingest - start, stop, and what is done between commands.
 */
#include "ingest.h"

#include "analysis/analysis.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "reindex.h"
#include "sql_ingest.h"
#include "start.h"

#define SWEEP_EVERY_MS  5000
#define SWEEP_ROWS      2000
#define SWEEP_LOG_EVERY 12 /* sweeps */

enum rc
ingest_model(struct ingest *in, int64_t *model, struct err *err)
{
    if (in->model == 0) {
        AUTO(pgresult) PGresult *result = NULL, *types = NULL;
        struct db_params p = { 0 };
        db_param_text(&p, embed_model(in->embedder));
        enum rc rc = db_query(worker_db(in->worker), NULL, SQL_INGEST_MODEL, &p, &result, err);
        if (rc == RC_OK)
            rc = db_query(worker_db(in->worker), NULL, SQL_INGEST_TYPES, NULL, &types, err);
        if (rc != RC_OK)
            return rc;
        in->halfvec = (uint32_t)db_int(types, 0, 0, 0);
        if (PQntuples(result) == 0) /* made by another program this very moment */
            return err_set(err, RC_TEMP, "the embedding model is not known yet");
        in->model = db_int(result, 0, 0, 0);
    }
    *model = in->model;
    return RC_OK;
}

enum rc
ingest_begin(struct ingest *in, const char *workspace, struct err *err)
{
    struct db *db = worker_db(in->worker);
    struct db_params p = { 0 };
    db_param_text(&p, workspace);
    enum rc rc = db_begin(db, workspace, err);
    return rc == RC_OK ? db_send(db, SQL_INGEST_VERSION, &p, NULL, err) : rc;
}

static enum rc
analyse(struct arena *mem, const struct embed_text *text, struct indexed *out, struct err *err)
{
    AUTO(buf) struct buf terms = { 0 };
    buf_init(&terms, ANALYSIS_ENCODED_MAX);
    if (analysis_encode(text->text, text->len, &terms) != RC_OK)
        return err_set(err, RC_TEMP, "no memory for the terms of a text");
    out->terms = arena_strndup(mem, buf_text(&terms), terms.len);
    out->terms_len = terms.len;
    return out->terms ? RC_OK : err_set(err, RC_TEMP, "no room for the terms of a text");
}

enum rc
ingest_index(struct ingest *in, struct arena *mem, const struct embed_text *texts, size_t n,
             struct indexed *out, struct err *err)
{
    size_t dim = embed_dim(in->embedder), len = EMBED_HALF_BYTES(dim);
    float *vectors = arena_calloc(mem, n * dim, sizeof(*vectors));
    uint8_t *halves = arena_calloc(mem, n, len);
    if (!vectors || !halves)
        return err_set(err, RC_TEMP, "no room for vectors");
    enum rc rc = embed_batch(in->embedder, texts, n, vectors, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        out[i] = (struct indexed){ .half = halves + i * len, .half_len = len };
        if (!embed_to_half(vectors + i * dim, dim, halves + i * len))
            out[i].half = NULL;
        rc = analyse(mem, &texts[i], &out[i], err);
    }
    return rc;
}

/* Expired memories are invisible at once; this takes them away. */
static enum rc
sweep_workspace(struct ingest *in, const char *workspace, struct err *err)
{
    struct db *db = worker_db(in->worker);
    struct db_params p = { 0 };
    db_param_text(&p, workspace);
    db_param_int(&p, SWEEP_ROWS);
    enum rc rc = ingest_begin(in, workspace, err);
    if (rc == RC_OK)
        rc = db_send(db, SQL_INGEST_SWEEP, &p, NULL, err);
    if (rc == RC_OK)
        return db_commit(db, err);
    db_abort(db);
    return rc;
}

static enum rc
sweep_expired(struct ingest *in, struct err *err)
{
    AUTO(pgresult) PGresult *workspaces = NULL;
    struct db_params p = { 0 };
    db_param_int(&p, SWEEP_ROWS);
    enum rc rc = db_query(worker_db(in->worker), NULL, SQL_INGEST_EXPIRED, &p, &workspaces, err);
    for (int row = 0; rc == RC_OK && row < PQntuples(workspaces); row++)
        rc = sweep_workspace(in, db_text(workspaces, row, 0), err);
    return rc;
}

const char *
ingest_failing(struct worker *w)
{
    const struct ingest *in = worker_state(w);
    return embed_failing(in->embedder) ? EMBED_SERVER : NULL;
}

void
ingest_tick(struct worker *w)
{
    const struct ingest *in = worker_state(w);
    embed_probe(in->embedder);
}

/* Old command_done rows and old rows of the log go too. */
static void
sweep(void *arg)
{
    struct ingest *in = arg;
    AUTO(pgresult) PGresult *commands = NULL, *log = NULL;
    struct db *db = worker_db(in->worker);
    struct db_params p = { 0 };
    struct err err = { 0 };
    db_param_int(&p, SWEEP_ROWS);
    enum rc rc = sweep_expired(in, &err);
    if (rc == RC_OK)
        rc = db_query(db, NULL, SQL_INGEST_SWEEP_COMMANDS, &p, &commands, &err);
    if (rc == RC_OK && in->sweeps++ % SWEEP_LOG_EVERY == 0)
        rc = db_query(db, NULL, SQL_INGEST_SWEEP_LOG, NULL, &log, &err);
    if (rc != RC_OK)
        log_debug("expired memories stay for now: %s", err.text);
}

enum rc
ingest_start(struct worker *w, struct err *err)
{
    struct ingest *in = calloc(1, sizeof(*in));
    if (!in)
        return err_set(err, RC_TEMP, "no memory");
    in->worker = w;
    worker_set_state(w, in);
    return embed_new(worker_conf(w), &in->embedder, err);
}

enum rc
ingest_ready(struct worker *w, struct err *err)
{
    struct ingest *in = worker_state(w);
    in->reindex = reindex_new(in);
    in->sweeping = loop_timer_new(worker_loop(w), sweep, in);
    if (!in->reindex || !in->sweeping)
        return err_set(err, RC_TEMP, "no memory");
    loop_timer_set(in->sweeping, SWEEP_EVERY_MS, SWEEP_EVERY_MS);
    return RC_OK;
}

void
ingest_stop(struct worker *w)
{
    struct ingest *in = worker_state(w);
    if (!in)
        return;
    reindex_free(in->reindex);
    loop_timer_free(in->sweeping);
    embed_free(in->embedder);
    free(in);
}
