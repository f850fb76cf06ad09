/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. One command executor.run goes through these steps, which stand here in their
 * order. Each is a callback of the one before, which never comes before that one has returned; each
 * goes on, or ends the tasking by settling the call:
 *
 *   tasking_start -> job_start (Redis)     -> on_started \
 *                 -> allowlist (gateway)   -> on_allowed  > run_sandbox -> on_done -> record (Redis)
 *                                                          -> on_recorded -> conclude
 *
 * What fails for the moment is handed back for another attempt (call_fail with RC_TEMP), which begins
 * at the top: job_start lets the same delivery in again. Once the sandbox has ended there is no way
 * back: recording its result is tried until Redis takes it, so that nothing runs twice because Redis
 * was away. A crash anywhere before that delivers the command again, with a higher delivery, and
 * job_finish of the old delivery is refused.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "jobs/answer.h"
#include "jobs/executor.h"
#include "protocol/audit_event.h"
#include "sandbox/policy.h"

#define FINISH_AGAIN_MS 500

enum verdict_of_list { ASKED, ALLOWED, DENIED, UNKNOWN };

struct tasking {
    struct tasking *next, *prev;
    struct executor *x; /* borrowed */
    struct call *call;  /* borrowed: until it is settled */
    struct job_ref ref;
    bool started;              /* the job is ours */
    enum verdict_of_list list; /* UNKNOWN: error says why */
    struct question *question; /* while the gateway is asked */
    const struct action *action;
    struct run *run; /* while its sandbox runs */
    bool cancelled;
    struct loop_timer *again;
    /* How it ended. */
    const char *status, *outcome; /* static, or of the call's arena; outcome: of a task */
    struct job_usage usage;
    struct buf output; /* of a task that ran, or was cancelled; or a whole answer of version 1 */
    bool whole;
    int http;
    enum problem_code code; /* PROBLEM_COUNT: it was no refusal */
    struct field_errors errors;
    char error[JOBS_ERROR_MAX];
};

/* The steps. */
static void on_started(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err);
static void on_allowed(void *arg, enum rc rc, const cJSON *actions, const struct err *err);
static void run_sandbox(struct tasking *t);
static void on_done(void *arg, const struct run_result *result);
static void take_result(struct tasking *t, const struct run_result *result);
static void record(void *arg);
static void on_recorded(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err);
static void conclude(struct tasking *t);
/* The ways out. */
static void give_back(struct tasking *t, enum rc rc, const char *why);
static void refuse(struct tasking *t, enum problem_code code, const char *detail);
static void end_cancelled(struct tasking *t);
static void answer_again(struct tasking *t, const struct kv_reply *reply);
static void drop(struct tasking *t);

/* --- the beginning ------------------------------------------------------------------------------------ */

void
tasking_ref(const struct call *call, struct job_ref *ref)
{
    const char *type = json_string(json_member(call->body, "task"), "type");

    *ref = (struct job_ref){ .enqueued_ms = call->accepted_ms,
                             .message = call->stream_ns,
                             .delivery = call->deliveries };
    (void)snprintf(ref->workspace, sizeof(ref->workspace), "%s", call->actor.workspace);
    (void)snprintf(ref->id, sizeof(ref->id), "%s", call->id);
    (void)snprintf(ref->action, sizeof(ref->action), "%s", type ? type : "");
}

/* For actions the audit log keeps a digest and a redacted prefix of the parameters. */
static void
describe_for_audit(struct tasking *t)
{
    struct call *call = t->call;
    AUTO(json) cJSON *params = cJSON_Duplicate(json_member(call->body, "task"), true);
    char digest[AUDIT_DIGEST_MAX];
    char prefix[AUDIT_PREFIX_MAX];

    cJSON_DeleteItemFromObjectCaseSensitive(params, "type");
    if (audit_digest_json(params, digest) == RC_OK)
        call->params_sha256 = arena_strdup(call->mem, digest);
    if (audit_params_prefix(params, prefix) == RC_OK)
        call->params_prefix64 = arena_strdup(call->mem, prefix);
    call->audit_target = arena_strdup(call->mem, t->ref.action);
}

/* Both questions leave together: neither needs the other's answer. */
void
tasking_start(struct worker *w, struct call *call)
{
    struct executor *x = worker_state(w);
    struct tasking *t = calloc(1, sizeof(*t));
    struct err err = { 0 };

    if (!t)
        log_no_memory("a task");
    t->x = x;
    t->call = call;
    t->code = PROBLEM_COUNT;
    t->next = x->tasks;
    if (t->next)
        t->next->prev = t;
    x->tasks = t;
    x->n_tasks++;
    buf_init(&t->output, ANSWER_BYTES_MAX);
    tasking_ref(call, &t->ref);
    jobs_start(&x->jobs, &t->ref, on_started, t);
    if (allow_known(x->allow, t->ref.workspace, t->ref.action)) {
        t->list = ALLOWED;
    } else if (allow_ask(x->allow, t->ref.workspace, on_allowed, t, &t->question, &err) != RC_OK) {
        t->list = UNKNOWN;
        (void)snprintf(t->error, sizeof(t->error), "%s", err.text);
    }
    describe_for_audit(t);
}

/* Once the job is ours and the gateway has said whether it may run. */
static void
decide(struct tasking *t)
{
    char detail[JOBS_ERROR_MAX];

    if (!t->started || t->list == ASKED)
        return;
    if (t->list == UNKNOWN) {
        give_back(t, RC_TEMP, t->error);
    } else if (t->cancelled) {
        end_cancelled(t);
    } else if (t->list == DENIED) {
        (void)snprintf(detail, sizeof(detail), "Action '%.128s' not allowed", t->ref.action);
        refuse(t, PROBLEM_ACTION_NOT_ALLOWED, detail);
    } else {
        run_sandbox(t);
    }
}

static void
on_allowed(void *arg, enum rc rc, const cJSON *actions, const struct err *err)
{
    struct tasking *t = arg;

    t->question = NULL;
    if (rc != RC_OK) {
        t->list = UNKNOWN;
        (void)snprintf(t->error, sizeof(t->error), "%s", err->text);
    } else {
        t->list = allow_has(actions, t->ref.action) ? ALLOWED : DENIED;
    }
    decide(t);
}

static void
on_started(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    static const struct kv_reply NOTHING = { .type = KV_TEXT, .text = "" };
    struct tasking *t = arg;
    const char *word = jobs_word(reply);

    if (rc != RC_OK) {
        give_back(t, rc, err->text);
    } else if (strcmp(word, "run") == 0) {
        t->started = true;
        decide(t);
    } else if (strcmp(word, "done") == 0) {
        answer_again(t, reply);
    } else if (strcmp(word, "cancelled") == 0) {
        const struct kv_reply fields[] = { NOTHING, NOTHING, NOTHING, NOTHING,
                                           NOTHING, NOTHING, NOTHING };

        answer_again(
            t, &(struct kv_reply){ .type = KV_LIST, .count = ARRAY_LEN(fields), .items = fields });
    } else {
        give_back(t, RC_TEMP, "another message or delivery of this command is under way");
    }
}

/* --- the sandbox ------------------------------------------------------------------------------------ */

static void
run_sandbox(struct tasking *t)
{
    cJSON *task = cJSON_GetObjectItemCaseSensitive(t->call->body, "task");
    struct request request = {
        .type = t->ref.action,
        .task = task,
        .timeout_seconds = (uint32_t)json_int(t->call->body, "timeout_seconds", 0),
    };
    AUTO(buf) struct buf input = { 0 };
    struct sandbox sandbox;
    struct err err = { 0 };
    enum rc rc = policy_decide(&t->x->catalog, &request, &sandbox, &t->errors, &err);

    if (rc != RC_OK) {
        refuse(t, PROBLEM_INVALID_REQUEST, err.text);
        return;
    }
    t->action = sandbox.action;
    buf_init(&input, LIMIT_INPUT_BYTES);
    if (json_canonical(task, NULL, &input) != RC_OK) {
        refuse(t, PROBLEM_INVALID_REQUEST, "the task is too long");
        return;
    }
    rc = runner_start(t->x->runner, &sandbox, buf_text(&input), input.len, on_done, t, &t->run,
                      &err);
    if (rc != RC_OK)
        give_back(t, rc == RC_LIMIT ? RC_BUG : rc, err.text);
}

static void
on_done(void *arg, const struct run_result *result)
{
    struct tasking *t = arg;

    t->run = NULL;
    if (result->outcome == OUTCOME_FAULT)
        give_back(t, RC_TEMP, result->fault);
    else
        take_result(t, result);
}

/* --- the end: recording ------------------------------------------------------------------------------ */

static void
set_outcome(struct tasking *t, const char *outcome)
{
    t->outcome = outcome;
    if (strcmp(outcome, outcome_name(OUTCOME_OK)) != 0)
        t->call->audit_error = outcome;
}

static void
take_result(struct tasking *t, const struct run_result *result)
{
    static const struct action NO_ACTION = { .result = RESULT_NONE };
    const struct action *action = t->action ? t->action : &NO_ACTION;

    if (answer_output(action, result, &t->output) != RC_OK) {
        give_back(t, RC_BUG, "an answer is larger than any answer can be");
        return;
    }
    set_outcome(t, outcome_name(result->outcome));
    t->usage = answer_usage(result);
    t->http = 200;
    t->status = result->outcome == OUTCOME_OK          ? "completed"
                : result->outcome == OUTCOME_CANCELLED ? "cancelled"
                                                       : "failed";
    if (result->outcome != OUTCOME_OK)
        (void)snprintf(t->error, sizeof(t->error), "%s", t->outcome);
    record(t);
}

static void
record(void *arg)
{
    struct tasking *t = arg;
    bool problem = t->code < PROBLEM_COUNT;
    char shown[JOBS_ERROR_MAX + 64];
    struct job_end end = {
        .status = t->status,
        .http = t->http,
        .outcome = problem ? "" : t->outcome,
        .usage = t->usage,
        .answer = problem ? t->error : buf_text(&t->output),
        .answer_len = problem ? strlen(t->error) : t->output.len,
        .error = t->error,
    };

    if (problem) {
        (void)snprintf(shown, sizeof(shown), "%s: %s", problem_name(t->code), t->error);
        end.error = shown;
    }
    jobs_finish(&t->x->jobs, &t->ref, &end, on_recorded, t);
}

static void
on_recorded(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    struct tasking *t = arg;
    const char *word = jobs_word(reply);

    if (rc == RC_OK && strcmp(word, "ok") == 0) {
        conclude(t);
    } else if (rc == RC_OK && strcmp(word, "done") == 0) {
        answer_again(t, reply);
    } else if (rc == RC_OK && strcmp(word, "busy") == 0) {
        give_back(t, RC_TEMP, "another delivery of this command has taken over");
    } else if (rc == RC_OK && strcmp(word, "full") == 0) {
        refuse(
            t, PROBLEM_UNAVAILABLE,
            "the workspace's share of Redis is used up (REDIS_SHARE_BYTES): the task has run, but "
            "its result could not be kept");
    } else {
        log_fields(LOG_WARN, "a result cannot be recorded now: trying until it can", "id",
                   t->ref.id, "reason", err ? err->text : "a reply out of form", NULL);
        if (!t->again)
            t->again = loop_timer_new(worker_loop(t->x->w), record, t);
        loop_timer_set(t->again, FINISH_AGAIN_MS, 0);
    }
}

/* --- the answer --------------------------------------------------------------------------------------- */

/* Answer and settle; the answer or the problem is in t. */
static void
conclude(struct tasking *t)
{
    struct worker *w = t->x->w;
    struct call *call = t->call;
    AUTO(buf) struct buf answer = { 0 };

    buf_init(&answer, ANSWER_BYTES_MAX);
    if (t->code < PROBLEM_COUNT) {
        if (t->code == PROBLEM_ACTION_NOT_ALLOWED)
            call->audit_decision = "denied";
        call_problem(call, t->code, t->errors.count ? &t->errors : NULL, t->error);
    } else if (t->whole) {
        call_answer(call, t->http, &t->output);
    } else if (answer_compose(t->outcome, &t->usage, buf_text(&t->output), t->output.len, t->ref.id,
                              &answer) == RC_OK) {
        call_answer(call, t->http, &answer);
    } else {
        give_back(t, RC_BUG, "an answer is larger than any answer can be");
        return;
    }
    drop(t);
    worker_finish(w, call);
}

/* --- the ways out ------------------------------------------------------------------------------------- */

static void
give_back(struct tasking *t, enum rc rc, const char *why)
{
    struct worker *w = t->x->w;
    struct call *call = t->call;
    struct err err = { 0 };

    (void)err_set(&err, rc == RC_OK ? RC_TEMP : rc, "%s", why);
    drop(t);
    call_fail(call, &err);
    worker_finish(w, call);
}

/* The command is answered with a problem: the job has failed before it ran, or cannot be kept. */
static void
refuse(struct tasking *t, enum problem_code code, const char *detail)
{
    t->code = code;
    t->http = problem_http(code);
    t->status = "failed";
    (void)snprintf(t->error, sizeof(t->error), "%s", detail);
    record(t);
}

static const struct run_result CANCELLED = {
    .outcome = OUTCOME_CANCELLED, .exit_code = -1, .output = "", .error = "", .result = ""
};

static void
end_cancelled(struct tasking *t)
{
    take_result(t, &CANCELLED);
}

/* It has ended before, by this or another delivery: the first recorded end is what everybody gets. */
static void
answer_again(struct tasking *t, const struct kv_reply *reply)
{
    static const struct action NOTHING = { .result = RESULT_NONE };
    struct job_end end = { 0 };
    struct err err = { 0 };

    buf_reset(&t->output);
    t->code = PROBLEM_COUNT;
    if (jobs_read_end(&t->x->jobs, &t->ref, reply, &end, &t->output, &err) != RC_OK) {
        give_back(t, RC_CONFIG, err.text);
        return;
    }
    t->http = end.http;
    t->usage = end.usage;
    if (t->http >= 400) { /* the detail is the recorded text */
        t->code = t->http == 403   ? PROBLEM_ACTION_NOT_ALLOWED
                  : t->http == 503 ? PROBLEM_UNAVAILABLE
                                   : PROBLEM_INVALID_REQUEST;
        (void)snprintf(t->error, sizeof(t->error), "%s", end.answer);
    } else if (end.answer_len == 0) { /* it was cancelled before it ran */
        t->http = 200;
        set_outcome(t, outcome_name(OUTCOME_CANCELLED));
        (void)answer_output(&NOTHING, &CANCELLED, &t->output);
    } else if (!end.outcome[0]) {
        t->whole = true;
    } else {
        char *outcome = arena_strdup(t->call->mem, end.outcome);

        if (!outcome)
            log_no_memory("an outcome");
        set_outcome(t, outcome);
    }
    conclude(t);
}

static void
drop(struct tasking *t)
{
    if (t->prev)
        t->prev->next = t->next;
    else
        t->x->tasks = t->next;
    if (t->next)
        t->next->prev = t->prev;
    t->x->n_tasks--;
    allow_forget(t->question);
    loop_timer_free(t->again);
    buf_fini(&t->output);
    free(t);
}

/* --- from outside ------------------------------------------------------------------------------------- */

void
tasking_cancel(struct executor *x, const char *workspace, const char *id)
{
    for (struct tasking *t = x->tasks; t; t = t->next) {
        if (strcmp(t->ref.id, id) != 0 || strcmp(t->ref.workspace, workspace) != 0)
            continue;
        t->cancelled = true;
        if (t->run)
            runner_cancel(t->run);
    }
}

/* The program ends: what is not settled goes back to the server (worker.h). */
void
tasking_stop(struct executor *x)
{
    while (x->tasks)
        drop(x->tasks);
}
