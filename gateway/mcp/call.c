/* SPDX-License-Identifier: MIT */
/*
 * call - tools/call: an inner request, and its answer as a result that a model can act on.
 *
 * An action for which the client wants progress is answered as a stream: states of its job, every few
 * seconds how long it has been running, and the result. When the client goes, revision 2026-07-28 wants
 * that to be a cancellation; before, it is none.
 */
#include <bsd/string.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "gateway.h"
#include "mcp/mcp_own.h"
#include "requests/answer.h"
#include "requests/inner.h"

#define PROGRESS_MS 5000
#define NOTICE_MAX  1024 /* bytes of a notification */
#define TEXT_MAX_   8192 /* bytes of an error as text */
#define PREFER_WAIT "wait=60"
#define CANCEL_MS   100u /* before a job is cancelled once more, doubled each time */
#define CANCELS_MAX 6

#define CLIENT_KEY_MAX 128 /* of Idempotency-Key, too */

/* --- the result ----------------------------------------------------------------------------------- */

static void
put_text(struct json_writer *w, const char *text, size_t len)
{
    json_object(w, NULL);
    json_put_string(w, "type", "text");
    json_put_bytes(w, "text", text, len);
    json_close(w);
}

static const char *
header_of(const struct http_answer *a, const char *name)
{
    for (size_t i = 0; i < a->n_headers; i++)
        if (strcmp(a->headers[i].name, name) == 0)
            return a->headers[i].value;
    return NULL;
}

/* A problem document in sentences: what is wrong, field by field, and when to try again. */
static void
say_problem(const struct http_answer *a, const cJSON *problem, struct buf *out)
{
    const char *retry = header_of(a, "Retry-After");
    const cJSON *one;
    buf_printf(out, "%s (%d): %s",
               json_string(problem, "code") ? json_string(problem, "code") : "error", a->status,
               json_string(problem, "detail") ? json_string(problem, "detail") : "");
    cJSON_ArrayForEach (one, json_member(problem, "errors"))
        buf_printf(out, "\n- %s: %s", json_string(one, "field") ? json_string(one, "field") : "",
                   json_string(one, "detail") ? json_string(one, "detail") : "");
    if (retry)
        buf_printf(out, "\nTry again in %s s.", retry);
}

/* A task that ran and failed: what it printed says why. */
static bool
task_failed(const struct mcp_call *call, const struct request *inner)
{
    return !call->tool && inner->answer.status == 200 && inner->job_status &&
           strcmp(inner->job_status, "completed") != 0;
}

static void
put_success(struct mcp_call *call, struct json_writer *w, const struct request *inner)
{
    static const char GOES_ON[] = "The wait has ended, the work goes on. ";
    const struct http_answer *a = &inner->answer;
    AUTO(buf) struct buf made = { 0 };
    const struct buf *body = &a->body;
    if (a->status == 204) {
        struct json_writer own;
        buf_init(&made, NOTICE_MAX);
        json_begin(&own, &made);
        json_object(&own, NULL);
        json_put_string(&own, "status", "deleted");
        json_put_string(&own, "id", json_string(json_member(call->rpc.params, "arguments"), "id"));
        json_close(&own);
        (void)json_end(&own);
        body = &made;
    }
    json_array(w, "content");
    put_text(w, buf_text(body), body->len);
    if (a->status == 202) {
        AUTO(buf) struct buf hint = { 0 };
        buf_init(&hint, NOTICE_MAX);
        bool waits = inner->job_status && strcmp(inner->job_status, JOB_WAITING) == 0;
        buf_printf(&hint, "%s%s",
                   waits ? "It waits until somebody else has approved it, which may take hours. "
                         : GOES_ON,
                   call->tool ? "Look at it later by its id."
                              : "Call job_get with this job_id and wait=30 until its status is "
                                "neither waiting_approval, pending nor running.");
        put_text(w, buf_text(&hint), hint.len);
    }
    json_close(w);
    json_put_raw(w, "structuredContent", buf_text(body), body->len);
    json_put_bool(w, "isError", task_failed(call, inner));
}

static void
put_failure(struct json_writer *w, const struct http_answer *a)
{
    AUTO(buf) struct buf text = { 0 };
    AUTO(json) cJSON *problem = NULL;
    buf_init(&text, TEXT_MAX_);
    (void)!json_read_foreign(buf_text(&a->body), a->body.len, &problem, NULL);
    say_problem(a, problem, &text);
    json_array(w, "content");
    put_text(w, buf_text(&text), text.len);
    json_close(w);
    json_put_bool(w, "isError", true);
}

static enum rc
write_result(struct mcp_call *call, const struct request *inner, struct buf *out)
{
    const struct http_answer *a = &inner->answer;
    struct json_writer w;
    buf_init(out, MCP_ANSWER_MAX);
    rpc_begin(&w, out, &call->rpc);
    if (a->status < 300)
        put_success(call, &w, inner);
    else
        put_failure(&w, a);
    json_object(&w, "_meta");
    if (call->rpc.modern)
        rpc_put_server(&w, META_SERVER);
    if (a->status >= 300 && a->body.len)
        json_put_raw(&w, "gantry/problem", buf_text(&a->body), a->body.len);
    if (header_of(a, "Idempotency-Replayed"))
        json_put_bool(&w, "gantry/replayed", true);
    json_close(&w);
    return rpc_end(&w);
}

/* --- one answer ----------------------------------------------------------------------------------- */

static void
on_answered(void *arg, struct request *inner)
{
    struct mcp_call *call = arg;
    AUTO(buf) struct buf out = { 0 };
    if (write_result(call, inner, &out) == RC_OK)
        (void)answer_raw(call->r, 200, "application/json", buf_text(&out), out.len);
    else
        (void)rpc_error(call->r, &call->rpc, 200, RPC_INTERNAL_ERROR,
                        "Internal error: the answer is too long");
    request_continue(call->r, STEP_ANSWERED);
}

/* --- a stream ------------------------------------------------------------------------------------- */

static void
tell_progress(struct mcp_call *call)
{
    struct progress *p = &call->progress;
    AUTO(buf) struct buf out = { 0 };
    char message[80];
    struct json_writer w;
    (void)snprintf(message, sizeof(message), "%s, %lld s", p->status,
                   (long long)(clock_mono_ms() - p->start_ms) / 1000);
    buf_init(&out, NOTICE_MAX);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_string(&w, "jsonrpc", "2.0");
    json_put_string(&w, "method", "notifications/progress");
    json_object(&w, "params");
    json_put_doc(&w, "progressToken", json_member(call->rpc.meta, "progressToken"));
    json_put_int(&w, "progress", ++p->count);
    json_put_string(&w, "message", message);
    json_close(&w);
    json_close(&w);
    if (json_end(&w) == RC_OK)
        rpc_stream(call->r, &out);
}

static void
on_time(struct request *r)
{
    tell_progress(r->own);
    request_timer(r, PROGRESS_MS, on_time);
}

static void
on_state(void *arg, const char *status)
{
    struct mcp_call *call = arg;
    struct progress *p = &call->progress;
    if (!status[0] || strcmp(status, p->status) == 0)
        return;
    (void)strlcpy(p->status, status, sizeof(p->status));
    tell_progress(call);
}

/* The last that is held lets the door free the request. */
static void
let_go(struct request *r)
{
    r->held--;
    http_stream_end(r->exchange);
}

static void
stop_telling(struct mcp_call *call)
{
    struct progress *p = &call->progress;
    request_timer_stop(call->r);
    if (p->watching)
        events_unwatch(&p->watch);
    p->watching = false;
}

static void
on_streamed(void *arg, struct request *inner)
{
    struct mcp_call *call = arg;
    struct request *r = call->r;
    struct progress *p = &call->progress;
    AUTO(buf) struct buf out = { 0 };
    stop_telling(call);
    p->inner = NULL;
    r->on_gone = NULL;
    if (write_result(call, inner, &out) == RC_OK)
        rpc_stream(r, &out);
    let_go(r);
}

static void cancel(struct request *r);

/* The job may not be there yet, or a limit is reached: while its end is waited for, once more. */
static void
on_cancelled(void *arg, struct request *inner)
{
    struct mcp_call *call = arg;
    struct progress *p = &call->progress;
    if (inner->answer.status >= 400 && p->inner && p->cancels < CANCELS_MAX)
        request_timer(call->r, CANCEL_MS << p->cancels++, cancel);
    let_go(call->r);
}

/* The run that is still under way holds the request, and stops the timer when it ends. */
static void
cancel(struct request *r)
{
    struct mcp_call *call = r->own;
    AUTO(buf) struct buf body = { 0 };
    struct json_writer w;
    buf_init(&body, NOTICE_MAX);
    json_begin(&w, &body);
    json_object(&w, NULL);
    json_put_string(&w, "id", call->progress.inner->id);
    json_close(&w);
    const struct inner_ask ask = { .route = mcp_route(METHOD_DELETE, "/ai/jobs/{id}"),
                                   .body = buf_text(&body),
                                   .len = body.len };
    if (json_end(&w) == RC_OK && inner_start(r, &ask, on_cancelled, call, NULL) == RC_OK)
        r->held++;
}

static void
on_gone(struct request *r)
{
    struct mcp_call *call = r->own;
    stop_telling(call);
    if (call->rpc.modern && call->progress.inner)
        cancel(r);
}

/* --- the call ------------------------------------------------------------------------------------- */

/* The arguments as the body of the route. */
static enum rc
write_body(const struct mcp_call *call, struct buf *out)
{
    static const char *const OF_REQUEST[] = { "timeout_seconds", "client_request_id" };
    const cJSON *arguments = json_member(call->rpc.params, "arguments");
    const cJSON *one;
    struct json_writer w;
    json_begin(&w, out);
    json_object(&w, NULL);
    if (!call->tool) {
        json_object(&w, "task");
        json_put_string(&w, "type", call->action);
    }
    cJSON_ArrayForEach (one, arguments) {
        bool of_request =
            strcmp(one->string, OF_REQUEST[0]) == 0 || strcmp(one->string, OF_REQUEST[1]) == 0;
        bool is_job =
            call->tool && call->tool->kind == TOOL_JOB && strcmp(one->string, "job_id") == 0;
        if (call->tool || (!of_request && strcmp(one->string, "type") != 0))
            json_put_doc(&w, is_job ? "id" : one->string, one);
    }
    if (!call->tool) {
        json_close(&w);
        for (size_t i = 0; i < 2; i++)
            if (json_member(arguments, OF_REQUEST[i]))
                json_put_doc(&w, OF_REQUEST[i], json_member(arguments, OF_REQUEST[i]));
    }
    json_close(&w);
    return json_end(&w);
}

/* STEP_WAIT: fn will be called. */
static enum step
start(struct mcp_call *call, inner_fn *fn)
{
    struct request *r = call->r;
    AUTO(buf) struct buf body = { 0 };
    buf_init(&body, r->body_max);
    if (write_body(call, &body) != RC_OK)
        return rpc_error(r, &call->rpc, 200, RPC_INVALID_PARAMS,
                         "Invalid params: arguments have more than %zu bytes as JSON, numbers "
                         "written out",
                         r->body_max);
    const struct inner_ask ask = {
        .route = call->tool ? r->gw->mcp->routes[call->tool - TOOLS]
                            : mcp_route(METHOD_POST, "/webhook/executor/run"),
        .body = buf_text(&body),
        .len = body.len,
        .idem_key = json_string(call->rpc.meta, MCP_META_REQUEST_ID),
        .prefer = call->streams ? PREFER_WAIT : http_header(r->exchange, "Prefer", NULL),
        .trace = { json_string(call->rpc.meta, "traceparent"),
                   json_string(call->rpc.meta, "tracestate") },
    };
    if (inner_start(r, &ask, fn, call, &call->progress.inner) != RC_OK)
        return answer_problem(r, PROBLEM_UNAVAILABLE, "the gateway has no memory left");
    return STEP_WAIT;
}

static void
on_open(struct request *r)
{
    struct mcp_call *call = r->own;
    struct progress *p = &call->progress;
    r->on_gone = on_gone;
    p->start_ms = clock_mono_ms();
    (void)strlcpy(p->status, "pending", sizeof(p->status));
    (void)strlcpy(p->watch.workspace, r->actor.workspace, sizeof(p->watch.workspace));
    (void)strlcpy(p->watch.id, p->inner->id, sizeof(p->watch.id));
    p->watch.fn = on_state;
    p->watch.arg = call;
    events_watch(r->gw->events, &p->watch);
    p->watching = true;
    tell_progress(call);
    request_timer(r, PROGRESS_MS, on_time);
}

static bool
wants_stream(const struct mcp_call *call)
{
    const cJSON *token = json_member(call->rpc.meta, "progressToken");
    const char *accept = http_header(call->r->exchange, "Accept", NULL);
    bool takes = accept && (strstr(accept, "text/event-stream") || strstr(accept, "*/*"));
    return !call->tool && takes && (cJSON_IsString(token) || cJSON_IsNumber(token));
}

/* A key that cannot be one is no reason to go on without: the client relies on it. */
static bool
is_client_key(const cJSON *key)
{
    const char *text = cJSON_GetStringValue(key);
    size_t len = text ? strlen(text) : 0;
    for (size_t i = 0; i < len && len <= CLIENT_KEY_MAX; i++)
        if (text[i] < 0x20 || text[i] > 0x7e)
            return false;
    return len > 0 && len <= CLIENT_KEY_MAX;
}

const char *
mcp_call_fault(const struct mcp_call *call)
{
    const cJSON *arguments = json_member(call->rpc.params, "arguments");
    const cJSON *key = json_member(call->rpc.meta, MCP_META_REQUEST_ID);
    if (arguments && !cJSON_IsObject(arguments))
        return "arguments must be an object";
    if (key && !cJSON_IsNull(key) && !is_client_key(key))
        return "_meta has a " MCP_META_REQUEST_ID
               " that is not a string of 1 to 128 printable ASCII characters";
    return NULL;
}

enum step
mcp_call_tool(struct mcp_call *call)
{
    struct request *r = call->r;
    call->streams = wants_stream(call);
    enum step step = start(call, call->streams ? on_streamed : on_answered);
    if (step != STEP_WAIT)
        return step;
    r->effect = EFFECT_SETTLED; /* the inner request is what is recorded */
    if (!call->streams)
        return STEP_WAIT;
    r->held++; /* by the inner request, up to on_streamed() */
    return answer_stream(r, MCP_UNREAD_MAX, on_open);
}
