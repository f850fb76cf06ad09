/* SPDX-License-Identifier: MIT */
/*
 * test_array - array literals that nothing can break out of, and the binary form.
 */
#include "test.h"
#include "workers/ingest/array.h"

static void
literals(void **state)
{
    static const struct {
        const char *elements[4];
        size_t n;
        const char *literal;
    } CASES[] = {
        { { NULL }, 0, "{}" },
        { { "" }, 1, "{\"\"}" },
        { { "a", "b" }, 2, "{\"a\",\"b\"}" },
        { { "NULL", NULL }, 2, "{\"NULL\",NULL}" },
        { { "a\"b", "\\", "\\\"" }, 3, "{\"a\\\"b\",\"\\\\\",\"\\\\\\\"\"}" },
        { { "},{", ",", " x ", "\n" }, 4, "{\"},{\",\",\",\" x \",\"\n\"}" },
        { { "é🙂" }, 1, "{\"é🙂\"}" },
    };
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct buf out;
        buf_init(&out, 1000);
        array_begin(&out);
        for (size_t j = 0; j < CASES[i].n; j++)
            array_text(&out, CASES[i].elements[j]);
        array_end(&out);
        assert_string_equal(buf_text(&out), CASES[i].literal);
        buf_fini(&out);
    }
}

static void
numbers(void **state)
{
    struct buf out;
    buf_init(&out, 1000);
    array_begin(&out);
    array_int(&out, 0);
    array_int(&out, INT64_MIN);
    array_text(&out, NULL);
    array_int(&out, INT64_MAX);
    array_end(&out);
    assert_string_equal(buf_text(&out), "{0,-9223372036854775808,NULL,9223372036854775807}");
    buf_fini(&out);
}

static void
binary(void **state)
{
    static const char EXPECTED[] = "\0\0\0\1\0\0\0\1\0\1\2\3\0\0\0\2\0\0\0\1"
                                   "\0\0\0\2\xAA\xBB"
                                   "\xFF\xFF\xFF\xFF";
    struct buf out;
    buf_init(&out, 1000);
    array_binary_begin(&out, 0x00010203, 2);
    array_binary_add(&out, (const uint8_t *)"\xAA\xBB", 2);
    array_binary_add(&out, NULL, 0);
    assert_int_equal(out.len, sizeof(EXPECTED) - 1);
    assert_memory_equal(out.data, EXPECTED, sizeof(EXPECTED) - 1);
    buf_fini(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals),
        cmocka_unit_test(numbers),
        cmocka_unit_test(binary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
