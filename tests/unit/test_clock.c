/* SPDX-License-Identifier: MIT */
/*
 * test_clock - RFC 3339 both ways.
 */
#include "base/clock.h"
#include "test.h"

static void
test_format(void **unused)
{
    static const struct {
        int64_t ms;
        const char *text;
    } CASES[] = {
        { 0, "1970-01-01T00:00:00.000Z" },
        { -1, "1969-12-31T23:59:59.999Z" },
        { 951782400000, "2000-02-29T00:00:00.000Z" },
        { 951868800000, "2000-03-01T00:00:00.000Z" },
        { 1767323045678, "2026-01-02T03:04:05.678Z" },
        { 4107542399999, "2100-02-28T23:59:59.999Z" },
        { 4107542400000, "2100-03-01T00:00:00.000Z" },
        { 253402300799999, "9999-12-31T23:59:59.999Z" },
        { INT64_MAX, "9999-12-31T23:59:59.999Z" },
        { -62167219200000, "0000-01-01T00:00:00.000Z" },
        { -62162121600000, "0000-02-29T00:00:00.000Z" },
        { INT64_MIN, "0000-01-01T00:00:00.000Z" },
    };
    char text[CLOCK_TEXT_MAX];

    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        int64_t ms = -5;
        assert_string_equal(clock_format(CASES[i].ms, text), CASES[i].text);
        assert_int_equal(clock_parse(CASES[i].text, &ms), RC_OK);
        if (CASES[i].ms != INT64_MAX && CASES[i].ms != INT64_MIN)
            assert_int_equal(ms, CASES[i].ms);
    }
}

static void
test_parse(void **unused)
{
    static const struct {
        const char *text;
        int64_t ms;
    } CASES[] = {
        { "1970-01-01T00:00:00Z", 0 },
        { "1970-01-01t00:00:00z", 0 },
        { "1970-01-01T00:00:00.1Z", 100 },
        { "1970-01-01T00:00:00.1239999999999Z", 123 },
        { "1970-01-01T01:30:00+01:30", 0 },
        { "1969-12-31T16:00:00-08:00", 0 },
        { "1970-01-01T00:00:00-00:00", 0 },
        { "1985-04-12T23:20:50.52Z", 482196050520 },
        { "1996-12-19T16:39:57-08:00", 851042397000 },
        { "1990-12-31T23:59:60Z", 662688000000 },
        { "1990-12-31T15:59:60-08:00", 662688000000 },
        { "2024-02-29T12:00:00Z", 1709208000000 },
    };

    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        int64_t ms = -5;
        assert_int_equal(clock_parse(CASES[i].text, &ms), RC_OK);
        assert_int_equal(ms, CASES[i].ms);
    }
}

static void
test_refused(void **unused)
{
    static const char *const CASES[] = {
        "",
        "1970",
        "1970-01-01",
        "1970-01-01T00:00:00",
        "1970-01-01 00:00:00Z",
        "1970-1-01T00:00:00Z",
        "1970-00-01T00:00:00Z",
        "1970-13-01T00:00:00Z",
        "1970-01-00T00:00:00Z",
        "1970-01-32T00:00:00Z",
        "1970-04-31T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z",
        "1970-01-01T00:00:61Z",
        "1970-01-01T12:00:60Z",
        "1970-01-01T00:00:00.Z",
        "1970-01-01T00:00:00,5Z",
        "1970-01-01T00:00:00+1:00",
        "1970-01-01T00:00:00+0100",
        "1970-01-01T00:00:00+24:00",
        "1970-01-01T00:00:00+00:60",
        "1970-01-01T00:00:00ZZ",
        "1970-01-01T00:00:00Z ",
        " 1970-01-01T00:00:00Z",
        "+970-01-01T00:00:00Z",
        "1970\r01-01T00:00:00Z",
        "0000-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
    };

    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        int64_t ms = -5;
        assert_int_equal(clock_parse(CASES[i], &ms), RC_INVALID);
        assert_int_equal(ms, -5);
    }
}

static void
test_loose(void **unused)
{
    static const struct {
        const char *text;
        int64_t ms;
    } CASES[] = {
        { "2026-01-01", 1767225600000 },
        { "2026-01-01T00:00:00", 1767225600000 },
        { "2026-01-01T00:00:00Z", 1767225600000 },
        { "2026-01-01t00:00z", 1767225600000 },
        { "2026-01-01 00:00", 1767225600000 },
        { "2026-01-01T00:00:00.25", 1767225600250 },
        { "2026-01-01T00:00:00.123456", 1767225600123 },
        { "2026-01-01T01:00:00+01:00", 1767225600000 },
        { "2026-01-01T01:00:00 01:00", 1767225600000 },
        { "2026-01-01T01:00:00+0100", 1767225600000 },
        { "2026-01-01T01:00 0100", 1767225600000 },
        { "2025-12-31T23:30:00-00:30", 1767225600000 },
    };
    static const char *const WRONG[] = {
        "",
        "2026",
        "2026-01",
        "2026-02-30",
        "2026-01-01T",
        "2026-01-01T24:00:00",
        "2026-01-01T00",
        "2026-01-01T00:00:00 ",
        "2026-01-01T00:00:00 1:00",
        "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00+01:",
        "2026-01-01T00:00:00+01:000",
        "2026-01-01T00:00:00 UTC",
        "2026-01-01Z",
        "01/02/2026",
        "1767225600",
    };

    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        int64_t ms = -5;
        assert_int_equal(clock_parse_loose(CASES[i].text, &ms), RC_OK);
        assert_int_equal(ms, CASES[i].ms);
    }
    for (size_t i = 0; i < TEST_COUNT(WRONG); i++) {
        int64_t ms = -5;
        if (clock_parse_loose(WRONG[i], &ms) != RC_INVALID)
            fail_msg("taken: %s", WRONG[i]);
        assert_int_equal(ms, -5);
    }
}

static void
test_now(void **unused)
{
    int64_t before = clock_mono_us();

    assert_true(clock_wall_ms() > 1700000000000);
    assert_true(clock_mono_us() >= before);
    assert_true(clock_mono_ms() >= before / 1000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format), cmocka_unit_test(test_parse), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_loose),  cmocka_unit_test(test_now),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
