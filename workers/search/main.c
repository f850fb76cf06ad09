/* SPDX-License-Identifier: MIT */
/*
 * main - gantry-search: answers searches and reads of memories.
 */
#include "base/cleanup.h"
#include "search.h"
#include "sql_search.h"

#define OWN(member) offsetof(struct search_conf, member)

static const struct conf_item ITEMS[] = {
    { "SEARCH_THREADS", CONF_INT, OWN(threads), "4", 1, 64, NULL, 0,
      "Search threads; each has a connection to PostgreSQL." },
    { "INDEX_MEMORY_BYTES", CONF_INT, OWN(index_bytes), "1073741824", 1048576, INT64_C(1) << 40,
      NULL, 0,
      "Memory for the search indexes of all workspaces; a workspace that needs more is read from "
      "PostgreSQL for each search." },
    { "SEARCH_BUDGET_MS", CONF_INT, OWN(budget_ms), "8000", 100, 60000, NULL, 0,
      "A search that takes longer is answered 504." },
};
static const struct conf_table CONF = { ITEMS, ARRAY_LEN(ITEMS), NULL };

static const struct worker_route ROUTES[] = {
    { .command = CMD_MEMORY_SEARCH, .start = search_memories },
    { .command = CMD_MEMORY_GET, .handle = search_get },
    { .command = CMD_MEMORY_LIST, .handle = search_list },
};

static const struct worker_spec SPEC = {
    .name = "search",
    .description = "answers searches and reads of memories",
    .routes = ROUTES,
    .n_routes = ARRAY_LEN(ROUTES),
    .conf = &EMBED_CONF,
    .conf_too = &CONF,
    .conf_size = sizeof(struct search_conf),
    .statements = SQL_SEARCH,
    .n_statements = SQL_SEARCH_COUNT,
    .uses_kv = true,
    .kv_optional = true,
    .on_start = search_start,
    .on_ready = search_ready,
    .on_tick = search_tick,
    .failing = search_failing,
    .on_drained = search_drained,
    .on_stop = search_stop,
};

int
main(int argc, char **argv)
{
    return worker_main(argc, argv, &SPEC);
}
