/* SPDX-License-Identifier: MIT */
/*
 * test_buf - growth, the maximum, the sticky failure.
 */
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "test.h"

static void
test_append(void **unused)
{
    AUTO(buf) struct buf out = { 0 };

    buf_init(&out, 100);
    assert_string_equal(buf_text(&out), "");
    buf_puts(&out, "one");
    buf_putc(&out, ' ');
    buf_add(&out, "two\0three", 9);
    buf_printf(&out, "%05d", 42);
    assert_int_equal(out.len, 18);
    assert_memory_equal(out.data, "one two\0three00042", 19);
    assert_false(buf_failed(&out));
    buf_add(&out, NULL, 0);
    assert_false(buf_failed(&out));
    buf_reset(&out);
    assert_string_equal(buf_text(&out), "");
    assert_int_equal(out.len, 0);
}

static void
test_maximum_is_sticky(void **unused)
{
    AUTO(buf) struct buf out = { 0 };

    buf_init(&out, 5);
    buf_puts(&out, "abc");
    buf_puts(&out, "def");
    assert_true(buf_failed(&out));
    assert_string_equal(buf_text(&out), "abc");
    buf_putc(&out, 'x');
    buf_printf(&out, "y");
    assert_string_equal(buf_text(&out), "abc");
    buf_reset(&out);
    assert_false(buf_failed(&out));
    buf_puts(&out, "12345");
    assert_false(buf_failed(&out));
    buf_printf(&out, "%s", "");
    assert_false(buf_failed(&out));
    buf_printf(&out, "6");
    assert_true(buf_failed(&out));
    assert_string_equal(buf_text(&out), "12345");
}

static void
test_nothing_fits_in_zero(void **unused)
{
    AUTO(buf) struct buf out = { 0 };

    buf_init(&out, 0);
    buf_puts(&out, "");
    assert_false(buf_failed(&out));
    buf_putc(&out, 'a');
    assert_true(buf_failed(&out));
    assert_string_equal(buf_text(&out), "");
}

static void
test_growth(void **unused)
{
    AUTO(buf) struct buf out = { 0 };

    buf_init(&out, 100000);
    for (int i = 0; i < 10000; i++)
        buf_printf(&out, "%010d", i);
    assert_false(buf_failed(&out));
    assert_int_equal(out.len, 100000);
    assert_memory_equal(out.data + 99990, "0000009999", 11);
    assert_memory_equal(out.data + 12340, "0000001234", 10);
    buf_putc(&out, 'x');
    assert_true(buf_failed(&out));
    buf_wipe(&out);
    assert_null(out.data);
    assert_int_equal(out.len, 0);
    buf_puts(&out, "again");
    assert_string_equal(buf_text(&out), "again");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append),
        cmocka_unit_test(test_maximum_is_sticky),
        cmocka_unit_test(test_nothing_fits_in_zero),
        cmocka_unit_test(test_growth),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
