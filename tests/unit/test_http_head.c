/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "gateway/http/chunks.h"
#include "gateway/http/head.h"
#include "test.h"

static char kept[HTTP_HEAD_MAX + 1];

/* The text's head, or what is wrong with finding its end. */
static enum head_found
find(const char *text, size_t len, size_t *end)
{
    size_t line = 0;
    return http_head_find(text, len, &line, end);
}

static void
parse(struct http_head *head, const char *text, size_t len)
{
    assert_in_range(len, 1, HTTP_HEAD_MAX);
    memcpy(kept, text, len);
    http_head_parse(head, kept, len);
}

#define PARSE(head, text) parse(head, text, sizeof(text) - 1)

static void
test_a_head_is_found(void **state)
{
    static const char TEXT[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /";
    size_t end = 7;
    size_t line = 0;
    for (size_t len = 0; len < sizeof(TEXT) - 6; len++)
        assert_int_equal(http_head_find(TEXT, len, &line, &end), HEAD_MORE);
    assert_int_equal(end, 7);
    assert_int_equal(line, 25);
    assert_int_equal(http_head_find(TEXT, sizeof(TEXT) - 1, &line, &end), HEAD_COMPLETE);
    assert_int_equal(end, 27);
}

static void
test_what_begins_no_head(void **state)
{
    size_t end = 7;
    assert_int_equal(find("\x16\x03\x01", 3, &end), HEAD_MALFORMED);
    assert_int_equal(find("\r\n", 2, &end), HEAD_MALFORMED);
    assert_int_equal(find("\0", 1, &end), HEAD_MALFORMED);
    assert_int_equal(find("GET / HTTP/1.1\n", 15, &end), HEAD_MALFORMED);
    assert_int_equal(find("GET / HTTP/1.1\r\n\n", 17, &end), HEAD_MALFORMED);
    assert_int_equal(end, 7);
}

static void
test_the_bound_of_a_head(void **state)
{
    static char text[HTTP_HEAD_MAX + 8];
    size_t end = 7;
    memset(text, 'a', sizeof(text));
    memcpy(text, "GET /", 5);
    assert_int_equal(find(text, HTTP_HEAD_MAX - 1, &end), HEAD_MORE);
    assert_int_equal(find(text, HTTP_HEAD_MAX, &end), HEAD_TOO_LARGE);
    memcpy(text + HTTP_HEAD_MAX - 4, "\r\n\r\n", 4);
    assert_int_equal(find(text, HTTP_HEAD_MAX, &end), HEAD_COMPLETE);
    assert_int_equal(end, HTTP_HEAD_MAX);
    memset(text, 'a', sizeof(text));
    memcpy(text + HTTP_HEAD_MAX - 3, "\r\n\r\n", 4);
    end = 7;
    assert_int_equal(find(text, HTTP_HEAD_MAX + 1, &end), HEAD_TOO_LARGE);
    assert_int_equal(end, 7);
}

static void
test_a_head_is_taken_apart(void **state)
{
    struct http_head head;
    unsigned count = 0;
    PARSE(&head, "POST /a?b=c HTTP/1.1\r\nHost: [::1]:80\r\nX-A:\t one two \r\nx-a:\r\n"
                 "Content-Length: 0012\r\n\r\n");
    assert_int_equal(head.fault, HTTP_FAULT_NONE);
    assert_null(head.why);
    assert_string_equal(head.method, "POST");
    assert_string_equal(head.target, "/a?b=c");
    assert_int_equal(head.minor, 1);
    assert_int_equal(head.n_fields, 4);
    assert_string_equal(http_head_field(&head, "X-a", &count), "one two");
    assert_int_equal(count, 2);
    assert_string_equal(http_head_last(&head, "X-A"), "");
    assert_null(http_head_field(&head, "X-B", &count));
    assert_int_equal(count, 0);
    assert_true(head.has_length);
    assert_int_equal(head.length, 12);
    assert_false(head.chunked);
    assert_true(head.keep_alive);
}

/* What two servers could read differently. */
static void
test_malformed_heads(void **state)
{
#define BAD(text)                                                                                  \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
#define GET "GET / HTTP/1.1\r\nHost: x\r\n"
    static const struct {
        const char *text;
        size_t len;
    } HEADS[] = {
        BAD("GET / HTTP/1.1\r\n\r\n"),
        BAD("GET  / HTTP/1.1\r\nHost: x\r\n\r\n"),
        BAD("GET / HTTP/1.1 \r\nHost: x\r\n\r\n"),
        BAD("GET /\r\nHost: x\r\n\r\n"),
        BAD("GET / HTTP/2.0\r\nHost: x\r\n\r\n"),
        BAD("GET / http/1.1\r\nHost: x\r\n\r\n"),
        BAD("GET / HTTP/1.10\r\nHost: x\r\n\r\n"),
        BAD("GET / HTTP/1.\r\nHost: x\r\n\r\n"),
        BAD("GET /\tx HTTP/1.1\r\nHost: x\r\n\r\n"),
        BAD("GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n"),
        BAD("GE(T / HTTP/1.1\r\nHost: x\r\n\r\n"),
        BAD(" GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        BAD(GET ": x\r\n\r\n"),
        BAD(GET "\0\r\n\r\n"),
        BAD(GET "no colon\r\n\r\n"),
        BAD(GET "A : b\r\n\r\n"),
        BAD(GET "A: b\r\n folded\r\n\r\n"),
        BAD(GET "A: b\0c\r\n\r\n"),
        BAD(GET "A: b\rc\r\n\r\n"),
        BAD(GET "A: b\x7f\r\n\r\n"),
        BAD(GET "A\0B: c\r\n\r\n"),
        BAD(GET "Host: x\r\n\r\n"),
        BAD("GET / HTTP/1.1\r\nHost: x y\r\n\r\n"),
        BAD("GET / HTTP/1.1\r\nHost: x/y\r\n\r\n"),
        BAD(GET "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"),
        BAD(GET "Content-Length: 5, 5\r\n\r\n"),
        BAD(GET "Content-Length: +5\r\n\r\n"),
        BAD(GET "Content-Length: -1\r\n\r\n"),
        BAD(GET "Content-Length: 0x5\r\n\r\n"),
        BAD(GET "Content-Length: 5 5\r\n\r\n"),
        BAD(GET "Content-Length:\r\n\r\n"),
        BAD(GET "Content-Length: 18446744073709551617\r\n\r\n"),
        BAD(GET "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
        BAD(GET "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
        BAD(GET "Transfer-Encoding: gzip, chunked\r\n\r\n"),
        BAD(GET "Transfer-Encoding: chunked, identity\r\n\r\n"),
        BAD(GET "Transfer-Encoding:\r\n\r\n"),
        BAD("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        BAD("GET / HTTP/1.1\r\nHost: x\n\r\n"),
    };
    struct http_head head;
    for (size_t i = 0; i < TEST_COUNT(HEADS); i++) {
        parse(&head, HEADS[i].text, HEADS[i].len);
        if (head.fault != HTTP_FAULT_MALFORMED || !head.why)
            fail_msg("head %zu passes: %s", i, HEADS[i].text);
    }
}

static void
test_fields_before_a_fault_stay_readable(void **state)
{
    struct http_head head;
    PARSE(&head, GET "X-API-Key: k\r\n: x\r\nX-B: y\r\n\r\n");
    assert_int_equal(head.fault, HTTP_FAULT_MALFORMED);
    assert_string_equal(http_head_field(&head, "X-API-Key", NULL), "k");
    assert_null(http_head_field(&head, "X-B", NULL));
}

static void
test_too_many_fields(void **state)
{
    struct http_head head;
    char text[2048] = GET;
    size_t len = strlen(text);
    for (unsigned i = 0; i < HTTP_FIELDS_MAX - 1; i++, len += 6)
        memcpy(text + len, "a: b\r\n", 6);
    memcpy(text + len, "\r\n", 2);
    parse(&head, text, len + 2);
    assert_int_equal(head.fault, HTTP_FAULT_NONE);
    assert_int_equal(head.n_fields, HTTP_FIELDS_MAX);
    memcpy(text + len, "a: b\r\n\r\n", 8);
    parse(&head, text, len + 8);
    assert_int_equal(head.fault, HTTP_FAULT_TOO_LARGE);
}

static void
test_which_connections_stay(void **state)
{
    static const struct {
        const char *text;
        bool stays;
    } HEADS[] = {
        { GET "\r\n", true },
        { GET "Connection: close\r\n\r\n", false },
        { GET "Connection: TE, Close\r\n\r\n", false },
        { GET "Connection: keep-alive\r\nConnection: close\r\n\r\n", false },
        { GET "Connection: closed\r\n\r\n", true },
        { "GET / HTTP/1.0\r\n\r\n", false },
        { "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true },
    };
    struct http_head head;
    for (size_t i = 0; i < TEST_COUNT(HEADS); i++) {
        parse(&head, HEADS[i].text, strlen(HEADS[i].text));
        assert_int_equal(head.keep_alive, HEADS[i].stays);
    }
    PARSE(&head, GET "Expect: 100-Continue\r\n\r\n");
    assert_true(head.expects);
    PARSE(&head, "GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n");
    assert_false(head.expects);
}

/* --- chunks ----------------------------------------------------------------------------------- */

/* Decode in pieces of step bytes; the body, or NULL when it is malformed. *left: what follows it;
 * -1 = the body has not ended. */
static const char *
decode(const char *text, size_t len, size_t step, long *left)
{
    static char body[256];
    struct http_chunks chunks = { 0 };
    size_t n = 0;
    *left = -1;
    for (size_t at = 0; at < len;) {
        size_t most = len - at < step ? len - at : step;
        const char *piece = NULL;
        size_t used = 0, piece_len = 0;
        enum chunks_step got =
            http_chunks_next(&chunks, text + at, most, &used, &piece, &piece_len);
        assert_in_range(used, 1, most);
        at += used;
        if (got == CHUNKS_MALFORMED)
            return NULL;
        if (got == CHUNKS_PIECE) {
            memcpy(body + n, piece, piece_len);
            n += piece_len;
        }
        if (got == CHUNKS_END) {
            *left = (long)(len - at);
            break;
        }
    }
    body[n] = '\0';
    return body;
}

static void
test_chunks(void **state)
{
    static const char TEXT[] = "5\r\nhello\r\n00A;x=\"y\" ;z\r\n0123456789\r\n0\r\nA: b\r\n\r\nGET";
    for (size_t step = 1; step < sizeof(TEXT); step++) {
        long left;
        const char *body = decode(TEXT, sizeof(TEXT) - 1, step, &left);
        assert_non_null(body);
        assert_string_equal(body, "hello0123456789");
        assert_int_equal(left, 3);
    }
}

static void
test_malformed_chunks(void **state)
{
    static const char *const TEXTS[] = {
        "\r\n",
        "zz\r\n",
        " 5\r\nhello\r\n",
        "5 \r\nhello\r\n",
        "+5\r\nhello\r\n",
        "0x5\r\nhello\r\n",
        "-1\r\n",
        "5\nhello\r\n",
        "5\rhello",
        "5;a\nhello\r\n",
        "5;a\rb\r\nhello\r\n",
        "5\r\nhello!\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "0\n\r\n",
        "0\r\n\n",
        "0\r\n: x\r\n\r\n",
        "0\r\nA : x\r\n\r\n",
        "0\r\nA: x\r\n folded\r\n\r\n",
        "0\r\nno colon\r\n\r\n",
        "ffffffffffffffffffff\r\n",
        "00000000000000005\r\nhello\r\n",
    };
    for (size_t i = 0; i < TEST_COUNT(TEXTS); i++) {
        long left;
        if (decode(TEXTS[i], strlen(TEXTS[i]), 64, &left))
            fail_msg("passes: %s", TEXTS[i]);
    }
}

static void
test_what_is_no_body_is_bounded(void **state)
{
    static char text[CHUNKS_EXTRA_MAX + 64] = "1;";
    struct http_chunks chunks = { 0 };
    const char *piece;
    size_t used, len;
    memset(text + 2, 'a', sizeof(text) - 2);
    assert_int_equal(http_chunks_next(&chunks, text, CHUNKS_EXTRA_MAX, &used, &piece, &len),
                     CHUNKS_MORE);
    assert_int_equal(http_chunks_next(&chunks, "aaaa", 4, &used, &piece, &len), CHUNKS_MALFORMED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_head_is_found),
        cmocka_unit_test(test_what_begins_no_head),
        cmocka_unit_test(test_the_bound_of_a_head),
        cmocka_unit_test(test_a_head_is_taken_apart),
        cmocka_unit_test(test_malformed_heads),
        cmocka_unit_test(test_fields_before_a_fault_stay_readable),
        cmocka_unit_test(test_too_many_fields),
        cmocka_unit_test(test_which_connections_stay),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_malformed_chunks),
        cmocka_unit_test(test_what_is_no_body_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
