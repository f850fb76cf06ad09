/* SPDX-License-Identifier: MIT */
/* test_media - what a Content-Type says. */
#include <string.h>

#include "requests/media.h"
#include "test.h"

/* kinds: J = JSON, C = another charset, P = no parameter, O = another type; one letter for a member. */
static const struct {
    const char *field, *kinds;
} FIELDS[] = {
    { "", "" },
    { " ", "" },
    { ",", "" },
    { "application/json", "J" },
    { "APPLICATION/JSON", "J" },
    { "application/json;", "J" },
    { "application/json ; ", "J" },
    { "application/json;;; charset=utf-8 ;;", "J" },
    { "application/json; charset=utf8", "J" },
    { "application/json;charset=UTF_8", "J" },
    { "application/json; CHARSET=\"Utf-8\"", "J" },
    { "application/json; charset='utf-8'", "J" },
    { "application/json; charset=\"utf\\-8\"", "J" },
    { "application/json; charset=", "J" },
    { "application/json; charset=\"\"", "J" },
    { "application/json; charset = utf-8", "J" },
    { "application/json; charset=us-ascii", "J" },
    { "application/json; charset=\"US-ASCII\"", "J" },
    { "application/json; charset=ascii", "J" },
    { "application/json; charset=ANSI_X3.4-1968", "J" },
    { "application/json; utf-8", "J" },
    { "application/json;UTF8;x=y", "J" },
    { "application/json; foo=\"a;b,c\\\"d\"; charset=utf-8", "J" },
    { "application/cloudevents+json", "J" },
    { "application/problem+JSON; x=y", "J" },
    { "application/json, application/json", "JJ" },
    { "application/json;charset=utf-8,application/json ;x=\"a,b\" , , application/a+json,", "JJJ" },
    { "application/json; charset=latin1", "C" },
    { "application/json; charset=utf-16", "C" },
    { "application/json; charset=utf-8; charset=utf-7", "C" },
    { "application/json; charset=\"ISO-8859-1\"; x=y", "C" },
    { "application/json; charset=utf-8-and-more-than-fits-in", "C" },
    { "application/json; charset=us-ascii, application/json; charset=cp1252", "JC" },
    { "application/json; latin1", "P" },
    { "application/json utf-8", "P" },
    { "application/json; x=\"y", "P" },
    { "application/json; x=\"y, application/json", "PJ" },
    { "application/json; =y", "J" },
    { "text/plain", "O" },
    { "text/plain; charset=latin1", "O" },
    { "text/plain x", "O" },
    { "application/jsonp", "O" },
    { "application/json+xml", "O" },
    { "+json", "O" },
    { "json", "O" },
    { "application/json, text/plain; charset=utf-8, application/json", "JOJ" },
};

static void
fields(void **state)
{
    static const char LETTERS[] = {
        [MEDIA_JSON] = 'J', [MEDIA_CHARSET] = 'C', [MEDIA_PARAMETER] = 'P', [MEDIA_OTHER] = 'O'
    };
    for (size_t i = 0; i < TEST_COUNT(FIELDS); i++) {
        char kinds[8] = "";
        const char *at = FIELDS[i].field;
        struct media m;
        for (size_t n = 0; n < sizeof(kinds) - 1 && media_next(&at, &m); n++)
            kinds[n] = LETTERS[m.kind];
        if (strcmp(kinds, FIELDS[i].kinds) != 0)
            fail_msg("%s: %s, not %s", FIELDS[i].field, kinds, FIELDS[i].kinds);
        assert_true(at <= FIELDS[i].field + strlen(FIELDS[i].field));
    }
}

static void
parts(void **state)
{
    const char *at = "text/html;charset=\"Latin-1\", application/json;charset=utf-7";
    struct media m;

    assert_true(media_next(&at, &m));
    assert_int_equal(m.type_len, 9);
    assert_memory_equal(m.type, "text/html", 9);
    assert_int_equal(m.charset_len, 7);
    assert_memory_equal(m.charset, "Latin-1", 7);
    assert_true(media_next(&at, &m));
    assert_int_equal(m.type_len, 16);
    assert_int_equal(m.charset_len, 5);
    assert_memory_equal(m.charset, "utf-7", 5);
    assert_false(media_next(&at, &m));
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(fields), cmocka_unit_test(parts) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
