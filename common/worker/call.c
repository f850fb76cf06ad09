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

/* A failure of ours, or of a server, is no verdict about the request, whatever its code says of the
 * thing that failed: a row that a statement did not find, a buffer that was too small. What is a
 * verdict the handler says itself, by call_problem(). */
void
call_fail(struct call *call, const struct err *err)
{
    enum rc rc = rc_verdict(err->rc) == VERDICT_DONE ? RC_BUG : err->rc;
    if (err->rc == RC_CONFLICT) /* with another's transaction, which will have ended */
        rc = RC_TEMP;
    call->result = (struct result){ .rc = rc, .code = PROBLEM_COUNT, .err = *err };
}
