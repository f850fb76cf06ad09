/* SPDX-License-Identifier: MIT */
/*
 * test_json - what is read, what is refused and how, what is written.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "json/json.h"
#include "test.h"

static enum rc
read_text(const char *text, cJSON **out)
{
    struct err err = { 0 };
    enum rc rc = json_read(text, strlen(text), out, &err);

    if (rc != RC_OK) {
        assert_int_equal(err.rc, rc);
        assert_true(err.text[0] != '\0');
    }
    return rc;
}

static void
test_accepted(void **unused)
{
    /* Read, then written again without changes. */
    static const struct {
        const char *text, *again;
    } CASES[] = {
        { "{}", "{}" },
        { " [ ] \n", "[]" },
        { "null", "null" },
        { "\"\"", "\"\"" },
        { "true", "true" },
        { "[false,0,-0,1,-1,10,1.5,1e3,1E+2,25e-1]", "[false,0,0,1,-1,10,1.5,1000,100,2.5]" },
        { "9007199254740992", "9007199254740992" },
        { "-9007199254740992", "-9007199254740992" },
        { "1e-400", "0" },
        { "6.02e23", "6.02e+23" },
        { "1e16", "10000000000000000e0" }, /* and not an integer that nobody reads back */
        { "[10000000000000000e0,-9.1e15,9007199254740993.5,1e308]",
          "[10000000000000000e0,-9100000000000000e0,9007199254740994e0,1e+308]" },
        { "\xEF\xBB\xBF {\"a\":1}", "{\"a\":1}" }, /* a byte order mark */
        { "\"\\u0001\\u001b[0m\\b\\f\x7f\\u007f\\u001F\"",
          "\"\\u0001\\u001b[0m\\b\\f\x7f\x7f\\u001f\"" },
        { "{\"\\u0007\":1}", "{\"\\u0007\":1}" },
        { "{\"a\":{\"b\":[{\"c\":1}]},\"B\":2}", "{\"a\":{\"b\":[{\"c\":1}]},\"B\":2}" },
        { "\"\\u0041\\n\\t\\r\\\"\\\\\\/\"", "\"A\\n\\t\\r\\\"\\\\/\"" },
        { "\"\\ud83d\\ude00\"", "\"\xF0\x9F\x98\x80\"" },
        { "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80~\"",
          "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80~\"" },
        { "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]", "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]" },
        { "{\"\":1,\"a\":2,\"A\":3}", "{\"\":1,\"a\":2,\"A\":3}" },
        { "\"0123456789abcdefghijklmnopqrstuvwxyz\"", "\"0123456789abcdefghijklmnopqrstuvwxyz\"" },
    };

    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        AUTO(json) cJSON *doc = NULL;
        AUTO(buf) struct buf out = { 0 };
        struct json_writer w;

        buf_init(&out, 1000);
        assert_int_equal(read_text(CASES[i].text, &doc), RC_OK);
        json_begin(&w, &out);
        json_put_doc(&w, NULL, doc);
        assert_int_equal(json_end(&w), RC_OK);
        assert_string_equal(buf_text(&out), CASES[i].again);
    }
}

static void
check_refused(const char *text, enum rc expected)
{
    cJSON *doc = (cJSON *)(uintptr_t)8;
    enum rc rc = read_text(text, &doc);

    if (rc != expected)
        fail_msg("%s: %s instead of %s", text, rc_name(rc), rc_name(expected));
    assert_ptr_equal(doc, (void *)8);
}

static void
test_malformed(void **unused)
{
    static const char *const CASES[] = {
        "",
        " ",
        "{",
        "[",
        "}",
        "]",
        "[}",
        "{]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{\"a\" 1}",
        "{a:1}",
        "{1:1}",
        "{\"a\":1 \"b\":2}",
        "{'a':1}",
        "nul",
        "nulll",
        "True",
        "NaN",
        "Infinity",
        "-",
        "-a",
        "+1",
        "01",
        "-01",
        "1.",
        ".5",
        "1e",
        "1e+",
        "0x10",
        "1 2",
        "{} {}",
        "[]]",
        "\"",
        "\"a",
        "\"\\",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\U0041\"",
        "\"\n\"",
        "\"\t\"",
        "\"\x01\"",
        "\"\xff\"",
        "\"\xC3\"",
        "\"\xC0\xAF\"",
        "\"\xED\xA0\x80\"",
        "\"\xF4\x90\x80\x80\"",
        "\"\xE2\x82\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\ud800\"",
        "\"\\ud800x\"",
        "\"\\ud800\\n\"",
        "\xEF\xBB\xBF",
        "\xEF\xBB\xBF\xEF\xBB\xBF{}",
        "{}\xEF\xBB\xBF",
        "/* c */ 1",
        "[1]//",
        "{\"a\":1,\"a\":1}",
        "{\"a\":1,\"\\u0061\":2}",
        "[{\"x\":{\"a\":1,\"b\":2,\"a\":3}}]",
        "\f1",
        "\v1",
        "1\xC2\xA0",
        /* malformed counts for more than out of bounds */
        "[\"\\u0000\", 9007199254740993, oops]",
        "tru",
        "[\"abcdefgh\xffijklmnop\"]",
        "{\"k\":1,}",
        "[[]",
        "{\"a\":[}",
    };

    for (size_t i = 0; i < TEST_COUNT(CASES); i++)
        check_refused(CASES[i], RC_CORRUPT);
}

static void
test_out_of_bounds(void **unused)
{
    static const char *const CASES[] = {
        "9007199254740993",
        "-9007199254740993",
        "[99999999999999999999999999999999999999999999999999999999999999999999999999999999]",
        "100000000000000000000",
        "1e309",
        "-1e999999999999",
        "{\"a\":1.00000000000000000000000000000000000000000000000000000000000001}",
        "[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]",
        "{\"a\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}",
        "\"\\u0000\"",
        "{\"a\\u0000\":1}",
    };

    for (size_t i = 0; i < TEST_COUNT(CASES); i++)
        check_refused(CASES[i], RC_INVALID);
}

static void
test_broken_rules_name_their_field(void **unused)
{
    static const struct {
        const char *text, *field;
    } CASES[] = {
        { "9007199254740993", "" },
        { "{\"text\":\"a\\u0000\"}", "text" },
        { "{\"a\":1,\"facts\":[{},{\"x\":0,\"object\":\"\\u0000\"}]}", "facts[1].object" },
        { "{\"metadata\":{\"n\":{\"m\":9007199254740993}}}", "metadata.n.m" },
        { "[[1],[1,2,[1e999]]]", "[1][2][0]" },
        { "{\"no word\":1e309}", "(member)" },
        { "{\"a\":{\"x\\u0000\":1}}", "a" },
        { "{\"a\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}",
          "a[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]" },
    };

    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        char field[JSON_FIELD_MAX] = "untouched";
        cJSON *doc = NULL;
        size_t len = strlen(CASES[i].text);

        assert_int_equal(json_read_field(CASES[i].text, len, &doc, field, NULL), RC_INVALID);
        assert_string_equal(field, CASES[i].field);
        assert_null(doc);
    }
}

static void
test_length_counts_not_the_nul(void **unused)
{
    static const char TEXT[] = { '[', '1', ',', '2', ']', 'x' };
    AUTO(json) cJSON *doc = NULL;

    assert_int_equal(json_read(TEXT, 5, &doc, NULL), RC_OK);
    assert_int_equal(cJSON_GetArraySize(doc), 2);
    for (size_t len = 0; len < 5; len++) {
        cJSON *none = NULL;
        assert_int_equal(json_read(TEXT, len, &none, NULL), RC_CORRUPT);
    }
    cJSON *none = NULL;
    assert_int_equal(json_read("1\0", 2, &none, NULL), RC_CORRUPT);
}

/* What is wrong, where, and what to send instead. */
static void
test_the_words_of_refusals(void **unused)
{
    static const struct {
        const char *text;
        size_t len;
        const char *words;
    } CASES[] = {
        { "", 0, "malformed JSON: the body is empty" },
        { "{\0\"\0", 4, "malformed JSON: it is in UTF-16, send UTF-8" },
        { "\0{\0\"", 4, "malformed JSON: it is in UTF-16, send UTF-8" },
        { "\xFF\xFE{\0}\0", 6, "malformed JSON: it is in UTF-16, send UTF-8" },
        { "\xFE\xFF\0{\0}", 6, "malformed JSON: it is in UTF-16, send UTF-8" },
        { "{\0\0\0}\0\0\0", 8, "malformed JSON: it is in UTF-32, send UTF-8" },
        { "\0\0\0{", 4, "malformed JSON: it is in UTF-32, send UTF-8" },
        { "\xFF\xFE\0\0{\0\0\0", 8, "malformed JSON: it is in UTF-32, send UTF-8" },
        { "\0\0\xFE\xFF\0\0\0{", 8, "malformed JSON: it is in UTF-32, send UTF-8" },
        { "[\"\xE9\"]", 5, "malformed JSON: what is not UTF-8 at byte 2" },
        { "[NaN]", 5, "malformed JSON: NaN and Infinity are not JSON (send null) at byte 1" },
        { "[None]", 6, "malformed JSON: None is not JSON (send null) at byte 1" },
        { "[\"a\nb\"]", 7,
          "malformed JSON: control character U+000A in a string (write \\u000a) at byte 3" },
        { "{'a':1}", 7, "malformed JSON: a member name in double quotes was expected at byte 1" },
        { "{\"a_b\":1,\"a_b\":2}", 17, "malformed JSON: a member name is repeated: a_b" },
        { "{\"a1\":1,\"a1\":2}", 15, "malformed JSON: a member name is repeated" },
        { "9007199254740993", 16, "integer beyond 2^53 at byte 16: send it as a string" },
        { "[\"\\u0000\"]", 10, "U+0000 in a string at byte 3: leave it out" },
    };

    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        cJSON *doc = NULL;
        struct err err = { 0 };
        assert_int_not_equal(json_read(CASES[i].text, CASES[i].len, &doc, &err), RC_OK);
        assert_string_equal(err.text, CASES[i].words);
        assert_null(doc);
    }
}

/* Members beyond the pairwise bound: repeated or not, and in no more than n log n. */
static void
test_many_members(void **unused)
{
    enum { COUNT = 30000 };
    AUTO(buf) struct buf text = { 0 };
    AUTO(json) cJSON *doc = NULL;
    cJSON *none = NULL;

    buf_init(&text, 1 << 20);
    buf_putc(&text, '{');
    for (int i = 0; i < COUNT; i++)
        buf_printf(&text, "%s\"member%d\":%d", i ? "," : "", i, i);
    size_t open = text.len;
    buf_putc(&text, '}');
    assert_int_equal(json_read(text.data, text.len, &doc, NULL), RC_OK);
    assert_int_equal(json_int(doc, "member29999", -1), 29999);
    text.len = open;
    buf_puts(&text, ",\"member17\":0}");
    assert_int_equal(json_read(text.data, text.len, &none, NULL), RC_CORRUPT);
}

static void
test_getters(void **unused)
{
    static const char TEXT[] =
        "{\"s\":\"text\",\"i\":-7,\"f\":1.5,\"t\":true,\"n\":null,\"o\":{},\"big\":1e300}";
    AUTO(json) cJSON *doc = NULL;

    assert_int_equal(read_text(TEXT, &doc), RC_OK);
    assert_string_equal(json_string(doc, "s"), "text");
    assert_null(json_string(doc, "S"));
    assert_null(json_string(doc, "i"));
    assert_null(json_string(NULL, "i"));
    assert_int_equal(json_int(doc, "i", 5), -7);
    assert_int_equal(json_int(doc, "f", 5), 5);
    assert_int_equal(json_int(doc, "big", 5), 5);
    assert_int_equal(json_int(doc, "s", 5), 5);
    assert_true(fabs(json_number(doc, "f", 0) - 1.5) < 1e-12);
    assert_true(json_bool(doc, "t", false));
    assert_true(json_bool(doc, "n", true));
    assert_false(json_bool(doc, "none", false));
    assert_true(cJSON_IsNull(json_member(doc, "n")));
    assert_null(json_member(doc, "none"));
}

static void
test_writer(void **unused)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;

    buf_init(&out, 1000);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_string(&w, "quote\"", "line\n\x01\x0b\xff\"\\\x7f");
    json_put_string(&w, "null", NULL);
    json_put_bytes(&w, "bytes", "a\0b", 3);
    json_put_int(&w, "int", INT64_MIN);
    json_put_number(&w, "number", 0.1);
    json_put_time(&w, "time", 0);
    json_array(&w, "list");
    json_put_bool(&w, NULL, true);
    json_put_null(&w, NULL);
    json_put_raw(&w, NULL, "{\"raw\":1}", 9);
    json_object(&w, NULL);
    json_close(&w);
    json_close(&w);
    json_close(&w);
    assert_int_equal(json_end(&w), RC_OK);
    assert_string_equal(
        buf_text(&out),
        "{\"quote\\\"\":\"line\\n\\u0001\\u000b\xEF\xBF\xBD\\\"\\\\\x7f\",\"null\":null,"
        "\"bytes\":\"a\\u0000b\",\"int\":-9223372036854775808,\"number\":0.1,"
        "\"time\":\"1970-01-01T00:00:00.000Z\","
        "\"list\":[true,null,{\"raw\":1},{}]}");
}

static void
test_writer_misuse(void **unused)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;

    buf_init(&out, 50);
    json_begin(&w, &out); /* nothing written */
    assert_int_equal(json_end(&w), RC_BUG);
    json_begin(&w, &out); /* left open */
    json_object(&w, NULL);
    assert_int_equal(json_end(&w), RC_BUG);
    json_begin(&w, &out); /* a member without a name */
    json_object(&w, NULL);
    json_put_int(&w, NULL, 1);
    json_close(&w);
    assert_int_equal(json_end(&w), RC_BUG);
    json_begin(&w, &out); /* an element with a name */
    json_array(&w, NULL);
    json_put_int(&w, "a", 1);
    assert_int_equal(json_end(&w), RC_BUG);
    json_begin(&w, &out); /* two roots */
    json_put_int(&w, NULL, 1);
    json_put_int(&w, NULL, 2);
    assert_int_equal(json_end(&w), RC_BUG);
    json_begin(&w, &out);
    json_close(&w);
    assert_int_equal(json_end(&w), RC_BUG);
    json_begin(&w, &out);
    json_put_number(&w, NULL, (double)NAN);
    assert_int_equal(json_end(&w), RC_BUG);
    json_begin(&w, &out);
    for (int i = 0; i < JSON_WRITER_DEPTH + 5; i++)
        json_array(&w, NULL);
    for (int i = 0; i < JSON_WRITER_DEPTH + 5; i++)
        json_close(&w);
    assert_int_equal(json_end(&w), RC_BUG);
    buf_reset(&out);
    json_begin(&w, &out);
    json_put_string(&w, NULL, "fifty bytes do not hold this text, because it is longer");
    assert_int_equal(json_end(&w), RC_LIMIT);
}

/* RFC 8785 appendix B, and the doubles that simple methods get wrong. */
static void
test_numbers(void **unused)
{
    static const struct {
        uint64_t bits;
        const char *text;
    } CASES[] = {
        { 0x0000000000000000, "0" },
        { 0x8000000000000000, "0" },
        { 0x0000000000000001, "5e-324" },
        { 0x8000000000000001, "-5e-324" },
        { 0x7fefffffffffffff, "1.7976931348623157e+308" },
        { 0xffefffffffffffff, "-1.7976931348623157e+308" },
        { 0x4340000000000000, "9007199254740992" },
        { 0xc340000000000000, "-9007199254740992" },
        { 0x4430000000000000, "295147905179352830000" },
        { 0x7fffffffffffffff, "" },
        { 0x7ff0000000000000, "" },
        { 0x44b52d02c7e14af5, "9.999999999999997e+22" },
        { 0x44b52d02c7e14af6, "1e+23" },
        { 0x44b52d02c7e14af7, "1.0000000000000001e+23" },
        { 0x444b1ae4d6e2ef4e, "999999999999999700000" },
        { 0x444b1ae4d6e2ef4f, "999999999999999900000" },
        { 0x444b1ae4d6e2ef50, "1e+21" },
        { 0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7" },
        { 0x3eb0c6f7a0b5ed8d, "0.000001" },
        { 0x41b3de4355555553, "333333333.3333332" },
        { 0x41b3de4355555554, "333333333.33333325" },
        { 0x41b3de4355555555, "333333333.3333333" },
        { 0x41b3de4355555556, "333333333.3333334" },
        { 0x41b3de4355555557, "333333333.33333343" },
        { 0xbecbf647612f3696, "-0.0000033333333333333333" },
        { 0x43143ff3c1cb0959, "1424953923781206.2" },
        { 0x3d30000000000000, "5.684341886080802e-14" }, /* 2^-44 */
        { 0x3fb999999999999a, "0.1" },
        { 0x3fd5555555555555, "0.3333333333333333" },
        { 0x4005bf0a8b145769, "2.718281828459045" },
        { 0x0010000000000000, "2.2250738585072014e-308" },
        { 0x000fffffffffffff, "2.225073858507201e-308" },
        { 0x0000000000000002, "1e-323" },
        { 0x40934a3333333333, "1234.55" },
        { 0xbff8000000000000, "-1.5" },
    };
    char text[JSON_NUMBER_TEXT_MAX];

    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        double value;
        memcpy(&value, &CASES[i].bits, sizeof(value));
        assert_string_equal(json_format_number(value, text), CASES[i].text);
    }
}

/* Numbers of twelve places, and their neighbours, which need more digits. */
static void
test_numbers_of_twelve_places(void **unused)
{
    static const uint64_t UNITS[] = { 10000000,        10000001,        99999999,
                                      100000000000,    999999999999,    1000000000001,
                                      9999999999999,   10000000000001,  99999999999999,
                                      100000000000001, 999999999999999, 123450000000000 };
    char text[JSON_NUMBER_TEXT_MAX], wanted[40];
    uint64_t random = 42;

    for (size_t i = 0; i < 20000; i++) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint64_t units = i < TEST_COUNT(UNITS) ? UNITS[i] : (random >> 14) % 1000000000000000;
        double value = (double)units / 1e12;
        if (units % 1000000000000 == 0 || value < 1e-6)
            continue;
        int len = snprintf(wanted, sizeof(wanted), "%llu.%012llu",
                           (unsigned long long)(units / 1000000000000),
                           (unsigned long long)(units % 1000000000000));
        while (wanted[len - 1] == '0')
            wanted[--len] = '\0';
        assert_string_equal(json_format_number(value, text), wanted);
        for (int up = 0; up < 2; up++) {
            double next = nextafter(value, up ? INFINITY : 0);
            (void)json_format_number(next, text);
            assert_string_not_equal(text, wanted);
            assert_true(strtod(text, NULL) >= next && strtod(text, NULL) <= next);
        }
    }
}

static void
test_canonical(void **unused)
{
    /* RFC 8785 sections 3.2.2 and 3.2.3, the former without its control characters. */
    static const struct {
        const char *text, *canonical;
    } CASES[] = {
        { "{\"numbers\":[333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],"
          "\"string\":\"\\u20ac$\\u000A\\u0041'\\u0042\\u0022\\u005c\\\\\\\"\\/"
          "\",\"literals\":[null, "
          "true, false]}",
          "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],"
          "\"string\":\"\xE2\x82\xAC$\\nA'B\\\"\\\\\\\\\\\"/\"}" },
        { "{\"\\u20ac\":\"Euro Sign\",\"\\r\":\"Carriage Return\",\"\\ufb33\":\"Hebrew\","
          "\"1\":\"One\",\"\\ud83d\\ude00\":\"Emoji\",\"\\u0080\":\"Control\",\"\\u00f6\":\"o\"}",
          "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\xC2\x80\":\"Control\",\"\xC3\xB6\":\"o\","
          "\"\xE2\x82\xAC\":\"Euro "
          "Sign\",\"\xF0\x9F\x98\x80\":\"Emoji\",\"\xEF\xAC\xB3\":\"Hebrew\"}" },
        { "[{\"b\":1,\"a\":{\"d\":[],\"c\":{}}},2]", "[{\"a\":{\"c\":{},\"d\":[]},\"b\":1},2]" },
        { "[1e16,-1e20]", "[10000000000000000,-100000000000000000000]" },
        { "{\"ab\":1,\"a\":2,\"\":3}", "{\"\":3,\"a\":2,\"ab\":1}" },
        { "{}", "{}" },
        { "{\"b\":{\"skipped\":1},\"skipped\":2,\"a\":3}", "{\"a\":3,\"b\":{\"skipped\":1}}" },
    };
    static const char *const SKIP[] = { "other", "skipped", NULL };

    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        AUTO(json) cJSON *doc = NULL;
        AUTO(buf) struct buf out = { 0 };

        buf_init(&out, 1000);
        assert_int_equal(read_text(CASES[i].text, &doc), RC_OK);
        assert_int_equal(json_canonical(doc, SKIP, &out), RC_OK);
        assert_string_equal(buf_text(&out), CASES[i].canonical);
        AUTO(json) cJSON *again = NULL;
        assert_int_equal(json_read_canonical(out.data, out.len, &again, NULL), RC_OK);
        buf_fini(&out);
        buf_init(&out, 1);
        assert_int_equal(json_canonical(doc, NULL, &out), RC_LIMIT);
    }
}

/* Accepted as it stands, though json_read() would refuse it; or refused all the same. */
static void
test_exact(void **unused)
{
    static const struct {
        const char *text;
        enum rc rc;
    } CASES[] = {
        { "[9007199254740993]", RC_OK },
        { "[12345678901234567890123456789012345678901234567890123456789012345678901234567890]",
          RC_OK },
        { "[0.1234567890123456789012345678901234567890123456789012345678901234567890e1,2]", RC_OK },
        { "[1e400]", RC_OK },
        { "\"\\u0001\\b\\f\x7f\"", RC_OK },
        { "\"\\u0000\"", RC_INVALID },
        { "{\"\\u0000\":1}", RC_INVALID },
        { "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", RC_INVALID },
        { "\"\x01\"", RC_CORRUPT },
        { "\"\\udc00\"", RC_CORRUPT },
        { "{\"a\":1,\"a\":2}", RC_CORRUPT },
        { "[01]", RC_CORRUPT },
        { "\xEF\xBB\xBF[]", RC_CORRUPT },
        { "", RC_CORRUPT },
    };

    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        AUTO(json) cJSON *doc = NULL;
        struct err err = { 0 };

        print_message("# %s\n", CASES[i].text);
        assert_int_equal(json_read_exact(CASES[i].text, strlen(CASES[i].text), &doc, &err),
                         CASES[i].rc);
        assert_true((doc != NULL) == (CASES[i].rc == RC_OK));
        assert_true((err.text[0] == '\0') == (CASES[i].rc == RC_OK));
    }
}

static void
test_secrets_are_zeroed(void **state)
{
    static const char TEXT[] = "{\"a\":\"hush\",\"b\":[1,{\"c\":\"hush\"}],\"d\":null}";
    AUTO(json) cJSON *doc = NULL;
    assert_int_equal(json_read(TEXT, strlen(TEXT), &doc, NULL), RC_OK);
    const cJSON *inner = cJSON_GetArrayItem(json_member(doc, "b"), 1);
    json_wipe(doc);
    json_wipe(NULL);
    assert_memory_equal(cJSON_GetObjectItemCaseSensitive(doc, "a")->valuestring, "\0\0\0\0", 4);
    assert_memory_equal(cJSON_GetObjectItemCaseSensitive(inner, "c")->valuestring, "\0\0\0\0", 4);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_out_of_bounds),
        cmocka_unit_test(test_broken_rules_name_their_field),
        cmocka_unit_test(test_the_words_of_refusals),
        cmocka_unit_test(test_length_counts_not_the_nul),
        cmocka_unit_test(test_many_members),
        cmocka_unit_test(test_getters),
        cmocka_unit_test(test_secrets_are_zeroed),
        cmocka_unit_test(test_writer),
        cmocka_unit_test(test_writer_misuse),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_numbers_of_twelve_places),
        cmocka_unit_test(test_canonical),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
