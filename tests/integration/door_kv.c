/* SPDX-License-Identifier: MIT */
/*
 * door_kv - the Redis door against a real server; run by test_doors.py with REDIS_URL.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kv/kv.h"
#include "tests/unit/test.h"

#define LONG_MS 60000 /* against hanging only */

enum { SUM, ECHO };
static const struct kv_script SCRIPTS[] = {
    { "sum", "return redis.call('INCRBY', KEYS[1], ARGV[1] + ARGV[2])" },
    { "echo", "return { 1, 'two', { 'three', false }, ARGV[1] }" },
};

struct got {
    unsigned calls;
    enum rc rc;
    enum server server;
    enum kv_type type;
    int64_t integer;
    char text[64];
    size_t len;
};

static struct loop *LOOP;
static struct kv *KV;

static const char *
url(void)
{
    return getenv("REDIS_URL");
}

static void
note(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    struct got *got = arg;
    got->calls++;
    got->rc = rc;
    if (rc != RC_OK) {
        assert_non_null(err);
        got->server = err->server;
        (void)snprintf(got->text, sizeof(got->text), "%.63s", err->text);
        return;
    }
    got->type = reply->type;
    got->integer = reply->integer;
    got->len = reply->len;
    if (reply->type == KV_TEXT && reply->len < sizeof(got->text))
        memcpy(got->text, reply->text, reply->len + 1);
}

static void
turn_until_called(struct got *got)
{
    int64_t end_ms = clock_mono_ms() + LONG_MS;
    while (!got->calls && clock_mono_ms() < end_ms)
        loop_turn(LOOP, 20);
    assert_int_equal(got->calls, 1);
}

static bool
wait_connected(struct kv *kv)
{
    int64_t end_ms = clock_mono_ms() + LONG_MS;
    while (!kv_connected(kv) && clock_mono_ms() < end_ms)
        loop_turn(LOOP, 20);
    return kv_connected(kv);
}

static void
call(struct kv *kv, struct got *got, uint32_t timeout_ms, const char *a, const char *b,
     const char *c)
{
    struct kv_command cmd = { .count = 0 };
    const char *words[] = { a, b, c };
    for (size_t i = 0; i < 3 && words[i]; i++)
        kv_add(&cmd, words[i]);
    memset(got, 0, sizeof(*got));
    kv_call(kv, &cmd, timeout_ms, note, got);
    assert_int_equal(got->calls, 0);
}

/* Blocking, on the second connection: does something to the first one. */
static void
order(const char *a, const char *b, const char *c, const char *d)
{
    struct kv_command cmd = { .count = 0 };
    struct kv_reply *reply = NULL;
    struct err err = { .rc = RC_OK };
    const char *words[] = { a, b, c, d };
    for (size_t i = 0; i < 4 && words[i]; i++)
        kv_add(&cmd, words[i]);
    if (kv_call_sync(KV, &cmd, &reply, &err) != RC_OK)
        fail_msg("%s", err.text);
    kv_reply_free(reply);
}

static int
set_up(void **state)
{
    struct err err;
    if (loop_new(&LOOP, &err) != RC_OK || kv_open(LOOP, url(), SCRIPTS, 2, &KV, &err) != RC_OK)
        return -1;
    return wait_connected(KV) ? 0 : -1;
}

static int
tear_down(void **state)
{
    kv_free(KV);
    loop_free(LOOP);
    return 0;
}

static void
bytes_round_trip(void **state)
{
    struct got set = { 0 }, got = { 0 }, none = { 0 };
    struct kv_command cmd = { .count = 0 };
    kv_add(&cmd, "SET");
    kv_add(&cmd, "key %s");
    kv_add_bytes(&cmd, "a\0\r\n%d\377", 7);
    kv_call(KV, &cmd, LONG_MS, note, &set);
    call(KV, &got, LONG_MS, "GET", "key %s", NULL);
    call(KV, &none, LONG_MS, "GET", "no such", NULL);
    turn_until_called(&none);
    assert_int_equal(set.rc, RC_OK);
    assert_int_equal(got.calls, 1);
    assert_int_equal(got.type, KV_TEXT);
    assert_int_equal(got.len, 7);
    assert_memory_equal(got.text, "a\0\r\n%d\377", 7);
    assert_int_equal(none.type, KV_NIL);
}

static void
many_at_once_keep_their_order(void **state)
{
    static struct got got[5000];
    struct kv_command cmd = { .count = 0 };
    order("DEL", "n", NULL, NULL);
    kv_add(&cmd, "INCR");
    kv_add(&cmd, "n");
    memset(got, 0, sizeof(got));
    for (size_t i = 0; i < TEST_COUNT(got); i++)
        kv_call(KV, &cmd, LONG_MS, note, &got[i]);
    turn_until_called(&got[TEST_COUNT(got) - 1]);
    for (size_t i = 0; i < TEST_COUNT(got); i++) {
        assert_int_equal(got[i].calls, 1);
        assert_int_equal(got[i].integer, i + 1);
    }
}

static void
sum(struct got *got)
{
    struct kv_command cmd = { .count = 0 };
    kv_add(&cmd, "total");
    kv_add_int(&cmd, 40);
    kv_add_int(&cmd, 2);
    memset(got, 0, sizeof(*got));
    kv_script_call(KV, SUM, 1, &cmd, 1000, note, got);
}

static void
scripts_survive_a_server_that_forgot_them(void **state)
{
    struct got got, second;
    order("DEL", "total", NULL, NULL);
    sum(&got);
    turn_until_called(&got);
    assert_int_equal(got.rc, RC_OK);
    assert_int_equal(got.integer, 42);
    order("SCRIPT", "FLUSH", NULL, NULL);
    sum(&got);
    sum(&second);
    turn_until_called(&second);
    assert_int_equal(got.calls, 1);
    assert_int_equal(got.integer, 84);
    assert_int_equal(second.integer, 126);
}

static void
blocking_form_and_nested_lists(void **state)
{
    struct kv_command cmd = { .count = 0 };
    struct kv_reply *reply = NULL;
    struct err err;
    kv_add(&cmd, "arg");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(kv_script_sync(KV, ECHO, 0, &cmd, &reply, &err), RC_OK);
        assert_int_equal(reply->type, KV_LIST);
        assert_int_equal(reply->count, 4);
        assert_int_equal(reply->items[0].integer, 1);
        assert_string_equal(reply->items[1].text, "two");
        assert_string_equal(reply->items[2].items[0].text, "three");
        assert_int_equal(reply->items[2].items[1].type, KV_NIL);
        assert_string_equal(reply->items[3].text, "arg");
        kv_reply_free(reply);
        reply = NULL;
        order("SCRIPT", "FLUSH", NULL, NULL);
    }
}

static void
time_outs_answer_once(void **state)
{
    struct got slow = { 0 }, later = { 0 };
    order("CLIENT", "PAUSE", "2000", "ALL");
    int64_t start_ms = clock_mono_ms();
    call(KV, &slow, 50, "INCR", "slow", NULL);
    turn_until_called(&slow);
    assert_int_equal(slow.rc, RC_TEMP);
    assert_int_equal(slow.server, SERVER_REDIS);
    assert_true(clock_mono_ms() - start_ms >= 45);
    call(KV, &later, LONG_MS, "GET", "slow", NULL);
    turn_until_called(&later);
    assert_int_equal(later.rc, RC_OK);
    assert_string_equal(later.text, "1");
    assert_int_equal(slow.calls, 1);
    assert_true(kv_connected(KV));
    order("DEL", "slow", NULL, NULL);
}

static void
lost_connections_come_back(void **state)
{
    struct got waiting = { 0 }, down = { 0 }, after = { 0 };
    call(KV, &waiting, LONG_MS, "BLPOP", "never", "30");
    loop_turn(LOOP, 20);
    order("CLIENT", "KILL", "TYPE", "normal"); /* spares the one that asks */
    turn_until_called(&waiting);
    assert_int_equal(waiting.rc, RC_TEMP);
    assert_int_equal(waiting.server, SERVER_REDIS);
    assert_false(kv_connected(KV));
    assert_int_equal(kv_down(KV)->rc, RC_TEMP);
    assert_int_equal(kv_down(KV)->server, SERVER_REDIS);
    call(KV, &down, LONG_MS, "PING", NULL, NULL);
    turn_until_called(&down);
    assert_int_equal(down.rc, RC_TEMP);
    assert_int_equal(down.server, SERVER_REDIS);
    assert_true(wait_connected(KV));
    assert_int_equal(kv_down(KV)->rc, RC_OK);
    assert_int_equal(kv_down(KV)->server, SERVER_NONE);
    call(KV, &after, LONG_MS, "PING", NULL, NULL);
    turn_until_called(&after);
    assert_string_equal(after.text, "PONG");
}

static void
refusals_are_configuration_errors(void **state)
{
    struct got got = { 0 };
    struct kv *kv = NULL;
    struct err err;
    char text[200];
    call(KV, &got, LONG_MS, "FLUSHALL", NULL, NULL);
    turn_until_called(&got);
    assert_int_equal(got.rc, RC_CONFIG);
    call(KV, &got, LONG_MS, "GET", NULL, NULL);
    turn_until_called(&got);
    assert_int_equal(got.rc, RC_BUG);
    assert_int_equal(got.server, SERVER_REDIS);

    (void)snprintf(text, sizeof(text), "%.*stester:s3cret%s",
                   (int)(strstr(url(), "tester") - url()), url(), strchr(url(), '@'));
    assert_int_equal(kv_open(LOOP, text, NULL, 0, &kv, &err), RC_OK);
    int64_t end_ms = clock_mono_ms() + LONG_MS;
    while (kv_down(kv)->rc != RC_CONFIG && clock_mono_ms() < end_ms)
        loop_turn(LOOP, 20);
    assert_false(kv_connected(kv));
    assert_int_equal(kv_down(kv)->rc, RC_CONFIG);
    assert_null(strstr(kv_down(kv)->text, "s3cret"));
    call(kv, &got, LONG_MS, "PING", NULL, NULL);
    turn_until_called(&got);
    assert_int_equal(got.rc, RC_CONFIG);
    struct kv_command cmd = { .count = 0 };
    struct kv_reply *reply = NULL;
    kv_add(&cmd, "PING");
    assert_int_equal(kv_call_sync(kv, &cmd, &reply, &err), RC_CONFIG);
    assert_int_equal(err.server, SERVER_REDIS);
    kv_free(kv);
}

static void
nobody_listens(void **state)
{
    struct got got = { 0 };
    struct kv *kv = NULL;
    struct err err;
    assert_int_equal(kv_open(LOOP, "redis://127.0.0.1:1", NULL, 0, &kv, &err), RC_OK);
    for (int i = 0; i < 10; i++)
        loop_turn(LOOP, 20);
    call(kv, &got, LONG_MS, "PING", NULL, NULL);
    turn_until_called(&got);
    assert_int_equal(got.rc, RC_TEMP);
    assert_int_equal(got.server, SERVER_REDIS);
    kv_free(kv);
}

static void
closing_answers_what_waits(void **state)
{
    struct got got = { 0 };
    struct kv *kv = NULL;
    struct err err;
    assert_int_equal(kv_open(LOOP, url(), NULL, 0, &kv, &err), RC_OK);
    assert_true(wait_connected(kv));
    call(kv, &got, LONG_MS, "BLPOP", "never", "30");
    loop_turn(LOOP, 20);
    kv_free(kv);
    assert_int_equal(got.calls, 1);
    assert_int_equal(got.rc, RC_TEMP);
}

/* A server that cannot prove its name: neither form of the connection comes up. */
static int
must_fail(void)
{
    struct kv_command cmd = { .count = 0 };
    struct kv_reply *reply = NULL;
    struct err err;
    if (loop_new(&LOOP, &err) != RC_OK || kv_open(LOOP, url(), NULL, 0, &KV, &err) != RC_OK)
        return 1;
    int64_t end_ms = clock_mono_ms() + 1500;
    while (!kv_connected(KV) && clock_mono_ms() < end_ms)
        loop_turn(LOOP, 20);
    kv_add(&cmd, "PING");
    bool up = kv_connected(KV) || kv_call_sync(KV, &cmd, &reply, &err) == RC_OK;
    printf("%s / %s\n", kv_down(KV)->text, up ? "up" : err.text);
    return up;
}

int
main(void)
{
    if (getenv("KV_MUST_FAIL"))
        return must_fail();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_round_trip),
        cmocka_unit_test(many_at_once_keep_their_order),
        cmocka_unit_test(scripts_survive_a_server_that_forgot_them),
        cmocka_unit_test(blocking_form_and_nested_lists),
        cmocka_unit_test(time_outs_answer_once),
        cmocka_unit_test(lost_connections_come_back),
        cmocka_unit_test(refusals_are_configuration_errors),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(closing_answers_what_waits),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
