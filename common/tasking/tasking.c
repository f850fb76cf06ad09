/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. One command goes through these steps, which stand here in their order. Each is a
 * callback of the one before, which never comes before that one has returned; each goes on, or ends the
 * tasking by settling the call:
 *
 *   tasking_start -> job_start (Redis)     -> on_started \
 *                 -> allowlist (gateway)   -> on_allowed  > kind->run -> tasking_end -> record (Redis)
 *                                                          -> on_recorded -> conclude
 *
 * A step that fails for the moment ends the attempt (call_fail with RC_TEMP); the next one begins
 * at the top: job_start lets the same delivery in again. Once the job has ended there is no way
 * back: recording its result is tried until Redis takes it, so that nothing runs twice because Redis
 * was unavailable. A crash anywhere before that delivers the command again, with a higher delivery, and
 * job_finish of the old delivery is refused.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "protocol/audit_event.h"
#include "tasking/tasking_own.h"

#define FINISH_AGAIN_MS   500
#define OUTCOME_OK_NAME   "ok"
#define OUTCOME_CANCELLED "cancelled"

/* The steps. */
static void on_started(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err);
static void on_allowed(void *arg, enum rc rc, const cJSON *lists, const struct err *err);
static void record(void *arg);
static void on_recorded(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err);
static void conclude(struct tasking *t);
/* The ways out. */
static void end_cancelled(struct tasking *t);
static void answer_again(struct tasking *t, const struct kv_reply *reply);

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

static struct tasking *
tasking_new(struct taskings *all, struct call *call)
{
    struct tasking *t = calloc(1, sizeof(*t));

    if (!t || !(t->steps = calloc(1, sizeof(*t->steps))))
        log_no_memory("the steps of a job");
    t->all = all;
    t->call = call;
    t->steps->code = PROBLEM_COUNT;
    t->steps->start_us = t->steps->asked_us = clock_mono_us();
    LIST_INSERT_HEAD(&all->list, t, link);
    all->count++;
    buf_init(&t->steps->output, all->kind->output_max);
    tasking_ref(call, &t->ref);
    return t;
}

/* Both questions leave together: neither needs the other's answer. */
void
tasking_start(struct taskings *all, struct call *call)
{
    struct tasking *t = tasking_new(all, call);
    struct tasking_steps *s = t->steps;
    struct err err = { 0 };
    const cJSON *known;

    jobs_start(&all->jobs, &t->ref, on_started, t);
    if ((known = allow_known(all->allow, t->ref.workspace, t->ref.action)) &&
        permission_judge(t, known) == PERMISSION_ALLOWED) {
        s->permission = PERMISSION_ALLOWED;
    } else if (allow_ask(all->allow, t->ref.workspace, on_allowed, t, &s->question, &err) !=
               RC_OK) {
        s->permission = PERMISSION_UNKNOWN;
        (void)snprintf(s->error, sizeof(s->error), "%s", err.text);
    }
    describe_for_audit(t);
}

/* Once the job is ours and the gateway has said whether it may run. */
static void
decide(struct tasking *t)
{
    struct tasking_steps *s = t->steps;
    char detail[JOBS_ERROR_MAX];

    if (!s->started || s->permission == PERMISSION_ASKED)
        return;
    permission_record(t);
    if (s->permission == PERMISSION_UNKNOWN) {
        (void)snprintf(detail, sizeof(detail), "%s", s->error);
        tasking_give_back(t, RC_TEMP, detail);
    } else if (t->cancelled && !t->sent) {
        end_cancelled(t);
    } else if (s->permission == PERMISSION_DENIED) {
        (void)snprintf(detail, sizeof(detail), "Action '%.128s' not allowed%s", t->ref.action,
                       t->sent ? "; an earlier attempt may have done it" : "");
        tasking_refuse(t, PROBLEM_ACTION_NOT_ALLOWED, detail);
    } else if (s->permission == PERMISSION_HELD || s->permission == PERMISSION_REFUSED) {
        permission_explain(t, detail);
        tasking_refuse(t, PROBLEM_ACTION_NOT_ALLOWED, detail);
    } else {
        t->all->kind->run(t);
    }
}

static void
on_allowed(void *arg, enum rc rc, const cJSON *lists, const struct err *err)
{
    struct tasking *t = arg;
    struct tasking_steps *s = t->steps;

    s->question = NULL;
    if (rc != RC_OK) {
        s->permission = PERMISSION_UNKNOWN;
        (void)snprintf(s->error, sizeof(s->error), "%s", err->text);
    } else {
        s->permission = permission_judge(t, lists);
    }
    decide(t);
}

/* Redis has answered. */
static void
count_redis(const struct tasking *t)
{
    struct call *call = t->call;
    if (!call->database_us)
        call->database_start_us = t->steps->asked_us;
    call->database_us += clock_mono_us() - t->steps->asked_us;
}

static void
on_started(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    static const struct kv_reply NOTHING = { .type = KV_TEXT, .text = "" };
    struct tasking *t = arg;
    const char *word = jobs_word(reply);

    count_redis(t);
    if (rc != RC_OK) {
        tasking_give_back(t, rc, err->text);
    } else if (strcmp(word, "run") == 0) {
        t->steps->started = true;
        t->sent = jobs_was_sent(reply);
        t->mark_lost = jobs_mark_lost(reply);
        t->cancelled = t->cancelled || jobs_was_cancelled(reply);
        tasking_tell_state(t->all, &t->ref, "running");
        decide(t);
    } else if (strcmp(word, "done") == 0) {
        answer_again(t, reply);
    } else if (strcmp(word, "cancelled") == 0) {
        const struct kv_reply fields[] = { NOTHING, NOTHING, NOTHING, NOTHING,
                                           NOTHING, NOTHING, NOTHING };

        answer_again(
            t, &(struct kv_reply){ .type = KV_LIST, .count = ARRAY_LEN(fields), .items = fields });
    } else if (strcmp(word, "full") == 0) {
        worker_full(t->all->w, BOUND_JOBS, t->ref.workspace);
        (void)snprintf(t->steps->error, sizeof(t->steps->error), "%s",
                       "the workspace's share of Redis is used up (REDIS_SHARE_BYTES)");
        t->steps->code = PROBLEM_UNAVAILABLE;
        conclude(t);
    } else {
        tasking_give_back(t, RC_TEMP, "another message or delivery of this command is under way");
    }
}

/* --- the end: recording ------------------------------------------------------------------------------ */

static void
set_outcome(struct tasking *t, const char *outcome)
{
    t->steps->outcome = outcome;
    if (strcmp(outcome, OUTCOME_OK_NAME) != 0)
        t->call->audit_error = outcome;
}

void
tasking_end(struct tasking *t, const char *outcome, const struct job_usage *usage,
            struct buf *output)
{
    struct tasking_steps *s = t->steps;

    t->own = NULL;
    buf_fini(&s->output);
    s->output = *output;
    *output = (struct buf){ 0 };
    set_outcome(t, outcome);
    s->usage = *usage;
    s->http = 200;
    s->status = jobs_status_of(outcome);
    if (strcmp(outcome, OUTCOME_OK_NAME) != 0)
        (void)snprintf(s->error, sizeof(s->error), "%s", outcome);
    record(t);
}

static void
record(void *arg)
{
    struct tasking *t = arg;
    struct tasking_steps *s = t->steps;
    bool problem = s->code < PROBLEM_COUNT;
    char shown[JOBS_ERROR_MAX + 64];
    struct job_end end = {
        .status = s->status,
        .http = s->http,
        .outcome = problem ? "" : s->outcome,
        .usage = s->usage,
        .answer = problem ? s->error : buf_text(&s->output),
        .answer_len = problem ? strlen(s->error) : s->output.len,
        .error = s->error,
    };

    if (problem) {
        (void)snprintf(shown, sizeof(shown), "%s: %s", problem_name(s->code), s->error);
        end.error = shown;
    }
    s->asked_us = clock_mono_us();
    jobs_finish(&t->all->jobs, &t->ref, &end, on_recorded, t);
}

/* The labels are bounded: what no catalog of ours names, anybody may have thought up. */
static void
count_job(const struct tasking *t)
{
    const struct tasking_steps *s = t->steps;
    const char *action = t->all->kind->label ? t->all->kind->label(t) : NULL;
    const char *outcome = s->code < PROBLEM_COUNT ? "refused" : s->outcome;
    struct histogram *histogram =
        series_find(worker_series(t->all->w), FAMILY_JOB, action ? action : "other", outcome);
    if (histogram)
        histogram_add(histogram, (uint64_t)(clock_mono_us() - s->start_us),
                      t->call->trace.sampled ? t->call->trace.id : NULL);
}

static void
on_recorded(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    struct tasking *t = arg;
    struct tasking_steps *s = t->steps;
    const char *word = jobs_word(reply);

    count_redis(t);
    if (rc == RC_OK && strcmp(word, "ok") == 0) {
        count_job(t);
        conclude(t);
    } else if (rc == RC_OK && strcmp(word, "done") == 0) {
        answer_again(t, reply);
    } else if (rc == RC_OK && strcmp(word, "busy") == 0) {
        tasking_give_back(t, RC_TEMP, "another delivery of this command has taken over");
    } else if (rc == RC_OK && strcmp(word, "full") == 0) {
        worker_full(t->all->w, BOUND_JOBS, t->ref.workspace);
        tasking_refuse(t, PROBLEM_UNAVAILABLE,
                       "the workspace's share of Redis is used up (REDIS_SHARE_BYTES): the action "
                       "was carried out, but its result could not be kept");
    } else {
        log_fields(LOG_WARN, "a result cannot be recorded now: trying until it can",
                   CALL_FIELDS(t->call), "reason", err ? err->text : "a reply out of form", NULL);
        if (!s->again)
            s->again = loop_timer_new(worker_loop(t->all->w), record, t);
        loop_timer_set(s->again, FINISH_AGAIN_MS, 0);
    }
}

/* --- the answer --------------------------------------------------------------------------------------- */

/* Answer and settle; the answer or the problem is in t. */
static void
conclude(struct tasking *t)
{
    struct tasking_steps *s = t->steps;
    struct worker *w = t->all->w;
    struct call *call = t->call;
    AUTO(buf) struct buf answer = { 0 };

    buf_init(&answer, t->all->kind->output_max + JOBS_COMPOSE_EXTRA);
    if (s->code < PROBLEM_COUNT) {
        if (s->code == PROBLEM_ACTION_NOT_ALLOWED)
            call->audit_decision = "denied";
        call_problem(call, s->code, t->errors.count ? &t->errors : NULL, s->error);
    } else if (s->whole) {
        call_answer(call, s->http, &s->output);
        call->result.job_status = s->status;
    } else if (jobs_compose(s->outcome, &s->usage, buf_text(&s->output), s->output.len, t->ref.id,
                            &answer) == RC_OK) {
        call_answer(call, s->http, &answer);
        call->result.job_status = jobs_status_of(s->outcome);
    } else {
        tasking_give_back(t, RC_BUG, "an answer is larger than any answer can be");
        return;
    }
    tasking_drop(t);
    worker_finish(w, call);
}

/* --- the ways out ------------------------------------------------------------------------------------- */

void
tasking_give_back(struct tasking *t, enum rc rc, const char *why)
{
    struct worker *w = t->all->w;
    struct call *call = t->call;
    struct err err = { 0 };

    (void)err_set(&err, rc == RC_OK ? RC_TEMP : rc, "%s", why);
    tasking_drop(t);
    call_fail(call, &err);
    worker_finish(w, call);
}

/* The job has failed before it ran, or its result cannot be kept. */
void
tasking_refuse(struct tasking *t, enum problem_code code, const char *detail)
{
    struct tasking_steps *s = t->steps;

    t->own = NULL;
    s->code = code;
    s->http = problem_http(code);
    s->status = "failed";
    (void)snprintf(s->error, sizeof(s->error), "%s", detail);
    record(t);
}

static void
end_cancelled(struct tasking *t)
{
    const struct job_usage none = { 0 };
    struct buf output = { 0 };

    buf_init(&output, t->all->kind->output_max);
    if (t->all->kind->cancelled(&output) == RC_OK) {
        tasking_end(t, OUTCOME_CANCELLED, &none, &output);
    } else {
        buf_fini(&output);
        tasking_give_back(t, RC_BUG, "the output of a cancelled job cannot be written");
    }
}

/* A record of version 1 is the whole answer, with the outcome in it. */
static const char *
status_of_whole(const struct buf *answer)
{
    AUTO(json) cJSON *doc = NULL;
    (void)!json_read_foreign(buf_text(answer), answer->len, &doc, NULL);
    const char *outcome = json_string(doc, "outcome");
    return jobs_status_of(outcome ? outcome : "");
}

/* It has ended before, by this or another delivery: the first recorded end is what everybody gets. */
static void
answer_again(struct tasking *t, const struct kv_reply *reply)
{
    struct tasking_steps *s = t->steps;
    struct job_end end = { 0 };
    struct err err = { 0 };

    buf_reset(&s->output);
    s->code = PROBLEM_COUNT;
    if (jobs_read_end(&t->all->jobs, &t->ref, reply, &end, &s->output, &err) != RC_OK) {
        tasking_give_back(t, RC_CONFIG, err.text);
        return;
    }
    s->http = end.http;
    s->usage = end.usage;
    if (s->http >= 400) { /* the detail is the recorded text */
        s->code = s->http == 403   ? PROBLEM_ACTION_NOT_ALLOWED
                  : s->http == 503 ? PROBLEM_UNAVAILABLE
                                   : PROBLEM_INVALID_REQUEST;
        (void)snprintf(s->error, sizeof(s->error), "%s", end.answer);
    } else if (end.answer_len == 0) { /* it was cancelled before it ran */
        s->http = 200;
        set_outcome(t, OUTCOME_CANCELLED);
        (void)!t->all->kind->cancelled(&s->output);
    } else if (!end.outcome[0]) {
        s->whole = true;
        s->status = status_of_whole(&s->output);
    } else {
        char *outcome = arena_strdup(t->call->mem, end.outcome);

        if (!outcome)
            log_no_memory("an outcome");
        set_outcome(t, outcome);
    }
    conclude(t);
}

void
tasking_drop(struct tasking *t)
{
    LIST_REMOVE(t, link);
    t->all->count--;
    allow_forget(t->steps->question);
    loop_timer_free(t->steps->again);
    buf_fini(&t->steps->output);
    json_cleanup(&t->egress);
    json_cleanup(&t->policy);
    free(t->steps);
    free(t);
}
