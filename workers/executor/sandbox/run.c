/* SPDX-License-Identifier: MIT */
#include "sandbox/run.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/queue.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "sandbox/argv.h"
#include "sandbox/box.h"
#include "sandbox/pool.h"

#define EVENTS_MAX        64
#define REFILL_DELAY_MS   1
#define REFILL_END_MS     2  /* time for the answer of the task that has ended to leave */
#define REFILL_BUSY_MS    20 /* while a task runs and enough stands ready */
#define REFILL_BACKOFF_MS 5000
#define FREE_WAIT_MS      5000

struct watch {
    struct run *run;
    enum box_watch which;
    bool added; /* to the epoll set */
};

struct run {
    struct runner *runner;
    LIST_ENTRY(run) link;
    struct box *box;
    struct watch watches[BOX_WATCHES];
    run_done_fn *done; /* NULL: it stands in the pool, or nobody asks any more */
    void *arg;
    bool dead; /* finished; freed at the end of the turn */
};

struct runner {
    const struct catalog *catalog;
    struct spawner spawner;
    struct janitor *janitor; /* owned */
    struct pool pool;
    bool keep_pool;
    int epoll;
    int ticker; /* timerfd: every LIMIT_TICK_MS while something needs watching */
    int refill; /* timerfd: one shot */
    bool ticking;
    int group_parent; /* -1 = no cgroups */
    uint64_t started;
    uint32_t backoff_ms;
    LIST_HEAD(, run) runs; /* owned */
    unsigned n_running;
};

/* --- timers ---------------------------------------------------------------------------------------- */

static void
set_timer(int fd, uint32_t after_ms, uint32_t every_ms)
{
    struct itimerspec spec = {
        .it_value = { .tv_sec = after_ms / 1000, .tv_nsec = (long)(after_ms % 1000) * 1000000 },
        .it_interval = { .tv_sec = every_ms / 1000, .tv_nsec = (long)(every_ms % 1000) * 1000000 },
    };

    (void)timerfd_settime(fd, 0, &spec, NULL);
}

static void
set_ticking(struct runner *runner)
{
    bool wanted = false;

    const struct run *run;

    LIST_FOREACH (run, &runner->runs, link)
        wanted = wanted || run->box->fed || run->box->facts.killed;
    if (wanted == runner->ticking)
        return;
    runner->ticking = wanted;
    set_timer(runner->ticker, wanted ? LIMIT_TICK_MS : 0, wanted ? LIMIT_TICK_MS : 0);
}

/* A start keeps the loop, and a processor, for as long as many a task runs: it waits until no task does,
 * unless few stand ready. */
static void
ask_refill(struct runner *runner, uint32_t delay_ms)
{
    const struct action *action = runner->keep_pool ? pool_wants(&runner->pool) : NULL;

    if (!action)
        return;
    if (runner->backoff_ms)
        delay_ms = runner->backoff_ms;
    else if (pool_low(&runner->pool, action))
        delay_ms = REFILL_DELAY_MS;
    else if (runner->n_running > 0)
        delay_ms = REFILL_BUSY_MS;
    set_timer(runner->refill, delay_ms, 0);
}

static void
drain_timer(int fd)
{
    uint64_t count;

    (void)!read(fd, &count, sizeof(count));
}

/* --- runs ------------------------------------------------------------------------------------------ */

/* Bring the epoll set in line with the box: descriptors that came up are added; those that were
 * closed left the set by themselves. The input is watched only while something is to be written. */
static void
watch_box(struct run *run)
{
    for (size_t i = 0; i < BOX_WATCHES; i++) {
        struct watch *watch = &run->watches[i];
        bool wanted = run->box->fds[i] >= 0 && (i != BOX_INPUT || run->box->fed);
        struct epoll_event event = { .events = i == BOX_INPUT ? EPOLLOUT : EPOLLIN,
                                     .data.ptr = watch };

        if (wanted && !watch->added)
            watch->added =
                epoll_ctl(run->runner->epoll, EPOLL_CTL_ADD, run->box->fds[i], &event) == 0;
    }
}

static enum rc
new_run(struct runner *runner, const struct sandbox *sandbox, struct run **out, struct err *err)
{
    struct run *run = calloc(1, sizeof(*run));
    enum rc rc;

    if (!run)
        return err_set(err, RC_TEMP, "no memory");
    rc = box_start(&runner->spawner, runner->janitor, sandbox, runner->group_parent,
                   ++runner->started, &run->box, err);
    if (rc != RC_OK) {
        free(run);
        return rc;
    }
    run->runner = runner;
    for (size_t i = 0; i < BOX_WATCHES; i++)
        run->watches[i] = (struct watch){ .run = run, .which = (enum box_watch)i };
    LIST_INSERT_HEAD(&runner->runs, run, link);
    watch_box(run);
    *out = run;
    return RC_OK;
}

static void
free_run(struct run *run)
{
    LIST_REMOVE(run, link);
    box_free(run->box);
    free(run);
}

/* The first line of what bwrap wrote when it could not set up, for the log. */
static void
describe_fault(const struct box *box, char *text, size_t cap)
{
    const char *said = buf_text(&box->error);
    size_t len = strcspn(said, "\r\n");

    (void)snprintf(text, cap, "%.*s", (int)(len > 150 ? 150 : len),
                   len ? said : "bwrap ended without a word");
}

static void
report(struct run *run)
{
    const struct box *box = run->box;
    struct cgroup_facts group;
    struct facts facts = box->facts;
    struct run_result result;

    cgroup_read(&box->cgroup, &group);
    facts.oom_kills = group.oom_kills;
    facts.forks_refused = group.forks_refused;
    if (group.memory_peak_bytes > facts.memory_peak_bytes)
        facts.memory_peak_bytes = group.memory_peak_bytes;
    result = (struct run_result){
        .outcome = verdict_decide(&facts, &box->sandbox.limits),
        .exit_code = facts.exited && !facts.killed ? facts.exit_code : -1,
        .output = buf_text(&box->output),
        .output_len = box->output.len,
        .error = buf_text(&box->error),
        .error_len = box->error.len,
        .result = buf_text(&box->result),
        .result_len = box->result_cut ? 0 : box->result.len,
        .output_cut = box->output_cut,
        .result_cut = box->result_cut,
        .truncated = box->result_cut || box->output_seen > box->output.len + box->error.len,
        .wall_ms = (uint64_t)(box->ended_ms > box->fed_ms ? box->ended_ms - box->fed_ms : 0),
        .cpu_ms = verdict_cpu_ms(&facts),
        .max_rss_bytes = facts.memory_peak_bytes,
    };
    if (result.outcome == OUTCOME_FAULT)
        describe_fault(box, result.fault, sizeof(result.fault));
    run->runner->n_running--;
    run->done(run->arg, &result);
}

/* After anything happened to a box. */
static void
settle(struct run *run)
{
    struct runner *runner = run->runner;
    bool waiting = !run->box->fed && !run->done;

    if (run->dead)
        return;
    if (waiting && box_broken(run->box)) {
        pool_drop(&runner->pool, run->box->sandbox.action, run);
        runner->backoff_ms = runner->backoff_ms ? runner->backoff_ms * 2 : 50;
        if (runner->backoff_ms > REFILL_BACKOFF_MS)
            runner->backoff_ms = REFILL_BACKOFF_MS;
    }
    if (!box_finished(run->box)) {
        watch_box(run);
        return;
    }
    run->dead = true;
    if (run->done)
        report(run);
    ask_refill(runner, REFILL_END_MS);
}

static void
free_dead(struct runner *runner)
{
    struct run *run, *next;

    for (run = LIST_FIRST(&runner->runs); run; run = next) {
        next = LIST_NEXT(run, link);
        if (run->dead)
            free_run(run);
    }
}

static void
tick(struct runner *runner)
{
    int64_t now_ms = clock_mono_ms();
    struct run *run;

    drain_timer(runner->ticker);
    LIST_FOREACH (run, &runner->runs, link) {
        if (run->dead || (!run->box->fed && !run->box->facts.killed))
            continue;
        box_tick(run->box, now_ms);
        settle(run);
    }
}

static void
fill(struct runner *runner)
{
    const struct action *action = pool_wants(&runner->pool);
    struct sandbox sandbox;
    struct run *run;

    drain_timer(runner->refill);
    if (!action)
        return;
    sandbox = policy_ahead(action);
    if (new_run(runner, &sandbox, &run, NULL) == RC_OK) {
        pool_put(&runner->pool, action, run);
    } else {
        runner->backoff_ms = REFILL_BACKOFF_MS;
    }
    ask_refill(runner, REFILL_DELAY_MS);
}

/* We are a subreaper: what a dying bwrap leaves behind without having told us comes here. */
static void
reap_strangers(const struct runner *runner)
{
    siginfo_t info = { 0 };
    const struct run *run;

    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
        return;
    LIST_FOREACH (run, &runner->runs, link) {
        if (run->box->pid == info.si_pid || run->box->init_pid == info.si_pid)
            return;
    }
    (void)waitpid(info.si_pid, NULL, WNOHANG);
}

/* --- the public face --------------------------------------------------------------------------------- */

static void
runner_cleanup(struct runner **runner)
{
    runner_free(*runner);
}

static enum rc
add_timer(struct runner *runner, int *fd, struct err *err)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = fd };

    *fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (*fd < 0 || epoll_ctl(runner->epoll, EPOLL_CTL_ADD, *fd, &event) != 0)
        return err_set(err, RC_TEMP, "timerfd: %s", strerror(errno));
    return RC_OK;
}

enum rc
runner_new(const struct runner_options *options, struct runner **out, struct err *err)
{
    AUTO(runner) struct runner *runner = calloc(1, sizeof(*runner));
    enum rc rc;

    if (!runner)
        return err_set(err, RC_TEMP, "no memory");
    runner->group_parent = runner->ticker = runner->refill = -1;
    runner->catalog = options->catalog;
    runner->keep_pool = options->pool;
    runner->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (runner->epoll < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
        return err_set(err, RC_TEMP, "epoll: %s", strerror(errno));
    if ((rc = add_timer(runner, &runner->ticker, err)) != RC_OK ||
        (rc = add_timer(runner, &runner->refill, err)) != RC_OK ||
        (rc = janitor_new(&runner->janitor, err)) != RC_OK)
        return rc;
    rc = spawner_init(&runner->spawner, options->bwrap ? options->bwrap : ARGV_BWRAP, err);
    if (rc != RC_OK)
        return rc;
    if (options->cgroup && options->cgroup[0] &&
        (rc = cgroup_open(options->cgroup, &runner->group_parent, err)) != RC_OK)
        return rc;
    pool_init(&runner->pool, options->catalog);
    ask_refill(runner, REFILL_DELAY_MS);
    *out = TAKE(runner);
    return RC_OK;
}

void
runner_free(struct runner *runner)
{
    int64_t deadline_ms = clock_mono_ms() + FREE_WAIT_MS;
    struct run *run;

    if (!runner)
        return;
    runner->keep_pool = false;
    LIST_FOREACH (run, &runner->runs, link) {
        if (run->done)
            runner->n_running--;
        run->done = NULL;
        box_kill(run->box, OUTCOME_CANCELLED);
    }
    while (!LIST_EMPTY(&runner->runs) && clock_mono_ms() < deadline_ms)
        runner_turn(runner, LIMIT_TICK_MS);
    while (!LIST_EMPTY(&runner->runs))
        free_run(LIST_FIRST(&runner->runs));
    janitor_free(runner->janitor);
    fd_cleanup(&runner->ticker);
    fd_cleanup(&runner->refill);
    fd_cleanup(&runner->epoll);
    fd_cleanup(&runner->group_parent);
    spawner_fini(&runner->spawner);
    free(runner);
}

int
runner_fd(const struct runner *runner)
{
    return runner->epoll;
}

void
runner_turn(struct runner *runner, int timeout_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int n;

    set_ticking(runner);
    n = epoll_wait(runner->epoll, events, EVENTS_MAX, timeout_ms);
    for (int i = 0; i < n; i++) {
        void *what = events[i].data.ptr;
        struct watch *watch = what;

        if (what == &runner->ticker) {
            tick(runner);
            reap_strangers(runner);
        } else if (what == &runner->refill) {
            fill(runner);
        } else if (!watch->run->dead) {
            box_event(watch->run->box, watch->which);
            settle(watch->run);
        }
    }
    free_dead(runner);
    set_ticking(runner);
}

enum rc
runner_start(struct runner *runner, const struct sandbox *sandbox, const char *input, size_t len,
             run_done_fn *done, void *arg, struct run **out, struct err *err)
{
    struct run *run;
    enum rc rc;

    if (len > LIMIT_INPUT_BYTES)
        return err_set(err, RC_LIMIT, "the task is longer than %d bytes", LIMIT_INPUT_BYTES);
    run = pool_take(&runner->pool, sandbox->action);
    if (run)
        runner->backoff_ms = 0; /* the pool works */
    else if ((rc = new_run(runner, sandbox, &run, err)) != RC_OK)
        return rc;
    run->done = done;
    run->arg = arg;
    runner->n_running++;
    rc = box_feed(run->box, &sandbox->limits, input, len);
    if (rc != RC_OK) /* the length was checked */
        box_kill(run->box, OUTCOME_FAULT);
    watch_box(run);
    set_ticking(runner);
    ask_refill(runner, REFILL_DELAY_MS);
    if (out)
        *out = run;
    return RC_OK;
}

void
runner_cancel(struct run *run)
{
    box_kill(run->box, OUTCOME_CANCELLED);
    set_ticking(run->runner);
}

unsigned
runner_running(const struct runner *runner)
{
    return runner->n_running;
}

unsigned
runner_ready(const struct runner *runner)
{
    return pool_ready(&runner->pool);
}

bool
runner_pool_full(const struct runner *runner)
{
    return !pool_wants(&runner->pool);
}
