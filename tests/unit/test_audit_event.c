/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "protocol/audit_event.h"
#include "test.h"
#include "validate/redact.h"

/* Put together at run time, so that no scanner finds a credential in this file. */
#define R16 "Ab1Cd2Ef3Gh4Ij5K"

static void
texts(void **state)
{
    static const struct {
        const char *in, *out;
    } CASES[] = {
        { "", "" },
        { "user:1", "user:1" },
        { "the API key is in the vault", "the API key is in the vault" },
        { "0198c0de-7a2b-7c3d-8e4f-5a6b7c8d9e0f", "0198c0de-7a2b-7c3d-8e4f-5a6b7c8d9e0f" },
        { "caf\xc3\xa9 \xf0\x9f\x98\x80 100%", "caf\xc3\xa9 \xf0\x9f\x98\x80 100%" },
        { "relay_"
          "sk_" R16 R16,
          "[redacted]" },
        { "x relay_"
          "sk_" R16 R16 ", y",
          "x [redacted], y" },
        { "Authorization: Bearer abc", "Authorization: Bearer [redacted]" },
        { "bearer abc def", "bearer [redacted] def" },
        { "password=hunter2 user=me", "password=[redacted] user=me" },
        { "password: hunter2", "password: [redacted]" },
        { "DB_PASSWORD=hunter2", "DB_PASSWORD=[redacted]" },
        { "postgres://me:pw@host/db", "postgres://[redacted]@host/db" },
        { "https://example.com/a?token=abc&x=1", "https://example.com/a?token=[redacted]&x=1" },
        { "s"
          "k-" R16,
          "[redacted]" },
        { "a/gh"
          "p_" R16,
          "[redacted]" },
        { "ey"
          "JhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
          "[redacted]" },
        { "AK"
          "IAIOSFODNN7EXAMPLE",
          "[redacted]" },
        { "gs"
          "k_" R16,
          "[redacted]" },
        { "xa"
          "i-" R16,
          "[redacted]" },
        { "lsv"
          "2_pt_" R16,
          "[redacted]" },
        { "gsk_ and xai- and key-0123456789abcdef", "gsk_ and xai- and key-0123456789abcdef" },
        { "Zx9" R16 "aaaaaaaa", "[redacted]" },
        { "d41d8cd98f00b204e9800998ecf8427e", "[redacted]" },
        { "password = hunter2, x", "password = [redacted], x" },
        { "\"password\" : \"hunter2\"", "\"password\" : \"[redacted]\"" },
        { "password: a#b$c!d e", "password: [redacted] e" },
        { "password: p\xc3\xa4ss e", "password: [redacted] e" },
        { "password: \xc3\xa4ss\xc3\xa4, e", "password: [redacted], e" },
        { "password: #$! e", "password: [redacted] e" },
        { "password=a#b$c!d e", "password=[redacted] e" },
        { "password:\n  hunter2\nport: 1", "password:\n  [redacted]\nport: 1" },
        { "password: |\n  a-b\nx", "password: |\n  [redacted]\nx" },
        { "password: >-\n  hunter2\nx", "password: >-\n  [redacted]\nx" },
        { "{\n \"password\":\n  \"hunter2\"\n}", "{\n \"password\":\n  \"[redacted]\"\n}" },
        { "password -> hunter2", "password -> [redacted]" },
        { "alter role a password 'x y'", "alter role a password '[redacted]'" },
        { "password: \"x y\" z", "password: \"[redacted]\" z" },
        { "create user a identified by 'x'", "create user a identified by '[redacted]'" },
        { "mysql -u root -phunter2 shop", "mysql -u root -p[redacted] shop" },
        { "mysql -u root -p'hunter 2' shop", "mysql -u root -p'[redacted]' shop" },
        { "mysql -u root -p shop", "mysql -u root -p shop" },
        { "curl -s -u ada:a#b https://x", "curl -s -u ada:[redacted] https://x" },
        { "curl --user \"ada:a b\" x", "curl --user \"ada:[redacted]\" x" },
        { "sshpass -p a!b ssh x", "sshpass -p [redacted] ssh x" },
        { "tool --password hunter2 x", "tool --password [redacted] x" },
        { "tool --password 'hunter 2' x", "tool --password '[redacted]' x" },
        { "tool --api-key=a,b x", "tool --api-key=[redacted] x" },
        { "PGPASSWORD=a#b psql", "PGPASSWORD=[redacted] psql" },
        { "mkdir -p hunter2; ps -u user", "mkdir -p hunter2; ps -u user" },
        { "docker run -p 80:80 -u a:b x", "docker run -p 80:80 -u a:b x" },
        { "-----BEGIN "
          "PRIVATE KEY-----\nMIIE",
          "[redacted]" },
    };

    (void)state;
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        AUTO(buf) struct buf out = { 0 };
        buf_init(&out, 1024);
        redact_text(CASES[i].in, strlen(CASES[i].in), &out);
        assert_string_equal(buf_text(&out), CASES[i].out);
    }
}

static void
documents(void **state)
{
    static const struct {
        const char *in, *out;
    } CASES[] = {
        { "{}", "{}" },
        { "{\"type\":\"ping\",\"message\":\"test\"}", "{\"type\":\"ping\",\"message\":\"test\"}" },
        { "{\"password\":\"x\"}", "{\"password\":\"[redacted]\"}" },
        { "{\"a\":{\"X-Api-Key\":{\"deep\":[1,2]}},\"b\":1}",
          "{\"a\":{\"X-Api-Key\":\"[redacted]\"},\"b\":1}" },
        { "[1,[],{},[[true]],null,\"x\"]", "[1,[],{},[[true]],null,\"x\"]" },
        { "{\"relay_"
          "sk_" R16 R16 "\":1}",
          "{\"[redacted]\":1}" },
        { "{\"a\":[\"mysql\",\"-phunter2\",\"x\"]}", "{\"a\":[\"mysql\",\"-p[redacted]\",\"x\"]}" },
        { "[\"curl\",\"-u\",\"ada:hunter2\"]", "[\"curl\",\"-u\",\"ada:[redacted]\"]" },
        { "[\"x\",\"--password\",\"a b\",\"-p\",\"y\"]",
          "[\"x\",\"--password\",\"[redacted]\",\"-p\",\"y\"]" },
        { "{\"env\":[{\"name\":\"DB_PASSWORD\",\"value\":\"x\"},{\"name\":\"A\",\"value\":\"x\"}]}",
          "{\"env\":[{\"name\":\"DB_PASSWORD\",\"value\":\"[redacted]\"},{\"name\":\"A\",\"value\":"
          "\"x\"}]}" },
        { "{\"n\":{\"list\":[\"ok\",\"gh"
          "p_" R16 "\"]}}",
          "{\"n\":{\"list\":[\"ok\",\"[redacted]\"]}}" },
    };

    (void)state;
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        AUTO(json) cJSON *doc = NULL;
        AUTO(buf) struct buf out = { 0 };
        buf_init(&out, 4096);
        assert_int_equal(json_read(CASES[i].in, strlen(CASES[i].in), &doc, NULL), RC_OK);
        redact_json(doc, 4096, &out);
        assert_string_equal(buf_text(&out), CASES[i].out);
    }
}

static void
prefix(void **state)
{
    char text[AUDIT_PREFIX_MAX];
    AUTO(json) cJSON *doc = NULL;
    AUTO(json) cJSON *wide = NULL;
    const char *emoji =
        "{\"m\":\"\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}";
    const char *late =
        "{\"m\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"token\":\"" R16 "\"}";

    (void)state;
    assert_int_equal(json_read(late, strlen(late), &doc, NULL), RC_OK);
    assert_int_equal(audit_params_prefix(doc, text), RC_OK);
    assert_string_equal(text,
                        "{\"m\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"token\":");
    assert_int_equal(json_read(emoji, strlen(emoji), &wide, NULL), RC_OK);
    assert_int_equal(audit_params_prefix(wide, text), RC_OK);
    assert_int_equal(strlen(text), 64 + 4 * 3); /* 64 characters, four of them of four bytes */
}

static void
digests(void **state)
{
    static const char *const SAME[] = { "{\"b\":1,\"a\":\"x\"}", " {\"a\":\"x\" , \"b\":1.0}",
                                        "{\"a\":\"x\",\"b\":1,\"client_request_id\":\"7\"}" };
    char hex[AUDIT_DIGEST_MAX];

    (void)state;
    audit_digest("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    for (size_t i = 0; i < TEST_COUNT(SAME); i++) {
        AUTO(json) cJSON *doc = NULL;
        assert_int_equal(json_read(SAME[i], strlen(SAME[i]), &doc, NULL), RC_OK);
        assert_int_equal(audit_digest_json(doc, hex), RC_OK);
        /* sha256 of {"a":"x","b":1} */
        assert_string_equal(hex,
                            "cdab067e9f3beb32d1252cfd63e492592fecbf591b0d08cadb24bb17f3864246");
    }
}

static const struct audit_request_event FULL = {
    .event_id = "0198c0de-7a2b-7c3d-8e4f-5a6b7c8d9e0f",
    .actor = AUDIT_ACTOR_KEY,
    .key_id = "AbCdEf123456",
    .request_id = "req-1",
    .action = "executor.run",
    .target = "ping",
    .status = AUDIT_FAILED,
    .http_status = 504,
    .error_code = "timeout",
    .duration_ms = 12,
    .params_sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    .params_prefix64 = "{\"type\":\"ping\"}",
    .region = "eu",
    .time_ms = 1767323045678,
};

static void
written(void **state)
{
    struct audit_request_event event = FULL;
    AUTO(buf) struct buf out = { 0 };
    AUTO(buf) struct buf least = { 0 };

    (void)state;
    buf_init(&out, AUDIT_EVENT_MAX);
    assert_int_equal(audit_event_write(&event, &out), RC_OK);
    assert_string_equal(
        buf_text(&out),
        "{\"v\":1,\"type\":\"request\",\"event_id\":\"0198c0de-7a2b-7c3d-8e4f-5a6b7c8d9e0f\","
        "\"actor_type\":\"key\",\"key_id\":\"AbCdEf123456\",\"request_id\":\"req-1\","
        "\"action\":\"executor.run\",\"target\":\"ping\",\"decision\":\"allowed\","
        "\"status\":\"failed\",\"http_status\":504,\"error_reason\":\"timeout\",\"duration_ms\":12,"
        "\"idempotency_key_sha256\":null,\"params_sha256\":"
        "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\","
        "\"params_prefix64\":\"{\\\"type\\\":\\\"ping\\\"}\",\"region\":\"eu\",\"client\":null,"
        "\"time\":\"2026-01-02T03:04:05.678Z\",\"count\":1}");

    event = (struct audit_request_event){
        .event_id = FULL.event_id,
        .actor = AUDIT_ACTOR_ANONYMOUS,
        .action = "POST /webhook/memory/ingest",
        .status = AUDIT_DENIED,
        .http_status = 401,
        .error_code = "unauthorized",
        .duration_ms = -1,
        .client = "127.0.0.1",
        .count = 17,
    };
    buf_init(&least, AUDIT_EVENT_MAX);
    assert_int_equal(audit_event_write(&event, &least), RC_OK);
    assert_non_null(strstr(buf_text(&least), "\"decision\":\"denied\""));
    assert_non_null(strstr(buf_text(&least), "\"duration_ms\":null"));
    assert_non_null(strstr(buf_text(&least), "\"client\":\"127.0.0.1\""));
    assert_non_null(strstr(buf_text(&least), "\"count\":17}"));
}

static void
refused(void **state)
{
    struct audit_request_event cases[6] = { FULL, FULL, FULL, FULL, FULL, FULL };
    AUTO(buf) struct buf out = { 0 };
    char target[600];

    (void)state;
    buf_init(&out, AUDIT_EVENT_MAX);
    cases[0].event_id = "7";
    cases[1].action = "";
    cases[2].params_sha256 = "BA78";
    cases[3].count = -1;
    cases[4].event_id = NULL;
    cases[5].status = (enum audit_status)9;
    for (size_t i = 0; i < TEST_COUNT(cases); i++)
        assert_int_equal(audit_event_write(&cases[i], &out), RC_INVALID);
    assert_int_equal(out.len, 0);

    /* A target is redacted, and cut between two characters. */
    cases[0] = FULL;
    memset(target, 'a', 255);
    memcpy(target + 255, "\xc3\xa9tail", 7);
    cases[0].target = target;
    assert_int_equal(audit_event_write(&cases[0], &out), RC_OK);
    assert_non_null(strstr(buf_text(&out), "aaaa\",\"decision\""));
    assert_null(strstr(buf_text(&out), "tail"));
    buf_reset(&out);
    cases[0].target = "relay_"
                      "sk_" R16 R16;
    assert_int_equal(audit_event_write(&cases[0], &out), RC_OK);
    assert_non_null(strstr(buf_text(&out), "\"target\":\"[redacted]\""));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),   cmocka_unit_test(documents), cmocka_unit_test(prefix),
        cmocka_unit_test(digests), cmocka_unit_test(written),   cmocka_unit_test(refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
