/* SPDX-License-Identifier: MIT */
/*
 * json_scan - the strict pass.
 *
 * cJSON accepts more than RFC 8259 (leading zeros, control characters, any bytes as text), so its
 * verdict is not used: what passes here is JSON, and cJSON only builds the tree. The stack of open
 * brackets is an array of JSON_DEPTH_MAX: no recursion. A broken rule of ours (RC_INVALID) is noted and
 * the scan goes on, because a syntax error further on counts for more.
 */
#include "json/json_scan.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "base/utf8.h"
#include "json/json.h"

enum expect {
    EXPECT_VALUE,
    EXPECT_VALUE_OR_END, /* just after [ */
    EXPECT_NAME,
    EXPECT_NAME_OR_END, /* just after { */
    EXPECT_NEXT,        /* a comma or the closing bracket */
    EXPECT_NOTHING,     /* the text is complete */
};

struct scan {
    const char *at;
    const char *end;
    const char *start;
    struct err *err; /* borrowed; may be NULL */
    char *field;     /* borrowed; may be NULL: where a broken rule was, JSON_FIELD_MAX bytes */
    char *copy;      /* borrowed; not NULL: numbers of any size pass */
    enum rc result;
    bool any_integer;
    enum expect expect;
    unsigned depth;
    char open[JSON_DEPTH_MAX];
    /* The way down to here, for each open bracket: the member under way, or how many items came. */
    struct step {
        const char *name; /* borrowed, as it stands in the text; NULL before the first */
        size_t len;
        size_t item;
    } path[JSON_DEPTH_MAX];
};

static bool
malformed(struct scan *s, const char *what)
{
    s->result = err_set(s->err, RC_CORRUPT, "malformed JSON: %s at byte %zu", what,
                        (size_t)(s->at - s->start));
    return false;
}

/* A name may be anything, a credential too; only plain words are repeated. */
static bool
is_plain_word(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        if (c != '_' && c != '-' && (c < '0' || c > '9') && ((c | 0x20) < 'a' || (c | 0x20) > 'z'))
            return false;
    }
    return len > 0 && len <= JSON_PLAIN_NAME_MAX;
}

static void
write_path(const struct scan *s)
{
    size_t used = 0;

    s->field[0] = '\0';
    for (unsigned i = 0; i < s->depth && used < JSON_FIELD_MAX; i++) {
        const struct step *step = &s->path[i];
        char *at = s->field + used;
        size_t room = JSON_FIELD_MAX - used;
        const char *dot = i > 0 ? "." : "";
        int n = 0;

        if (s->open[i] == '[')
            n = snprintf(at, room, "[%zu]", step->item);
        else if (step->name && is_plain_word(step->name, step->len))
            n = snprintf(at, room, "%s%.*s", dot, (int)step->len, step->name);
        else if (step->name)
            n = snprintf(at, room, "%s(member)", dot);
        used += (size_t)n;
    }
}

static void
note(struct scan *s, const char *what, const char *remedy)
{
    if (s->result != RC_OK)
        return;
    s->result =
        err_set(s->err, RC_INVALID, "%s at byte %zu: %s", what, (size_t)(s->at - s->start), remedy);
    if (s->field)
        write_path(s);
}

size_t
json_plain_run(const char *at, const char *end)
{
    const uint64_t ones = 0x0101010101010101U;
    const uint64_t highs = 0x8080808080808080U;
    const char *start = at;
    uint64_t word;

    while (end - at >= 8) {
        memcpy(&word, at, 8);
        uint64_t quote = word ^ (ones * '"');
        uint64_t slash = word ^ (ones * '\\');
        uint64_t del = word ^ (ones * DEL);
        uint64_t special = ((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) |
                           ((slash - ones) & ~slash) | ((del - ones) & ~del) | word;
        if (special & highs)
            break;
        at += 8;
    }
    while (at < end && (unsigned char)*at >= 0x20 && (unsigned char)*at < DEL && *at != '"' &&
           *at != '\\')
        at++;
    return (size_t)(at - start);
}

static int
hex4(const char *at, const char *end)
{
    int value = 0;

    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_value(at[i]);
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* At the character after a backslash. */
static bool
scan_escape(struct scan *s)
{
    int first, second;

    if (s->at == s->end)
        return malformed(s, "unfinished string");
    switch (*s->at) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        s->at++;
        return true;
    case 'u':
        break;
    default:
        return malformed(s, "an escape that JSON does not have (\\\\ is a backslash)");
    }
    first = hex4(s->at + 1, s->end);
    if (first < 0)
        return malformed(s, "\\u without four hexadecimal digits");
    if (first == 0)
        note(s, "U+0000 in a string", "leave it out");
    if (first >= 0xDC00 && first <= 0xDFFF)
        return malformed(s, "lone surrogate");
    s->at += 5;
    if (first < 0xD800 || first > 0xDBFF)
        return true;
    if (s->end - s->at < 6 || s->at[0] != '\\' || s->at[1] != 'u')
        return malformed(s, "lone surrogate");
    second = hex4(s->at + 2, s->end);
    if (second < 0xDC00 || second > 0xDFFF)
        return malformed(s, "lone surrogate");
    s->at += 6;
    return true;
}

static bool
raw_control(struct scan *s)
{
    char what[80];

    (void)snprintf(what, sizeof(what), "control character U+%04X in a string (write \\u%04x)",
                   (unsigned)(unsigned char)*s->at, (unsigned)(unsigned char)*s->at);
    return malformed(s, what);
}

/* At the opening quote. */
static bool
scan_string(struct scan *s)
{
    uint32_t code;
    size_t step;

    for (s->at++;;) {
        s->at += json_plain_run(s->at, s->end);
        if (s->at == s->end)
            return malformed(s, "unfinished string");
        if (*s->at == '"') {
            s->at++;
            return true;
        }
        if (*s->at == '\\') {
            s->at++;
            if (!scan_escape(s))
                return false;
        } else if ((unsigned char)*s->at < 0x20) {
            return raw_control(s);
        } else if (*s->at == DEL) { /* JSON has nothing against it */
            s->at++;
        } else {
            step = utf8_decode(s->at, (size_t)(s->end - s->at), &code);
            if (step == 0)
                return malformed(s, "what is not UTF-8");
            s->at += step;
        }
    }
}

static size_t
skip_digits(struct scan *s)
{
    const char *start = s->at;

    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return (size_t)(s->at - start);
}

static void
check_integer(struct scan *s, const char *digits, size_t count)
{
    int64_t value = 0;

    for (size_t i = 0; i < count && i < 17; i++)
        value = value * 10 + (digits[i] - '0');
    if (count > 16 || value > JSON_INT_MAX)
        note(s, "integer beyond 2^53", "send it as a string");
}

/* At the first character of a fraction or exponent, if there is one: its digits are a must. */
static bool
scan_part(struct scan *s, const char *starts, bool with_sign, bool *present)
{
    *present = s->at < s->end && (*s->at == starts[0] || *s->at == starts[1]);
    if (!*present)
        return true;
    s->at++;
    if (with_sign && s->at < s->end && (*s->at == '+' || *s->at == '-'))
        s->at++;
    return skip_digits(s) > 0 || malformed(s, "bad number");
}

/* What has a fraction or an exponent is meant as a double, of any size. */
static void
check_double(struct scan *s, const char *start)
{
    char copy[JSON_NUMBER_MAX + 1];
    size_t len = (size_t)(s->at - start);

    if (len > JSON_NUMBER_MAX) {
        note(s, "number of more than 60 characters", "send it as a string");
        return;
    }
    memcpy(copy, start, len);
    copy[len] = '\0';
    if (!isfinite(strtod(copy, NULL)))
        note(s, "number that overflows a double", "send it as a string");
}

static void
pass_number(const struct scan *s, const char *start)
{
    size_t len = (size_t)(s->at - start);

    if (len <= JSON_NUMBER_MAX)
        return;
    memset(s->copy + (start - s->start), ' ', len);
    s->copy[start - s->start] = '0';
}

static bool
scan_number(struct scan *s)
{
    const char *start = s->at;
    const char *digits;
    size_t count;
    bool fraction, exponent;

    if (*s->at == '-')
        s->at++;
    digits = s->at;
    count = skip_digits(s);
    if (count == 0 || (count > 1 && *digits == '0'))
        return malformed(s, "bad number");
    if (!scan_part(s, "..", false, &fraction) || !scan_part(s, "eE", true, &exponent))
        return false;
    if (s->copy) {
        pass_number(s, start);
        return true;
    }
    if (fraction || exponent)
        check_double(s, start);
    else if (!s->any_integer)
        check_integer(s, digits, count);
    return true;
}

static bool
scan_word(struct scan *s, const char *word)
{
    size_t len = strlen(word);

    if ((size_t)(s->end - s->at) < len || memcmp(s->at, word, len) != 0)
        return malformed(s, "a word other than true, false or null");
    s->at += len;
    return true;
}

static void
after_value(struct scan *s)
{
    s->expect = s->depth == 0 ? EXPECT_NOTHING : EXPECT_NEXT;
}

static bool
open_bracket(struct scan *s)
{
    if (s->depth == JSON_DEPTH_MAX) {
        s->result = err_set(s->err, RC_INVALID, "nested more than %d deep", JSON_DEPTH_MAX);
        if (s->field)
            write_path(s);
        return false;
    }
    s->expect = *s->at == '{' ? EXPECT_NAME_OR_END : EXPECT_VALUE_OR_END;
    s->path[s->depth] = (struct step){ 0 };
    s->open[s->depth++] = *s->at++;
    return true;
}

static bool
close_bracket(struct scan *s)
{
    if (s->open[s->depth - 1] != (*s->at == '}' ? '{' : '['))
        return malformed(s, "wrong bracket");
    s->at++;
    s->depth--;
    after_value(s);
    return true;
}

/* What stands where a value was expected, as other languages write it. */
static const char *
no_value(const struct scan *s)
{
    if (s->end - s->at >= 4 && memcmp(s->at, "None", 4) == 0)
        return "None is not JSON (send null)";
    return *s->at == 'N' || *s->at == 'I'
               ? "NaN and Infinity are not JSON (send null)"
               : "a value was expected (true, false and null in small letters)";
}

static bool
scan_value(struct scan *s)
{
    bool good;

    switch (*s->at) {
    case '{':
    case '[':
        return open_bracket(s);
    case '"':
        good = scan_string(s);
        break;
    case 't':
        good = scan_word(s, "true");
        break;
    case 'f':
        good = scan_word(s, "false");
        break;
    case 'n':
        good = scan_word(s, "null");
        break;
    default:
        if (*s->at != '-' && (*s->at < '0' || *s->at > '9'))
            return malformed(s, no_value(s));
        good = scan_number(s);
        break;
    }
    after_value(s);
    return good;
}

static void
skip_space(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
        s->at++;
}

static bool
scan_name(struct scan *s)
{
    struct step *step = &s->path[s->depth - 1];
    const char *quote = s->at;

    if (*s->at != '"')
        return malformed(s, "a member name in double quotes was expected");
    step->name = NULL;
    if (!scan_string(s))
        return false;
    step->name = quote + 1;
    step->len = (size_t)(s->at - quote) - 2;
    skip_space(s);
    if (s->at == s->end || *s->at != ':')
        return malformed(s, "a colon was expected");
    s->at++;
    s->expect = EXPECT_VALUE;
    return true;
}

static bool
scan_next(struct scan *s)
{
    if (*s->at == '}' || *s->at == ']')
        return close_bracket(s);
    if (*s->at != ',')
        return malformed(s, "a comma or closing bracket was expected");
    s->at++;
    s->path[s->depth - 1].item++;
    s->expect = s->open[s->depth - 1] == '{' ? EXPECT_NAME : EXPECT_VALUE;
    return true;
}

static bool
scan_token(struct scan *s)
{
    switch (s->expect) {
    case EXPECT_VALUE_OR_END:
        if (*s->at == ']')
            return close_bracket(s);
        return scan_value(s);
    case EXPECT_VALUE:
        return scan_value(s);
    case EXPECT_NAME_OR_END:
        if (*s->at == '}')
            return close_bracket(s);
        return scan_name(s);
    case EXPECT_NAME:
        return scan_name(s);
    case EXPECT_NEXT:
        return scan_next(s);
    case EXPECT_NOTHING:
        break;
    }
    return malformed(s, "bytes after the end");
}

size_t
json_mark_len(const char *text, size_t len)
{
    return len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}

/* The name of the other encoding of Unicode that text is in, NULL if it is in none. JSON starts with
 * two ASCII characters (RFC 4627 section 3), or with one alone. */
static const char *
other_encoding(const char *text, size_t len)
{
    bool zero[4] = { 0 };

    for (size_t i = 0; i < 4 && i < len; i++)
        zero[i] = text[i] == '\0';
    if (len >= 4 && ((zero[0] && zero[1]) || (zero[2] && zero[3] && !zero[0])))
        return "UTF-32";
    if (len >= 2 && (memcmp(text, "\xFF\xFE", 2) == 0 || memcmp(text, "\xFE\xFF", 2) == 0))
        return "UTF-16";
    return len >= 2 && len % 2 == 0 && zero[0] != zero[1] ? "UTF-16" : NULL;
}

static enum rc
scan_all(struct scan *s)
{
    for (;;) {
        skip_space(s);
        if (s->at == s->end)
            break;
        if (!scan_token(s))
            return s->result;
    }
    if (s->expect != EXPECT_NOTHING)
        (void)malformed(s, "unexpected end");
    return s->result;
}

enum rc
json_scan(const char *text, size_t len, bool any_integer, char field[JSON_FIELD_MAX],
          struct err *err)
{
    struct scan s = {
        .end = text + len, .start = text, .err = err, .field = field, .any_integer = any_integer
    };
    const char *encoding = other_encoding(text, len);

    if (field)
        field[0] = '\0';
    if (encoding)
        return err_set(err, RC_CORRUPT, "malformed JSON: it is in %s, send UTF-8", encoding);
    if (len == 0)
        return err_set(err, RC_CORRUPT, "malformed JSON: the body is empty");
    s.at = text + json_mark_len(text, len);
    return scan_all(&s);
}

enum rc
json_scan_exact(char *text, size_t len, struct err *err)
{
    struct scan s = { .at = text, .end = text + len, .start = text, .err = err, .copy = text };

    return scan_all(&s);
}
