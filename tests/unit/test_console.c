/* SPDX-License-Identifier: MIT */
/* The console's files, and the counts behind its overview. */
#include <stdio.h>
#include <string.h>

#include "console/console.h"
#include "metrics/traffic.h"
#include "test.h"

static void
test_files(void **state)
{
    const struct console_file *page = console_find("index.html");
    assert_non_null(page);
    assert_string_equal(page->type, "text/html; charset=utf-8");
    assert_memory_equal(console_bytes(page->at), "<!doctype html>", 15);
    assert_memory_equal(console_bytes(page->gzip_at), "\x1f\x8b", 2);
    assert_int_equal(strlen(page->digest), 16);
    assert_non_null(console_find("preact.js"));
    assert_null(console_find(""));
    assert_null(console_find("../console.h"));
    assert_null(console_find("index"));
}

static void
test_gzip(void **state)
{
    assert_true(console_takes_gzip("gzip"));
    assert_true(console_takes_gzip("br, GZIP;q=0.5"));
    assert_true(console_takes_gzip("deflate;q=0, *"));
    assert_true(console_takes_gzip("gzip; q=0.001"));
    assert_false(console_takes_gzip(NULL));
    assert_false(console_takes_gzip(""));
    assert_false(console_takes_gzip("identity, br"));
    assert_false(console_takes_gzip("gzip;q=0, br"));
    assert_false(console_takes_gzip("gzip;q=0.000"));
    assert_false(console_takes_gzip("gzipped, ,"));
}

static void
test_counts(void **state)
{
    struct traffic *traffic = NULL;
    struct err err = { 0 };
    assert_int_equal(traffic_new(&traffic, &err), RC_OK);
    assert_non_null(traffic);
    assert_null(traffic_row(traffic, "one"));
    traffic_count(traffic, "one", 200, 0);
    traffic_count(traffic, "one", 404, 1000);
    traffic_count(traffic, "one", 503, 1001);
    traffic_count(traffic, "one", 201, 3600000000);
    traffic_count(traffic, "two", 500, 10);
    traffic_count(traffic, "", 200, 10);
    const struct traffic_row *row = traffic_row(traffic, "one");
    assert_non_null(row);
    assert_int_equal(row->requests, 4);
    assert_int_equal(row->refused, 1);
    assert_int_equal(row->failed, 1);
    assert_int_equal(row->durations[0], 2);
    assert_int_equal(row->durations[1], 1);
    assert_int_equal(row->durations[TRAFFIC_BOUNDS], 1);
    assert_true(row->since_ms > 0);
    traffic_free(traffic);
}

/* More workspaces than rows: each that asks has its own counts, nobody else's. */
static void
test_many_workspaces(void **state)
{
    struct traffic *traffic = NULL;
    struct err err = { 0 };
    char name[32];
    assert_int_equal(traffic_new(&traffic, &err), RC_OK);
    assert_non_null(traffic);
    for (unsigned i = 0; i < 4 * TRAFFIC_ROWS; i++) {
        (void)snprintf(name, sizeof(name), "workspace-%u", i);
        for (unsigned j = 0; j <= i % 3; j++)
            traffic_count(traffic, name, 200, 5);
        const struct traffic_row *row = traffic_row(traffic, name);
        assert_non_null(row);
        assert_string_equal(row->workspace, name);
        assert_int_equal(row->requests, i % 3 + 1);
    }
    traffic_free(traffic);
}

/* What the document says is text in the page, whatever it is. */
static void
test_docs_escape(void **state)
{
    static const char DOCUMENT[] =
        "{\"info\":{\"version\":\"<1>\",\"summary\":\"a & b\"},\"tags\":[{\"name\":\"t\","
        "\"description\":\"T\"}],\"paths\":{\"/"
        "x\":{\"get\":{\"operationId\":\"x\",\"tags\":[\"t\"],"
        "\"summary\":\"<script>alert(1)</"
        "script>\",\"responses\":{}}}},\"components\":{\"schemas\":{"
        "\"S\":{\"properties\":{\"m\":{\"type\":\"string\",\"description\":\"\\\"<img>\"}}}}}}";
    struct buf openapi;
    struct buf page;
    struct err err = { 0 };
    buf_init(&openapi, 4096);
    buf_init(&page, DOCS_MAX);
    buf_puts(&openapi, DOCUMENT);
    assert_false(buf_failed(&openapi));
    assert_int_equal(docs_write(&openapi, &page, &err), RC_OK);
    const char *text = buf_text(&page);
    assert_non_null(strstr(text, "&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert_non_null(strstr(text, "&quot;&lt;img&gt;"));
    assert_non_null(strstr(text, "id=\"schema-S\""));
    assert_non_null(strstr(text, "a &amp; b"));
    assert_null(strstr(text, "<script"));
    assert_null(strstr(text, "<img"));
    buf_fini(&openapi);
    buf_fini(&page);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),       cmocka_unit_test(test_gzip),
        cmocka_unit_test(test_counts),      cmocka_unit_test(test_many_workspaces),
        cmocka_unit_test(test_docs_escape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
