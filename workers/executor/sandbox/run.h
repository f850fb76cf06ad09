/* SPDX-License-Identifier: MIT */
/*
 * run - many sandboxes from one poll loop, and a pool of sandboxes started ahead.
 *
 * Everything hangs on one epoll descriptor (pidfds, pipes, one timer), which a program's own loop
 * can watch: when runner_fd() is readable, call runner_turn(runner, 0).
 *
 * A task takes a sandbox of its action from the pool, else a new one; each is used once. The pool is
 * refilled one at a time, after the task has ended or when few stand ready, so that it does not delay an
 * answer. A sandbox that cannot be started delays the next attempt, doubling up to 5 s.
 *
 * Threads: one, the same for the whole life (--die-with-parent follows it)
 * Source:  epoll(7), pidfd_open(2), timerfd_create(2)
 */
#ifndef GANTRY_EXECUTOR_SANDBOX_RUN_H
#define GANTRY_EXECUTOR_SANDBOX_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rc.h"
#include "sandbox/manifest.h"
#include "sandbox/policy.h"
#include "sandbox/verdict.h"

struct runner;
struct run; /* one task under way */

struct runner_options {
    const struct catalog *catalog; /* borrowed for the runner's life */
    const char *bwrap;             /* NULL = ARGV_BWRAP */
    const char *cgroup;            /* "" or NULL = none */
    bool pool;                     /* keep sandboxes started ahead, as the manifests say */
};

/* How a task ended; everything is borrowed during the callback. */
struct run_result {
    enum outcome outcome;                /* OUTCOME_FAULT: ours, see fault */
    int exit_code;                       /* 128 + n for signal n; -1 when it was killed */
    const char *output, *error, *result; /* not NUL-terminated, any bytes */
    size_t output_len, error_len, result_len;
    bool truncated;              /* something of these was cut */
    bool output_cut, result_cut; /* not all of it is there */
    uint64_t wall_ms, cpu_ms, max_rss_bytes;
    char fault[200]; /* for the log: what bwrap said */
};

typedef void run_done_fn(void *arg, const struct run_result *result);

enum rc runner_new(const struct runner_options *options, struct runner **out, struct err *err);
/* Kills everything that still runs, waits until it is gone, and calls no callback. */
void runner_free(struct runner *runner);

int runner_fd(const struct runner *runner);
/* Handle what is ready, waiting at most timeout_ms for it (0 = not). Calls done callbacks. */
void runner_turn(struct runner *runner, int timeout_ms);

/* Start a task. done is called exactly once, from a later runner_turn(). *out stays valid until
 * then (for runner_cancel). RC_TEMP: no sandbox could be started; RC_LIMIT: the input is too long. */
enum rc runner_start(struct runner *runner, const struct sandbox *sandbox, const char *input,
                     size_t len, run_done_fn *done, void *arg, struct run **out, struct err *err);
void runner_cancel(struct run *run);

unsigned runner_running(const struct runner *runner); /* tasks, without the pool */
unsigned runner_ready(const struct runner *runner);   /* sandboxes started ahead */
bool runner_pool_full(const struct runner *runner);

#endif
