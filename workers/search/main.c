/* SPDX-License-Identifier: MIT */
/*
 * main - gantry-search: answers searches and reads of memories.
 */
#include "base/cleanup.h"
#include "search.h"
#include "sql_search.h"

#define OWN(member) offsetof(struct search_conf, member)

static const struct conf_item ITEMS[] = {
    { .name = "SEARCH_THREADS",
      .type = CONF_INT,
      .offset = OWN(threads),
      .default_text = "4",
      .min = 1,
      .max = 64,
      .help = "Search threads; each has a connection to PostgreSQL." },
    { .name = "INDEX_MEMORY_BYTES",
      .type = CONF_INT,
      .offset = OWN(index_bytes),
      .default_text = "1073741824",
      .min = 1048576,
      .max = INT64_C(1) << 40,
      .help = "Memory for the search indexes of all workspaces; a workspace that needs more is "
              "read from "
              "PostgreSQL for each search." },
    { .name = "SEARCH_BUDGET_MS",
      .type = CONF_INT,
      .offset = OWN(budget_ms),
      .default_text = "8000",
      .min = 100,
      .max = 60000,
      .help = "A search that takes longer is answered 504." },
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
