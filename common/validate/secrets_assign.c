/* SPDX-License-Identifier: MIT */
/*
 * secrets_assign - where a value is given to a name like "DB_PASSWORD".
 *
 * A value may stand on a line of its own, as YAML and pretty-printed JSON have it. All looks around a
 * place are bounded, so that the whole search takes linear time.
 */
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "validate/command_line.h"
#include "validate/secrets_own.h"

#define NAME_MAX_BYTES  40 /* of a name are looked at, from its end */
#define VALUE_MAX_BYTES 256
#define SKIP_MAX        8  /* blanks and quotes between a name and the sign behind it */
#define GAP_MAX         96 /* … and between the sign and the value */
#define LINES_MAX       3
#define NAME_TO_VALUE   128 /* what is neither, between a name and the word "value" */
#define TAIL_MAX        16  /* quotes and commas behind a value */

/* What a command gets, without the brackets and commas behind it. */
static bool
is_given(const struct argument *given)
{
    static const char SOURCE[] = "pass:"; /* of openssl */
    const char *value = given->value;
    size_t len = given->len;
    bool certain = !given->name;

    if (len > sizeof(SOURCE) && memcmp(value, SOURCE, sizeof(SOURCE) - 1) == 0) {
        value += sizeof(SOURCE) - 1;
        len -= sizeof(SOURCE) - 1;
        certain = true;
    }
    while (len > 0 && secrets_is_one_of(value[len - 1], ".,;)]}\\"))
        len--;
    if (len == 0)
        return false;
    enum name_kind kind =
        given->name ? secrets_name_kind(given->name, given->name_len) : NAME_PASSWORD;
    if (secrets_names_password(kind) && secrets_is_strong(value, len, certain ? 2 : 3))
        return true;
    return kind != NAME_NONE && secrets_fits_kind(kind, value, len);
}

bool
secrets_match_command(const char *text, size_t len, size_t at)
{
    struct argument given;

    return argument_at(text, len, at, &given) && is_given(&given);
}

bool
secrets_match_word(const cJSON *first, const cJSON *word)
{
    struct argument given;

    return argument_in_list(first, word, &given) && is_given(&given);
}

/* Does the word text[start..end) belong to the one before it: "API key", "identified by"? */
static bool
goes_on(const char *text, size_t start, size_t end)
{
    static const char *const WORDS[] = { "key", "id", "by" };

    if (start < 4 || text[start - 1] != ' ' || !secrets_in_charset(text[start - 2], WORD))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++)
        if (end - start == strlen(WORDS[i]) &&
            strncasecmp(text + start, WORDS[i], end - start) == 0)
            return true;
    return false;
}

/* The start of the name that ends before end: a word, and what "key" and "id" stand behind. */
static size_t
name_before(const char *text, size_t end)
{
    size_t start = end, word = end;

    for (;;) {
        while (start > 0 && end - start < NAME_MAX_BYTES &&
               secrets_in_charset(text[start - 1], WORD))
            start--;
        if (start == word || !goes_on(text, start, word))
            return start;
        word = --start;
    }
}

/* "the password is …": what stands before the verb. */
static size_t
skip_verb(const char *text, size_t end)
{
    static const char *const VERBS[] = { " is", " was" };

    for (size_t i = 0; i < ARRAY_LEN(VERBS); i++) {
        size_t len = strlen(VERBS[i]);
        if (end > len && memcmp(text + end - len, VERBS[i], len) == 0)
            return end - len;
    }
    return end;
}

static bool
is_word(const char *text, size_t start, size_t end, const char *word)
{
    return end - start == strlen(word) && strncasecmp(text + start, word, end - start) == 0;
}

/* name: DB_PASSWORD, value: …; key="DbPassword" value="…"; password: string = …; and as XML has it,
 * <name>password</name> <value>…: the word before "value". */
static size_t
skip_value(const char *text, size_t start, size_t end)
{
    size_t begin = start, skipped = 0;

    if (!is_word(text, start, end, "value") && !is_word(text, start, end, "string") &&
        !is_word(text, start, end, "str"))
        return end;
    while (start > 0 && skipped < NAME_TO_VALUE && !secrets_in_charset(text[start - 1], WORD)) {
        start--;
        skipped++;
    }
    end = start;
    while (start > 0 && end - start < 5 && secrets_in_charset(text[start - 1], WORD))
        start--;
    bool closes = start > 1 && text[start - 1] == '/' && text[start - 2] == '<' &&
                  (is_word(text, start, end, "name") || is_word(text, start, end, "key"));
    return closes ? start - 2 : begin == end ? begin : end;
}

struct gap {
    size_t end;
    unsigned lines; /* ends of lines in it */
    bool quoted, wide;
};

/* What begins a block of YAML, and ends a line: "|", ">-". */
static size_t
skip_block(const char *text, size_t len, size_t at)
{
    size_t n = 1;

    while (at + n < len && n < 3 && secrets_is_one_of(text[at + n], "+-123456789"))
        n++;
    return at + n < len && (text[at + n] == '\n' || text[at + n] == '\r') ? n : 0;
}

/* Of text[at], which stands before a value: how many bytes to skip; 0 = the value begins here. */
static size_t
skip_sign(const char *text, size_t len, size_t at, unsigned lines)
{
    char next = at + 1 < len ? text[at + 1] : '\0';

    switch (text[at]) {
    case '|':
    case '>': {
        size_t block = skip_block(text, len, at);
        return block > 0 ? block : 1;
    }
    case ' ':
    case '\t':
    case '\r':
    case '\n':
    case '"':
    case '\'':
    case '`':
    case '=':
    case '*':
    case '\\':
        return 1;
    case '-':
        return lines > 0 && next == ' ' ? 1 : 0;
    case '(':
    case '[':
        return secrets_is_one_of(next, "\"'\n\r ") ? 1 : 0;
    default:
        return 0;
    }
}

/* Quotes, blanks and signs before a value. */
static struct gap
skip_gap(const char *text, size_t len, size_t at)
{
    size_t end = len - at > GAP_MAX ? at + GAP_MAX : len, n = 0;
    struct gap gap = { .end = at };

    for (; gap.end < end; gap.end += n) {
        char c = text[gap.end];
        n = skip_sign(text, len, gap.end, gap.lines);
        gap.lines += n > 0 && c == '\n';
        if (n == 0 || gap.lines > LINES_MAX)
            break;
        gap.quoted = c == '"' || c == '\'' || c == '`';
        gap.wide = gap.wide || gap.end > at || (c != ' ' && !gap.quoted);
    }
    return gap;
}

/* Does nothing but quotes, commas and brackets follow text[at] in its line? */
static bool
ends_line(const char *text, size_t len, size_t at)
{
    size_t end = len - at > TAIL_MAX ? at + TAIL_MAX : len;

    while (at < end && secrets_is_one_of(text[at], " \t\r\"'`,;)]}\\*|"))
        at++;
    return at == len || (at < end && (text[at] == '\n' || text[at] == '<'));
}

/* A value on a line of its own stands there alone; that of a name with a colon does, too. */
static bool
stands_alone(const char *text, size_t len, const struct gap *gap)
{
    size_t at = gap->end;

    if (gap->lines == 0)
        return true;
    while (at < len && at - gap->end < VALUE_MAX_BYTES && text[at] > ' ' &&
           !secrets_is_one_of(text[at], "\"'`,;)]}<\\"))
        at++;
    return ends_line(text, len, at);
}

/* The place before what stands before text[at] and is one of set. */
static size_t
skip_back(const char *text, size_t at, const char *set)
{
    for (size_t skipped = 0; at > 0 && skipped < TAIL_MAX && secrets_is_one_of(text[at - 1], set);
         skipped++)
        at--;
    return at;
}

static bool
begins_line(const char *text, size_t at)
{
    return at == 0 || text[at - 1] == '\n';
}

/* Is the name that begins at text[start] all of its line, but for the sign of a list or a heading, and
 * for one word ("Client secret")? Behind that a hash is a commit's rather than a secret. */
static bool
is_label(const char *text, size_t start, const char *value, size_t len)
{
    static const char SIGNS[] = " \t#*->|_`\"'$";
    size_t word = skip_back(text, start, SIGNS), n = 0;

    if (begins_line(text, word))
        return true;
    while (n < TAIL_MAX && word > n && secrets_is_alnum(text[word - n - 1]))
        n++;
    return n > 0 && start - word == 1 && begins_line(text, skip_back(text, word - n, SIGNS)) &&
           secrets_traits_of(value, len).hex < len;
}

/* "PGPASSWORD=X psql": nobody begins a sentence so. */
static bool
begins_command(const char *text, size_t len, size_t start, size_t at)
{
    size_t value = at + 1 + (at + 1 < len && secrets_is_one_of(text[at + 1], "\"'"));
    size_t before = skip_back(text, start, " \t$'\"");

    if (text[at] != '=' ||
        (!begins_line(text, before) && !secrets_is_one_of(text[before - 1], "(;|&") &&
         !secrets_is_one_of(text[start - 1], "\"'`")))
        return false;
    for (size_t i = start; i < at; i++)
        if (secrets_is_lower(text[i]))
            return false;
    size_t n = secrets_span_password(text + value, len - value), end = value + n;
    end += end < len && secrets_is_one_of(text[end], "\"'");
    return end + 1 < len && text[end] == ' ' &&
           (secrets_is_lower(text[end + 1]) || secrets_is_one_of(text[end + 1], "./~")) &&
           secrets_is_strong(text + value, n, 3);
}

/* A name, white space and a value: "--token X", "login ada password X", a name and its value in a table
 * or on two lines. */
static bool
match_blank(const char *text, size_t len, size_t at)
{
    size_t value = at + 1, n = secrets_span_token(text + value, len - value);

    if (n > 0 && n < SECRETS_RANDOM_MIN) /* nearly every word of prose */
        return false;
    struct gap gap = skip_gap(text, len, at);
    value = gap.end;
    n = secrets_span_token(text + value, len - value);
    if (n < SECRETS_RANDOM_MIN && (!gap.quoted || n == 0))
        return false;
    size_t end = skip_verb(text, at);
    while (end > 0 && at - end < SKIP_MAX && secrets_is_one_of(text[end - 1], "\"'`*"))
        end--;
    size_t start = name_before(text, end);
    enum name_kind kind = start < end ? secrets_name_kind(text + start, end - start) : NAME_NONE;
    bool loose = kind == NAME_SHORT || kind == NAME_LOOSE;
    if (text[at] == '|' && (start == 0 || text[start - 1] != '|')) /* "a|b" is none of a table */
        return false;
    if (kind == NAME_QUOTED && gap.quoted)
        kind = NAME_PASSWORD;
    if (kind != NAME_KEY && kind != NAME_PASSWORD && (!loose || gap.wide))
        return false;
    if (gap.lines > 0 &&
        (!is_label(text, start, text + value, n) || !stands_alone(text, len, &gap)))
        return false;
    if (gap.quoted && kind == NAME_PASSWORD)
        return secrets_fits_kind(kind, text + value, len - value);
    while (n > SECRETS_RANDOM_MIN && text[value + n - 1] == '.') /* of the sentence */
        n--;
    return n >= SECRETS_RANDOM_MIN && !secrets_is_placeholder(text + value, n) &&
           secrets_looks_random(text + value, n);
}

/* A comma and a bracket give a value only between quotes: ("token", "X"), setToken("X"). */
static bool
is_quoted_sign(const char *text, size_t len, size_t at)
{
    size_t next = at + 1;

    if (text[at] == ',' && (at == 0 || !secrets_is_one_of(text[at - 1], "\"'`")))
        return false;
    while (next < len && next - at < SKIP_MAX && text[next] == ' ')
        next++;
    return next < len && secrets_is_one_of(text[next], "\"'`");
}

bool
secrets_match_assignment(const char *text, size_t len, size_t at)
{
    size_t end = at;

    if (secrets_is_one_of(text[at], " \t\n\r|"))
        return at > 0 && text[at - 1] > ' ' && text[at - 1] != '|' && match_blank(text, len, at);
    bool in_call = secrets_is_one_of(text[at], ",(");
    if (in_call && !is_quoted_sign(text, len, at))
        return false;
    if (text[at] == '>' && end > 0 && secrets_is_one_of(text[end - 1], "-=")) /* an arrow */
        end--;
    while (end > 0 && at - end < SKIP_MAX && secrets_is_one_of(text[end - 1], " \t\"'`])\\*"))
        end--;
    size_t start = name_before(text, end);
    size_t named = skip_value(text, start, end);
    if (named != end) {
        end = named;
        start = name_before(text, end);
    }
    enum name_kind kind = start < end ? secrets_name_kind(text + start, end - start) : NAME_NONE;
    if (kind == NAME_NONE || (in_call && kind != NAME_KEY && kind != NAME_PASSWORD))
        return false;
    struct gap gap = skip_gap(text, len, at + 1);
    if (gap.end == len || !stands_alone(text, len, &gap))
        return false;
    return secrets_fits_kind(kind, text + gap.end, len - gap.end) ||
           (end == at && secrets_names_password(kind) && begins_command(text, len, start, at));
}
