/* SPDX-License-Identifier: MIT */
/*
 * test_schema - keywords, the words of complaints, the schemas that are compiled in.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "protocol/command.h"
#include "test.h"
#include "validate/schema.h"

static cJSON *
parse(const char *text)
{
    cJSON *doc = NULL;
    struct err err = { 0 };

    if (json_read(text, strlen(text), &doc, &err) != RC_OK)
        fail_msg("%s: %s", text, err.text);
    return doc;
}

/* "" or "field: detail" lines of all complaints. */
static const char *
complaints(const struct schema *schema, const char *text)
{
    static char lines[4096];
    AUTO(json) cJSON *doc = parse(text);
    struct field_errors errors = { 0 };
    schema_drop_nulls(schema, doc);
    enum rc rc = schema_check(schema, doc, &errors);
    size_t len = 0;

    assert_int_equal(rc, errors.count ? RC_INVALID : RC_OK);
    lines[0] = '\0';
    for (size_t i = 0; i < errors.count; i++)
        len += (size_t)snprintf(lines + len, sizeof(lines) - len, "%s%s: %s", i ? "\n" : "",
                                errors.items[i].field, errors.items[i].detail);
    return lines;
}

static void
test_keywords(void **unused)
{
    static const struct {
        const char *schema, *doc, *expected;
    } CASES[] = {
        { "{}", "[1,{\"a\":null}]", "" },
        { "{\"type\":\"string\"}", "1", ": must be a string, not a number" },
        { "{\"type\":\"integer\"}", "1.5", ": must be a whole number, not 1.5" },
        { "{\"type\":\"integer\"}", "1e30", ": must be a whole number, not 1e+30" },
        { "{\"type\":\"integer\"}", "-2.0", "" },
        { "{\"type\":\"number\"}", "1", "" },
        { "{\"type\":\"number\"}", "true", ": must be a number, not true or false" },
        { "{\"type\":[\"string\",\"null\"]}", "null", "" },
        { "{\"type\":[\"integer\",\"null\"]}", "[]",
          ": must be null or a whole number, not an array" },
        { "{\"type\":\"object\"}", "{\"any\":1}", "" },
        { "{\"type\":\"boolean\"}", "0", ": must be true or false, not a number" },
        { "{\"properties\":{\"a\":{}}}", "{\"b\":1}", "b: is not known here; known are: a" },
        { "{\"properties\":{\"a\":{}}}", "{\"a b\":1}",
          "(member): is not known here; known are: a" },
        { "{\"properties\":{\"a\":{}}}", "{\"relay_sk_x\":1}",
          "(member): is not known here; known are: a" },
        { "{\"properties\":{\"a\":{}},\"additionalProperties\":true}", "{\"b\":1}", "" },
        { "{\"additionalProperties\":true,\"properties\":{\"a\":{}}}", "{\"b\":1}", "" },
        { "{\"additionalProperties\":{\"type\":\"string\"}}", "{\"b\":1,\"c\":\"\"}",
          "b: must be a string, not a number" },
        { "{\"additionalProperties\":false}", "{\"b\":1}", "b: is not known here: nothing is" },
        { "{\"required\":[\"a\"],\"properties\":{\"a\":{\"type\":\"null\"}}}", "{}",
          "a: is required" },
        { "{\"required\":[\"a\"],\"properties\":{\"a\":{\"type\":\"null\"}}}", "{\"a\":null}", "" },
        { "{\"minItems\":1}", "[]", ": must hold at least 1, not 0" },
        { "{\"maxItems\":2}", "[1,2,3]", ": must hold at most 2, not 3" },
        { "{\"maxItems\":0}", "[]", "" },
        { "{\"maxProperties\":1}", "{\"a\":1,\"b\":2}", ": must hold at most 1 members, not 2" },
        { "{\"items\":{\"type\":\"string\"}}", "[\"a\",1,\"b\",2]",
          "[1]: must be a string, not a number\n[3]: must be a string, not a number" },
        { "{\"enum\":[\"a\",\"b\"]}", "\"c\"",
          ": must be one of \"a\", \"b\", not a string of 1 byte" },
        { "{\"enum\":[\"a\",\"b\"]}", "\"b\"", "" },
        { "{\"enum\":[1,null]}", "2", ": must be one of the values in the schema, not 2" },
        { "{\"enum\":[1,null]}", "null", "" },
        { "{\"const\":\"x\"}", "\"y\"", ": must be \"x\", not a string of 1 byte" },
        { "{\"const\":{\"a\":[1]}}", "{\"a\":[1]}", "" },
        { "{\"minimum\":1,\"maximum\":50}", "0", ": must be from 1 to 50, not 0" },
        { "{\"minimum\":1,\"maximum\":50}", "50", "" },
        { "{\"minimum\":1,\"maximum\":50}", "50.5", ": must be from 1 to 50, not 50.5" },
        { "{\"minimum\":0.5}", "0.25", ": must be at least 0.5, not 0.25" },
        { "{\"maximum\":-1}", "0", ": must be at most -1, not 0" },
        { "{\"minLength\":1}", "\"\"", ": must not be empty" },
        { "{\"minLength\":3}", "\"\xC3\xA9\xC3\xA9\"", ": must be at least 3 characters, not 2" },
        { "{\"maxLength\":2}", "\"\xC3\xA9\xC3\xA9\"", "" },
        { "{\"maxLength\":2}", "\"abc\"", ": must be at most 2 characters, not 3" },
        { "{\"x-maxBytes\":3}", "\"\xC3\xA9\xC3\xA9\"", ": must be at most 3 bytes, not 4" },
        { "{\"x-maxBytes\":4}", "\"\xC3\xA9\xC3\xA9\"", "" },
        { "{\"x-maxBytes\":7}", "{ \"a\" : 1 }", "" },
        { "{\"x-maxBytes\":6}", "{\"a\":1}", ": must be at most 6 bytes as JSON" },
        { "{\"x-maxBytes\":4}", "[1,2]", ": must be at most 4 bytes as JSON" },
        { "{\"pattern\":\"a|b\"}", "\"ab\"", ": must be of the form a|b, not a string of 2 bytes" },
        { "{\"pattern\":\"a|b\"}", "\"b\"", "" },
        { "{\"pattern\":\"[0-9]+\",\"x-form\":\"digits\",\"minLength\":3}", "\"a\"",
          ": must be digits, not a string of 1 byte" },
        { "{\"pattern\":\"[0-9]+\",\"x-form\":\"digits\",\"minLength\":3}", "\"1\"",
          ": must be at least 3 characters, not 1" },
        { "{\"pattern\":\"[0-9]+\",\"x-form\":\"digits\",\"minLength\":1}", "\"\"",
          ": must not be empty" },
        { "{\"pattern\":\"[0-9]{2}\"}", "\"x12\"",
          ": must be of the form [0-9]{2}, not a string of 3 bytes" },
        { "{\"pattern\":\"[ -~]+\"}", "\"a\\nb\"",
          ": must be of the form [ -~]+, not a string of 3 bytes" },
        { "{\"pattern\":\"[ -~]+\"}", "\"\xC3\xA9\"",
          ": must be of the form [ -~]+, not a string of 2 bytes" },
        { "{\"format\":\"uuid\"}", "\"x\"",
          ": must be a UUID, such as 0190a0b0-c0d0-7000-8000-abcdef012345" },
        { "{\"format\":\"uuid\"}", "\"0190a0b0-c0d0-7000-8000-abcdef012345\"", "" },
        { "{\"format\":\"date-time\"}", "\"2026-02-30T00:00:00Z\"",
          ": must be an RFC 3339 date-time, such as 2026-01-01T00:00:00Z or "
          "2026-01-01T01:00:00+01:00 (in a URL a + is written %2B)" },
        { "{\"format\":\"date-time\"}", "\"2026-01-01\"", "" },
        { "{\"format\":\"date-time\"}", "\"2026-01-01T00:00:00\"", "" },
        { "{\"format\":\"text\"}", "\" \\n\\u00a0\\u3000\"", ": must not be blank" },
        { "{\"format\":\"text\"}", "\"\\u0007\"", "" },
        { "{\"format\":\"text\"}", "\" \\u001b[0m\"", "" },
        { "{\"format\":\"name\"}", "\"a\\u001b\"",
          ": must hold no control character, but holds U+001B" },
        { "{\"format\":\"name\"}", "\"a\\tb\\r\\n\"",
          ": must hold no control character, but holds U+0009" },
        { "{\"format\":\"name\"}", "\"\\u007f\"",
          ": must hold no control character, but holds U+007F" },
        { "{\"format\":\"name\"}", "\" \xC3\xA9 \"", "" },
        { "{\"format\":\"name\"}", "\" \\u200b\"", "" },
        { "{\"format\":\"text\"}", "\"\\u2060\\ufe0f\\u3164\\u2800\"", ": must not be blank" },
        { "{\"format\":\"label\"}", "\" x \"", "" },
        { "{\"format\":\"label\"}", "\"\\u200bx\"", "" },
        { "{\"format\":\"label\"}", "\" \"", ": must not be blank: something in it must be seen" },
        { "{\"format\":\"label\"}", "\"\\u00a0\\u200d\\u061c\\u180e\\ufeff\"",
          ": must not be blank: something in it must be seen" },
        { "{\"format\":\"label\"}", "\"\xF3\xA0\x81\x81\xF3\xA0\x84\x80\"",
          ": must not be blank: something in it must be seen" },
        { "{\"format\":\"label\",\"pattern\":\"[a-z]+\"}", "\"  \"",
          ": must not be blank: something in it must be seen" },
        { "{\"format\":\"label\"}", "\" \\t\"",
          ": must hold no control character, but holds U+0009" },
        { "{\"x-someOf\":[\"a\",\"b\"]}", "{\"c\":1}", ": must have at least one of a, b" },
        { "{\"x-someOf\":[\"a\",\"b\"]}", "{\"b\":1}", "" },
        { "{\"x-someOf\":[\"a\",\"b\"]}", "{\"a\":1,\"b\":1}", "" },
        { "{\"x-oneOf\":[\"a\",\"b\"]}", "{\"c\":1}", ": must have one of a, b" },
        { "{\"x-oneOf\":[\"a\",\"b\"]}", "{\"b\":1}", "" },
        { "{\"x-oneOf\":[\"a\",\"b\"]}", "{\"a\":1,\"b\":1}", ": must have only one of a, b" },
        { "{\"format\":\"date-time\"}", "\"2026-02-28T00:00:00Z\"", "" },
        { "{\"format\":\"action-name\"}", "\"code.python\"", "" },
        { "{\"format\":\"action-name\"}", "\"../etc\"",
          ": must be the name of an action: lower-case letters, digits, _ . and -" },
        { "{\"format\":\"action-name\"}", "\"\"",
          ": must be the name of an action: lower-case letters, digits, _ . and -" },
        { "{\"description\":\"d\",\"title\":\"t\",\"default\":1,\"examples\":[],\"$comment\":\"\"}",
          "1", "" },
        { "{\"properties\":{\"f\":{\"items\":{\"properties\":{\"o\":{\"type\":\"string\"}}}}}}",
          "{\"f\":[{},{},{\"o\":1}]}", "f[2].o: must be a string, not a number" },
    };

    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        AUTO(json) cJSON *definition = parse(CASES[i].schema);
        AUTO(schema) struct schema *schema = NULL;
        struct err err = { 0 };

        if (schema_compile(definition, &schema, &err) != RC_OK)
            fail_msg("%s: %s", CASES[i].schema, err.text);
        const char *got = complaints(schema, CASES[i].doc);
        if (strcmp(got, CASES[i].expected) != 0)
            fail_msg("%s on %s: %s", CASES[i].schema, CASES[i].doc, got);
    }
}

static void
test_not_understood(void **unused)
{
    static const char *const CASES[] = {
        "1",
        "[]",
        "true",
        "{\"anyOf\":[]}",
        "{\"Type\":\"string\"}",
        "{\"type\":\"text\"}",
        "{\"type\":[]}",
        "{\"type\":1}",
        "{\"properties\":[]}",
        "{\"properties\":{\"a\":1}}",
        "{\"properties\":{\"a\":{\"$ref\":\"#\"}}}",
        "{\"required\":\"a\"}",
        "{\"required\":[1]}",
        "{\"items\":[{}]}",
        "{\"minItems\":-1}",
        "{\"maxItems\":1.5}",
        "{\"minLength\":\"1\"}",
        "{\"minimum\":\"1\"}",
        "{\"enum\":[]}",
        "{\"enum\":\"a\"}",
        "{\"enum\":[1],\"const\":1}",
        "{\"pattern\":\"(\"}",
        "{\"pattern\":1}",
        "{\"format\":\"email\"}",
        "{\"x-form\":1}",
        "{\"format\":1}",
        "{\"x-someOf\":[]}",
        "{\"x-someOf\":[1]}",
        "{\"x-someOf\":\"a\"}",
        "{\"additionalProperties\":1}",
    };

    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        AUTO(json) cJSON *definition = parse(CASES[i]);
        struct schema *schema = (struct schema *)(uintptr_t)8;
        struct err err = { 0 };

        if (schema_compile(definition, &schema, &err) != RC_CONFIG)
            fail_msg("compiled: %s", CASES[i]);
        assert_ptr_equal(schema, (void *)8);
        assert_memory_equal(err.text, "schema: ", 8);
    }
}

static void
test_errors_are_bounded(void **unused)
{
    AUTO(json) cJSON *definition = parse("{\"items\":{\"type\":\"string\"}}");
    AUTO(json) cJSON *doc = cJSON_CreateArray();
    AUTO(schema) struct schema *schema = NULL;
    struct field_errors errors = { 0 };

    for (int i = 0; i < 1000; i++)
        cJSON_AddItemToArray(doc, cJSON_CreateNumber(i));
    assert_int_equal(schema_compile(definition, &schema, NULL), RC_OK);
    assert_int_equal(schema_check(schema, doc, &errors), RC_INVALID);
    assert_int_equal(errors.count, SCHEMA_ERRORS_MAX);
    assert_string_equal(errors.items[15].field, "[15]");
    /* A full list of others' complaints hides nothing. */
    assert_int_equal(schema_check(schema, doc, &errors), RC_INVALID);
    assert_int_equal(errors.count, SCHEMA_ERRORS_MAX);
}

static void
test_long_names_are_cut(void **unused)
{
    AUTO(json) cJSON *doc = NULL;
    AUTO(schema) struct schema *schema = NULL;
    struct field_errors errors = { 0 };
    cJSON *schema_doc = parse("{\"type\":\"string\"}");
    cJSON *value = cJSON_CreateNumber(1);
    char name[41];

    memset(name, 'n', 40);
    name[40] = '\0';
    for (int i = 0; i < 5; i++) {
        cJSON *outer = cJSON_CreateObject();
        cJSON_AddItemToObject(outer, name, value);
        value = outer;
        cJSON *properties = cJSON_CreateObject();
        cJSON_AddItemToObject(properties, name, schema_doc);
        schema_doc = cJSON_CreateObject();
        cJSON_AddItemToObject(schema_doc, "properties", properties);
    }
    doc = value;
    assert_int_equal(schema_compile(schema_doc, &schema, NULL), RC_OK);
    assert_int_equal(schema_check(schema, doc, &errors), RC_INVALID);
    assert_int_equal(strlen(errors.items[0].field), SCHEMA_FIELD_MAX - 1);
    assert_string_equal(errors.items[0].detail, "must be a string, not a number");
    cJSON_Delete(schema_doc);
}

static void
test_every_command_has_a_schema(void **unused)
{
    struct err err = { 0 };

    if (schema_builtin_init(&err) != RC_OK)
        fail_msg("%s", err.text);
    for (int i = 0; i < CMD_COUNT; i++) {
        const char *name = command_info((enum command)i)->schema;
        if (!schema_builtin(name) || !schema_builtin_text(name))
            fail_msg("%s", name);
    }
    assert_non_null(schema_builtin("key_create"));
    assert_non_null(schema_builtin("preview"));
    assert_non_null(schema_builtin("execute"));
    assert_null(schema_builtin("none"));
    assert_null(schema_builtin(""));
    assert_null(schema_builtin_text("memory"));
    assert_int_equal(schema_builtin_init(NULL), RC_OK);
}

static void
test_bodies(void **unused)
{
    static const struct {
        const char *schema, *doc, *expected;
    } CASES[] = {
        { "memory_ingest",
          "{\"tenant_id\":\"default\",\"scope\":\"user:1\",\"text\":\"t\",\"facts\":[{\"subject\":"
          "\"a\",\"predicate\":\"b\",\"object\":\"\",\"confidence\":0.75}],\"tags\":[\"x\"],"
          "\"source\":\"explicit\",\"metadata\":{\"any\":[1,null]},\"ttl_seconds\":1,"
          "\"client_request_id\":\"r 1\"}",
          "" },
        { "memory_ingest", "{}", "scope: is required\ntext: is required" },
        { "memory_ingest", "{\"scope\":\"\",\"text\":5,\"ttl_seconds\":0,\"extra\":1}",
          "scope: must not be empty\ntext: must be a string, not a number\n"
          "ttl_seconds: must be from 1 to 315360000, not 0\nextra: is not known here; known are: "
          "tenant_id, scope, text, facts, tags, source, metadata, ttl_seconds, client_request_id" },
        { "memory_ingest",
          "{\"scope\":\"s\",\"text\":\"t\",\"facts\":[{\"object\":\"o\"},{\"confidence\":1.1,"
          "\"object\":null}]}",
          "facts[1].confidence: must be from 0 to 1, not 1.1" },
        { "memory_ingest", "[]", ": must be an object, not an array" },
        { "memory_search", "{\"query\":\"q\",\"k\":50,\"mode\":\"text\"}", "" },
        { "memory_search", "{\"query\":\"q\",\"k\":51,\"mode\":\"fuzzy\",\"since\":\"now\"}",
          "k: must be from 1 to 50, not 51\nmode: must be one of \"hybrid\", \"vector\", \"text\", "
          "not a string of 5 bytes\n"
          "since: must be an RFC 3339 date-time, such as 2026-01-01T00:00:00Z or "
          "2026-01-01T01:00:00+01:00 (in a URL a + is written %2B)" },
        { "memory_get", "{\"id\":\"1\"}",
          "id: must be a UUID, such as 0190a0b0-c0d0-7000-8000-abcdef012345" },
        { "memory_list", "{\"limit\":101}", "limit: must be from 1 to 100, not 101" },
        { "memory_patch", "{\"id\":\"0190a0b0-c0d0-7000-8000-abcdef012345\",\"ttl_seconds\":null}",
          "" },
        { "audit_append", "{\"actor\":\"a\",\"action\":\"b\",\"target\":\"c\",\"decision\":\"no\"}",
          "decision: must be one of \"allowed\", \"denied\", \"requires_approval\", not a string "
          "of 2 bytes" },
        { "audit_request",
          "{\"v\":1,\"type\":\"request\",\"event_id\":\"0190a0b0-c0d0-7000-8000-abcdef012345\","
          "\"more\":1}",
          "actor_type: is required\naction: is required\ndecision: is required\nstatus: is "
          "required\n"
          "time: is required\ncount: is required\nmore: is not known here; known are: v, type, "
          "event_id, "
          "actor_type, key_id, request_id, action, target, decision, status, http_status, "
          "error_reason, duration_ms, idempotency_key_sha256, params_sha256, params_prefix64, "
          "region, "
          "client, time, …" },
        { "executor_run",
          "{\"tenant_id\":\"default\",\"scope\":\"user:1\",\"task\":{\"type\":\"ping\",\"message\":"
          "\"test\"}}",
          "" },
        { "executor_run", "{\"task\":{\"message\":1}}", "task.type: is required" },
        { "execute", "{\"actions\":[]}", "actions: must hold at least 1, not 0" },
        { "execute", "{\"actions\":[{\"action\":\"ping\",\"params\":{\"a\":1},\"more\":1}]}",
          "actions[0].more: is not known here; known are: action, params, client_request_id" },
        { "key_create", "{\"role\":\"root\"}",
          "role: must be one of \"viewer\", \"developer\", \"admin\", not a string of 4 bytes" },
        { "key_rotate", "{\"key_id\":\"abcdefghijk\"}",
          "key_id: must be 12 letters and digits, not a string of 11 bytes" },
    };

    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        const char *got = complaints(schema_builtin(CASES[i].schema), CASES[i].doc);
        if (strcmp(got, CASES[i].expected) != 0)
            fail_msg("%s on %s: %s", CASES[i].schema, CASES[i].doc, got);
    }
}

static void
test_nulls_are_absent(void **unused)
{
    static const struct {
        const char *schema, *doc, *left, *expected;
    } CASES[] = {
        { "memory_ingest",
          "{\"scope\":\"s\",\"text\":\"t\",\"tags\":null,\"metadata\":null,\"source\":null,"
          "\"ttl_seconds\":null,\"facts\":null,\"tenant_id\":null,\"client_request_id\":null}",
          "{\"scope\":\"s\",\"text\":\"t\"}", "" },
        { "memory_ingest", "{\"scope\":null,\"text\":\"t\"}", "{\"scope\":null,\"text\":\"t\"}",
          "scope: must be a string, not null" },
        { "memory_ingest",
          "{\"scope\":\"s\",\"text\":\"t\",\"metadata\":{\"a\":null,\"b\":[null]},"
          "\"facts\":[{\"subject\":\"a\",\"object\":null}],\"tags\":[null]}",
          "{\"scope\":\"s\",\"text\":\"t\",\"metadata\":{\"a\":null,\"b\":[null]},"
          "\"facts\":[{\"subject\":\"a\"}],\"tags\":[null]}",
          "tags[0]: must be a string, not null" },
        { "memory_ingest", "{\"scope\":\"s\",\"text\":\"t\",\"other\":null}",
          "{\"scope\":\"s\",\"text\":\"t\",\"other\":null}",
          "other: is not known here; known are: tenant_id, scope, text, facts, tags, source, "
          "metadata, ttl_seconds, client_request_id" },
        { "memory_patch",
          "{\"id\":\"0190a0b0-c0d0-7000-8000-abcdef012345\",\"text\":null,\"ttl_seconds\":null}",
          "{\"id\":\"0190a0b0-c0d0-7000-8000-abcdef012345\",\"ttl_seconds\":null}", "" },
        { "memory_patch", "{\"id\":\"0190a0b0-c0d0-7000-8000-abcdef012345\",\"text\":null}",
          "{\"id\":\"0190a0b0-c0d0-7000-8000-abcdef012345\"}",
          ": must have at least one of text, tags, source, metadata, ttl_seconds" },
        { "execute", "{\"actions\":[{\"action\":\"ping\",\"params\":null}],\"preview_id\":null}",
          "{\"actions\":[{\"action\":\"ping\"}]}", "" },
        { "executor_run", "{\"task\":{\"type\":\"ping\",\"message\":null},\"scope\":null}",
          "{\"task\":{\"type\":\"ping\",\"message\":null}}", "" },
        { "memory_search", "{\"query\":\"q\",\"min_score\":null,\"mode\":null,\"since\":null}",
          "{\"query\":\"q\"}", "" },
    };

    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        AUTO(json) cJSON *doc = parse(CASES[i].doc);
        const struct schema *schema = schema_builtin(CASES[i].schema);
        schema_drop_nulls(schema, doc);
        char *left = cJSON_PrintUnformatted(doc);
        assert_string_equal(left, CASES[i].left);
        cJSON_free(left);
        assert_string_equal(complaints(schema, CASES[i].doc), CASES[i].expected);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keywords),
        cmocka_unit_test(test_not_understood),
        cmocka_unit_test(test_errors_are_bounded),
        cmocka_unit_test(test_long_names_are_cut),
        cmocka_unit_test(test_every_command_has_a_schema),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_nulls_are_absent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
