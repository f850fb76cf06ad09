/* SPDX-License-Identifier: MIT */
/*
 * run_one - `gantry-executor --run-one`: one task from standard input, its answer on standard output.
 *
 * The same manifests, policy, sandbox and verdict as the service, without NATS, Redis or allowlist:
 * whoever can run the program could run the task anyway. Exit code: 0 when the outcome is ok, 1
 * otherwise, 2 for a task that breaks its schema, 100 when the sandbox cannot be had here.
 * --timeout SECONDS sets the wall limit.
 */
#ifndef GANTRY_EXECUTOR_RUN_ONE_H
#define GANTRY_EXECUTOR_RUN_ONE_H

/* The words "--run-one [--timeout SECONDS]" and "--self-test", with EXECUTOR_TASKS_DIR, EXECUTOR_USER and EXECUTOR_CGROUP
 * from the environment: an exit code, or -1 when the command line is another. */
int run_one_command(int argc, char **argv);

#endif
