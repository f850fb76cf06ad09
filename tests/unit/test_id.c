/* SPDX-License-Identifier: MIT */
/*
 * test_id - UUIDs, names, encodings.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "crypto/crypto_encode.h"
#include "test.h"

static void
test_new_increases(void **unused)
{
    char previous[ID_TEXT_MAX] = "";
    char text[ID_TEXT_MAX];
    uint8_t time[6];
    int64_t ms = 0;

    for (int i = 0; i < 20000; i++) {
        id_new(text);
        assert_int_equal(strlen(text), 36);
        assert_true(id_valid(text));
        assert_int_equal(text[14], '7');
        assert_non_null(strchr("89ab", text[19]));
        assert_true(strcmp(previous, text) < 0);
        memcpy(previous, text, sizeof(previous));
    }
    memmove(text + 8, text + 9, 4);
    assert_int_equal(hex_decode(text, 12, time), RC_OK);
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | time[i];
    assert_in_range(ms, clock_wall_ms() - 5000, clock_wall_ms() + 100);
}

#define THREAD_IDS 5000

static void *
make_many(void *into)
{
    char(*ids)[ID_TEXT_MAX] = into;

    for (int i = 0; i < THREAD_IDS; i++)
        id_new(ids[i]);
    return NULL;
}

static int
compare_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void
test_new_is_unique_across_threads(void **unused)
{
    char(*ids)[ID_TEXT_MAX] = calloc(4 * THREAD_IDS, sizeof(*ids));
    pthread_t threads[4];

    assert_non_null(ids);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, make_many, ids + i * THREAD_IDS), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    qsort(ids, 4 * THREAD_IDS, sizeof(*ids), compare_text);
    for (int i = 1; i < 4 * THREAD_IDS; i++)
        assert_string_not_equal(ids[i - 1], ids[i]);
    free(ids);
}

static void
test_random(void **unused)
{
    char first[ID_TEXT_MAX];
    char second[ID_TEXT_MAX];

    id_new_random(first);
    id_new_random(second);
    assert_true(id_valid(first));
    assert_int_equal(first[14], '4');
    assert_string_not_equal(first, second);
}

static void
test_parse(void **unused)
{
    static const char *const REFUSED[] = {
        "",
        "0190a0b0-c0d0-7000-8000-00000000000",
        "0190a0b0-c0d0-7000-8000-0000000000000",
        "0190a0b0c0d0-7000-8000-0000-00000000",
        "0190a0b0-c0d0-7000-8000-00000000000g",
        "{190a0b0-c0d0-7000-8000-00000000000}",
        "0190a0b0_c0d0-7000-8000-000000000000",
    };
    char out[ID_TEXT_MAX] = "untouched";

    for (size_t i = 0; i < TEST_COUNT(REFUSED); i++) {
        assert_int_equal(id_parse(REFUSED[i], strlen(REFUSED[i]), out), RC_INVALID);
        assert_string_equal(out, "untouched");
        assert_false(id_valid(REFUSED[i]));
    }
    assert_false(id_valid(NULL));
    assert_int_equal(id_parse("0190A0B0-C0D0-7000-8000-ABCDEF012345", 36, out), RC_OK);
    assert_string_equal(out, "0190a0b0-c0d0-7000-8000-abcdef012345");
}

static void
test_names(void **unused)
{
    static const struct {
        const char *text;
        bool workspace, request;
    } CASES[] = {
        { "default", true, true },
        { "a", true, true },
        { "0-_", true, true },
        { "", false, false },
        { "-a", false, true },
        { "_a", false, true },
        { "A", false, true },
        { "a.b", false, true },
        { "a b", false, false },
        { "a*", false, false },
        { "a>", false, false },
        { "a/b", false, false },
        { "caf\xc3\xa9", false, false },
        { "a\r\nX-Evil: 1", false, false },
        { "0190a0b0-c0d0-7000-8000-abcdef012345", true, true },
        { "req:2026.01.02_x", false, true },
        { "relay_sk_abcdefghijkl", true, false },
        { "x-RELAY_SK_abc", false, false },
        { "sk-abcdefghijklmnopqrstuvwx", true, false },
        { "sk-short", true, true },
        { "eyJhbGciOiJIUzI1NiJ9.e30.abc", false, false },
        { "AKIAABCDEFGHIJKLMNOP", false, false },
    };
    char text[200];

    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        size_t len = strlen(CASES[i].text);
        if (workspace_valid(CASES[i].text, len) != CASES[i].workspace ||
            request_id_valid(CASES[i].text, len) != CASES[i].request)
            fail_msg("case %zu: %s", i, CASES[i].text);
    }
    memset(text, 'a', sizeof(text));
    assert_true(workspace_valid(text, 63));
    assert_false(workspace_valid(text, 64));
    assert_true(request_id_valid(text, 128));
    assert_false(request_id_valid(text, 129));
}

static void
test_hex(void **unused)
{
    uint8_t bytes[4] = { 0x00, 0x7f, 0x80, 0xff };
    uint8_t out[4] = { 1, 2, 3, 4 };
    char text[9];

    hex_encode(bytes, 4, text);
    assert_string_equal(text, "007f80ff");
    hex_encode(bytes, 0, text);
    assert_string_equal(text, "");
    assert_int_equal(hex_decode("007F80fF", 8, out), RC_OK);
    assert_memory_equal(out, bytes, 4);
    assert_int_equal(hex_decode("1122334", 7, out), RC_INVALID);
    assert_int_equal(hex_decode("112g", 4, out), RC_INVALID);
    assert_memory_equal(out, bytes, 4);
}

static void
test_base64url(void **unused)
{
    /* RFC 4648 section 10, without padding, and the two digits that differ from base64. */
    static const struct {
        const char *bytes;
        size_t len;
        const char *text;
    } CASES[] = {
        { "", 0, "" },
        { "f", 1, "Zg" },
        { "fo", 2, "Zm8" },
        { "foo", 3, "Zm9v" },
        { "foob", 4, "Zm9vYg" },
        { "fooba", 5, "Zm9vYmE" },
        { "foobar", 6, "Zm9vYmFy" },
        { "\xfb\xff\xbf", 3, "-_-_" },
    };
    static const char *const REFUSED[] = {
        "Z", "Zh", "Zm9", "Zg==", "Zm+v", "Zm/v", "Zm 9", "Zm9vY"
    };
    uint8_t out[6];
    size_t len;
    char text[BASE64URL_LEN(6)];

    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        base64url_encode((const uint8_t *)CASES[i].bytes, CASES[i].len, text);
        assert_string_equal(text, CASES[i].text);
        assert_true(strlen(text) + 1 <= BASE64URL_LEN(CASES[i].len));
        assert_int_equal(base64url_decode(text, strlen(text), out, sizeof(out), &len), RC_OK);
        assert_int_equal(len, CASES[i].len);
        assert_memory_equal(out, CASES[i].bytes, len);
    }
    len = 77;
    for (size_t i = 0; i < TEST_COUNT(REFUSED); i++)
        assert_int_equal(base64url_decode(REFUSED[i], strlen(REFUSED[i]), out, 6, &len),
                         RC_INVALID);
    assert_int_equal(base64url_decode("Zm9vYmFy", 8, out, 5, &len), RC_INVALID);
    assert_int_equal(len, 77);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_increases), cmocka_unit_test(test_new_is_unique_across_threads),
        cmocka_unit_test(test_random),        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_names),         cmocka_unit_test(test_hex),
        cmocka_unit_test(test_base64url),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
