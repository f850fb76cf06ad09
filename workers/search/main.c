/* SPDX-License-Identifier: MIT */
/*
 * main - gantry-search: answers searches and reads of memories.
 */
#include "base/cleanup.h"
#include "search.h"
#include "sql_search.h"

static const struct worker_route ROUTES[] = {
    { .command = CMD_MEMORY_SEARCH, .handle = search_memories },
    { .command = CMD_MEMORY_GET, .handle = search_get },
    { .command = CMD_MEMORY_LIST, .handle = search_list },
};

static const struct worker_spec SPEC = {
    .name = "search",
    .description = "answers searches and reads of memories",
    .routes = ROUTES,
    .n_routes = ARRAY_LEN(ROUTES),
    .conf = &EMBED_CONF,
    .conf_size = sizeof(struct embed_conf),
    .statements = SQL_SEARCH,
    .n_statements = SQL_SEARCH_COUNT,
    .uses_kv = true,
    .kv_optional = true,
    .batch_max = SEARCH_BATCH_MAX,
    .on_start = search_start,
    .on_stop = search_stop,
};

int
main(int argc, char **argv)
{
    return worker_main(argc, argv, &SPEC);
}
