/* SPDX-License-Identifier: MIT */
/*
 * echo - the smallest worker, for the tests of the runtime: what it does is told by the job's text.
 *
 * ECHO_ROLE  ingest (memory.ingest from the stream), database (the same with PostgreSQL), search
 *            (memory.search as a core request), executor (executor.run, one consumer a workspace)
 * ECHO_LOG   a file; each call of the handler appends one line for each job:
 *            "<pid> <id> <deliveries> <jobs in the call> <text>"
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "bus/bus.h"
#include "worker/worker.h"

#define SLOTS 2

struct pending_job {
    struct worker *w;
    struct job *job;
    struct loop_timer *timer;
};

static struct {
    int log_fd;
    unsigned running;
    char failed[64][ID_TEXT_MAX]; /* ids that failed for now, once for each time */
    size_t n_failed;
} echo;

static const char *
text_of(const struct job *job)
{
    const char *text = json_string(job->body, "text");
    if (!text)
        text = json_string(job->body, "query");
    if (!text)
        text = json_string(json_member(job->body, "task"), "message");
    return text ? text : "";
}

static void
note(const struct job *job, size_t n)
{
    char line[256];
    int len = snprintf(line, sizeof(line), "%d %s %llu %zu %.100s\n", (int)getpid(), job->id,
                       (unsigned long long)job->deliveries, n, text_of(job));
    if (write(echo.log_fd, line, (size_t)len) != len)
        abort();
}

static size_t
failures(const char *id)
{
    size_t count = 0;
    for (size_t i = 0; i < echo.n_failed; i++)
        count += strcmp(echo.failed[i], id) == 0;
    return count;
}

static void
answer(struct job *job)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    buf_init(&out, 100000);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_string(&w, "id", job->id);
    json_put_string(&w, "echo", text_of(job));
    json_put_string(&w, "workspace", job->actor.workspace);
    json_put_string(&w, "key_id", job->actor.key_id);
    json_put_bool(&w, "direct", job->direct);
    json_close(&w);
    if (json_end(&w) == RC_OK)
        job_answer(job, 200, &out);
}

static void
decide(struct job *job)
{
    const char *text = text_of(job);
    struct err err = { .rc = RC_OK };
    unsigned long n = strchr(text, ':') ? strtoul(strchr(text, ':') + 1, NULL, 10) : 0;
    if (strncmp(text, "die", 3) == 0) {
        (void)raise(SIGKILL);
    } else if (strncmp(text, "temp:", 5) == 0 && failures(job->id) < n) {
        memcpy(echo.failed[echo.n_failed++ % 64], job->id, ID_TEXT_MAX);
        (void)err_set(&err, RC_TEMP, "not yet");
        job_fail(job, &err);
    } else if (strncmp(text, "bug", 3) == 0) {
        (void)err_set(&err, RC_BUG, "an invariant");
        job_fail(job, &err);
    } else if (strncmp(text, "missing", 7) == 0) {
        job_problem(job, PROBLEM_NOT_FOUND, NULL, "No such thing.");
    } else {
        if (strncmp(text, "slow:", 5) == 0)
            usleep((useconds_t)n * 1000);
        answer(job);
    }
}

static void
echo_batch(struct worker *w, struct job **jobs, size_t n)
{
    (void)w;
    for (size_t i = 0; i < n; i++)
        note(jobs[i], n);
    for (size_t i = 0; i < n; i++)
        decide(jobs[i]);
}

static void
end_task(void *arg)
{
    struct pending_job *pending = arg;
    answer(pending->job);
    worker_finish(pending->w, pending->job);
    loop_timer_free(pending->timer);
    free(pending);
    echo.running--;
}

static void
start_task(struct worker *w, struct job *job)
{
    struct pending_job *pending = calloc(1, sizeof(*pending));
    if (!pending)
        abort();
    const char *text = text_of(job);
    note(job, 1);
    *pending = (struct pending_job){ .w = w, .job = job };
    pending->timer = loop_timer_new(worker_loop(w), end_task, pending);
    loop_timer_set(pending->timer, (uint32_t)strtoul(text, NULL, 10), 0);
    echo.running++;
}

static unsigned
slots_free(struct worker *w)
{
    (void)w;
    return SLOTS - echo.running;
}

static enum rc
start(struct worker *w, struct err *err)
{
    (void)w;
    const char *path = conf_env("ECHO_LOG");
    echo.log_fd = open(path ? path : "/dev/null", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    return echo.log_fd < 0 ? err_set(err, RC_CONFIG, "ECHO_LOG cannot be opened") : RC_OK;
}

static const struct worker_route STREAM_ROUTES[] = {
    { .command = CMD_MEMORY_INGEST, .handle = echo_batch },
    { .command = CMD_MEMORY_DELETE, .handle = echo_batch }
};
static const struct worker_route CORE_ROUTES[] = { { .command = CMD_MEMORY_SEARCH,
                                                     .handle = echo_batch } };
static const struct worker_route TASK_ROUTES[] = { { .command = CMD_EXECUTOR_RUN,
                                                     .start = start_task } };
static const struct db_statement STATEMENTS[] = { { "now", "SELECT now()" } };

static const struct worker_spec SPECS[] = {
    { .name = "ingest",
      .description = "echoes",
      .routes = STREAM_ROUTES,
      .n_routes = 2,
      .on_start = start },
    { .name = "ingest",
      .description = "echoes",
      .routes = STREAM_ROUTES,
      .n_routes = 2,
      .on_start = start,
      .statements = STATEMENTS,
      .n_statements = 1 },
    { .name = "search",
      .description = "echoes",
      .routes = CORE_ROUTES,
      .n_routes = 1,
      .on_start = start },
    { .name = "executor",
      .description = "echoes",
      .routes = TASK_ROUTES,
      .n_routes = 1,
      .on_start = start,
      .consumer_per_workspace = true,
      .slots_free = slots_free },
};
static const char *const ROLES[] = { "ingest", "database", "search", "executor" };

int
main(int argc, char **argv)
{
    const char *role = conf_env("ECHO_ROLE");
    for (size_t i = 0; i < ARRAY_LEN(ROLES); i++)
        if (role && strcmp(role, ROLES[i]) == 0)
            return worker_main(argc, argv, &SPECS[i]);
    return EXIT_USAGE;
}
