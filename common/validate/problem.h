/* SPDX-License-Identifier: MIT */
/*
 * problem - the error answers of the contract: RFC 9457 problem documents with a stable code.
 *
 * Shape:  application/problem+json {type, title, status, detail, instance, code, request_id,
 *         errors: [{field, detail}]}
 * Source: RFC 9457, contract 4.1
 */
#ifndef GANTRY_VALIDATE_PROBLEM_H
#define GANTRY_VALIDATE_PROBLEM_H

#include "base/buf.h"
#include "base/rc.h"
#include "validate/schema.h"

/*    name                         code                      http  title                         */
/* clang-format off */
#define PROBLEM_TABLE(X)                                                                           \
    X(PROBLEM_MALFORMED_JSON,      "malformed_json",         400, "Malformed JSON")                \
    X(PROBLEM_MALFORMED_REQUEST,   "malformed_request",      400, "Malformed request")             \
    X(PROBLEM_UNAUTHORIZED,        "unauthorized",           401, "Unauthorized")                  \
    X(PROBLEM_MISSING_SCOPE,       "missing_scope",          403, "Missing scope")                 \
    X(PROBLEM_TENANT_MISMATCH,     "tenant_mismatch",        403, "Tenant mismatch")               \
    X(PROBLEM_ORIGIN,              "origin_not_allowed",     403, "Origin not allowed")            \
    X(PROBLEM_ACTION_NOT_ALLOWED,  "action_not_allowed",     403, "Action not allowed")            \
    X(PROBLEM_APPROVER,            "approver_not_allowed",   403, "Approver not allowed")          \
    X(PROBLEM_NOT_FOUND,           "not_found",              404, "Not found")                     \
    X(PROBLEM_METHOD_NOT_ALLOWED,  "method_not_allowed",     405, "Method not allowed")            \
    X(PROBLEM_REQUEST_IN_PROGRESS, "request_in_progress",    409, "Request in progress")           \
    X(PROBLEM_PREVIEW_EXPIRED,     "preview_expired",        409, "Preview expired")               \
    X(PROBLEM_PREVIEW_USED,        "preview_used",           409, "Preview already used")          \
    X(PROBLEM_VERSION_CONFLICT,    "version_conflict",       409, "Version conflict")              \
    X(PROBLEM_APPROVAL_DECIDED,    "approval_decided",       409, "Approval already decided")      \
    X(PROBLEM_APPROVAL_CHANGED,    "approval_changed",       409, "Not what was shown")            \
    X(PROBLEM_BODY_TOO_LARGE,      "body_too_large",         413, "Body too large")                \
    X(PROBLEM_MEDIA_TYPE,          "unsupported_media_type", 415, "Unsupported media type")        \
    X(PROBLEM_INVALID_REQUEST,     "invalid_request",        422, "Invalid request")               \
    X(PROBLEM_SECRET_IN_TEXT,      "secret_in_text",         422, "Credential in text")            \
    X(PROBLEM_KEY_REUSED,          "idempotency_key_reused", 422, "Idempotency key reused")        \
    X(PROBLEM_HEAD_TOO_LARGE,      "head_too_large",         431, "Request head too large")        \
    X(PROBLEM_RATE_LIMITED,        "rate_limited",           429, "Rate limited")                  \
    X(PROBLEM_INTERNAL,            "internal",               500, "Internal error")                \
    X(PROBLEM_UNAVAILABLE,         "unavailable",            503, "Unavailable")                   \
    X(PROBLEM_TIMEOUT,             "timeout",                504, "Timeout")
/* clang-format on */

#define PROBLEM_ENUM(name, code, http, title) name,
enum problem_code { PROBLEM_TABLE(PROBLEM_ENUM) PROBLEM_COUNT };
#undef PROBLEM_ENUM

const char *problem_name(enum problem_code code);
const char *problem_title(enum problem_code code);
int problem_http(enum problem_code code);
/* Of a document's code; PROBLEM_INVALID_REQUEST for NULL and unknown ones. */
enum problem_code problem_code(const char *name);

struct problem {
    enum problem_code code;
    const char *detail;                /* one sentence; borrowed; no secret, no body */
    const struct field_errors *errors; /* may be NULL; borrowed */
};

/* The member "errors" of the open object: {field, detail} of each. */
void problem_put_errors(struct json_writer *w, const struct field_errors *errors);
/* Append the document. instance and request_id may be NULL (the gateway fills them in for worker
 * answers; a worker leaves them out). */
void problem_write(struct buf *out, const struct problem *problem, const char *instance,
                   const char *request_id);

#endif
