/* SPDX-License-Identifier: MIT */
/*
 * memory_reindex - has all memories looked at again by gantry-ingest, and shows how far it is.
 */
#include <stdio.h>
#include <time.h>

#include "base/cleanup.h"
#include "cli.h"
#include "memory.h"
#include "progress.h"
#include "sql_cli.h"

#define LOOK_EVERY_NS 300000000L

struct state {
    int64_t analyser, total, seen, changed;
    bool over, at_work;
    char model[256];
};

static enum rc
read_state(struct db *db, struct state *out, struct err *err)
{
    AUTO(pgresult) PGresult *result = NULL;
    enum rc rc = db_query(db, NULL, SQL_CLI_REINDEX_STATE, NULL, &result, err);
    if (rc != RC_OK)
        return rc;
    if (PQntuples(result) == 0)
        return err_set(err, RC_NOTFOUND, "no gantry-ingest has run with this database yet");
    *out = (struct state){ .analyser = db_int(result, 0, 0, 0),
                           .total = db_int(result, 0, 2, 0),
                           .seen = db_int(result, 0, 3, 0),
                           .changed = db_int(result, 0, 4, 0),
                           .over = db_bool(result, 0, 5),
                           .at_work = db_bool(result, 0, 6) };
    (void)snprintf(out->model, sizeof(out->model), "%s", db_text(result, 0, 1));
    return RC_OK;
}

static int
report(const struct cli *cli, const struct state *state)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    if (!cli->json) {
        (void)printf("%s: %lld of %lld memories looked at, %lld brought to analyser %lld and %s\n",
                     state->over      ? "finished"
                     : state->at_work ? "at work"
                                      : "waiting for gantry-ingest",
                     (long long)state->seen, (long long)state->total, (long long)state->changed,
                     (long long)state->analyser, state->model);
        return EXIT_OK;
    }
    buf_init(&out, 2048);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_bool(&w, "finished", state->over);
    json_put_bool(&w, "at_work", state->at_work);
    json_put_int(&w, "analyser", state->analyser);
    json_put_string(&w, "model", state->model);
    json_put_int(&w, "total", state->total);
    json_put_int(&w, "seen", state->seen);
    json_put_int(&w, "changed", state->changed);
    json_close(&w);
    (void)json_end(&w);
    return cli_print_json(&out);
}

int
cmd_memory_reindex(struct cli *cli)
{
    static const struct timespec PAUSE = { .tv_nsec = LOOK_EVERY_NS };
    struct db *db = NULL;
    struct state state = { 0 };
    struct progress progress;
    struct err err = { 0 };
    bool wait = !cli_option(cli, "status");
    enum rc rc = cli_db(cli, &db, &err);
    if (rc == RC_OK && wait)
        rc = db_query(db, NULL, SQL_CLI_REINDEX_BEGIN, NULL, NULL, &err);
    if (rc == RC_OK)
        rc = read_state(db, &state, &err);
    progress_begin(&progress, "looking at memories", (uint64_t)state.total);
    while (rc == RC_OK && wait && !state.over) {
        progress_show(&progress, (uint64_t)state.seen);
        (void)nanosleep(&PAUSE, NULL);
        rc = read_state(db, &state, &err);
    }
    progress_end(&progress);
    return rc == RC_OK ? report(cli, &state) : cli_fail(&err);
}
