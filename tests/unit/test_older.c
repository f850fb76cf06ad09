/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/cleanup.h"
#include "effects/older.h"
#include "test.h"

static void
expect_done(const char *text, int status, const char *body, const char *code)
{
    AUTO(json) cJSON *doc = NULL;
    struct worker_answer answer = { 0 };

    assert_int_equal(older_done(text, strlen(text), &doc, &answer), RC_OK);
    assert_int_equal(answer.status, status);
    assert_int_equal(answer.len, strlen(body));
    assert_memory_equal(answer.body, body, answer.len);
    if (code)
        assert_string_equal(answer.code, code);
    else
        assert_null(answer.code);
}

static void
test_an_event_of_version_1(void **state)
{
    (void)state;
    expect_done("{\"status\":200,\"body\":{\"stdout\":\"\\u0000\"}}", 200,
                "{\"stdout\":\"\\u0000\"}", NULL);
    expect_done("{\"status\":204,\"body\":null}", 204, "{}", NULL);
    expect_done("{\"status\":404,\"body\":{\"code\":\"not_found\"}}", 404,
                "{\"code\":\"not_found\"}", "not_found");
}

static void
test_what_is_no_event_leaves_the_answer_alone(void **state)
{
    static const char *const TEXTS[] = { "", "{}", "{\"status\":", "{\"status\":200,\"body\":{}}x",
                                         "{\"state\":200,\"body\":{}}" };
    (void)state;
    for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++) {
        AUTO(json) cJSON *doc = NULL;
        struct worker_answer answer = { .status = 1 };

        assert_int_equal(older_done(TEXTS[i], strlen(TEXTS[i]), &doc, &answer), RC_CORRUPT);
        assert_int_equal(answer.status, 1);
    }
}

static void
expect_state(const char *body, const char *state)
{
    const char *found = older_job_status(body, strlen(body));

    assert_non_null(found);
    assert_string_equal(found, state);
}

/* What a task printed may look like its outcome. */
#define OUTPUT "\"output\":{\"stdout\":\"\\\"outcome\\\":\\\"ok\\\"\\u0000\",\"outcome\":\"ok\"}"

static void
test_the_state_in_an_answer_to_a_command(void **state)
{
    (void)state;
    expect_state("{\"status\":\"success\",\"outcome\":\"ok\"," OUTPUT "}", "completed");
    expect_state("{\"status\":\"failed\",\"outcome\":\"cancelled\"," OUTPUT "}", "cancelled");
    expect_state("{" OUTPUT ",\"status\":\"failed\",\"outcome\":\"timeout\"}", "failed");
}

static void
test_the_state_in_a_job(void **state)
{
    (void)state;
    expect_state("{\"job_id\":\"j\",\"status\":\"running\",\"action\":\"a\",\"result\":null}",
                 "running");
    expect_state("{\"result\":{\"outcome\":\"ok\"},\"status\":\"completed\"}", "completed");
}

static void
test_an_answer_without_a_state(void **state)
{
    static const char *const BODIES[] = {
        "", "{}", "[", "{\"status\":\"asleep\"}", "{\"status\":1}", "\"completed\""
    };
    (void)state;
    for (size_t i = 0; i < sizeof(BODIES) / sizeof(BODIES[0]); i++)
        assert_null(older_job_status(BODIES[i], strlen(BODIES[i])));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_event_of_version_1),
        cmocka_unit_test(test_what_is_no_event_leaves_the_answer_alone),
        cmocka_unit_test(test_the_state_in_an_answer_to_a_command),
        cmocka_unit_test(test_the_state_in_a_job),
        cmocka_unit_test(test_an_answer_without_a_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
