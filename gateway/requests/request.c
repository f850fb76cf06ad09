/* SPDX-License-Identifier: MIT */
#include "requests/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "gateway.h"
#include "http/http.h"
#include "requests/answer.h"
#include "requests/checks.h"

#define SWALLOW_MAX (8u << 20) /* bytes of a body that are read and dropped after an early answer */

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
    { check_rate, false },        /* 429 */
    { check_media, false },       /* 415 */
    { check_preferences, false }, /* Prefer */
    { check_body, true },         /* 400, 422 */
    { check_secrets, true },      /* 422 */
    { check_allowed, true },      /* 403 */
    { check_idempotency, true },  /* 409, 422, or the first answer again */
    { announce_deed, true },      /* 503: what cannot be audited is not begun */
    { forward_request, true },
};
#define N_STAGES (sizeof(STAGES) / sizeof(STAGES[0]))

/* What happens to every answer before it leaves. */
static route_fn *const CLOSING[] = { close_identify, close_idempotency, close_audit };
#define N_CLOSING (sizeof(CLOSING) / sizeof(CLOSING[0]))

struct request *
request_new(struct gateway *gw, struct exchange *exchange, const char *uri)
{
    struct request *r = calloc(1, sizeof(*r));
    if (!r || !(r->uri = strdup(uri))) {
        free(r);
        return NULL;
    }
    r->gw = gw;
    r->exchange = exchange;
    r->method = METHOD_COUNT;
    r->actor.role = ROLE_COUNT;
    buf_init(&r->body, (size_t)gw->settings->max_body_bytes);
    buf_init(&r->payload, (size_t)gw->settings->max_body_bytes + 1024);
    buf_init(&r->answer.body, ANSWER_MAX);
    gw->in_flight++;
    return r;
}

static void
drop_body(struct request *r)
{
    r->gw->buffered_bytes -= r->body.len;
    buf_fini(&r->body);
}

void
request_free(struct request *r)
{
    if (!r)
        return;
    drop_body(r);
    buf_fini(&r->payload);
    buf_fini(&r->answer.body);
    json_cleanup(&r->doc);
    loop_timer_free(r->timer);
    free(r->own);
    free(r->uri);
    r->gw->in_flight--;
    free(r);
}

static void
count_answer(struct request *r)
{
    struct counters *count = &r->gw->count;
    if (r->answer.status >= 500)
        count->answers_5xx_total++;
    else if (r->answer.status >= 400)
        count->answers_4xx_total++;
    else
        count->answers_2xx_total++;
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
    r->ready = true;
    count_answer(r);
    http_resume(r->exchange);
}

static void
advance(struct request *r)
{
    r->waiting = false;
    while (!r->closing) {
        if (r->stage == N_STAGES) {
            (void)answer_problem(r, PROBLEM_INTERNAL, "the request ended without an answer");
        } else if (STAGES[r->stage].body && !r->complete) {
            http_resume(r->exchange);
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

void
request_begin(struct request *r, size_t body_max)
{
    r->accepted_ms = clock_wall_ms();
    r->start_us = clock_mono_us();
    r->gw->count.requests_total++;
    r->body_max = body_max;
    const char *given = http_header(r->exchange, "X-Request-ID", NULL);
    size_t len = given ? http_value_len(given) : 0;
    if (given && request_id_valid(given, len))
        (void)snprintf(r->request_id, sizeof(r->request_id), "%.*s", (int)len, given);
    else
        id_new(r->request_id);
    id_new(r->id);
    r->path_len = strcspn(r->uri, "?#");
}

void
request_head(struct request *r)
{
    advance(r);
}

bool
request_body(struct request *r, const char *data, size_t len)
{
    if (!r->closing && r->body.len + len > r->body_max) {
        (void)answer_problem(r, PROBLEM_BODY_TOO_LARGE, "a body here has at most %zu bytes",
                             r->body_max);
        r->closing = true;
        r->stage = 0;
        drop_body(r);
        close_up(r);
    }
    if (r->closing) {
        r->swallowed += len;
        return r->swallowed <= SWALLOW_MAX;
    }
    if (r->gw->buffered_bytes + len > (uint64_t)r->gw->settings->max_buffered_bytes) {
        r->gw->count.memory_refused_total++;
        answer_header(r, "Retry-After", "1");
        (void)answer_problem(r, PROBLEM_UNAVAILABLE, "too many request bodies at once");
        r->closing = true;
        r->stage = 0;
        drop_body(r);
        close_up(r);
        return true;
    }
    buf_add(&r->body, data, len);
    if (buf_failed(&r->body))
        return false;
    r->gw->buffered_bytes += len;
    return true;
}

void
request_complete(struct request *r)
{
    r->complete = true;
    if (!r->closing)
        advance(r);
}

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
