/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/cleanup.h"
#include "protocol/metrics.h"
#include "test.h"

static void
snapshot_goes_round(void **state)
{
    (void)state;
    struct metrics_snapshot in = { "ingest", "0a1b2c3d", { .calls = 7, .in_hand = 2 } };
    struct metrics_snapshot out = { 0 };
    struct err err;
    AUTO(buf) struct buf text = { 0 };
    buf_init(&text, 4096);
    metrics_write(&in, &text);
    assert_false(buf_failed(&text));
    assert_int_equal(metrics_read(text.data, text.len, &out, &err), RC_OK);
    assert_string_equal(out.program, "ingest");
    assert_string_equal(out.instance, "0a1b2c3d");
    assert_int_equal(out.values.calls, 7);
    assert_int_equal(out.values.in_hand, 2);
    assert_int_equal(out.values.dead_letters, 0);
}

static void
bad_snapshots_are_refused(void **state)
{
    (void)state;
    static const char *const BAD[] = {
        "",
        "[]",
        "{",
        "{\"program\":\"a\"}",
        "{\"program\":\"a\",\"instance\":\"\"}",
        "{\"program\":\"a\\\"} 1\",\"instance\":\"b\"}",
        "{\"program\":\"a b\",\"instance\":\"b\"}",
        "{\"program\":1,\"instance\":\"b\"}",
        "{\"program\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"instance\":\"b\"}",
    };
    for (size_t i = 0; i < TEST_COUNT(BAD); i++) {
        struct metrics_snapshot out;
        struct err err;
        memset(&out, 7, sizeof(out));
        assert_int_equal(metrics_read(BAD[i], strlen(BAD[i]), &out, &err), RC_INVALID);
        assert_int_equal(out.program[0], 7);
    }
}

static void
unknown_and_odd_values_are_passed_over(void **state)
{
    (void)state;
    static const char TEXT[] = "{\"program\":\"a\",\"instance\":\"b\",\"values\":{\"calls\":-1,"
                               "\"dead_letters\":\"x\",\"calls_failed\":3,\"novel\":4}}";
    struct metrics_snapshot out;
    struct err err;
    assert_int_equal(metrics_read(TEXT, sizeof(TEXT) - 1, &out, &err), RC_OK);
    assert_int_equal(out.values.calls, 0);
    assert_int_equal(out.values.dead_letters, 0);
    assert_int_equal(out.values.calls_failed, 3);
}

static void
exposition_groups_by_name(void **state)
{
    (void)state;
    struct metrics_snapshot all[] = { { "ingest", "a", { .calls = 1, .handler_us = 12000345 } },
                                      { "search", "b", { .calls = 2 } } };
    AUTO(buf) struct buf text = { 0 };
    buf_init(&text, 65536);
    metrics_expose(all, 2, &text);
    assert_non_null(strstr(buf_text(&text),
                           "# HELP gantry_worker_calls_total commands answered and settled\n"
                           "# TYPE gantry_worker_calls_total counter\n"
                           "gantry_worker_calls_total{program=\"ingest\",instance=\"a\"} 1\n"
                           "gantry_worker_calls_total{program=\"search\",instance=\"b\"} 2\n"));
    assert_non_null(strstr(buf_text(&text), "# TYPE gantry_worker_calls_in_hand gauge\n"));
    assert_non_null(strstr(buf_text(&text),
                           "# TYPE gantry_worker_handler_seconds_total counter\n"
                           "gantry_worker_handler_seconds_total{program=\"ingest\",instance=\"a\"} "
                           "12.000345\n"));
    buf_reset(&text);
    metrics_expose(all, 0, &text);
    assert_int_equal(text.len, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snapshot_goes_round),
        cmocka_unit_test(bad_snapshots_are_refused),
        cmocka_unit_test(unknown_and_odd_values_are_passed_over),
        cmocka_unit_test(exposition_groups_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
