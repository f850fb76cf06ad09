/* SPDX-License-Identifier: MIT */
#include "requests/answer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "gateway.h"
#include "validate/redact.h"

void
answer_header(struct request *r, const char *name, const char *format, ...)
{
    struct http_answer *a = &r->answer;
    if (a->n_headers == HTTP_ANSWER_HEADERS_MAX)
        return;
    struct http_answer_header *header = &a->headers[a->n_headers++];
    va_list args;
    header->name = name;
    va_start(args, format);
    (void)vsnprintf(header->value, sizeof(header->value), format, args);
    va_end(args);
    for (char *c = header->value; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '\0';
}

void
answer_reset(struct request *r)
{
    buf_reset(&r->answer.body);
    r->answer.status = 0;
    r->code = NULL;
    r->job_status = NULL;
    r->answer.content_type = NULL;
    r->answer.cache = NULL;
    r->answer.policy = NULL;
    r->answer.stream_max = 0;
    r->on_open = NULL;
}

enum step
answer_stream(struct request *r, size_t unread_max, void (*opened)(struct request *r))
{
    answer_reset(r);
    r->answer.status = 200;
    r->answer.content_type = "text/event-stream";
    r->answer.stream_max = unread_max;
    r->on_open = opened;
    answer_header(r, "X-Accel-Buffering", "no"); /* a proxy passes the pieces on as they come */
    return STEP_ANSWERED;
}

/* The path, if it is harmless: what a client sent may hold anything, and a problem document ends in
 * logs and tickets. Else the route's template; "/" where there is none. */
static const char *
instance(const struct request *r, char text[128])
{
    static const char PLAIN[] =
        "/-._0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    AUTO(buf) struct buf clean = { 0 };
    const char *other = r->route ? r->route->path : "/";
    if (r->path_len == 0 || r->path_len >= 128)
        return other;
    memcpy(text, r->uri, r->path_len);
    text[r->path_len] = '\0';
    if (text[0] != '/' || strspn(text, PLAIN) != r->path_len)
        return other;
    if (r->route && !r->match.malformed)
        return text;
    buf_init(&clean, 512);
    for (const char *at = text; *at; at += strcspn(at, "/")) {
        at += *at == '/';
        redact_text(at, strcspn(at, "/"), &clean);
    }
    return strstr(buf_text(&clean), REDACT_MARK) ? other : text;
}

static enum step
problem(struct request *r, const struct problem *p)
{
    char path[128];
    answer_reset(r);
    r->answer.status = problem_http(p->code);
    r->code = problem_name(p->code);
    r->answer.content_type = "application/problem+json";
    problem_write(&r->answer.body, p, instance(r, path), r->request_id);
    return STEP_ANSWERED;
}

enum step
answer_problem(struct request *r, enum problem_code code, const char *format, ...)
{
    char detail[320];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    return problem(r, &(struct problem){ .code = code, .detail = detail });
}

/* The detail is the contract's; whether there is such an action at all only the executor knows. */
enum step
answer_not_allowed(struct request *r, const char *action)
{
    char detail[320];
    struct field_errors errors = { 0 };
    (void)snprintf(detail, sizeof(detail), "Action '%s' not allowed", action);
    field_errors_add(
        &errors, "action",
        "there is no action %.64s, or this workspace is not allowed it: GET /ai/actions "
        "lists the actions that there are, and which of them are allowed",
        action);
    return problem(r, &(struct problem){ .code = PROBLEM_ACTION_NOT_ALLOWED,
                                         .detail = detail,
                                         .errors = &errors });
}

enum step
answer_decision(struct request *r, const struct policy_decision *decision, const char *format, ...)
{
    char detail[320];
    va_list args;
    struct json_writer w;
    AUTO(buf) struct buf member = { 0 };
    va_start(args, format);
    (void)vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    enum step step = answer_problem(r, PROBLEM_ACTION_NOT_ALLOWED, "%s", detail);
    buf_init(&member, ANSWER_MAX / 8);
    json_begin(&w, &member);
    json_object(&w, NULL);
    policy_put(&w, "policy", decision);
    json_close(&w);
    size_t len = r->answer.body.len;
    if (json_end(&w) != RC_OK || len < 2)
        return step;
    /* {…} and {"policy":…} become one object */
    buf_cut(&r->answer.body, len - 1);
    buf_putc(&r->answer.body, ',');
    buf_add(&r->answer.body, buf_text(&member) + 1, member.len - 1);
    return step;
}

enum step
answer_fields(struct request *r, enum problem_code code, const struct field_errors *errors)
{
    const char *detail = code == PROBLEM_SECRET_IN_TEXT
                             ? "A credential is not stored; take it out of the fields in errors."
                             : "The request breaks the rules listed in errors.";
    return problem(r, &(struct problem){ .code = code, .detail = detail, .errors = errors });
}

/* Put members in front of those of a finished object: the rest of the text is not read again. */
static enum rc
splice(struct buf *out, const char *json, size_t len, const char *instance_text,
       const char *request_id)
{
    struct json_writer w;
    if (len < 2 || json[0] != '{' || json[len - 1] != '}')
        return RC_BUG;
    json_begin(&w, out);
    json_object(&w, NULL);
    if (instance_text)
        json_put_string(&w, "instance", instance_text);
    json_put_string(&w, "request_id", request_id);
    json_close(&w);
    if (json_end(&w) != RC_OK)
        return RC_LIMIT;
    out->len--; /* the closing brace comes with the rest */
    if (len > 2)
        buf_putc(out, ',');
    buf_add(out, json + 1, len - 1);
    return buf_failed(out) ? RC_LIMIT : RC_OK;
}

static enum step
object(struct request *r, int status, const char *json, size_t len, bool is_problem)
{
    char path[128];
    enum rc rc = RC_OK;
    answer_reset(r);
    r->answer.status = status;
    r->answer.content_type = is_problem ? "application/problem+json" : "application/json";
    if (is_problem)
        rc = splice(&r->answer.body, json, len, instance(r, path), r->request_id);
    else if (r->route && r->route->flags & ROUTE_NAMED)
        rc = splice(&r->answer.body, json, len, NULL, r->request_id);
    else
        buf_add(&r->answer.body, json, len);
    if (rc != RC_OK || buf_failed(&r->answer.body))
        return answer_problem(r, PROBLEM_INTERNAL, "the answer is malformed");
    return STEP_ANSWERED;
}

enum step
answer_object(struct request *r, int status, const char *json, size_t len)
{
    return object(r, status, json, len, false);
}

/* A problem code that a worker named, as a static text. */
static const char *
code_named(const char *name)
{
    for (unsigned code = 0; name && code < PROBLEM_COUNT; code++)
        if (strcmp(problem_name((enum problem_code)code), name) == 0)
            return problem_name((enum problem_code)code);
    return problem_name(PROBLEM_INTERNAL);
}

enum step
answer_worker(struct request *r, const struct worker_answer *answer)
{
    if (answer->status == 204)
        return answer_empty(r, answer->status);
    if (answer->status < 200 || answer->status > 599)
        return answer_problem(r, PROBLEM_INTERNAL, "a worker answered without a status");
    if (answer->status < 300) {
        enum step good = answer_object(r, answer->status, answer->body, answer->len);
        if (r->answer.status == answer->status)
            r->job_status = answer->job_status;
        return good;
    }
    enum step step = object(r, answer->status, answer->body, answer->len, true);
    if (r->answer.status == answer->status)
        r->code = code_named(answer->code);
    if (answer->status == 503)
        answer_header(r, "Retry-After", "1");
    return step;
}

enum step
answer_accepted(struct request *r)
{
    struct json_writer w;
    /* What was changed has its id in the path; what is made gets the command's. */
    const char *id = r->route->n_params ? r->match.params[0] : r->id;
    answer_reset(r);
    r->gw->count.accepted_total++;
    r->answer.status = 202;
    r->answer.content_type = "application/json";
    json_begin(&w, &r->answer.body);
    json_object(&w, NULL);
    json_put_string(&w, "status", "accepted");
    json_put_string(&w, r->route->id_name, id);
    json_put_string(&w, "request_id", r->request_id);
    json_close(&w);
    if (json_end(&w) != RC_OK)
        return answer_problem(r, PROBLEM_INTERNAL, "the answer is malformed");
    answer_header(r, "Location", "%s/%s", r->route->location, id);
    return STEP_ANSWERED;
}

enum step
answer_empty(struct request *r, int status)
{
    answer_reset(r);
    r->answer.status = status;
    return STEP_ANSWERED;
}

enum step
answer_raw(struct request *r, int status, const char *content_type, const char *text, size_t len)
{
    answer_reset(r);
    r->answer.status = status;
    r->answer.content_type = content_type;
    buf_add(&r->answer.body, text, len);
    if (buf_failed(&r->answer.body))
        return answer_problem(r, PROBLEM_INTERNAL, "the answer is too large");
    return STEP_ANSWERED;
}
