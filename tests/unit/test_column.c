/* SPDX-License-Identifier: MIT */
/*
 * test_column - arrays in PostgreSQL's binary form, byte for byte.
 */
#include "db/column.h"
#include "test.h"

#define MAX 1000

static void
expect(struct buf *array, const char *bytes, size_t len)
{
    struct db_params params = { .count = 0 };
    column_param(&params, array);
    assert_int_equal(params.count, 1);
    assert_int_equal(params.formats[0], 1);
    assert_int_equal(params.lengths[0], len);
    assert_memory_equal(params.values[0], bytes, len);
    buf_fini(array);
}

#define EXPECT(array, bytes) expect(array, bytes, sizeof(bytes) - 1)

static void
empty(void **state)
{
    struct buf array;
    column_begin(&array, COLUMN_TEXT, MAX);
    EXPECT(&array, "\0\0\0\0\0\0\0\1\0\0\0\31");
}

static void
integers(void **state)
{
    struct buf array;
    column_begin(&array, COLUMN_INT2, MAX);
    column_int(&array, 258);
    EXPECT(&array, "\0\0\0\1\0\0\0\1\0\0\0\25\0\0\0\1\0\0\0\1"
                   "\0\0\0\2\1\2");
    column_begin(&array, COLUMN_INT4, MAX);
    column_int(&array, -2);
    column_int(&array, 0x01020304);
    EXPECT(&array, "\0\0\0\1\0\0\0\1\0\0\0\27\0\0\0\2\0\0\0\1"
                   "\0\0\0\4\xFF\xFF\xFF\xFE"
                   "\0\0\0\4\1\2\3\4");
    column_begin(&array, COLUMN_INT8, MAX);
    column_int(&array, 0x0102030405060708);
    EXPECT(&array, "\0\0\0\1\0\0\0\1\0\0\0\24\0\0\0\1\0\0\0\1"
                   "\0\0\0\10\1\2\3\4\5\6\7\10");
}

static void
texts(void **state)
{
    struct buf array;
    column_begin(&array, COLUMN_TEXT, MAX);
    column_text(&array, "a\"b\\");
    column_text(&array, NULL);
    column_text(&array, "");
    EXPECT(&array, "\0\0\0\1\0\0\0\1\0\0\0\31\0\0\0\3\0\0\0\1"
                   "\0\0\0\4a\"b\\"
                   "\xFF\xFF\xFF\xFF"
                   "\0\0\0\0");
}

static void
uuids(void **state)
{
    struct buf array;
    column_begin(&array, COLUMN_UUID, MAX);
    column_uuid(&array, "00112233-4455-6677-8899-aabbccddeeff");
    column_uuid(&array, "00112233-4455-6677-8899-aabbccddeef");
    column_uuid(&array, "00112233-4455-6677-8899-aabbccddeeff0");
    column_uuid(&array, "x0112233-4455-6677-8899-aabbccddeeff");
    EXPECT(&array, "\0\0\0\1\0\0\0\1\0\0\x0B\x86\0\0\0\4\0\0\0\1"
                   "\0\0\0\x10\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff"
                   "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF");
}

/* 2000-01-01T00:00:00.001Z, and the last millisecond before that day. */
static void
times(void **state)
{
    struct buf array;
    column_begin(&array, COLUMN_TIME, MAX);
    column_time(&array, 946684800001);
    column_time(&array, 946684799999);
    EXPECT(&array, "\0\0\0\1\0\0\0\1\0\0\4\xA0\0\0\0\2\0\0\0\1"
                   "\0\0\0\10\0\0\0\0\0\0\3\xE8"
                   "\0\0\0\10\xFF\xFF\xFF\xFF\xFF\xFF\xFC\x18");
}

static void
overflow_is_null(void **state)
{
    struct db_params params = { .count = 0 };
    struct buf array;
    column_begin(&array, COLUMN_TEXT, 30);
    column_text(&array, "longer than there is room");
    column_text(&array, "x");
    column_param(&params, &array);
    assert_null(params.values[0]);
    buf_fini(&array);
}

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
        literal_begin(&out);
        for (size_t j = 0; j < CASES[i].n; j++)
            literal_text(&out, CASES[i].elements[j]);
        literal_end(&out);
        assert_string_equal(buf_text(&out), CASES[i].literal);
        buf_fini(&out);
    }
}

static void
bytes_of_an_extensions_type(void **state)
{
    static const char EXPECTED[] = "\0\0\0\1\0\0\0\1\0\1\2\3\0\0\0\2\0\0\0\1"
                                   "\0\0\0\2\xAA\xBB"
                                   "\xFF\xFF\xFF\xFF";
    struct buf column;
    column_begin(&column, 0x00010203, MAX);
    column_bytes(&column, "\xAA\xBB", 2);
    column_bytes(&column, NULL, 0);
    expect(&column, EXPECTED, sizeof(EXPECTED) - 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals), cmocka_unit_test(bytes_of_an_extensions_type),
        cmocka_unit_test(empty),    cmocka_unit_test(integers),
        cmocka_unit_test(texts),    cmocka_unit_test(uuids),
        cmocka_unit_test(times),    cmocka_unit_test(overflow_is_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
