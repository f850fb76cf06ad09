/* SPDX-License-Identifier: MIT */
/*
 * POST /ai/execute: queue up to 100 actions, or what a preview showed.
 *
 * Theory of operation. First all that can refuse: the shape, the allowlist (before idempotency), the
 * preview's single use, each action's own idempotency key. Only then is anything published. When all
 * PubAcks are there the jobs are shown as pending, the actions' keys get their answers, and 202
 * leaves. Each step of the table STEPS sends all its messages at once; the next one follows when the
 * last answer has come.
 *
 * Job ids follow from the request's id, which the header's idempotency key fixes, and from the
 * action's own key, which its reservation fixes: a retry after a crash publishes the same ids again,
 * and the worker absorbs them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "effects/connectors.h"
#include "effects/execute_own.h"
#include "effects/forward.h"
#include "effects/idem.h"
#include "effects/previews.h"
#include "effects/tasks.h"
#include "gateway.h"
#include "policy/hold.h"
#include "requests/answer.h"
#include "requests/handlers.h"
#include "requests/traced.h"

#define ITEMS_MAX  100
#define ANSWER_CAP 262144

void
execution_wrong(struct execution *x, enum problem_code code, const char *why)
{
    if (x->wrong == PROBLEM_COUNT) {
        x->wrong = code;
        x->why = why;
    }
}

static enum step
refuse(struct execution *x)
{
    if (x->wrong == PROBLEM_UNAVAILABLE || x->wrong == PROBLEM_REQUEST_IN_PROGRESS)
        answer_header(x->r, "Retry-After", "1");
    return answer_problem(x->r, x->wrong, "%s", x->why);
}

/* --- before idempotency: shape and allowlist --------------------------------------------------- */

static struct execution *
new_execution(struct request *r, size_t n)
{
    struct execution *x =
        n > 0 && n <= ITEMS_MAX
            ? calloc(1, sizeof(*x) + n * (sizeof(x->items[0]) + sizeof(struct asked)))
            : NULL;
    if (!x)
        return NULL;
    x->r = r;
    x->n = n;
    x->wrong = PROBLEM_COUNT;
    x->asked = (struct asked *)&x->items[n];
    for (size_t i = 0; i < n; i++)
        x->items[i].x = x;
    r->own = x;
    return x;
}

static enum step
read_actions(struct request *r, const cJSON *actions, struct execution *x)
{
    struct field_errors errors = { 0 };
    char field[SCHEMA_FIELD_MAX];
    const cJSON *entry;
    size_t i = 0;
    cJSON_ArrayForEach (entry, actions) {
        struct item *item = &x->items[i];
        item->action = json_string(entry, "action");
        item->params = json_member(entry, "params");
        item->key = json_string(entry, "client_request_id");
        x->asked[i] = (struct asked){ .action = item->action, .params = item->params };
        if (json_member(item->params, "type")) {
            (void)snprintf(field, sizeof(field), "actions[%zu].params.type", i);
            field_errors_add(&errors, field, "is the action's name and no parameter");
        }
        i++;
    }
    return errors.count ? answer_fields(r, PROBLEM_INVALID_REQUEST, &errors) : STEP_NEXT;
}

/* What was shown is what is decided about, and what runs. */
static void
take_params(struct execution *x, const struct kv_reply *reply)
{
    json_cleanup(&x->r->own_doc);
    x->r->own_doc = preview_params(x->r, x->preview_id, reply);
    x->items[0].params = x->asked[0].params = x->r->own_doc;
    if (!x->r->own_doc)
        execution_wrong(x, PROBLEM_INTERNAL, "the preview cannot be opened");
}

static void
on_looked(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    struct execution *x = arg;
    struct request *r = x->r;
    (void)err;
    if (rc != RC_OK)
        execution_wrong(x, PROBLEM_UNAVAILABLE, "Redis is unavailable: no previews now");
    else if (jobs_word(reply)[0] == '\0')
        execution_wrong(
            x, PROBLEM_NOT_FOUND,
            "there is no such preview: it never existed, or expired more than a day ago");
    if (x->wrong != PROBLEM_COUNT) {
        request_continue(r, refuse(x));
        return;
    }
    (void)snprintf(x->preview_action, sizeof(x->preview_action), "%s", reply->items[0].text);
    x->items[0].action = x->preview_action;
    take_params(x, reply);
    if (x->wrong != PROBLEM_COUNT) {
        request_continue(r, refuse(x));
        return;
    }
    x->asked[0] = (struct asked){ .action = x->preview_action, .params = r->own_doc };
    enum step step = tasks_allow(r, x->asked, 1);
    if (step != STEP_WAIT)
        request_continue(r, step);
}

enum step
execute_allow(struct request *r)
{
    const cJSON *actions = json_member(r->doc, "actions");
    const char *preview_id = json_string(r->doc, "preview_id");
    if (!actions == !preview_id) {
        struct field_errors errors = { 0 };
        field_errors_add(&errors, "actions", "give either actions or preview_id");
        return answer_fields(r, PROBLEM_INVALID_REQUEST, &errors);
    }
    size_t n = preview_id ? 1 : (size_t)cJSON_GetArraySize(actions); /* 1 to 100: the schema */
    struct execution *x = new_execution(r, n);
    if (!x)
        return answer_problem(r, PROBLEM_UNAVAILABLE, "no memory");
    x->preview_id = preview_id;
    if (preview_id) {
        preview_look(r, preview_id, on_looked, x);
        return STEP_WAIT;
    }
    enum step step = read_actions(r, actions, x);
    return step == STEP_NEXT ? tasks_allow(r, x->asked, x->n) : step;
}

/* --- one answer less to wait for ------------------------------------------------------------------ */

static enum step go_on(struct execution *x);

void
execution_came(struct execution *x)
{
    if (--x->waiting > 0)
        return;
    enum step step = go_on(x);
    if (step != STEP_WAIT)
        request_continue(x->r, step);
}

/* --- the preview's single use ---------------------------------------------------------------------- */

static void
on_used(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    struct execution *x = arg;
    const char *word = rc == RC_OK ? jobs_word(reply) : "";
    (void)err;
    if (strcmp(word, "ok") == 0) {
        take_params(x, reply);
    } else if (strcmp(word, "used") == 0) {
        execution_wrong(x, PROBLEM_PREVIEW_USED, "this preview was used before");
    } else if (strcmp(word, "expired") == 0) {
        execution_wrong(x, PROBLEM_PREVIEW_EXPIRED, "this preview is older than an hour");
    } else if (strcmp(word, "missing") == 0) {
        execution_wrong(
            x, PROBLEM_NOT_FOUND,
            "there is no such preview: it never existed, or expired more than a day ago");
    } else {
        execution_wrong(x, PROBLEM_UNAVAILABLE, "Redis is unavailable: no previews now");
    }
    execution_came(x);
}

static void
use_preview(struct execution *x)
{
    if (!x->preview_id)
        return;
    x->waiting++;
    preview_use(x->r, x->preview_id, on_used, x);
}

/* --- what waits for an approval -------------------------------------------------------------------- */

static void
on_held(void *arg, enum rc rc)
{
    struct execution *x = arg;
    if (rc != RC_OK)
        execution_wrong(x, PROBLEM_UNAVAILABLE,
                        rc == RC_LIMIT
                            ? "too many actions of this workspace wait for an approval"
                            : "PostgreSQL is unavailable: nothing can wait for an approval now");
    execution_came(x);
}

static void
hold_items(struct execution *x)
{
    AUTO(free) struct held *held = calloc(x->n, sizeof(*held));
    AUTO(buf) struct buf text = { 0 };
    size_t n = 0;
    buf_init(&text, (x->r->body_max * 7 + 1024) * x->n);
    for (size_t i = 0; held && i < x->n; i++) {
        struct item *item = &x->items[i];
        if (x->asked[i].decision.outcome != POLICY_APPROVAL || item->same || item->known)
            continue;
        size_t before = text.len;
        item->held = true;
        if (tasks_message(item->action, item->params, &text) != RC_OK) {
            execution_wrong(x, PROBLEM_INTERNAL, "an action cannot be written");
            return;
        }
        held[n++] =
            (struct held){ .id = item->id, .asked = &x->asked[i], .len = text.len - before };
    }
    const char *at = buf_text(&text); /* it stays where it is from here on */
    for (size_t i = 0; i < n; i++) {
        held[i].payload = at;
        at += held[i].len;
    }
    if (n == 0 && held)
        return;
    if (held && hold_all(x->r, held, n, on_held, x) == RC_OK)
        x->waiting++;
    else
        execution_wrong(x, PROBLEM_UNAVAILABLE, "too much waits for PostgreSQL: ask again");
}

/* --- publishing ------------------------------------------------------------------------------------ */

static void
on_ack(void *arg, enum rc rc, bool duplicate, const struct err *err)
{
    struct item *item = arg;
    (void)duplicate, (void)err;
    traced_hop_end(item->x->r, STAGE_PUBLISH, CMD_EXECUTOR_RUN, &item->hop, item->id,
                   rc == RC_OK ? NULL : "unavailable");
    item->x->r->gw->count.published_total += rc == RC_OK;
    if (rc == RC_LIMIT)
        full_note(item->x->r->gw, FULL_QUEUE, item->x->r->actor.workspace);
    if (rc != RC_OK)
        execution_wrong(item->x, PROBLEM_UNAVAILABLE,
                        rc == RC_LIMIT ? "the workspace's queue is full"
                                       : "not every action could be stored in time: ask again");
    execution_came(item->x);
}

static void
publish_item(struct item *item)
{
    struct execution *x = item->x;
    struct request *r = x->r;
    AUTO(buf) struct buf payload = { 0 };
    struct forward_head head;
    struct err err = { 0 };
    char msg_id[ID_TEXT_MAX + 24];
    enum command command = connectors_command(r->gw->connectors, item->action);
    buf_init(&payload, r->body_max * 7 + 1024);
    if (tasks_message(item->action, item->params, &payload) != RC_OK ||
        forward_sign(r, command, item->id, buf_text(&payload), payload.len, &head, &err) != RC_OK) {
        execution_wrong(x, PROBLEM_INTERNAL, "an action cannot be written");
        return;
    }
    char parent[TRACEPARENT_MAX];
    struct bus_header headers[2 + TRACED_HEADERS_MAX] = { { ACTOR_HEADER, head.actor },
                                                          { PROTOCOL_HEADER, "2" } };
    traced_hop_begin(r, &item->hop);
    struct bus_out out = { .subject = head.subject,
                           .headers = headers,
                           .n_headers = traced_headers(r, item->hop.span, parent, headers, 2),
                           .data = payload.data,
                           .len = payload.len };
    (void)snprintf(msg_id, sizeof(msg_id), "%s.%lld", item->id, (long long)item->attempt);
    if (bus_js_publish(r->gw->bus, &out, msg_id, FORWARD_PUBLISH_MS, on_ack, item, &err) == RC_OK)
        x->waiting++;
    else
        execution_wrong(x, PROBLEM_UNAVAILABLE, "NATS is unavailable");
}

static void
publish_all(struct execution *x)
{
    for (size_t i = 0; i < x->n && x->wrong == PROBLEM_COUNT; i++) {
        struct item *item = &x->items[i];
        if (item->same)
            memcpy(item->id, item->same->id, sizeof(item->id));
        else if (!item->known && !item->held)
            publish_item(item);
    }
}

/* --- showing the jobs ----------------------------------------------------------------------------- */

static void
on_shown(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    struct execution *x = arg;
    (void)err; /* the executor makes the record too */
    if (rc == RC_OK && reply && reply->type == KV_LIST && reply->count == 2)
        x->depth = reply->items[1].integer;
    execution_came(x);
}

static void
show_jobs(struct execution *x)
{
    for (size_t i = 0; i < x->n; i++) {
        if (x->items[i].same)
            continue;
        x->waiting++;
        if (x->items[i].held)
            hold_show(x->r, x->items[i].id, &x->asked[i], on_shown, x);
        else
            tasks_show(x->r, x->items[i].id, x->items[i].action, on_shown, x);
    }
}

/* --- the end ---------------------------------------------------------------------------------------- */

static void
put_decisions(const struct execution *x, struct json_writer *w)
{
    json_array(w, "policy");
    for (size_t i = 0; i < x->n; i++) {
        json_object(w, NULL);
        json_put_string(w, "job_id", x->items[i].id);
        policy_put(w, "policy", &x->asked[i].decision);
        json_close(w);
    }
    json_close(w);
}

static enum step
answer(struct execution *x)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    buf_init(&out, ANSWER_CAP);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_array(&w, "job_ids");
    for (size_t i = 0; i < x->n; i++)
        json_put_string(&w, NULL, x->items[i].id);
    json_close(&w);
    json_put_int(&w, "queue_depth", x->depth);
    if (x->r->decision)
        put_decisions(x, &w);
    json_close(&w);
    if (json_end(&w) != RC_OK)
        return answer_problem(x->r, PROBLEM_INTERNAL, "the answer cannot be written");
    return answer_object(x->r, 202, buf_text(&out), out.len);
}

/* The flow, in its order. A step ends at once or leaves x->waiting answers to come. */
static void (*const STEPS[])(struct execution *x) = { use_preview, execution_reserve,
                                                      hold_items,  publish_all,
                                                      show_jobs,   execution_record };

static enum step
go_on(struct execution *x)
{
    while (x->wrong == PROBLEM_COUNT && x->step < ARRAY_LEN(STEPS)) {
        STEPS[x->step++](x);
        if (x->waiting)
            return STEP_WAIT;
    }
    if (x->wrong == PROBLEM_COUNT)
        return answer(x);
    execution_release(x);
    return refuse(x);
}

enum step
execute_queue(struct request *r)
{
    return go_on(r->own);
}
