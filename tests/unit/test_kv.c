/* SPDX-License-Identifier: MIT */
/*
 * test_kv - Redis URLs, error replies and argument vectors; the server is tests/integration's.
 */
#include <string.h>

#include "kv/kv_own.h"
#include "tests/unit/test.h"

static void
urls_are_taken_apart(void **state)
{
    const struct {
        const char *text;
        struct kv_url url;
    } cases[] = {
        { "redis://localhost", { .host = "localhost", .port = 6379 } },
        { "redis://h:7000/3", { .host = "h", .port = 7000, .db = 3 } },
        { "redis://:pw@h/", { .host = "h", .port = 6379, .password = "pw" } },
        { "redis://u:p%40%2f%25@h:1", { .host = "h", .port = 1, .user = "u", .password = "p@/%" } },
        { "redis://u:a@b@h", { .host = "h", .port = 6379, .user = "u", .password = "a@b" } },
        { "redis://[::1]:7001", { .host = "::1", .port = 7001 } },
        { "redis://[fe80::1]", { .host = "fe80::1", .port = 6379 } },
        { "unix:///run/r.sock", { .path = "/run/r.sock", .port = 6379 } },
        { "unix://u:p%2F@/run/a%20b/r.sock?db=7",
          { .path = "/run/a b/r.sock", .port = 6379, .user = "u", .password = "p/", .db = 7 } },
        { "unix://:pw@/r", { .path = "/r", .port = 6379, .password = "pw" } },
        { "rediss://u@h?cacert=/a%20b&cert=/c&key=/k",
          { .tls = true,
            .host = "h",
            .port = 6379,
            .user = "u",
            .ca_file = "/a b",
            .cert_file = "/c",
            .key_file = "/k" } },
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct kv_url url;
        struct err err;
        assert_int_equal(kv_url_parse(cases[i].text, &url, &err), RC_OK);
        assert_string_equal(url.path, cases[i].url.path);
        assert_string_equal(url.host, cases[i].url.host);
        assert_string_equal(url.user, cases[i].url.user);
        assert_string_equal(url.password, cases[i].url.password);
        assert_string_equal(url.ca_file, cases[i].url.ca_file);
        assert_string_equal(url.cert_file, cases[i].url.cert_file);
        assert_string_equal(url.key_file, cases[i].url.key_file);
        assert_int_equal(url.port, cases[i].url.port);
        assert_int_equal(url.db, cases[i].url.db);
        assert_int_equal(url.tls, cases[i].url.tls);
    }
}

static void
malformed_urls_are_refused_without_their_secrets(void **state)
{
    const char *bad[] = {
        "",
        "localhost:6379",
        "http://u:s3cret@h",
        "redis://",
        "redis://u:s3cret@",
        "redis://u:s3cret@h:0",
        "redis://u:s3cret@h:65536",
        "redis://u:s3cret@h:12x",
        "redis://u:s3cret%zz@h",
        "redis://u:s3cret%4",
        "redis://u:s3cret%00@h",
        "redis://u:s3cret@h/x",
        "redis://u:s3cret@h/0?nonsense=1",
        "redis://u:s3cret@[::1",
        "redis://u:s3cret@[::1]x",
        "redis://u:s3cret@h/99999",
        "unix://u:s3cret@",
        "unix://u:s3cret@/",
        "unix://u:s3cret@host/run/r.sock",
        "unix://u:s3cret@:7/run/r.sock",
        "unix://u:s3cret@/r?db=",
        "unix://u:s3cret@/r?db=x",
        "unix://u:s3cret@/r?db=1&password=s3cret",
        "unix://u:s3cret@/r?cacert=/a",
        "unix://u:s3cret@/%zz",
        "unix://u:s3cret@/%00",
        "unix:/run/r.sock",
        "unixs://u:s3cret@/r",
        /* 108 bytes */
        "unix:///"
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234"
        "5678901234567890123456",
    };
    for (size_t i = 0; i < TEST_COUNT(bad); i++) {
        struct kv_url url = { .port = 42 };
        struct err err;
        assert_int_equal(kv_url_parse(bad[i], &url, &err), RC_CONFIG);
        assert_int_equal(url.port, 42);
        assert_null(strstr(err.text, "s3cret"));
    }
}

static void
error_replies_have_their_reactions(void **state)
{
    const struct {
        const char *text;
        enum rc rc;
    } cases[] = {
        { "NOPERM this user has no permissions to run the 'get' command", RC_CONFIG },
        { "NOAUTH Authentication required.", RC_CONFIG },
        { "WRONGPASS invalid username-password pair or user is disabled.", RC_CONFIG },
        { "LOADING Redis is loading the dataset in memory", RC_TEMP },
        { "OOM command not allowed when used memory > 'maxmemory'.", RC_TEMP },
        { "READONLY You can't write against a read only replica.", RC_TEMP },
        { "ERR Error running script: @user_script:1: -OOM command not allowed when used", RC_TEMP },
        { "ERR The user executing the script can't run this command or subcommand", RC_CONFIG },
        { "ERR wrong number of arguments for 'get' command", RC_BUG },
        { "WRONGTYPE Operation against a key holding the wrong kind of value", RC_BUG },
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++)
        assert_int_equal(kv_rc_from_error(cases[i].text), cases[i].rc);
}

static void
arguments_are_counted(void **state)
{
    struct kv_command cmd = { .count = 0 };
    const char *argv[KV_ARGS_MAX];
    size_t len[KV_ARGS_MAX];
    kv_add(&cmd, "SET");
    kv_add_bytes(&cmd, "a\0b", 3);
    kv_add_int(&cmd, INT64_MIN);
    kv_add_bytes(&cmd, NULL, 0);
    assert_int_equal(kv_argv(&cmd, argv, len), 4);
    assert_int_equal(len[1], 3);
    assert_memory_equal(argv[1], "a\0b", 3);
    assert_string_equal(argv[2], "-9223372036854775808");
    assert_int_equal(len[3], 0);
}

#ifndef HAVE_HIREDIS_SSL
static void
tls_is_a_clear_error_without_a_library_for_it(void **state)
{
    struct kv *kv = NULL;
    struct err err;
    assert_int_equal(kv_open(NULL, "rediss://localhost", NULL, 0, &kv, &err), RC_CONFIG);
    assert_null(kv);
    assert_non_null(strstr(err.text, "rediss"));
}
#endif

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(malformed_urls_are_refused_without_their_secrets),
        cmocka_unit_test(error_replies_have_their_reactions),
        cmocka_unit_test(arguments_are_counted),
#ifndef HAVE_HIREDIS_SSL
        cmocka_unit_test(tls_is_a_clear_error_without_a_library_for_it),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
