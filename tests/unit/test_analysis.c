/* SPDX-License-Identifier: MIT */
/*
 * test_analysis - the stored form: what it holds, its bounds, and that damaged bytes are refused.
 */
#include <stdlib.h>
#include <string.h>

#include "analysis/analysis.h"
#include "analysis/stop.h"
#include "analysis/term.h"
#include "base/cleanup.h"
#include "test.h"

static void
encode(const char *text, size_t len, struct buf *out)
{
    buf_init(out, ANALYSIS_ENCODED_MAX);
    assert_int_equal(analysis_encode(text, len, out), RC_OK);
}

static struct analysis_reader
open_row(const struct buf *row)
{
    struct analysis_reader reader;
    assert_true(analysis_open(&reader, (const uint8_t *)row->data, row->len));
    return reader;
}

/* Stored rows hold these bytes: others for the same text need another ANALYSIS_VERSION. */
static void
stored_form(void **state)
{
    static const uint8_t KNOWN[] = {
        0x02, 0x03, 0x02,                                     /* version, words, terms */
        0x6f, 0xb0, 0xb5, 0xa6, 0x9d, 0x08, 0x02, 0x00, 0x02, /* deploy: at 0 and 2 */
        0xe9, 0x1d, 0x83, 0x56, 0xd2, 0x17, 0x01, 0x01,       /* the: at 1 */
    };
    AUTO(buf) struct buf row = { 0 };
    encode("Deploy the deploys", 18, &row);
    assert_int_equal(row.len, sizeof(KNOWN));
    assert_memory_equal(row.data, KNOWN, sizeof(KNOWN));
}

static void
positions_ascend(void **state)
{
    static const char TEXT[] = "deploy getUserById, deploying to canlii.org and deployed";
    AUTO(buf) struct buf row = { 0 };
    encode(TEXT, sizeof(TEXT) - 1, &row);
    struct analysis_reader reader = open_row(&row);
    struct analysis_posting posting;
    uint64_t deploy = term_of("deploy", 6);
    uint64_t whole = term_of("getuserbyid", 11);
    uint64_t before = 0;
    uint32_t at;
    size_t found = 0;
    size_t terms = 0;
    assert_int_equal(reader.version, ANALYSIS_VERSION);
    assert_int_equal(reader.words, 11);
    for (; analysis_next(&reader, &posting); terms++) {
        assert_true(posting.term > before && posting.term < ANALYSIS_TERM_LIMIT);
        before = posting.term;
        if (posting.term == deploy) {
            static const uint32_t PLACES[] = { 0, 5, 10 };
            assert_int_equal(posting.count, 3);
            for (size_t i = 0; i < 3; i++) {
                assert_true(analysis_position(&posting, &at));
                assert_int_equal(at, PLACES[i]);
            }
            assert_false(analysis_position(&posting, &at));
            found++;
        }
        if (posting.term == whole) {
            assert_true(analysis_position(&posting, &at));
            assert_int_equal(at, 1);
            found++;
        }
    }
    assert_int_equal(found, 2);
    assert_int_equal(terms, 11); /* 9 words and 2 wholes */
}

static void
nothing_to_index(void **state)
{
    static const char *const TEXTS[] = { "", "   ", "?! --- ...", "\xff\xfe\x80", "\u00a0\u3000" };
    for (size_t i = 0; i < TEST_COUNT(TEXTS); i++) {
        AUTO(buf) struct buf row = { 0 };
        encode(TEXTS[i], strlen(TEXTS[i]), &row);
        static const uint8_t EMPTY[] = { ANALYSIS_VERSION, 0, 0 };
        assert_int_equal(row.len, sizeof(EMPTY));
        assert_memory_equal(row.data, EMPTY, sizeof(EMPTY));
    }
}

/* Each of these is as long as a memory may be, and of a kind that could cost more than its length. */
static void
long_texts_are_bounded(void **state)
{
    static const char *const UNITS[] = {
        "a",      "a ",     "a.",     "a-b_c/d", "aB",  "a1",     "\u0301",     "e\u0316\u0301",
        "\u4e00", "\uac00", "\ufdfa", "-a ",     "a's", "\u00e4", "\U0001f600", "\u0e01\u0e31",
        "_",      "a..",    "\xff",
    };
    AUTO(free) char *text = malloc(65536);
    assert_non_null(text);
    for (size_t i = 0; i < TEST_COUNT(UNITS); i++) {
        size_t unit = strlen(UNITS[i]);
        size_t len = 0;
        for (; len + unit <= 65536; len += unit)
            memcpy(text + len, UNITS[i], unit);
        AUTO(buf) struct buf row = { 0 };
        encode(text, len, &row);
        struct analysis_reader reader = open_row(&row);
        assert_true(reader.words <= ANALYSIS_WORDS_MAX);
        assert_true(row.len < ANALYSIS_ENCODED_MAX / 2);
    }
}

static void
a_long_word_counts_by_all_of_it(void **state)
{
    char text[3000];
    AUTO(buf) struct buf one = { 0 }, other = { 0 }, upper = { 0 };
    memset(text, 'x', sizeof(text));
    encode(text, sizeof(text), &one);
    assert_int_equal(open_row(&one).distinct, 1);
    text[2999] = 'y';
    encode(text, sizeof(text), &other);
    assert_memory_not_equal(one.data, other.data, one.len);
    memset(text, 'X', sizeof(text));
    encode(text, sizeof(text), &upper);
    assert_memory_equal(one.data, upper.data, one.len);
}

static void
damaged_rows_are_refused(void **state)
{
    static const char TEXT[] = "the server and the server";
    AUTO(buf) struct buf row = { 0 };
    struct analysis_reader reader = { .words = 77 };
    encode(TEXT, sizeof(TEXT) - 1, &row);
    for (size_t len = 0; len < row.len; len++)
        assert_false(analysis_open(&reader, (const uint8_t *)row.data, len));
    AUTO(free) uint8_t *copy = malloc(row.len + 1);
    assert_non_null(copy);
    memcpy(copy, row.data, row.len);
    copy[row.len] = 0;
    assert_false(analysis_open(&reader, copy, row.len + 1)); /* something behind */
    static const struct {
        size_t at;
        uint8_t value;
    } DAMAGE[] = {
        { 0, 0 },
        { 0, ANALYSIS_VERSION - 1 },
        { 0, ANALYSIS_VERSION + 1 },
        { 1, 1 }, /* positions beyond the words */
        { 2, 2 },
        { 2, 4 },    /* number of terms */
        { 3, 0xFF }, /* order of terms */
        { 9, 0 },
        { 9, 0x80 }, /* count */
    };
    for (size_t i = 0; i < TEST_COUNT(DAMAGE); i++) {
        memcpy(copy, row.data, row.len);
        copy[DAMAGE[i].at] = DAMAGE[i].value;
        assert_false(analysis_open(&reader, copy, row.len));
    }
    assert_int_equal(reader.words, 77);
    assert_int_equal(analysis_version(copy, 0), 0);
}

static void
a_full_buffer_is_left_alone(void **state)
{
    AUTO(buf) struct buf row = { 0 };
    buf_init(&row, 12);
    buf_puts(&row, "ab");
    assert_int_equal(analysis_encode("one two three", 13, &row), RC_LIMIT);
    assert_string_equal(buf_text(&row), "ab");
}

static void
function_words(void **state)
{
    static const struct {
        const char *word;
        unsigned languages;
    } CASES[] = {
        { "the", 1U << LANGUAGE_ENGLISH },
        { "a", 1U << LANGUAGE_ENGLISH | 1U << LANGUAGE_SPANISH | 1U << LANGUAGE_FRENCH },
        { "zwar", 0 },
        { "zum", 1U << LANGUAGE_GERMAN },
        { "yours", 1U << LANGUAGE_ENGLISH },
        { "y", 1U << LANGUAGE_SPANISH | 1U << LANGUAGE_FRENCH },
        { "un", 1U << LANGUAGE_SPANISH | 1U << LANGUAGE_FRENCH },
        { "а", 1U << LANGUAGE_RUSSIAN },
        { "чтобы", 1U << LANGUAGE_RUSSIAN },
        { "я", 1U << LANGUAGE_RUSSIAN },
        { "server", 0 },
        { "", 0 },
        { "internationalisation", 0 },
    };
    for (size_t i = 0; i < TEST_COUNT(CASES); i++)
        assert_int_equal(stop_languages(CASES[i].word, strlen(CASES[i].word)), CASES[i].languages);
    assert_true(stop_is_sorted());
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stored_form),
        cmocka_unit_test(positions_ascend),
        cmocka_unit_test(nothing_to_index),
        cmocka_unit_test(long_texts_are_bounded),
        cmocka_unit_test(a_long_word_counts_by_all_of_it),
        cmocka_unit_test(damaged_rows_are_refused),
        cmocka_unit_test(a_full_buffer_is_left_alone),
        cmocka_unit_test(function_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
