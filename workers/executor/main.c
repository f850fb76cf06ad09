/* SPDX-License-Identifier: MIT */
/*
 * gantry-executor - runs allowed tasks in bubblewrap, without network.
 */
#include "base/cleanup.h"
#include "jobs/executor.h"
#include "run_one.h"
#include "scripts.h"

static int
command_line(int argc, char **argv, const struct worker_spec *spec)
{
    (void)spec;
    return run_one_command(argc, argv);
}

static const struct worker_route ROUTES[] = {
    { .command = CMD_EXECUTOR_RUN, .start = executor_run_start },
    { .command = CMD_JOBS_CANCEL, .start = jobs_cancel_start },
    { .command = CMD_JOBS_LIST, .start = jobs_list_start },
    { .command = CMD_JOBS_GET, .start = jobs_get_start },
    { .command = CMD_ACTIONS_LIST, .start = actions_list_start, .without_kv = true },
};

int
main(int argc, char **argv)
{
    const struct worker_spec spec = {
        .name = "executor",
        .description = "runs allowed tasks in bubblewrap, without network",
        .routes = ROUTES,
        .n_routes = ARRAY_LEN(ROUTES),
        .conf = &EXECUTOR_CONF,
        .conf_size = sizeof(struct settings),
        .scripts = SCRIPTS,
        .n_scripts = SCRIPTS_JOBS,
        .uses_kv = true,
        .spawns = true,
        .slots_free = executor_slots_free,
        .on_start = executor_start,
        .on_ready = executor_ready,
        .on_stop = executor_stop,
        .on_dead = executor_dead,
        .command_line = command_line,
        .command_line_help =
            "  --self-test        prove the sandbox on this machine, then exit\n"
            "  --run-one [--timeout S]  run the task on standard input in a sandbox\n",
    };
    return worker_main(argc, argv, &spec);
}
