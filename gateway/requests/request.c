/* SPDX-License-Identifier: MIT */
#include "requests/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "full.h"
#include "gateway.h"
#include "metrics/traffic.h"
#include "requests/answer.h"
#include "requests/checks.h"
#include "requests/cors.h"
#include "requests/served.h"
#include "requests/traced.h"

/* The order of the checks, here and nowhere else (contract 4.1). */
static const struct {
    route_fn *fn;
    bool body; /* runs when the body is complete */
} STAGES[] = {
    { check_route, false },       /* 404, 405 */
    { check_size, false },        /* 413, before a byte is buffered */
    { check_key, false },         /* 401 */
    { check_scope, false },       /* 403 */
    { check_servers, false },     /* 503: nothing could be done about it */
    { check_load, false },        /* 503: the workspace's share of requests and bodies */
    { check_rate, false },        /* 429 */
    { check_media, false },       /* 415 */
    { check_preferences, false }, /* Prefer */
    { check_body, true },         /* 400, 422 */
    { check_secrets, true },      /* 422 */
    { check_allowed, true },      /* 403 */
    { check_idempotency, true },  /* 409, 422, or the first answer again */
    { announce_effect, true },    /* 503: what cannot be audited is not begun */
    { forward_request, true },
};
#define N_STAGES (sizeof(STAGES) / sizeof(STAGES[0]))

/* What happens to every answer before it leaves. */
static route_fn *const CLOSING[] = { close_identify, close_idempotency, close_audit };
#define N_CLOSING (sizeof(CLOSING) / sizeof(CLOSING[0]))

static void
drop_body(struct request *r)
{
    r->gw->buffered_bytes -= r->body.len;
    load_body_gone(r);
    if (r->route && r->route->flags & ROUTE_SECRET)
        buf_wipe(&r->body);
    else
        buf_fini(&r->body);
}

void
request_free(void *arg)
{
    struct request *r = arg;
    if (r->on_gone)
        r->on_gone(r);
    drop_body(r);
    load_leave(r);
    if (r->route && r->route->flags & ROUTE_SECRET) {
        buf_wipe(&r->payload);
        json_wipe(r->doc);
    }
    buf_fini(&r->payload);
    buf_fini(&r->answer.body);
    json_cleanup(&r->doc);
    loop_timer_free(r->timer);
    free(r->own);
    json_cleanup(&r->own_doc);
    r->gw->in_flight--;
    free(r);
}

static void
log_answer(const struct request *r, int64_t now_us)
{
    char status[12], took[24];
    (void)snprintf(status, sizeof(status), "%d", r->answer.status);
    (void)snprintf(took, sizeof(took), "%lld", (long long)(now_us - r->start_us) / 1000);
    log_fields(LOG_DEBUG, "answered", REQUEST_FIELDS(r), "method",
               r->method_known ? method_name(r->method) : "OTHER", "status", status, "duration_ms",
               took, NULL);
}

static void
count_answer(struct request *r)
{
    struct counters *count = &r->gw->count;
    int64_t now_us = clock_mono_us();
    if (!r->admin) {
        served_count(r->gw->served, r, (uint64_t)(now_us - r->start_us),
                     r->trace.sampled ? r->trace.id : NULL);
        traced_end(r, now_us);
        if (log_enabled(LOG_DEBUG))
            log_answer(r, now_us);
    }
    if (r->answer.status >= 500)
        count->answers_5xx_total++;
    else if (r->answer.status >= 400)
        count->answers_4xx_total++;
    else
        count->answers_2xx_total++;
    if (r->authenticated)
        traffic_count(r->gw->traffic, r->actor.workspace, r->answer.status, now_us - r->start_us);
}

/* Run the closing stages until one waits or all are through. */
static void
close_up(struct request *r)
{
    while (r->stage < N_CLOSING) {
        enum step step = CLOSING[r->stage](r);
        if (step == STEP_WAIT) {
            r->waiting = true;
            return;
        }
        r->stage++;
    }
    r->waiting = false;
    if (r->outer) { /* which is what is counted */
        traced_end(r, clock_mono_us());
        r->done(r->done_arg, r);
        return;
    }
    count_answer(r);
    http_answer(r->exchange, &r->answer);
    if (r->answer.stream_max && r->on_open)
        r->on_open(r);
}

static void
advance(struct request *r)
{
    r->waiting = false;
    while (!r->closing) {
        if (r->stage == N_STAGES) {
            (void)answer_problem(r, PROBLEM_INTERNAL, "the request ended without an answer");
        } else if (STAGES[r->stage].body && !r->complete) {
            http_want_body(r->exchange);
            return;
        } else {
            enum step step = STAGES[r->stage].fn(r);
            if (step == STEP_WAIT) {
                r->waiting = true;
                return;
            }
            if (step == STEP_NEXT) {
                r->stage++;
                continue;
            }
        }
        r->closing = true;
        r->stage = 0;
    }
    close_up(r);
}

void
request_continue(struct request *r, enum step step)
{
    if (r->closing) {
        r->stage++;
        close_up(r);
        return;
    }
    if (step == STEP_ANSWERED) {
        r->closing = true;
        r->stage = 0;
        close_up(r);
        return;
    }
    r->stage++;
    advance(r);
}

/* --- the calls of the HTTP door ---------------------------------------------------------------- */

static void
set_method(struct request *r, const char *method)
{
    for (unsigned m = 0; m < METHOD_COUNT; m++)
        if (strcmp(method, method_name((enum http_method)m)) == 0)
            r->method = (enum http_method)m;
    if (strcmp(method, "HEAD") == 0)
        r->method = METHOD_GET;
    r->method_known = r->method != METHOD_COUNT;
}

void
request_run(struct request *r)
{
    advance(r);
}

struct request *
request_new(struct gateway *gw, struct exchange *exchange, const char *client)
{
    struct request *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    const struct http_head *head = http_head(exchange);
    const char *given = http_header(exchange, "X-Request-ID", NULL);
    r->gw = gw;
    r->exchange = exchange;
    r->method = METHOD_COUNT;
    r->actor.role = ROLE_COUNT;
    r->accepted_ms = clock_wall_ms();
    r->start_us = clock_mono_us();
    r->body_max = (size_t)gw->settings->max_body_bytes;
    buf_init(&r->body, r->body_max);
    buf_init(&r->payload, r->body_max + 1024);
    buf_init(&r->answer.body, ANSWER_MAX);
    gw->in_flight++;
    set_method(r, head->method);
    r->uri = head->target;
    r->path_len = strcspn(r->uri, "?#");
    memcpy(r->client, client, sizeof(r->client));
    bool named = given && request_id_valid(given, strlen(given));
    if (named)
        (void)snprintf(r->request_id, sizeof(r->request_id), "%s", given);
    else
        id_new(r->request_id);
    id_new(r->id);
    traced_begin(r, !named);
    answer_header(r, "X-Request-ID", "%s", r->request_id);
    return r;
}

static struct request *
request_begin(struct gateway *gw, struct exchange *exchange)
{
    char client[HTTP_CLIENT_MAX];
    http_client(exchange, client);
    struct request *r = request_new(gw, exchange, client);
    if (r) {
        gw->count.requests_total++;
        r->answer.lines = cors_lines(gw->cors, exchange);
    }
    return r;
}

static void *
on_begin(void *arg, struct exchange *exchange)
{
    return request_begin(arg, exchange);
}

static void *
on_admin_begin(void *arg, struct exchange *exchange)
{
    struct request *r = request_begin(arg, exchange);
    if (r) {
        r->admin = true;
        r->answer.lines = NULL;
    }
    return r;
}

static void
on_head(void *arg)
{
    advance(arg);
}

/* An answer that the stages did not give. */
static void
break_off(struct request *r)
{
    r->closing = true;
    r->stage = 0;
    drop_body(r);
    close_up(r);
}

static void
on_body(void *arg, const char *data, size_t len)
{
    struct request *r = arg;
    if (r->closing)
        return;
    if (r->body.len + len > r->body_max) {
        (void)answer_problem(r, PROBLEM_BODY_TOO_LARGE, "a body here has at most %zu bytes",
                             r->body_max);
        break_off(r);
        return;
    }
    if (!load_body(r, len)) {
        break_off(r);
        return;
    }
    bool fits = r->gw->buffered_bytes + len <= (uint64_t)r->gw->settings->max_buffered_bytes;
    size_t before = r->body.len;
    if (fits)
        buf_add(&r->body, data, len);
    if (fits && !buf_failed(&r->body)) {
        r->gw->buffered_bytes += len;
        return;
    }
    buf_cut(&r->body, before);
    r->gw->count.memory_refused_total++;
    full_note(r->gw, FULL_ALL_BODIES, r->actor.workspace);
    answer_header(r, "Retry-After", "1");
    (void)answer_problem(r, PROBLEM_UNAVAILABLE, "too many request bodies at once");
    break_off(r);
}

static void
on_complete(void *arg)
{
    struct request *r = arg;
    const struct http_head *head = http_head(r->exchange);
    r->complete = true;
    if (r->closing)
        return;
    if (head->fault == HTTP_FAULT_NONE) {
        advance(r);
        return;
    }
    (void)answer_problem(
        r, head->fault == HTTP_FAULT_TOO_LARGE ? PROBLEM_HEAD_TOO_LARGE : PROBLEM_MALFORMED_REQUEST,
        "%s", head->why);
    break_off(r);
}

static bool
on_waits(const void *arg)
{
    const struct request *r = arg;
    return r->waiting || r->held;
}

static void
on_connection_gone(void *arg)
{
    struct request *r = arg;
    void (*fn)(struct request *) = r->on_gone;
    r->on_gone = NULL;
    if (fn)
        fn(r);
}

const struct http_callbacks REQUEST_CALLBACKS = { on_begin,          on_head,  on_body,
                                                  on_complete,       on_waits, request_free,
                                                  on_connection_gone };
const struct http_callbacks REQUEST_ADMIN_CALLBACKS = {
    on_admin_begin, on_head, on_body, on_complete, on_waits, request_free, NULL
};

/* --- for the stages ---------------------------------------------------------------------------- */

static void
on_timer(void *arg)
{
    struct request *r = arg;
    r->on_timer(r);
}

void
request_timer(struct request *r, uint32_t ms, void (*fn)(struct request *r))
{
    if (!r->timer)
        r->timer = loop_timer_new(r->gw->loop, on_timer, r);
    r->on_timer = fn;
    loop_timer_set(r->timer, ms, 0);
}

void
request_timer_stop(struct request *r)
{
    if (r->timer)
        loop_timer_stop(r->timer);
}

const char *
request_payload(const struct request *r, size_t *len)
{
    const struct buf *from = r->rebuilt ? &r->payload : &r->body;
    *len = from->len;
    return buf_text(from);
}

void
request_action(const struct request *r, char text[96])
{
    if (r->route && r->route->command < CMD_COUNT)
        (void)snprintf(text, 96, "%s", command_info(r->route->command)->tail);
    else
        (void)snprintf(text, 96, "%s %s", r->method_known ? method_name(r->method) : "OTHER",
                       r->route ? r->route->path : "(no route)");
}
