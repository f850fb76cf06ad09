/* SPDX-License-Identifier: MIT */
/*
 * test_rc - the table of results and the errors on the stack.
 */
#include <string.h>

#include "base/rc.h"
#include "test.h"

static void
test_table(void **unused)
{
    static const struct {
        enum rc rc;
        const char *name;
        int http;
        enum verdict verdict;
        int exit;
    } CASES[] = {
        { RC_OK, "RC_OK", 200, VERDICT_DONE, 0 },
        { RC_INVALID, "RC_INVALID", 422, VERDICT_DONE, 1 },
        { RC_DENIED, "RC_DENIED", 403, VERDICT_DONE, 1 },
        { RC_NOTFOUND, "RC_NOTFOUND", 404, VERDICT_DONE, 1 },
        { RC_CONFLICT, "RC_CONFLICT", 409, VERDICT_DONE, 1 },
        { RC_LIMIT, "RC_LIMIT", 413, VERDICT_DONE, 1 },
        { RC_TEMP, "RC_TEMP", 503, VERDICT_RETRY, 111 },
        { RC_CORRUPT, "RC_CORRUPT", 400, VERDICT_REJECT, 1 },
        { RC_CONFIG, "RC_CONFIG", 500, VERDICT_RETRY, 100 },
        { RC_BUG, "RC_BUG", 500, VERDICT_REJECT, 111 },
        { RC_COUNT, "RC_BUG", 500, VERDICT_REJECT, 111 },
    };

    assert_int_equal(RC_COUNT, 10);
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        assert_string_equal(rc_name(CASES[i].rc), CASES[i].name);
        assert_int_equal(rc_http(CASES[i].rc), CASES[i].http);
        assert_int_equal(rc_verdict(CASES[i].rc), CASES[i].verdict);
        assert_int_equal(rc_exit(CASES[i].rc), CASES[i].exit);
        assert_true(strlen(rc_meaning(CASES[i].rc)) > 0);
    }
}

static void
test_set_and_wrap(void **unused)
{
    struct err err = { 0 };

    assert_int_equal(err_set(&err, RC_TEMP, "port %d is closed", 42), RC_TEMP);
    assert_int_equal(err.rc, RC_TEMP);
    assert_string_equal(err.text, "port 42 is closed");
    assert_int_equal(err_wrap(&err, "connect to %s", "nats"), RC_TEMP);
    assert_string_equal(err.text, "connect to nats: port 42 is closed");
    assert_int_equal(err_set(NULL, RC_INVALID, "nobody listens"), RC_INVALID);
    assert_int_equal(err_wrap(NULL, "nobody listens"), RC_BUG);
}

static void
test_server(void **unused)
{
    struct err err = { 0 }, other = { 0 };

    assert_int_equal(err_set_of(&err, SERVER_REDIS, RC_TEMP, "gone %d", 1), RC_TEMP);
    assert_int_equal(err.server, SERVER_REDIS);
    assert_string_equal(err.text, "gone 1");
    assert_int_equal(err_wrap(&err, "a question"), RC_TEMP);
    assert_int_equal(err.server, SERVER_REDIS);
    assert_int_equal(err_copy(&other, &err), RC_TEMP);
    assert_int_equal(other.rc, RC_TEMP);
    assert_int_equal(other.server, SERVER_REDIS);
    assert_string_equal(other.text, "a question: gone 1");
    assert_int_equal(err_copy(NULL, &err), RC_TEMP);
    assert_int_equal(err_set(&err, RC_BUG, "ours"), RC_BUG);
    assert_int_equal(err.server, SERVER_NONE);
    assert_int_equal(err_set_of(NULL, SERVER_NATS, RC_TEMP, "nobody listens"), RC_TEMP);
    assert_string_equal(server_name(SERVER_POSTGRESQL), "PostgreSQL");
    assert_string_equal(server_name(SERVER_REDIS), "Redis");
    assert_string_equal(server_name(SERVER_NATS), "NATS");
    assert_string_equal(server_name(SERVER_EMBEDDING), "the embedding server");
    assert_null(server_name(SERVER_NONE));
}

static void
test_bounds(void **unused)
{
    char text[1000];
    struct err err = { 0 };

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(err_set(&err, RC_BUG, "%s", text), RC_BUG);
    assert_int_equal(strlen(err.text), 399);
    assert_int_equal(err_wrap(&err, "context"), RC_BUG);
    assert_int_equal(strlen(err.text), 399);
    assert_memory_equal(err.text, "context: xxx", 12);
    for (size_t len = 390; len < 402; len++) {
        assert_int_equal(err_set(&err, RC_BUG, "why"), RC_BUG);
        assert_int_equal(err_wrap(&err, "%.*s", (int)len, text), RC_BUG);
        assert_int_equal(strlen(err.text), len + 5 < 399             ? len + 5
                                           : len >= 397 && len < 399 ? len
                                                                     : 399);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_set_and_wrap),
        cmocka_unit_test(test_server),
        cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
