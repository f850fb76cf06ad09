/* SPDX-License-Identifier: MIT */
/*
 * echo - the smallest worker, for the tests of the runtime: what it does is told by the call's text.
 *
 * ECHO_ROLE  ingest (memory.ingest from the stream), database (the same with PostgreSQL), search
 *            (memory.search as a core request), executor (executor.run, one consumer a workspace),
 *            audit (audit.request, gathered, audit.append, and audit.list as a core request)
 * ECHO_LOG   a file; each call of the handler appends one line for each call:
 *            "<pid> <id> <deliveries> <calls in the batch> <text>"
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
    struct call *call;
    struct loop_timer *timer;
};

static struct {
    int log_fd;
    unsigned running;
    char failed[64][ID_TEXT_MAX]; /* ids that failed for now, once for each time */
    size_t n_failed;
} echo;

static const char *
text_of(const struct call *call)
{
    const char *text = json_string(call->body, "text");
    if (!text)
        text = json_string(call->body, "query");
    if (!text)
        text = json_string(json_member(call->body, "task"), "message");
    if (!text)
        text = json_string(call->body, "target");
    return text ? text : "";
}

static void
note(const struct call *call, size_t n)
{
    char line[256];
    int len = snprintf(line, sizeof(line), "%d %s %llu %zu %.100s\n", (int)getpid(), call->id,
                       (unsigned long long)call->deliveries, n, text_of(call));
    if (write(echo.log_fd, line, (size_t)len) != len)
        abort();
}

static size_t
failures(const char *id)
{
    size_t count = 0;
    for (size_t i = 0; i < echo.n_failed && i < ARRAY_LEN(echo.failed); i++)
        count += strcmp(echo.failed[i], id) == 0;
    return count;
}

static void
answer(struct call *call)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    buf_init(&out, 100000);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_string(&w, "id", call->id);
    json_put_string(&w, "echo", text_of(call));
    json_put_string(&w, "workspace", call->actor.workspace);
    json_put_string(&w, "key_id", call->actor.key_id);
    json_put_bool(&w, "direct", call->direct);
    json_close(&w);
    if (json_end(&w) == RC_OK)
        call_answer(call, 200, &out);
}

static void
decide(struct call *call)
{
    const char *text = text_of(call);
    struct err err = { .rc = RC_OK };
    unsigned long n = strchr(text, ':') ? strtoul(strchr(text, ':') + 1, NULL, 10) : 0;
    if (strncmp(text, "die", 3) == 0) {
        (void)raise(SIGKILL);
    } else if (strncmp(text, "temp:", 5) == 0 && failures(call->id) < n) {
        memcpy(echo.failed[echo.n_failed++ % ARRAY_LEN(echo.failed)], call->id, ID_TEXT_MAX);
        (void)err_set(&err, RC_TEMP, "not yet");
        call_fail(call, &err);
    } else if (strncmp(text, "bug", 3) == 0) {
        (void)err_set(&err, RC_BUG, "an invariant");
        call_fail(call, &err);
    } else if (strncmp(text, "missing", 7) == 0) {
        call_problem(call, PROBLEM_NOT_FOUND, NULL, "No such thing.");
    } else {
        if (strncmp(text, "slow:", 5) == 0)
            usleep((useconds_t)n * 1000);
        answer(call);
    }
}

static void
echo_batch(struct worker *w, struct call **calls, size_t n)
{
    (void)w;
    for (size_t i = 0; i < n; i++)
        note(calls[i], n);
    for (size_t i = 0; i < n; i++)
        decide(calls[i]);
}

static void
end_task(void *arg)
{
    struct pending_job *pending = arg;
    answer(pending->call);
    worker_finish(pending->w, pending->call);
    loop_timer_free(pending->timer);
    free(pending);
    echo.running--;
}

static void
start_task(struct worker *w, struct call *call)
{
    struct pending_job *pending = calloc(1, sizeof(*pending));
    if (!pending)
        abort();
    const char *text = text_of(call);
    note(call, 1);
    *pending = (struct pending_job){ .w = w, .call = call };
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
static const struct worker_route AUDIT_ROUTES[] = {
    { .command = CMD_AUDIT_REQUEST, .handle = echo_batch, .gathered = true },
    { .command = CMD_AUDIT_APPEND, .handle = echo_batch },
    { .command = CMD_AUDIT_LIST, .handle = echo_batch },
};
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
      .slots_free = slots_free },
    { .name = "audit",
      .description = "echoes",
      .routes = AUDIT_ROUTES,
      .n_routes = ARRAY_LEN(AUDIT_ROUTES),
      .audits_itself = true,
      .on_start = start },
};
static const char *const ROLES[] = { "ingest", "database", "search", "executor", "audit" };

int
main(int argc, char **argv)
{
    const char *role = conf_env("ECHO_ROLE");
    for (size_t i = 0; i < ARRAY_LEN(ROLES); i++)
        if (role && strcmp(role, ROLES[i]) == 0)
            return worker_main(argc, argv, &SPECS[i]);
    return EXIT_USAGE;
}
