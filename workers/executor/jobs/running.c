/* SPDX-License-Identifier: MIT */
/*
 * running - what carrying out means here: a task in a sandbox (tasking/tasking.h).
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "jobs/answer.h"
#include "jobs/executor.h"
#include "sandbox/policy.h"

static void
take_result(struct tasking *t, const struct action *action, const struct run_result *result)
{
    const struct job_usage usage = answer_usage(result);
    struct buf output = { 0 };

    buf_init(&output, ANSWER_BYTES_MAX);
    if (answer_output(action, result, &output) == RC_OK) {
        tasking_end(t, outcome_name(result->outcome), &usage, &output);
    } else {
        buf_fini(&output);
        tasking_give_back(t, RC_BUG, "an answer is larger than any answer can be");
    }
}

static void
on_done(void *arg, const struct run_result *result)
{
    struct tasking *t = arg;
    struct executor *x = t->all->program;

    t->own = NULL;
    if (result->outcome == OUTCOME_FAULT)
        tasking_give_back(t, RC_TEMP, result->fault);
    else
        take_result(t, catalog_find(&x->catalog, t->ref.action), result);
}

static void
run_sandbox(struct tasking *t)
{
    struct executor *x = t->all->program;
    cJSON *task = cJSON_GetObjectItemCaseSensitive(t->call->body, "task");
    struct request request = {
        .type = t->ref.action,
        .task = task,
        .timeout_seconds = (uint32_t)json_int(t->call->body, "timeout_seconds", 0),
    };
    AUTO(buf) struct buf input = { 0 };
    struct sandbox sandbox;
    struct run *run = NULL;
    struct err err = { 0 };
    enum rc rc = policy_decide(&x->catalog, &request, &sandbox, &t->errors, &err);

    if (rc != RC_OK) {
        tasking_refuse(t, PROBLEM_INVALID_REQUEST, err.text);
        return;
    }
    buf_init(&input, LIMIT_INPUT_BYTES);
    if (json_canonical(task, NULL, &input) != RC_OK) {
        tasking_refuse(t, PROBLEM_INVALID_REQUEST, "the task is too long");
        return;
    }
    rc = runner_start(x->runner, &sandbox, buf_text(&input), input.len, on_done, t, &run, &err);
    if (rc == RC_OK)
        t->own = run;
    else
        tasking_give_back(t, rc == RC_LIMIT ? RC_BUG : rc, err.text);
}

static void
cancel_sandbox(struct tasking *t)
{
    runner_cancel(t->own);
}

static enum rc
write_cancelled(struct buf *out)
{
    static const struct action NOTHING = { .result = RESULT_NONE };
    static const struct run_result CANCELLED = {
        .outcome = OUTCOME_CANCELLED, .exit_code = -1, .output = "", .error = "", .result = ""
    };

    return answer_output(&NOTHING, &CANCELLED, out);
}

static const char *
label(const struct tasking *t)
{
    const struct executor *x = t->all->program;
    const struct action *action = catalog_find(&x->catalog, t->ref.action);

    return action ? action->name : NULL;
}

static void
facts(const struct tasking *t, struct policy_ask *ask)
{
    ask->kind = label(t) ? "task" : "unknown";
}

const struct tasking_kind EXECUTOR_KIND = {
    .command = CMD_EXECUTOR_RUN,
    .run = run_sandbox,
    .cancel = cancel_sandbox,
    .cancelled = write_cancelled,
    .label = label,
    .facts = facts,
    .output_max = ANSWER_BYTES_MAX,
};

void
executor_run_start(struct worker *w, struct call *call)
{
    struct executor *x = worker_state(w);

    tasking_start(&x->taskings, call);
}
