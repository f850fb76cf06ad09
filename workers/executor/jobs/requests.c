/* SPDX-License-Identifier: MIT */
/*
 * The core requests: jobs.list, jobs.get, jobs.cancel, actions.list. Any executor answers them, from
 * Redis; a cancellation is told to all executors, since only one of them has the task.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "jobs/executor.h"
#include "sandbox/policy.h"
#include "tasking/question.h"

#define PAGE_MAX       (JOBS_PAGE_BYTES * 2)
#define ONE_MAX        (4 << 20)
#define CATALOG_MAX    (1 << 20)
#define CANCEL_WAIT_MS 3000
#define CANCEL_LOOK_MS 20
#define SUMMARY_MAX    512
#define LIST_DEFAULT   20

struct asking {
    cJSON *lists; /* owned: what the gateway said, while the connector is asked */
    struct executor *x;
    struct call *call; /* borrowed: until it is settled */
    struct job_ref ref;
    struct loop_timer *timer;
    int64_t until_ms;
};

/* Which job: `id` as in the route, or `job_id` as in the answers. */
static const char *
job_named(const struct call *call)
{
    const char *id = json_string(call->body, "id");
    return id ? id : json_string(call->body, "job_id");
}

/* false: the request is settled, it names no job, or two. */
static bool
names_a_job(struct worker *w, struct call *call)
{
    struct field_errors errors = { 0 };
    const char *id = json_string(call->body, "id");
    const char *job_id = json_string(call->body, "job_id");

    if (!id && !job_id)
        field_errors_add(&errors, "id", "is required: the job's id (job_id will do as well)");
    else if (id && job_id && strcasecmp(id, job_id) != 0)
        field_errors_add(&errors, "job_id", "is not id: one of them will do");
    if (errors.count == 0)
        return true;
    call_problem(call, PROBLEM_INVALID_REQUEST, &errors,
                 "The request breaks the rules listed in errors.");
    worker_finish(w, call);
    return false;
}

static struct asking *
ask_new(struct worker *w, struct call *call)
{
    struct asking *asking = calloc(1, sizeof(*asking));
    const char *id = job_named(call);

    if (!asking)
        log_no_memory("a request");
    asking->x = worker_state(w);
    asking->call = call;
    (void)snprintf(asking->ref.workspace, sizeof(asking->ref.workspace), "%s",
                   call->actor.workspace);
    if (id)
        (void)id_parse(id, strlen(id), asking->ref.id);
    if (id)
        call->audit_target = arena_strdup(call->mem, asking->ref.id);
    return asking;
}

static void
settle(struct asking *asking)
{
    struct worker *w = asking->x->w;
    struct call *call = asking->call;

    loop_timer_free(asking->timer);
    json_cleanup(&asking->lists);
    free(asking);
    worker_finish(w, call);
}

/* true: the reply can be used; else the request is settled as unavailable. */
static bool
usable(struct asking *asking, enum rc rc, const struct err *err)
{
    if (rc == RC_OK)
        return true;
    if (rc != RC_TEMP)
        log_fields(LOG_ERROR, "Redis refuses a question about jobs", CALL_FIELDS(asking->call),
                   "reason", err ? err->text : "", NULL);
    call_problem(asking->call, PROBLEM_UNAVAILABLE, NULL,
                 rc == RC_TEMP ? "Redis does not answer: no word about jobs."
                               : "Redis refuses the question; the executor's log says why.");
    settle(asking);
    return false;
}

static void
not_found(struct asking *asking)
{
    call_problem(asking->call, PROBLEM_NOT_FOUND, NULL,
                 "There is no such job here, or it ended so long ago that it is kept no more.");
    settle(asking);
}

static void
broken(struct asking *asking)
{
    call_problem(asking->call, PROBLEM_INTERNAL, NULL, "The job's record cannot be read.");
    settle(asking);
}

/* --- one job ---------------------------------------------------------------------------------------- */

static void
answer_one(struct asking *asking, int http, const struct kv_reply *reply)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    enum rc rc;

    buf_init(&out, ONE_MAX);
    json_begin(&w, &out);
    rc = jobs_write_one(&asking->x->taskings.jobs, &asking->ref, reply, NULL, &w);
    if (rc == RC_NOTFOUND) {
        not_found(asking);
    } else if (rc != RC_OK || json_end(&w) != RC_OK) {
        broken(asking);
    } else {
        call_answer(asking->call, http, &out);
        asking->call->result.job_status = jobs_status_named(jobs_word(reply));
        settle(asking);
    }
}

static void
on_got(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    if (usable(arg, rc, err))
        answer_one(arg, 200, reply);
}

void
jobs_get_start(struct worker *w, struct call *call)
{
    if (!names_a_job(w, call))
        return;
    struct asking *asking = ask_new(w, call);

    jobs_get(&asking->x->taskings.jobs, &asking->ref, on_got, asking);
}

/* --- a page ----------------------------------------------------------------------------------------- */

static void
on_listed(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    struct asking *asking = arg;
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;

    if (!usable(asking, rc, err))
        return;
    buf_init(&out, PAGE_MAX);
    json_begin(&w, &out);
    if (jobs_write_page(&asking->x->taskings.jobs, asking->ref.workspace, reply, &w) != RC_OK ||
        json_end(&w) != RC_OK) {
        broken(asking);
        return;
    }
    call_answer(asking->call, 200, &out);
    settle(asking);
}

/* "<15 digits>:<id>": a place in the index, which a client may only have from us. */
static bool
cursor_valid(const char *cursor)
{
    return strlen(cursor) == 15 + 1 + ID_TEXT_MAX - 1 && strspn(cursor, "0123456789") == 15 &&
           cursor[15] == ':' && id_valid(cursor + 16);
}

void
jobs_list_start(struct worker *w, struct call *call)
{
    struct asking *asking = ask_new(w, call);
    const char *cursor = json_string(call->body, "cursor");
    const char *status = json_string(call->body, "status");

    if (cursor && !cursor_valid(cursor)) {
        struct field_errors errors = { 0 };

        field_errors_add(&errors, "cursor", "must be the next_cursor of the page before");
        call_problem(call, PROBLEM_INVALID_REQUEST, &errors,
                     "The request breaks the rules listed in errors.");
        settle(asking);
        return;
    }
    jobs_list(&asking->x->taskings.jobs, asking->ref.workspace, cursor ? cursor : "",
              json_int(call->body, "limit", LIST_DEFAULT), status ? status : "", on_listed, asking);
}

/* --- the end of a job --------------------------------------------------------------------------------- */

static void look_again(void *arg);

static void
on_looked(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    struct asking *asking = arg;
    bool running;

    if (!usable(asking, rc, err))
        return;
    running = strcmp(jobs_word(reply), "running") == 0;
    if (running && clock_mono_ms() < asking->until_ms)
        loop_timer_set(asking->timer, CANCEL_LOOK_MS, 0);
    else
        answer_one(asking, running ? 202 : 200, reply);
}

static void
look_again(void *arg)
{
    struct asking *asking = arg;

    jobs_get(&asking->x->taskings.jobs, &asking->ref, on_looked, asking);
}

static void
tell_executors(const struct asking *asking)
{
    char text[WORKSPACE_TEXT_MAX + ID_TEXT_MAX + 1];
    int len = snprintf(text, sizeof(text), "%s %s", asking->ref.workspace, asking->ref.id);
    struct bus_out out = { .subject = TASKING_CANCEL_SUBJECT, .data = text, .len = (size_t)len };

    tasking_cancel(&asking->x->taskings, asking->ref.workspace, asking->ref.id);
    (void)bus_publish(worker_bus(asking->x->w), &out, NULL); /* lost: the job says it runs still */
}

static void
on_marked(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    struct asking *asking = arg;
    const char *word = jobs_word(reply);

    if (!usable(asking, rc, err))
        return;
    if (strcmp(word, "missing") == 0) {
        not_found(asking);
        return;
    }
    if (strcmp(word, "running") == 0)
        tell_executors(asking);
    else if (strcmp(word, "pending") == 0)
        tasking_tell_state(&asking->x->taskings, &asking->ref, "cancelled");
    asking->until_ms = clock_mono_ms() + CANCEL_WAIT_MS;
    asking->timer = loop_timer_new(worker_loop(asking->x->w), look_again, asking);
    look_again(asking);
}

void
jobs_cancel_start(struct worker *w, struct call *call)
{
    if (!names_a_job(w, call))
        return;
    struct asking *asking = ask_new(w, call);

    jobs_cancel(&asking->x->taskings.jobs, &asking->ref, on_marked, asking);
}

/* --- actions ------------------------------------------------------------------------------------------ */

static void
write_limits(const struct limits *limits, struct json_writer *w)
{
    json_object(w, "limits");
    json_put_int(w, "wall_ms", limits->wall_ms);
    json_put_int(w, "wall_max_ms", limits->wall_max_ms);
    json_put_int(w, "cpu_ms", limits->cpu_ms);
    json_put_int(w, "memory_bytes", (int64_t)limits->memory_bytes);
    json_put_int(w, "processes", limits->processes);
    json_put_int(w, "tmp_bytes", (int64_t)limits->tmp_bytes);
    json_close(w);
}

/* What a preview shows: the summary, and what is wrong with the parameters. */
static void
write_preview(const struct action *action, cJSON *params, struct json_writer *w)
{
    struct field_errors errors = { 0 };
    char summary[SUMMARY_MAX];

    action_summarize(action, params, summary, sizeof(summary));
    json_put_string(w, "summary", summary);
    (void)!policy_check_params(action, params, &errors);
    problem_put_errors(w, &errors);
}

/* What the connector says of its own; whether they are allowed here is said by us. */
static int64_t
write_others(const struct asking *asking, const cJSON *others, struct json_writer *w)
{
    const cJSON *item;
    const cJSON *member;
    int64_t count = 0;

    cJSON_ArrayForEach (item, others) {
        const char *name = json_string(item, "action");

        if (!name)
            continue;
        json_object(w, NULL);
        cJSON_ArrayForEach (member, item) {
            json_put_doc(w, member->string, member);
        }
        json_put_bool(w, "allowed", allow_has(asking->lists, name));
        json_close(w);
        count++;
    }
    return count;
}

static void
write_actions(const struct asking *asking, const cJSON *others, struct json_writer *w)
{
    const char *only = json_string(asking->call->body, "action");
    cJSON *params = cJSON_GetObjectItemCaseSensitive(asking->call->body, "params");
    int64_t count = 0;

    json_object(w, NULL);
    json_array(w, "actions");
    for (size_t i = 0; i < asking->x->catalog.n_actions; i++) {
        const struct action *action = &asking->x->catalog.actions[i];

        if (only && strcmp(only, action->name) != 0)
            continue;
        json_object(w, NULL);
        json_put_string(w, "action", action->name);
        json_put_string(w, "description", action->description);
        json_put_string(w, "kind", "task");
        json_put_bool(w, "allowed", allow_has(asking->lists, action->name));
        json_put_doc(w, "params", action->params_definition);
        write_limits(&action->limits, w);
        if (only && params)
            write_preview(action, params, w);
        json_close(w);
        count++;
    }
    count += write_others(asking, others, w);
    json_close(w);
    json_put_int(w, "count", count);
    json_close(w);
}

static void
allowed_unknown(struct asking *asking)
{
    call_problem(asking->call, PROBLEM_UNAVAILABLE, NULL,
                 "The gateway does not say what this workspace is allowed: ask again.");
    settle(asking);
}

static void
answer_actions(struct asking *asking, const cJSON *others)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;

    buf_init(&out, CATALOG_MAX);
    json_begin(&w, &out);
    write_actions(asking, others, &w);
    if (json_end(&w) != RC_OK) {
        broken(asking);
        return;
    }
    call_answer(asking->call, 200, &out);
    settle(asking);
}

/* Nobody answers: there is no connector, and its actions are none. */
static void
on_others(void *arg, enum rc rc, const struct bus_msg *msg, const struct err *err)
{
    struct asking *asking = arg;
    AUTO(json) cJSON *doc = NULL;

    (void)err;
    if (rc == RC_OK && json_read(msg->data, msg->len, &doc, NULL) != RC_OK)
        doc = NULL;
    answer_actions(asking, json_member(doc, "actions"));
}

static void
on_allowed(void *arg, enum rc rc, const cJSON *lists, const struct err *err)
{
    struct asking *asking = arg;
    const struct call *call = asking->call;
    const char *only = json_string(call->body, "action");
    char subject[sizeof(CONNECTOR_QUESTION_SUBJECT) + WORKSPACE_TEXT_MAX];
    struct bus_out out = { .subject = subject, .data = call->payload, .len = call->payload_len };

    (void)err;
    if (rc != RC_OK) {
        allowed_unknown(asking);
        return;
    }
    asking->lists = cJSON_Duplicate(lists, true);
    (void)snprintf(subject, sizeof(subject), CONNECTOR_QUESTION_SUBJECT "%s",
                   asking->ref.workspace);
    if (out.len == 0) {
        out.data = "{}";
        out.len = 2;
    }
    if ((only && catalog_find(&asking->x->catalog, only)) ||
        bus_request(worker_bus(asking->x->w), &out, CONNECTOR_QUESTION_MS, on_others, asking,
                    NULL) != RC_OK)
        answer_actions(asking, NULL);
}

void
actions_list_start(struct worker *w, struct call *call)
{
    struct asking *asking = ask_new(w, call);

    if (allow_ask(asking->x->taskings.allow, asking->ref.workspace, on_allowed, asking, NULL,
                  NULL) != RC_OK)
        allowed_unknown(asking);
}
