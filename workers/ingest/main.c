/* SPDX-License-Identifier: MIT */
/*
 * main - gantry-ingest: stores, changes and deletes memories, with embeddings.
 */
#include "base/cleanup.h"
#include "ingest.h"
#include "refusal.h"
#include "sql_ingest.h"
#include "start.h"

static const struct worker_route ROUTES[] = {
    { .command = CMD_MEMORY_INGEST, .handle = ingest_store },
    { .command = CMD_MEMORY_PATCH, .handle = ingest_patch },
    { .command = CMD_MEMORY_DELETE, .handle = ingest_delete },
    { .command = CMD_MEMORY_FORGET, .start = ingest_forget },
};

static const struct worker_spec SPEC = {
    .name = "ingest",
    .description = "stores, changes and deletes memories, with embeddings",
    .routes = ROUTES,
    .n_routes = ARRAY_LEN(ROUTES),
    .conf = &EMBED_CONF,
    .conf_size = sizeof(struct embed_conf),
    .statements = SQL_INGEST,
    .n_statements = SQL_INGEST_COUNT,
    .batch_max = INGEST_BATCH_MAX,
    .refused = refusal_remember,
    .on_start = ingest_start,
    .on_ready = ingest_ready,
    .on_tick = ingest_tick,
    .on_stop = ingest_stop,
    .failing = ingest_failing,
};

int
main(int argc, char **argv)
{
    return worker_main(argc, argv, &SPEC);
}
