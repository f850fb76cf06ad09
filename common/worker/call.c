/* SPDX-License-Identifier: MIT */
/*
 * call - what handlers say of a call: an answer, a problem, or a failure that decides its fate.
 */
#include <string.h>

#include "base/cleanup.h"
#include "worker.h"

#define PROBLEM_MAX (16u << 10) /* bytes: 16 field errors and a sentence */

static void
set_body(struct call *call, int status, enum problem_code code, const struct buf *body)
{
    char *copy = NULL;
    if (body && body->len) {
        copy = arena_strndup(call->mem, body->data, body->len);
        if (!copy) {
            call->result = (struct result){ .rc = RC_BUG, .code = PROBLEM_COUNT };
            (void)err_set(&call->result.err, RC_BUG, "the answer is larger than the call's memory");
            return;
        }
    }
    call->result = (struct result){ .rc = RC_OK, .status = status, .body = copy, .code = code };
    call->result.body_len = copy ? body->len : 0;
}

void
call_answer(struct call *call, int status, const struct buf *body)
{
    if (body && buf_failed((const struct buf *)body)) {
        call->result = (struct result){ .rc = RC_BUG, .code = PROBLEM_COUNT };
        (void)err_set(&call->result.err, RC_BUG, "the answer is larger than its bound");
        return;
    }
    set_body(call, status, PROBLEM_COUNT, body);
}

void
call_problem(struct call *call, enum problem_code code, const struct field_errors *errors,
             const char *detail)
{
    const struct problem problem = { .code = code, .detail = detail, .errors = errors };
    AUTO(buf) struct buf text = { 0 };
    buf_init(&text, PROBLEM_MAX);
    problem_write(&text, &problem, NULL, NULL);
    set_body(call, problem_http(code), code, &text);
}

/* The problem that says generally what a code means; handlers that know better say it themselves. */
static enum problem_code
problem_of(enum rc rc)
{
    switch (rc) {
    case RC_INVALID:
        return PROBLEM_INVALID_REQUEST;
    case RC_DENIED:
        return PROBLEM_MISSING_SCOPE;
    case RC_NOTFOUND:
        return PROBLEM_NOT_FOUND;
    case RC_CONFLICT:
        return PROBLEM_REQUEST_IN_PROGRESS;
    case RC_LIMIT:
        return PROBLEM_BODY_TOO_LARGE;
    case RC_OK:
    case RC_TEMP:
    case RC_CORRUPT:
    case RC_CONFIG:
    case RC_BUG:
    case RC_COUNT:
        break;
    }
    return PROBLEM_INTERNAL;
}

void
call_fail(struct call *call, const struct err *err)
{
    if (rc_verdict(err->rc) == VERDICT_DONE && err->rc != RC_OK) {
        call_problem(call, problem_of(err->rc), NULL, err->text);
        return;
    }
    call->result = (struct result){ .rc = err->rc == RC_OK ? RC_BUG : err->rc,
                                    .code = PROBLEM_COUNT,
                                    .err = *err };
}
