/* SPDX-License-Identifier: MIT */
/*
 * door_fetch - the HTTP door against a stand-in server; run by test_doors.py with FETCH_URL.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "crypto/crypto.h"
#include "fetch/fetch.h"
#include "fetch/fetch_pool.h"
#include "tests/unit/test.h"

#define LONG_MS 60000 /* against hanging only */

static enum rc
post(const char *path, unsigned tries, uint32_t total_ms, size_t max, struct buf *answer,
     struct err *err)
{
    char url[300];
    AUTO(fetch) struct fetch *fetch = NULL;
    (void)snprintf(url, sizeof(url), "%s%s", getenv("FETCH_URL"), path);
    const struct fetch_options options = {
        .url = url,
        .bearer = "tok3n",
        .connect_ms = LONG_MS,
        .total_ms = total_ms,
        .deadline_ms = 2 * LONG_MS,
        .tries = tries,
    };
    assert_int_equal(fetch_new(&options, &fetch, err), RC_OK);
    buf_init(answer, max);
    enum rc rc = fetch_post(fetch, "{\"a\":1}", 7, answer, err);
    return rc;
}

static void
answers_come_back(void **state)
{
    AUTO(buf) struct buf answer = { 0 };
    struct err err;
    assert_int_equal(post("/echo", 1, LONG_MS, 4096, &answer, &err), RC_OK);
    assert_string_equal(buf_text(&answer), "POST Bearer tok3n application/json {\"a\":1}");
}

static void
statuses_have_their_reactions(void **state)
{
    const struct {
        const char *path;
        enum rc rc;
    } cases[] = { { "/status/400", RC_INVALID }, { "/status/422", RC_INVALID },
                  { "/status/401", RC_CONFIG },  { "/status/403", RC_CONFIG },
                  { "/status/404", RC_CONFIG },  { "/status/302", RC_CONFIG },
                  { "/status/500", RC_TEMP },    { "/status/503", RC_TEMP } };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        AUTO(buf) struct buf answer = { 0 };
        struct err err;
        assert_int_equal(post(cases[i].path, 1, LONG_MS, 4096, &answer, &err), cases[i].rc);
        assert_non_null(strstr(err.text, cases[i].path + 8));
        assert_int_equal(answer.len, 0);
    }
}

static void
temporary_failures_are_tried_again(void **state)
{
    AUTO(buf) struct buf answer = { 0 };
    AUTO(buf) struct buf other = { 0 };
    struct err err;
    assert_int_equal(post("/flaky/a", 5, LONG_MS, 4096, &answer, &err), RC_OK);
    assert_string_equal(buf_text(&answer), "third");
    assert_int_equal(post("/flaky/b", 2, LONG_MS, 4096, &other, &err), RC_TEMP);
}

static void
retry_after_is_honoured(void **state)
{
    AUTO(buf) struct buf answer = { 0 };
    struct err err;
    int64_t start_ms = clock_mono_ms();
    assert_int_equal(post("/later", 3, LONG_MS, 4096, &answer, &err), RC_OK);
    assert_in_range(clock_mono_ms() - start_ms, 1000, 2 * LONG_MS);
}

static void
bounds_hold(void **state)
{
    AUTO(buf) struct buf answer = { 0 };
    AUTO(buf) struct buf none = { 0 };
    struct err err;
    assert_int_equal(post("/large", 3, LONG_MS, 4096, &answer, &err), RC_LIMIT);
    assert_int_equal(answer.len, 0);
    /* No answer comes: this returns because of its time-out. */
    assert_int_equal(post("/silent", 1, 200, 4096, &none, &err), RC_TEMP);
}

static void
bad_urls_are_refused(void **state)
{
    struct fetch *fetch = NULL;
    const char *bad[] = { "", "file:///etc/passwd", "ftp://h/", "h/x", "http://", "gopher://h" };
    for (size_t i = 0; i < TEST_COUNT(bad); i++) {
        const struct fetch_options options = { .url = bad[i] };
        assert_int_equal(fetch_new(&options, &fetch, NULL), RC_CONFIG);
    }
    assert_null(fetch);
}

struct seen {
    unsigned count, good;
};

static void
count(void *arg, const struct fetch_answer *answer)
{
    struct seen *seen = arg;
    seen->count++;
    seen->good += answer->rc == RC_OK && answer->status == 200 && answer->len == 4;
}

static void
pool_sends_many(void **state)
{
    AUTO(fetch_pool) struct fetch_pool *pool = NULL;
    AUTO(buf) struct buf answer = { 0 };
    struct seen seen = { 0, 0 };
    struct err err;
    assert_int_equal(fetch_pool_new(getenv("FETCH_URL"), "k3y", 8, 6, &pool, &err), RC_OK);
    for (int i = 0; i < 60; i++) {
        char path[32];
        (void)snprintf(path, sizeof(path), "/second/%d", i);
        const struct fetch_request request = {
            .method = "POST", .path = path, .body = "{}", .len = 2
        };
        assert_int_equal(fetch_pool_send(pool, &request, count, &seen, &err), RC_OK);
    }
    fetch_pool_wait(pool);
    assert_int_equal(seen.count, 60);
    assert_int_equal(seen.good, 60);

    buf_init(&answer, 4096);
    const struct fetch_request keyed = {
        .method = "POST", .path = "/keyed", .idempotency_key = "idem-1", .body = "{}", .len = 2
    };
    assert_int_equal(fetch_pool_call(pool, &keyed, &answer, &err), RC_OK);
    assert_string_equal(buf_text(&answer), "k3y idem-1");
    const struct fetch_request get = { .method = "GET", .path = "/problem" };
    assert_int_equal(fetch_pool_call(pool, &get, &answer, &err), RC_NOTFOUND);
    assert_string_equal(err.text, "no such thing (HTTP 404)");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_come_back),
        cmocka_unit_test(statuses_have_their_reactions),
        cmocka_unit_test(temporary_failures_are_tried_again),
        cmocka_unit_test(retry_after_is_honoured),
        cmocka_unit_test(bounds_hold),
        cmocka_unit_test(bad_urls_are_refused),
        cmocka_unit_test(pool_sends_many),
    };
    if (crypto_init(NULL) != RC_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
