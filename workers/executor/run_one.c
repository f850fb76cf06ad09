/* SPDX-License-Identifier: MIT */
#include "run_one.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "jobs/answer.h"
#include "json/json.h"
#include "process/conf.h"
#include "sandbox/policy.h"
#include "sandbox/rights.h"
#include "sandbox/run.h"
#include "sandbox/selftest.h"

#define TURN_MS 100

struct one {
    const struct action *action;
    struct buf answer;
    struct run_result result; /* only its outcome and fault are used after the callback */
    bool done;
};

static void
runner_cleanup(struct runner **runner)
{
    runner_free(*runner);
}

static int
complain(const struct err *err)
{
    (void)fprintf(stderr, "gantry-executor: %s\n", err->text);
    return err->rc == RC_CONFIG ? EXIT_CONFIG : err->rc == RC_TEMP ? EXIT_TEMP : EXIT_USAGE;
}

static enum rc
read_task(cJSON **out, struct err *err)
{
    AUTO(buf) struct buf text = { 0 };
    char piece[8192];
    ssize_t got;

    buf_init(&text, LIMIT_INPUT_BYTES);
    while ((got = read(STDIN_FILENO, piece, sizeof(piece))) != 0) {
        if (got < 0 && errno != EINTR)
            return err_set(err, RC_TEMP, "standard input: %s", strerror(errno));
        if (got > 0)
            buf_add(&text, piece, (size_t)got);
    }
    if (buf_failed(&text))
        return err_set(err, RC_LIMIT, "the task is longer than %d bytes", LIMIT_INPUT_BYTES);
    return json_read(buf_text(&text), text.len, out, err);
}

static void
take_result(void *arg, const struct run_result *result)
{
    struct one *one = arg;

    one->result = *result;
    one->done = true;
    if (answer_write(one->action, result, NULL, &one->answer) != RC_OK)
        one->result.outcome = OUTCOME_FAULT;
}

static int
run_task(struct runner *runner, const struct sandbox *sandbox, const cJSON *task, struct err *err)
{
    AUTO(buf) struct buf input = { 0 };
    struct one one = { .action = sandbox->action };
    int code;

    buf_init(&input, LIMIT_INPUT_BYTES);
    buf_init(&one.answer, ANSWER_BYTES_MAX);
    if (json_canonical(task, NULL, &input) != RC_OK ||
        runner_start(runner, sandbox, buf_text(&input), input.len, take_result, &one, NULL, err) !=
            RC_OK)
        return complain(err);
    while (!one.done)
        runner_turn(runner, TURN_MS);
    if (one.result.outcome == OUTCOME_FAULT) {
        (void)err_set(err, RC_CONFIG, "the sandbox failed: %s", one.result.fault);
        code = complain(err);
    } else {
        (void)printf("%s\n", buf_text(&one.answer));
        code = one.result.outcome == OUTCOME_OK ? EXIT_OK : EXIT_NO;
    }
    buf_fini(&one.answer);
    return code;
}

__attribute__((noinline)) static enum rc
load_tasks(const char *tasks_dir, struct catalog *catalog, struct err *err)
{
    char folder[PATH_MAX];
    enum rc rc = catalog_locate(tasks_dir, folder, sizeof(folder), err);

    return rc == RC_OK ? catalog_load(folder, catalog, err) : rc;
}

__attribute__((noinline)) static enum rc
decide(const struct catalog *catalog, const struct request *request, struct sandbox *sandbox,
       struct err *err)
{
    struct field_errors errors = { 0 };
    enum rc rc;

    if (!request->type)
        return err_set(err, RC_INVALID, "the task is not an object with a type");
    rc = policy_decide(catalog, request, sandbox, &errors, err);
    for (size_t i = 0; i < errors.count; i++)
        (void)fprintf(stderr, "%s: %s\n", errors.items[i].field, errors.items[i].detail);
    return rc;
}

static int
run_one(unsigned timeout_seconds)
{
    AUTO(catalog) struct catalog catalog = { 0 };
    AUTO(runner) struct runner *runner = NULL;
    AUTO(json) cJSON *task = NULL;
    struct runner_options options = { .catalog = &catalog, .cgroup = conf_env("EXECUTOR_CGROUP") };
    struct request request = { .timeout_seconds = timeout_seconds };
    const char *user = conf_env("EXECUTOR_USER");
    struct sandbox sandbox;
    struct err err = { 0 };

    if (load_tasks(conf_env("EXECUTOR_TASKS_DIR"), &catalog, &err) != RC_OK ||
        rights_drop(user ? user : RIGHTS_USER_DEFAULT, &err) != RC_OK ||
        read_task(&task, &err) != RC_OK)
        return complain(&err);
    request.task = task;
    request.type = json_string(task, "type");
    if (decide(&catalog, &request, &sandbox, &err) != RC_OK ||
        runner_new(&options, &runner, &err) != RC_OK)
        return complain(&err);
    return run_task(runner, &sandbox, task, &err);
}

/* `--self-test`: does the sandbox hold here? */
static int
self_test(void)
{
    AUTO(catalog) struct catalog catalog = { 0 };
    const char *user = conf_env("EXECUTOR_USER");
    struct err err = { 0 };

    if (load_tasks(conf_env("EXECUTOR_TASKS_DIR"), &catalog, &err) != RC_OK ||
        rights_drop(user ? user : RIGHTS_USER_DEFAULT, &err) != RC_OK ||
        selftest_run(&catalog, NULL, conf_env("EXECUTOR_CGROUP"), &err) != RC_OK)
        return complain(&err);
    (void)puts("the sandbox holds on this machine");
    return EXIT_OK;
}

int
run_one_command(int argc, char **argv)
{
    unsigned long seconds = 0;
    char *end = NULL;

    if (argc == 2 && strcmp(argv[1], "--self-test") == 0)
        return self_test();
    if (argc < 2 || strcmp(argv[1], "--run-one") != 0)
        return -1;
    if (argc == 4 && strcmp(argv[2], "--timeout") == 0)
        seconds = strtoul(argv[3], &end, 10);
    if ((argc != 2 && argc != 4) || (argc == 4 && (!end || *end || seconds == 0)) ||
        seconds > LIMIT_WALL_MS_MAX / 1000)
        return -1;
    return run_one((unsigned)seconds);
}
