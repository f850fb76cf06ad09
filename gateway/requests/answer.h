/* SPDX-License-Identifier: MIT */
/*
 * answer - what goes back to the client: success documents, problems, headers.
 *
 * Every function sets r->answer and returns STEP_ANSWERED, so that a stage can end in one line.
 *
 * Source: contract 4.1; RFC 9457, RFC 9110
 */
#ifndef GANTRY_GATEWAY_REQUESTS_ANSWER_H
#define GANTRY_GATEWAY_REQUESTS_ANSWER_H

#include "policy/policy.h"
#include "requests/request.h"

/* The sentence is for the client: no secret, nothing of the body. */
__attribute__((format(printf, 3, 4))) enum step
answer_problem(struct request *r, enum problem_code code, const char *format, ...);
/* PROBLEM_ACTION_NOT_ALLOWED, and where to look. */
enum step answer_not_allowed(struct request *r, const char *action);
/* PROBLEM_ACTION_NOT_ALLOWED because of a policy; its decision is in the answer. */
__attribute__((format(printf, 3, 4))) enum step
answer_decision(struct request *r, const struct policy_decision *decision, const char *format, ...);
/* PROBLEM_INVALID_REQUEST or PROBLEM_SECRET_IN_TEXT, with the fields that are to blame. */
enum step answer_fields(struct request *r, enum problem_code code,
                        const struct field_errors *errors);

/* A finished JSON object without request_id: it is put in front of the members. */
enum step answer_object(struct request *r, int status, const char *json, size_t len);
/* The answer of a worker: status and JSON object; problems get instance and request_id. */
struct worker_answer {
    int status;
    const char *code;       /* the problem's; NULL without one */
    const char *job_status; /* of a success that is about one job: its state, static; NULL = none */
    const char *body;       /* a JSON object */
    size_t len;
};
enum step answer_worker(struct request *r, const struct worker_answer *answer);
/* 202 with Location: accepted, not yet done. */
enum step answer_accepted(struct request *r);
enum step answer_empty(struct request *r, int status);
/* A body that is not a JSON object; copied. */
enum step answer_raw(struct request *r, int status, const char *content_type, const char *text,
                     size_t len);

/* 200 text/event-stream, of which unread_max bytes may wait; opened is called when its head leaves. */
enum step answer_stream(struct request *r, size_t unread_max, void (*opened)(struct request *r));

/* At most HTTP_ANSWER_HEADERS_MAX; a value is cut at control characters. */
__attribute__((format(printf, 3, 4))) void answer_header(struct request *r, const char *name,
                                                         const char *format, ...);
/* Forget the answer (a recorded one takes its place). */
void answer_reset(struct request *r);

#endif
