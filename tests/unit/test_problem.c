/* SPDX-License-Identifier: MIT */
/*
 * test_problem - the codes of the contract, the documents, and roles with their scopes.
 */
#include <string.h>

#include "base/cleanup.h"
#include "protocol/principal.h"
#include "test.h"
#include "validate/problem.h"

static void
test_codes(void **unused)
{
    static const struct {
        enum problem_code code;
        const char *name;
        int http;
    } CASES[] = {
        { PROBLEM_MALFORMED_JSON, "malformed_json", 400 },
        { PROBLEM_MALFORMED_REQUEST, "malformed_request", 400 },
        { PROBLEM_UNAUTHORIZED, "unauthorized", 401 },
        { PROBLEM_MISSING_SCOPE, "missing_scope", 403 },
        { PROBLEM_TENANT_MISMATCH, "tenant_mismatch", 403 },
        { PROBLEM_ORIGIN, "origin_not_allowed", 403 },
        { PROBLEM_ACTION_NOT_ALLOWED, "action_not_allowed", 403 },
        { PROBLEM_APPROVER, "approver_not_allowed", 403 },
        { PROBLEM_NOT_FOUND, "not_found", 404 },
        { PROBLEM_METHOD_NOT_ALLOWED, "method_not_allowed", 405 },
        { PROBLEM_REQUEST_IN_PROGRESS, "request_in_progress", 409 },
        { PROBLEM_PREVIEW_EXPIRED, "preview_expired", 409 },
        { PROBLEM_PREVIEW_USED, "preview_used", 409 },
        { PROBLEM_VERSION_CONFLICT, "version_conflict", 409 },
        { PROBLEM_APPROVAL_DECIDED, "approval_decided", 409 },
        { PROBLEM_APPROVAL_CHANGED, "approval_changed", 409 },
        { PROBLEM_BODY_TOO_LARGE, "body_too_large", 413 },
        { PROBLEM_MEDIA_TYPE, "unsupported_media_type", 415 },
        { PROBLEM_INVALID_REQUEST, "invalid_request", 422 },
        { PROBLEM_SECRET_IN_TEXT, "secret_in_text", 422 },
        { PROBLEM_KEY_REUSED, "idempotency_key_reused", 422 },
        { PROBLEM_HEAD_TOO_LARGE, "head_too_large", 431 },
        { PROBLEM_RATE_LIMITED, "rate_limited", 429 },
        { PROBLEM_INTERNAL, "internal", 500 },
        { PROBLEM_UNAVAILABLE, "unavailable", 503 },
        { PROBLEM_TIMEOUT, "timeout", 504 },
        { PROBLEM_COUNT, "internal", 500 },
    };

    assert_int_equal(PROBLEM_COUNT, 26);
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        assert_string_equal(problem_name(CASES[i].code), CASES[i].name);
        assert_int_equal(problem_http(CASES[i].code), CASES[i].http);
        assert_true(strlen(problem_title(CASES[i].code)) > 3);
    }
}

static void
test_document(void **unused)
{
    AUTO(buf) struct buf out = { 0 };
    struct field_errors errors = { 0 };

    buf_init(&out, 4096);
    field_errors_add(&errors, "facts[2].object", "must be a %s", "string");
    field_errors_add(&errors, "k\"", "must be from 1 to 50");
    problem_write(&out,
                  &(struct problem){ PROBLEM_INVALID_REQUEST, "The body breaks 2 rules.", &errors },
                  "/webhook/memory/ingest", "r1");
    assert_string_equal(
        buf_text(&out),
        "{\"type\":\"about:blank\",\"title\":\"Invalid request\",\"status\":422,\"detail\":\"The "
        "body breaks 2 "
        "rules.\",\"instance\":\"/webhook/memory/ingest\",\"code\":\"invalid_request\","
        "\"request_id\":\"r1\",\"errors\":[{\"field\":\"facts[2].object\",\"detail\":\"must be a "
        "string\"},{\"field\":\"k\\\"\",\"detail\":\"must be from 1 to 50\"}]}");
    buf_reset(&out);
    problem_write(&out, &(struct problem){ .code = PROBLEM_NOT_FOUND }, NULL, NULL);
    assert_string_equal(buf_text(&out),
                        "{\"type\":\"about:blank\",\"title\":\"Not found\",\"status\":404,"
                        "\"detail\":\"Not found\",\"code\":\"not_found\"}");
    buf_reset(&out);
    problem_write(&out, &(struct problem){ PROBLEM_KEY_REUSED, "Used before.", NULL }, NULL, NULL);
    assert_string_equal(buf_text(&out),
                        "{\"type\":\"about:blank\",\"title\":\"Idempotency key reused\","
                        "\"status\":422,\"detail\":\"Used before.\","
                        "\"code\":\"idempotency_key_reused\","
                        "\"errors\":[{\"field\":\"client_request_id\","
                        "\"detail\":\"Used before.\"}]}");
}

static void
test_roles(void **unused)
{
    static const struct {
        const char *scope;
        bool viewer, developer, admin;
    } CASES[SCOPE_COUNT] = {
        [SCOPE_ACTIONS_PREVIEW] = { "actions:preview", true, true, true },
        [SCOPE_MEMORY_READ] = { "memory:read", true, true, true },
        [SCOPE_ACTIONS_EXECUTE] = { "actions:execute", false, true, true },
        [SCOPE_MEMORY_WRITE] = { "memory:write", false, true, true },
        [SCOPE_AUDIT_WRITE] = { "audit:write", false, true, true },
        [SCOPE_AUDIT_READ] = { "audit:read", false, false, true },
        [SCOPE_MEMORY_DELETE] = { "memory:delete", false, false, true },
        [SCOPE_KEYS_MANAGE] = { "keys:manage", false, false, true },
        [SCOPE_JOBS_MANAGE] = { "jobs:manage", false, false, true },
        [SCOPE_SECRETS_MANAGE] = { "secrets:manage", false, false, true },
        [SCOPE_POLICY_MANAGE] = { "policy:manage", false, false, true },
        [SCOPE_ACTIONS_APPROVE] = { "actions:approve", false, false, true },
        [SCOPE_WEBHOOKS_MANAGE] = { "webhooks:manage", false, false, true },
    };
    struct principal viewer = { .scopes = role_scopes(ROLE_VIEWER) };
    struct principal developer = { .scopes = role_scopes(ROLE_DEVELOPER) };
    struct principal admin = { .scopes = role_scopes(ROLE_ADMIN) };
    struct principal all = { .scopes = UINT32_MAX };
    enum role role = ROLE_COUNT;

    for (unsigned i = 0; i < SCOPE_COUNT; i++) {
        assert_string_equal(scope_name((enum scope)i), CASES[i].scope);
        assert_int_equal(principal_has(&viewer, (enum scope)i), CASES[i].viewer);
        assert_int_equal(principal_has(&developer, (enum scope)i), CASES[i].developer);
        assert_int_equal(principal_has(&admin, (enum scope)i), CASES[i].admin);
    }
    assert_false(principal_has(&all, SCOPE_NONE));
    assert_int_equal(role_scopes(ROLE_COUNT), 0);
    assert_int_equal(role_parse("developer", &role), RC_OK);
    assert_int_equal(role, ROLE_DEVELOPER);
    assert_int_equal(role_parse("Admin", &role), RC_INVALID);
    assert_int_equal(role_parse("", &role), RC_INVALID);
    assert_int_equal(role_parse(NULL, &role), RC_INVALID);
    assert_int_equal(role, ROLE_DEVELOPER);
    assert_string_equal(role_name(ROLE_VIEWER), "viewer");
    assert_string_equal(role_name(ROLE_ADMIN), "admin");
    assert_string_equal(role_name(ROLE_COUNT), "unknown");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes),
        cmocka_unit_test(test_document),
        cmocka_unit_test(test_roles),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
