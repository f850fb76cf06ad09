/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/cleanup.h"
#include "test.h"
#include "worker/worker.h"

static void
answers_are_copied_into_the_job(void **state)
{
    (void)state;
    AUTO(arena) struct arena mem = { 0 };
    struct call call = { .mem = &mem };
    struct buf text;
    arena_init(&mem, 1 << 16);
    buf_init(&text, 100);
    buf_puts(&text, "{\"a\":1}");
    assert_false(buf_failed(&text));
    call_answer(&call, 200, &text);
    memset(text.data, 'x', text.len);
    buf_fini(&text);
    assert_int_equal(call.result.rc, RC_OK);
    assert_int_equal(call.result.status, 200);
    assert_int_equal(call.result.body_len, 7);
    assert_memory_equal(call.result.body, "{\"a\":1}", 7);
    assert_int_equal(call.result.code, PROBLEM_COUNT);
    call_answer(&call, 204, NULL);
    assert_int_equal(call.result.status, 204);
    assert_int_equal(call.result.body_len, 0);
}

static void
answers_beyond_a_bound_are_bugs(void **state)
{
    (void)state;
    AUTO(arena) struct arena mem = { 0 };
    AUTO(buf) struct buf text = { 0 };
    struct call call = { .mem = &mem };
    arena_init(&mem, 64);
    buf_init(&text, 4);
    buf_puts(&text, "too long");
    call_answer(&call, 200, &text);
    assert_int_equal(call.result.rc, RC_BUG);
    buf_fini(&text);
    buf_init(&text, 1000);
    for (int i = 0; i < 100; i++)
        buf_puts(&text, "12345678");
    call_answer(&call, 200, &text);
    assert_int_equal(call.result.rc, RC_BUG);
    assert_int_equal(call.result.status, 0);
}

static void
failures_are_no_answers(void **state)
{
    (void)state;
    static const struct {
        enum rc rc;
        enum rc result;
    } CASES[] = {
        { RC_INVALID, RC_BUG },   { RC_DENIED, RC_BUG },      { RC_NOTFOUND, RC_BUG },
        { RC_CONFLICT, RC_TEMP }, { RC_LIMIT, RC_BUG },       { RC_TEMP, RC_TEMP },
        { RC_CONFIG, RC_CONFIG }, { RC_CORRUPT, RC_CORRUPT }, { RC_BUG, RC_BUG },
        { RC_OK, RC_BUG },
    };
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        AUTO(arena) struct arena mem = { 0 };
        struct call call = { .mem = &mem };
        struct err err;
        arena_init(&mem, 1 << 16);
        (void)err_set(&err, CASES[i].rc, "the reason");
        call_fail(&call, &err);
        assert_int_equal(call.result.rc, CASES[i].result);
        assert_int_equal(call.result.status, 0);
        assert_int_equal(call.result.code, PROBLEM_COUNT);
        assert_string_equal(call.result.err.text, "the reason");
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_copied_into_the_job),
        cmocka_unit_test(answers_beyond_a_bound_are_bugs),
        cmocka_unit_test(failures_are_no_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
