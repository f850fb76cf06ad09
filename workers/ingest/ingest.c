/* SPDX-License-Identifier: MIT */
/*
 * ingest - start, stop, and what is done between commands.
 */
#include "ingest.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "sql_ingest.h"
#include "start.h"
#include "train.h"

#define SWEEP_EVERY_MS 5000
#define SWEEP_ROWS     2000

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

/* Expired memories are invisible at once; this takes them away. Old command_done rows too. */
static void
sweep(void *arg)
{
    struct ingest *in = arg;
    AUTO(pgresult) PGresult *result = NULL;
    struct db_params p = { 0 };
    struct err err;
    db_param_int(&p, SWEEP_ROWS);
    if (db_query(worker_db(in->worker), NULL, SQL_INGEST_SWEEP, &p, &result, &err) != RC_OK)
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
    in->cells = cellcache_new();
    if (!in->cells)
        return err_set(err, RC_TEMP, "no memory");
    return embed_new(worker_conf(w), &in->embedder, err);
}

enum rc
ingest_ready(struct worker *w, struct err *err)
{
    struct ingest *in = worker_state(w);
    in->trainer = trainer_new(in);
    in->sweeping = loop_timer_new(worker_loop(w), sweep, in);
    if (!in->trainer || !in->sweeping)
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
    trainer_free(in->trainer);
    loop_timer_free(in->sweeping);
    cellcache_free(in->cells);
    embed_free(in->embedder);
    free(in);
}
