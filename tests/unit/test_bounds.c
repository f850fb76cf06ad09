/* SPDX-License-Identifier: MIT */
/* Which bounds are full, and how that is told. */
#include <string.h>

#include "base/cleanup.h"
#include "protocol/bounds.h"
#include "test.h"

static void
test_a_bound_is_full_for_a_minute(void **state)
{
    struct bounds bounds = { 0 }, read = { 0 };
    AUTO(buf) struct buf text = { 0 };
    AUTO(json) cJSON *doc = NULL;
    struct json_writer w;
    (void)state;
    assert_true(bound_mark(&bounds, BOUND_DEAD, 1000));
    assert_false(bound_mark(&bounds, BOUND_DEAD, 60999));
    assert_true(bound_mark(&bounds, BOUND_HELD, 61000));
    assert_true(bound_mark(&bounds, BOUND_DEAD, 120999));
    buf_init(&text, 4096);
    json_begin(&w, &text);
    json_object(&w, NULL);
    bounds_write(&bounds, 121000, &w);
    json_close(&w);
    assert_int_equal(json_end(&w), RC_OK);
    assert_string_equal(buf_text(&text), "{\"bounds\":{\"held\":{\"full\":false,\"refusals\":1},"
                                         "\"dead_letters\":{\"full\":true,\"refusals\":3}}}");
    assert_int_equal(json_read(buf_text(&text), text.len, &doc, NULL), RC_OK);
    bounds_read(json_member(doc, "bounds"), &read);
    assert_true(read.marks[BOUND_DEAD].full);
    assert_int_equal(read.marks[BOUND_DEAD].refusals, 3);
    assert_false(read.marks[BOUND_HELD].full);
    assert_false(read.marks[BOUND_SLOTS].full);
}

static void
test_what_is_no_mark_counts_for_nothing(void **state)
{
    static const char *const TEXTS[] = {
        "{}", "[]", "{\"held\":1}", "{\"held\":{\"full\":1,\"refusals\":-2}}",
        "{\"held\":{\"refusals\":\"x\"},\"unknown\":{\"full\":true}}"
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
        AUTO(json) cJSON *doc = NULL;
        struct bounds read = { .marks = { [BOUND_HELD] = { .full = true, .refusals = 9 } } };
        if (json_read(TEXTS[i], strlen(TEXTS[i]), &doc, NULL) != RC_OK)
            continue;
        bounds_read(doc, &read);
        assert_false(read.marks[BOUND_HELD].full);
        assert_int_equal(read.marks[BOUND_HELD].refusals, 0);
    }
    struct bounds read = { .marks = { [BOUND_HELD] = { .full = true } } };
    bounds_read(NULL, &read);
    assert_false(read.marks[BOUND_HELD].full);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_bound_is_full_for_a_minute),
        cmocka_unit_test(test_what_is_no_mark_counts_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
