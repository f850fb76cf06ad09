/* SPDX-License-Identifier: MIT */
/*
 * gantry-connector - executes the actions that reach a network; nothing else does.
 */
#include "base/cleanup.h"
#include "hooks/hooks.h"
#include "jobs/connector.h"
#include "scripts.h"
#include "sql_connector.h"
#include "webhooks/webhooks.h"

static const struct worker_route ROUTES[] = {
    { .command = CMD_CONNECTOR_RUN, .start = connector_run_start },
    { .command = CMD_SECRETS_PUT, .start = secrets_put_start, .without_kv = true },
    { .command = CMD_SECRETS_GET, .start = secrets_get_start, .without_kv = true },
    { .command = CMD_SECRETS_LIST, .start = secrets_list_start, .without_kv = true },
    { .command = CMD_SECRETS_DELETE, .start = secrets_delete_start, .without_kv = true },
    { .command = CMD_WEBHOOKS_CREATE, .start = webhooks_create_start, .without_kv = true },
    { .command = CMD_WEBHOOKS_LIST, .start = webhooks_list_start, .without_kv = true },
    { .command = CMD_WEBHOOKS_GET, .start = webhooks_get_start, .without_kv = true },
    { .command = CMD_WEBHOOKS_CHANGE, .start = webhooks_change_start, .without_kv = true },
    { .command = CMD_WEBHOOKS_DELETE, .start = webhooks_delete_start, .without_kv = true },
    { .command = CMD_WEBHOOKS_ROTATE, .start = webhooks_rotate_start, .without_kv = true },
    { .command = CMD_WEBHOOKS_TEST, .start = webhooks_test_start, .without_kv = true },
    { .command = CMD_WEBHOOKS_DELIVERIES, .start = webhooks_deliveries_start, .without_kv = true },
    { .command = CMD_WEBHOOKS_REPLAY, .start = webhooks_replay_start, .without_kv = true },
    { .command = CMD_HOOKS_CREATE, .start = hooks_create_start, .without_kv = true },
    { .command = CMD_HOOKS_LIST, .start = hooks_list_start, .without_kv = true },
    { .command = CMD_HOOKS_DELETE, .start = hooks_delete_start, .without_kv = true },
    { .command = CMD_HOOKS_ROTATE, .start = hooks_rotate_start, .without_kv = true },
};

int
main(int argc, char **argv)
{
    const struct worker_spec spec = {
        .name = "connector",
        .description = "executes actions that reach a network, under guard",
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
