/* SPDX-License-Identifier: MIT */
/*
 * gantry-connector - carries out the actions that reach a network; nothing else does.
 */
#include "base/cleanup.h"
#include "jobs/connector.h"
#include "scripts.h"
#include "sql_connector.h"

static const struct worker_route ROUTES[] = {
    { .command = CMD_CONNECTOR_RUN, .start = connector_run_start },
    { .command = CMD_SECRETS_PUT, .start = secrets_put_start, .without_kv = true },
    { .command = CMD_SECRETS_GET, .start = secrets_get_start, .without_kv = true },
    { .command = CMD_SECRETS_LIST, .start = secrets_list_start, .without_kv = true },
    { .command = CMD_SECRETS_DELETE, .start = secrets_delete_start, .without_kv = true },
};

int
main(int argc, char **argv)
{
    const struct worker_spec spec = {
        .name = "connector",
        .description = "carries out actions that reach a network, under guard",
        .routes = ROUTES,
        .n_routes = ARRAY_LEN(ROUTES),
        .conf = &CONNECTOR_CONF,
        .conf_size = sizeof(struct settings),
        .statements = SQL_CONNECTOR,
        .n_statements = SQL_CONNECTOR_COUNT,
        .scripts = SCRIPTS,
        .n_scripts = SCRIPTS_JOBS,
        .uses_kv = true,
        .slots_free = connector_slots_free,
        .on_start = connector_start,
        .on_ready = connector_ready,
        .on_tick = connector_tick,
        .on_stop = connector_stop,
        .on_dead = connector_dead,
    };
    return worker_main(argc, argv, &spec);
}
