/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/cleanup.h"
#include "protocol/metrics.h"
#include "test.h"

static void
snapshot_goes_round(void **state)
{
    (void)state;
    struct metrics_snapshot in = { .program = "ingest",
                                   .instance = "0a1b2c3d",
                                   .version = "1.2.3",
                                   .started_ms = 1700000000123,
                                   .values = { .calls = 7, .in_hand = 2 },
                                   .usage = { .cpu_us = 1500000, .open_fds = 9 } };
    struct histogram *histogram = series_find(&in.series, FAMILY_STAGE, "memory.ingest", "queue");
    assert_non_null(histogram);
    histogram_add(histogram, 250, NULL);
    histogram_add(histogram, 40000000, "0af7651916cd43dd8448eb211c80319c");
    struct metrics_snapshot out = { 0 };
    struct err err;
    AUTO(buf) struct buf text = { 0 };
    buf_init(&text, 65536);
    metrics_write(&in, &text);
    assert_false(buf_failed(&text));
    assert_int_equal(metrics_read(text.data, text.len, &out, &err), RC_OK);
    assert_string_equal(out.program, "ingest");
    assert_string_equal(out.instance, "0a1b2c3d");
    assert_int_equal(out.values.calls, 7);
    assert_int_equal(out.values.in_hand, 2);
    assert_int_equal(out.values.dead_letters, 0);
    assert_string_equal(out.version, "1.2.3");
    assert_int_equal(out.started_ms, 1700000000123);
    assert_int_equal(out.usage.cpu_us, 1500000);
    assert_int_equal(out.usage.open_fds, 9);
    assert_int_equal(out.series.count, 1);
    const struct series *series = out.series.rows[0];
    assert_string_equal(series->labels[0], "memory.ingest");
    assert_string_equal(series->labels[1], "queue");
    assert_int_equal(series->histogram.sum_us, 40000250);
    assert_int_equal(series->histogram.counts[1], 1);
    assert_int_equal(series->histogram.counts[HISTOGRAM_BUCKETS - 1], 1);
    if (series->histogram.exemplars)
        assert_string_equal(series->histogram.exemplars[HISTOGRAM_BUCKETS - 1].trace_id,
                            "0af7651916cd43dd8448eb211c80319c");
    metrics_fini(&in);
    metrics_fini(&out);
}

/* Labels end in the page that Prometheus reads: none but ours may come in. */
static void
series_with_odd_labels_are_left_out(void **state)
{
    (void)state;
    static const char TEXT[] =
        "{\"program\":\"a\",\"instance\":\"b\",\"series\":["
        "{\"family\":\"ai_job_duration_seconds\",\"labels\":[\"x\\\"} 1\",\"ok\"],\"counts\":[1]},"
        "{\"family\":\"unknown\",\"labels\":[\"a\",\"b\"],\"counts\":[1]},"
        "{\"family\":\"ai_job_duration_seconds\",\"labels\":[\"a\"],\"counts\":[1]},"
        "{\"family\":\"ai_job_duration_seconds\",\"labels\":[\"ping\",\"ok\"],\"counts\":"
        "[-1,\"x\",3,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,99,99],\"exemplars\":"
        "[[2,\"short\",1,1],[99,\"0af7651916cd43dd8448eb211c80319c\",1,1],7]}]}";
    struct metrics_snapshot out = { 0 };
    struct err err;
    assert_int_equal(metrics_read(TEXT, sizeof(TEXT) - 1, &out, &err), RC_OK);
    assert_int_equal(out.series.count, 1);
    assert_string_equal(out.series.rows[0]->labels[0], "ping");
    assert_int_equal(histogram_count(&out.series.rows[0]->histogram), 3);
    assert_null(out.series.rows[0]->histogram.exemplars);
    metrics_fini(&out);
}

static void
a_set_is_bounded(void **state)
{
    (void)state;
    struct series_set set = { 0 };
    char name[16];
    for (unsigned i = 0; i < SERIES_MAX; i++) {
        snprintf(name, sizeof(name), "a%u", i);
        assert_non_null(series_find(&set, FAMILY_JOB, name, "ok"));
    }
    assert_null(series_find(&set, FAMILY_JOB, "more", "ok"));
    assert_non_null(series_find(&set, FAMILY_JOB, "a7", "ok"));
    assert_int_equal(set.count, SERIES_MAX);
    series_free(&set);
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

static const struct metrics_snapshot SELF = {
    .program = "gateway", .instance = "g", .version = "1.0.0", .started_ms = 1700000000500
};

static void
exposition_groups_by_name(void **state)
{
    (void)state;
    const struct metrics_snapshot one = { .program = "ingest",
                                          .instance = "a",
                                          .values = { .calls = 1, .handler_us = 12000345 } };
    const struct metrics_snapshot two = { .program = "search",
                                          .instance = "b",
                                          .values = { .calls = 2 } };
    const struct metrics_snapshot *all[] = { &SELF, &one, &two };
    AUTO(buf) struct buf text = { 0 };
    const struct exposition e = { &text, false };
    buf_init(&text, 65536);
    metrics_expose(all, 3, &e);
    exposition_end(&e);
    assert_non_null(strstr(buf_text(&text),
                           "# HELP gantry_worker_calls_total commands answered and settled\n"
                           "# TYPE gantry_worker_calls_total counter\n"
                           "gantry_worker_calls_total{program=\"ingest\",replica=\"a\"} 1\n"
                           "gantry_worker_calls_total{program=\"search\",replica=\"b\"} 2\n"));
    assert_non_null(strstr(buf_text(&text), "# TYPE gantry_worker_calls_in_hand gauge\n"));
    assert_non_null(strstr(buf_text(&text),
                           "# TYPE gantry_worker_handler_seconds_total counter\n"
                           "gantry_worker_handler_seconds_total{program=\"ingest\",replica=\"a\"} "
                           "12.000345\n"));
    assert_non_null(strstr(buf_text(&text), "gantry_build_info{program=\"gateway\",replica=\"g\","
                                            "version=\"1.0.0\"} 1\n"));
    assert_non_null(strstr(buf_text(&text), "process_start_time_seconds{program=\"gateway\","
                                            "replica=\"g\"} 1700000000.500000\n"));
    assert_null(strstr(buf_text(&text), "# EOF"));
    buf_reset(&text);
    metrics_expose(all, 0, &e);
    assert_int_equal(text.len, 0);
}

static void
openmetrics_has_exemplars(void **state)
{
    (void)state;
    struct metrics_snapshot one = { .program = "ingest", .instance = "a" };
    const struct metrics_snapshot *all[] = { &SELF, &one };
    struct histogram *histogram =
        series_find(&one.series, FAMILY_STAGE, "memory.ingest", "handler");
    const struct exemplar exemplar = { "0af7651916cd43dd8448eb211c80319c", 1500, 1700000000042 };
    AUTO(buf) struct buf text = { 0 };
    const struct exposition e = { &text, true };
    assert_non_null(histogram);
    histogram_add(histogram, 1500, NULL);
    histogram_set_exemplar(histogram, histogram_bucket(1500), &exemplar);
    assert_non_null(histogram->exemplars);
    buf_init(&text, 65536);
    metrics_expose(all, 2, &e);
    exposition_end(&e);
    assert_non_null(strstr(buf_text(&text), "# TYPE gantry_worker_calls counter\n"
                                            "gantry_worker_calls_total{program=\"ingest\""));
    assert_non_null(
        strstr(buf_text(&text),
               "gantry_command_stage_seconds_bucket{program=\"ingest\",replica=\"a\","
               "command=\"memory.ingest\",stage=\"handler\",le=\"0.0025\"} 1 # "
               "{trace_id=\"0af7651916cd43dd8448eb211c80319c\"} 0.001500 1700000000.042\n"));
    assert_non_null(strstr(buf_text(&text), "stage=\"handler\",le=\"0.001\"} 0\n"));
    assert_non_null(strstr(buf_text(&text), "stage=\"handler\",le=\"+Inf\"} 1\n"));
    assert_non_null(strstr(buf_text(&text), "stage=\"handler\"} 0.001500\n"));
    assert_int_equal(text.len > 6 && strcmp(buf_text(&text) + text.len - 6, "# EOF\n"), 0);
    series_free(&one.series);
}

static void
labels_are_escaped(void **state)
{
    (void)state;
    AUTO(buf) struct buf labels = { 0 };
    buf_init(&labels, 64);
    exposition_label(&labels, "a", "x\"y\\z\n");
    exposition_label(&labels, "b", "");
    assert_string_equal(buf_text(&labels), "a=\"x\\\"y\\\\z\\n\",b=\"\"");
}

static void
accept_decides_the_format(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        bool openmetrics;
    } CASES[] = {
        { NULL, false },
        { "", false },
        { "*/*", false },
        { "text/plain", false },
        { "application/openmetrics-text; version=1.0.0", true },
        { "application/openmetrics-text", true },
        { "application/openmetrics-text;version=0.0.1", false },
        { "application/openmetrics-text;version=\"1.0.0\";charset=utf-8", true },
        { "application/openmetrics-text;version=1.0.0;q=0", false },
        { "application/openmetrics-text;version=1.0.0;q=0.2,text/plain;q=0.5", false },
        /* What Prometheus 2 sends. */
        { "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;"
          "version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
          true },
        { "application/openmetrics-textual", false },
    };
    for (size_t i = 0; i < TEST_COUNT(CASES); i++)
        assert_int_equal(exposition_wants_openmetrics(CASES[i].accept), CASES[i].openmetrics);
}

static void
usage_is_that_of_this_process(void **state)
{
    (void)state;
    struct usage usage;
    usage_read(&usage);
    assert_true(usage.resident_bytes > 100000 && usage.virtual_bytes >= usage.resident_bytes);
    assert_true(usage.open_fds >= 3 && usage.open_fds <= usage.max_fds);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snapshot_goes_round),
        cmocka_unit_test(bad_snapshots_are_refused),
        cmocka_unit_test(unknown_and_odd_values_are_passed_over),
        cmocka_unit_test(series_with_odd_labels_are_left_out),
        cmocka_unit_test(a_set_is_bounded),
        cmocka_unit_test(exposition_groups_by_name),
        cmocka_unit_test(openmetrics_has_exemplars),
        cmocka_unit_test(labels_are_escaped),
        cmocka_unit_test(accept_decides_the_format),
        cmocka_unit_test(usage_is_that_of_this_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
