/* SPDX-License-Identifier: MIT */
/*
 * hooks - POST /hooks/{id}: what a service sends that cannot send a key of ours.
 *
 * The gateway has no service's secret and parses nothing of the body: gantry-connector verifies the raw
 * bytes and says what they become (workers/connector/hooks/hooks.h). What it says is one of three commands,
 * which is executed as an inner request whose key is the hook and whose one scope is that command's: with
 * the checks, the rate limit, the idempotency and the audit event of any request.
 *
 * Nobody has shown a key when the connector is asked: so an address has the rate of a workspace, and only
 * ASKED_MAX are asked about at once. What is refused is counted like requests without a key, and refused in
 * the same words whatever was wrong.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "audit/audit.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/gcra.h"
#include "base/utf8.h"
#include "bus/bus.h"
#include "crypto/crypto_encode.h"
#include "gateway.h"
#include "protocol/command.h"
#include "requests/answer.h"
#include "requests/handlers.h"
#include "requests/inner.h"

#define ASK_MS       5000
#define ASKED_MAX    64
#define QUESTION_MAX (4u << 20)
#define KEY_MAX      128 /* bytes of an idempotency key with its NUL */
#define HOOK_SUBJECT "gantry.sys.connector.hook"

static enum step
denied(struct request *r)
{
    enum step step =
        answer_problem(r, PROBLEM_UNAUTHORIZED,
                       "there is no such hook, or the signature is wrong: sign the raw body "
                       "with the hook's secret and, where the scheme has a time, the current one");
    audit_count_refusal(r);
    return step;
}

static enum step
unavailable(struct request *r, const char *why)
{
    answer_header(r, "Retry-After", "5");
    return answer_problem(r, PROBLEM_UNAVAILABLE, "%s", why);
}

/* --- the question ------------------------------------------------------------------------------------------- */

static bool
is_ours(const char *name)
{
    static const char *const OURS[] = { "authorization", "cookie", "x-api-key",
                                        "proxy-authorization" };

    for (size_t i = 0; i < ARRAY_LEN(OURS); i++)
        if (strcasecmp(name, OURS[i]) == 0)
            return true;
    return false;
}

/* The first of each name counts: a second signature is none. */
static void
put_headers(const struct request *r, struct json_writer *w)
{
    const struct http_head *head = http_head(r->exchange);

    json_object(w, "headers");
    for (size_t i = 0; i < head->n_fields; i++) {
        const char *name = head->text + head->fields[i].name;
        const char *value = head->text + head->fields[i].value;
        char lower[80];
        size_t n = 0;
        if (http_head_field(head, name, NULL) != value || strlen(name) >= sizeof(lower) ||
            is_ours(name))
            continue;
        for (; name[n]; n++)
            lower[n] = (char)(name[n] >= 'A' && name[n] <= 'Z' ? name[n] + 32 : name[n]);
        lower[n] = '\0';
        if (utf8_valid(value, strlen(value)))
            json_put_string(w, lower, value);
    }
    json_close(w);
}

static enum rc
write_question(const struct request *r, struct buf *out)
{
    AUTO(free) char *body = malloc(BASE64_LEN(r->body.len));
    struct json_writer w;

    if (!body)
        return RC_TEMP;
    base64_encode((const uint8_t *)buf_text(&r->body), r->body.len, body);
    buf_init(out, QUESTION_MAX);
    json_begin(&w, out);
    json_object(&w, NULL);
    json_put_string(&w, "hook", r->match.params[0]);
    put_headers(r, &w);
    json_put_string(&w, "body", body);
    json_close(&w);
    return json_end(&w);
}

/* --- what it becomes ------------------------------------------------------------------------------------------ */

static const struct route *
route_of(const char *command)
{
    static const enum command COMMANDS[] = { CMD_MEMORY_INGEST, CMD_AUDIT_APPEND,
                                             CMD_EXECUTOR_RUN };

    for (size_t i = 0; command && i < ARRAY_LEN(COMMANDS); i++) {
        if (strcmp(command_info(COMMANDS[i])->tail, command) != 0)
            continue;
        for (size_t n = 0; n < N_ROUTES; n++)
            if (ROUTES[n].command == COMMANDS[i] && ROUTES[n].kind == ROUTE_COMMAND)
                return &ROUTES[n];
    }
    return NULL;
}

static void
on_inner(void *arg, struct request *inner)
{
    struct request *r = arg;
    const struct http_answer *answer = &inner->answer;

    r->code = inner->code;
    (void)answer_raw(r, answer->status,
                     inner->code ? "application/problem+json" : "application/json",
                     buf_text(&answer->body), answer->body.len);
    if (answer->status == 429 || answer->status == 503)
        answer_header(r, "Retry-After", "5");
    request_continue(r, STEP_ANSWERED);
}

/* The service does not wait for a job, and not long for anything. */
static enum step
carry_out(struct request *r, const cJSON *doc)
{
    const char *workspace = json_string(doc, "workspace"), *delivery = json_string(doc, "delivery");
    const struct route *route = route_of(json_string(doc, "command"));
    AUTO(buf) struct buf body = { 0 };
    struct json_writer w;
    char key[KEY_MAX];

    buf_init(&body, r->body_max);
    json_begin(&w, &body);
    json_put_doc(&w, NULL, json_member(doc, "body"));
    if (!route || !workspace || !delivery || !workspace_valid(workspace, strlen(workspace)))
        return answer_problem(r, PROBLEM_INTERNAL, "the answer of gantry-connector is malformed");
    if (json_end(&w) != RC_OK)
        return answer_problem(r, PROBLEM_BODY_TOO_LARGE,
                              "the command that the hook's template makes of this request has more "
                              "than %zu bytes: send less, or have the template take less of it",
                              r->body_max);
    r->actor = (struct principal){ .role = ROLE_DEVELOPER, .scopes = 1U << route->scope };
    (void)snprintf(r->actor.workspace, sizeof(r->actor.workspace), "%s", workspace);
    (void)snprintf(r->actor.key_id, sizeof(r->actor.key_id), "%.12s", r->match.params[0]);
    (void)snprintf(key, sizeof(key), "hook:%s:%.64s", r->actor.key_id, delivery);
    enum step step = load_enter(r);
    if (step != STEP_NEXT)
        return step;
    const struct inner_ask ask = { .route = route,
                                   .body = buf_text(&body),
                                   .len = body.len,
                                   .idem_key = key,
                                   .prefer = route->command == CMD_EXECUTOR_RUN ? "respond-async"
                                                                                : "wait=2" };
    if (inner_start(r, &ask, on_inner, r, NULL) != RC_OK)
        return unavailable(r, "no memory for the command of a hook: send the request again");
    return STEP_WAIT;
}

static enum step
answer_member(struct request *r, const char *name, const char *value)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;

    buf_init(&out, QUESTION_MAX);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_string(&w, name, value ? value : "");
    json_close(&w);
    if (json_end(&w) != RC_OK)
        return answer_problem(r, PROBLEM_INTERNAL, "the answer is too large");
    return answer_raw(r, 200, "application/json", buf_text(&out), out.len);
}

static enum step
decide(struct request *r, const cJSON *doc)
{
    const char *outcome = json_string(doc, "outcome"), *detail = json_string(doc, "detail");

    if (!outcome)
        return answer_problem(r, PROBLEM_INTERNAL, "the answer of gantry-connector is malformed");
    if (strcmp(outcome, "ok") == 0)
        return carry_out(r, doc);
    if (strcmp(outcome, "ignored") == 0)
        return answer_member(r, "status", "ignored");
    if (strcmp(outcome, "challenge") == 0)
        return answer_member(r, "challenge", json_string(doc, "challenge"));
    if (strcmp(outcome, "malformed") == 0)
        return answer_problem(r, PROBLEM_INVALID_REQUEST, "%.300s", detail ? detail : "");
    if (strcmp(outcome, "denied") == 0)
        return denied(r);
    return unavailable(r, "PostgreSQL is unavailable");
}

static void
on_reply(void *arg, enum rc rc, const struct bus_msg *msg, const struct err *err)
{
    struct request *r = arg;
    AUTO(json) cJSON *doc = NULL;

    (void)err;
    r->gw->hooks_asked--;
    enum step step;
    if (rc != RC_OK)
        step = unavailable(r, "gantry-connector is unavailable");
    else if (json_read_exact(msg->data, msg->len, &doc, NULL) != RC_OK)
        step = answer_problem(r, PROBLEM_INTERNAL, "the answer of gantry-connector is malformed");
    else
        step = decide(r, doc);
    if (step == STEP_ANSWERED)
        request_continue(r, STEP_ANSWERED);
}

/* --- the route -------------------------------------------------------------------------------------------------- */

static bool
too_many(struct request *r)
{
    struct gcra_bucket bucket = gcra_bucket(r->gw->settings->rate_limit_per_minute);
    struct gcra_state state;
    char name[GCRA_NAME_MAX];

    if (!r->gw->settings->rate_limit_per_minute)
        return false;
    (void)snprintf(name, sizeof(name), "hook:%.60s", r->client);
    return gcra_take(gcra_table_find(r->gw->limiter, name), clock_wall_ms() * 1000, &bucket,
                     &state) > 0;
}

enum step
hook_take(struct request *r)
{
    AUTO(buf) struct buf question = { 0 };
    struct bus_out out = { .subject = HOOK_SUBJECT };
    struct err err = { 0 };

    if (too_many(r)) {
        answer_header(r, "Retry-After", "5");
        return answer_problem(
            r, PROBLEM_RATE_LIMITED,
            "too many requests to hooks from your address in a minute: send this one again later");
    }
    if (!r->gw->connectors || r->match.malformed || strlen(r->match.params[0]) != KEY_ID_LEN)
        return denied(r);
    if (r->gw->hooks_asked >= ASKED_MAX)
        return unavailable(r, "too many requests to hooks are under way: send this one again");
    if (write_question(r, &question) != RC_OK)
        return answer_problem(r, PROBLEM_INTERNAL,
                              "the request cannot be forwarded to gantry-connector");
    out.data = question.data;
    out.len = question.len;
    if (bus_request(r->gw->bus, &out, ASK_MS, on_reply, r, &err) != RC_OK)
        return unavailable(r, "NATS is unavailable");
    r->gw->hooks_asked++;
    return STEP_WAIT;
}
