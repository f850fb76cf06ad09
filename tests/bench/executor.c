/* SPDX-License-Identifier: MIT */
/*
 * executor - the sandbox's own cost: tasks from a warm pool and cold, against bare bubblewrap in the
 * same run. Rows of what, figure, unit, against, separated by tabs (tests/bench/run).
 */
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "workers/executor/sandbox/policy.h"
#include "workers/executor/sandbox/rights.h"
#include "workers/executor/sandbox/run.h"

#define ROUNDS      300
#define BURST_US    4000000
#define PING_TASK   "{\"message\":\"x\",\"type\":\"ping\"}"
#define PYTHON_TASK "{\"code\":\"result = 1\",\"type\":\"code.python\"}"

struct bench {
    struct catalog catalog;
    struct runner *runner;
    unsigned done;
    unsigned failed;
};

static int
compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static double
row(const char *name, int64_t *us, size_t n, const char *against)
{
    double p50, p99;

    qsort(us, n, sizeof(*us), compare);
    p50 = (double)us[n / 2] / 1000;
    p99 = (double)us[n * 99 / 100] / 1000;
    (void)printf("%s, p50\t%.3f\tms\t%s\n%s, p99\t%.3f\tms\t%s\n", name, p50, against, name, p99,
                 against);
    (void)fflush(stdout);
    return p50;
}

/* What anybody would write: bwrap with everything unshared and the filter-less root. */
static pid_t
bare_start(void)
{
    static const char *const WORDS[] = {
        "bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--", "/usr/bin/true",
        NULL
    };
    static char *const NONE[] = { NULL };
    char *words[ARRAY_LEN(WORDS)];
    pid_t pid = 0;

    memcpy(words, WORDS, sizeof(words));
    if (posix_spawn(&pid, "/usr/bin/bwrap", NULL, NULL, words, NONE) != 0)
        exit(1);
    return pid;
}

static double
bare_latency(void)
{
    int64_t us[ROUNDS];

    for (size_t i = 0; i < ROUNDS; i++) {
        int64_t from = clock_mono_us();

        (void)waitpid(bare_start(), NULL, 0);
        us[i] = clock_mono_us() - from;
    }
    return row("bare bwrap, everything unshared, true", us, ROUNDS, "");
}

static double
bare_rate(int64_t for_us)
{
    int64_t from = clock_mono_us();
    unsigned done = 0;

    (void)bare_start();
    (void)bare_start();
    while (clock_mono_us() - from < for_us) {
        (void)waitpid(-1, NULL, 0);
        done++;
        (void)bare_start();
    }
    while (waitpid(-1, NULL, 0) > 0)
        done++;
    return done * 1e6 / (double)(clock_mono_us() - from);
}

static void
finish(void *arg, const struct run_result *result)
{
    struct bench *bench = arg;

    bench->done++;
    bench->failed += result->outcome != OUTCOME_OK;
}

static void
start(struct bench *bench, const char *name, const char *task)
{
    struct sandbox sandbox = policy_ahead(catalog_find(&bench->catalog, name));
    struct err err = { 0 };

    if (runner_start(bench->runner, &sandbox, task, strlen(task), finish, bench, NULL, &err) !=
        RC_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
}

/* warm: each task is given once the pool is full and its sandboxes have come up. */
static void
latency(struct bench *bench, const char *label, const char *name, const char *task, bool warm)
{
    const char *against = warm ? "the same, cold" : "bare bwrap in this run";
    int64_t us[ROUNDS];

    for (size_t i = 0; i < ROUNDS; i++) {
        unsigned before = bench->done;
        int64_t from;

        while (warm && !runner_pool_full(bench->runner))
            runner_turn(bench->runner, 20);
        if (warm) { /* time for the newest to get as far as its standard input */
            int64_t until = clock_mono_us() + 20000;

            while (clock_mono_us() < until)
                runner_turn(bench->runner, 1);
        }
        from = clock_mono_us();
        start(bench, name, task);
        while (bench->done == before)
            runner_turn(bench->runner, 100);
        us[i] = clock_mono_us() - from;
    }
    (void)row(label, us, ROUNDS, against);
}

static double
rate(struct bench *bench, const char *name, const char *task)
{
    int64_t from = clock_mono_us();
    unsigned before = bench->done;

    while (clock_mono_us() - from < BURST_US) {
        while (runner_running(bench->runner) < 2)
            start(bench, name, task);
        runner_turn(bench->runner, 100);
    }
    while (runner_running(bench->runner) > 0)
        runner_turn(bench->runner, 100);
    return (bench->done - before) * 1e6 / (double)(clock_mono_us() - from);
}

static void
open_runner(struct bench *bench, bool pool)
{
    struct runner_options options = { .catalog = &bench->catalog, .pool = pool };
    struct err err = { 0 };

    runner_free(bench->runner);
    bench->runner = NULL;
    if (runner_new(&options, &bench->runner, &err) != RC_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
}

/* For bench_executor.py, which takes turns: the p50 of one after the other in ms, and how many a second
 * two at a time are. */
static int
bare_only(void)
{
    double p50 = bare_latency();

    (void)printf("bare\t%.3f\t%.0f\n", p50, bare_rate(BURST_US / 2));
    return 0;
}

int
main(int argc, char **argv)
{
    struct bench bench = { 0 };
    struct err err = { 0 };
    double bare, ours;

    if (argc == 2 && strcmp(argv[1], "bare") == 0)
        return bare_only();
    (void)signal(SIGPIPE, SIG_IGN);
    if (catalog_load("workers/executor/tasks", &bench.catalog, &err) != RC_OK ||
        rights_drop(RIGHTS_USER_DEFAULT, &err) != RC_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    (void)bare_latency();
    bare = bare_rate(BURST_US);
    open_runner(&bench, false);
    latency(&bench, "ping, sandbox started for it", "ping", PING_TASK, false);
    latency(&bench, "code.python, interpreter started for it", "code.python", PYTHON_TASK, false);
    ours = rate(&bench, "ping", PING_TASK);
    (void)printf("bare bwrap, 2 at a time\t%.0f\t/s\t\n", bare);
    (void)printf("ping without a pool, 2 at a time\t%.0f\t/s\t%.2f of bare bwrap\n", ours,
                 ours / bare);
    open_runner(&bench, true);
    latency(&bench, "ping, sandbox ready", "ping", PING_TASK, true);
    latency(&bench, "code.python, interpreter ready", "code.python", PYTHON_TASK, true);
    ours = rate(&bench, "ping", PING_TASK);
    (void)printf("ping with a pool, 2 at a time\t%.0f\t/s\t%.2f of bare bwrap; aim 0.80\n", ours,
                 ours / bare);
    runner_free(bench.runner);
    catalog_fini(&bench.catalog);
    return bench.failed > 0;
}
