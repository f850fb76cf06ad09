/* SPDX-License-Identifier: MIT */
/*
 * secrets_assign - values that are given to a name like "DB_PASSWORD" and look random.
 *
 * A name counts by its end: what stands before ("POSTGRES_", "x-", "my") only says whose it is, and a
 * number or a word like "_PROD" behind it which of several. How random a value must look depends on the
 * name. All looks around a place are bounded, so that the whole search takes linear time.
 */
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "validate/secrets_own.h"

#define NAME_MAX_BYTES  40 /* of a name are looked at, from its end */
#define VALUE_MAX_BYTES 256
#define SKIP_MAX        8  /* blanks and quotes between a name and its value */
#define NAME_TO_VALUE   16 /* what is neither, between a name and the word "value" */
#define RANDOM_MIN      16
#define RANDOM_RUN_MIN  8
#define PASSWORD_MIN    12
#define SESSION_MIN     24

enum name_kind { NAME_NONE, NAME_KEY, NAME_PASSWORD, NAME_SESSION, NAME_HEADER };

/* Compared without what is neither letter nor digit. whole: stands at the start of a word or hump. */
struct ending {
    const char *text;
    size_t len;
    enum name_kind kind;
    bool whole;
};
#define ENDING(text, kind, whole)                                                                  \
    {                                                                                              \
        text, sizeof(text) - 1, kind, whole                                                        \
    }
/* clang-format off */
static const struct ending NAMES[] = {
    ENDING("password", NAME_PASSWORD, false),   ENDING("passwd", NAME_PASSWORD, false),
    ENDING("passphrase", NAME_PASSWORD, false), ENDING("passwort", NAME_PASSWORD, false),
    ENDING("kennwort", NAME_PASSWORD, false),   ENDING("pwd", NAME_PASSWORD, true),
    ENDING("pass", NAME_PASSWORD, true),        ENDING("pw", NAME_PASSWORD, true),
    ENDING("apikey", NAME_KEY, false),          ENDING("secretkey", NAME_KEY, false),
    ENDING("secretkeybase", NAME_KEY, false),   ENDING("accesskey", NAME_KEY, false),
    ENDING("privatekey", NAME_KEY, false),      ENDING("signingkey", NAME_KEY, false),
    ENDING("encryptionkey", NAME_KEY, false),   ENDING("accountkey", NAME_KEY, false),
    ENDING("masterkey", NAME_KEY, false),       ENDING("sharedkey", NAME_KEY, false),
    ENDING("storagekey", NAME_KEY, false),      ENDING("authkey", NAME_KEY, false),
    ENDING("hmackey", NAME_KEY, true),          ENDING("jwtkey", NAME_KEY, true),
    ENDING("appkey", NAME_KEY, true),           ENDING("consumerkey", NAME_KEY, false),
    ENDING("secret", NAME_KEY, false),          ENDING("token", NAME_KEY, false),
    ENDING("credential", NAME_KEY, true),       ENDING("credentials", NAME_KEY, true),
    ENDING("auth", NAME_KEY, true),             ENDING("pat", NAME_KEY, true),
    ENDING("session", NAME_SESSION, true),      ENDING("sessionid", NAME_SESSION, false),
    ENDING("sessid", NAME_SESSION, false),      ENDING("sid", NAME_SESSION, true),
    ENDING("authorization", NAME_HEADER, true),
};
/* clang-format on */

/* Which of several: "DB_PASSWORD_PROD", "api-key-old". */
static const struct ending WHICH[] = {
    ENDING("prod", NAME_NONE, true),    ENDING("production", NAME_NONE, true),
    ENDING("staging", NAME_NONE, true), ENDING("stage", NAME_NONE, true),
    ENDING("dev", NAME_NONE, true),     ENDING("test", NAME_NONE, true),
    ENDING("live", NAME_NONE, true),    ENDING("old", NAME_NONE, true),
    ENDING("new", NAME_NONE, true),     ENDING("primary", NAME_NONE, true),
    ENDING("backup", NAME_NONE, true),  ENDING("secondary", NAME_NONE, true),
    ENDING("value", NAME_NONE, true),
};

/* Tokens that open nothing: places in a list. */
static const struct ending HARMLESS[] = {
    ENDING("pagetoken", NAME_NONE, false),         ENDING("nexttoken", NAME_NONE, false),
    ENDING("synctoken", NAME_NONE, false),         ENDING("resumetoken", NAME_NONE, false),
    ENDING("continuationtoken", NAME_NONE, false), ENDING("paginationtoken", NAME_NONE, false),
    ENDING("cancellationtoken", NAME_NONE, false),
};

/* What ends with KEY in the name of a variable and opens nothing. */
static const struct ending PLAIN_KEYS[] = {
    ENDING("publickey", NAME_NONE, false),      ENDING("primarykey", NAME_NONE, false),
    ENDING("foreignkey", NAME_NONE, false),     ENDING("partitionkey", NAME_NONE, false),
    ENDING("sortkey", NAME_NONE, false),        ENDING("cachekey", NAME_NONE, false),
    ENDING("idempotencykey", NAME_NONE, false), ENDING("rowkey", NAME_NONE, false),
    ENDING("hashkey", NAME_NONE, false),        ENDING("objectkey", NAME_NONE, false),
    ENDING("uniquekey", NAME_NONE, false),      ENDING("s3key", NAME_NONE, false),
    ENDING("hostkey", NAME_NONE, false),        ENDING("lockkey", NAME_NONE, false),
    ENDING("routingkey", NAME_NONE, false),     ENDING("rediskey", NAME_NONE, false),
};

static char
lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool
is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool
is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool
ends_with(const char *name, size_t len, const struct ending *ending)
{
    size_t left = ending->len, at = len;

    while (left > 0 && at > 0) {
        char c = name[--at];
        if (!secrets_is_alnum(c))
            continue;
        if (lower(c) != ending->text[--left])
            return false;
    }
    return left == 0 && (!ending->whole || at == 0 || !secrets_is_alnum(name[at - 1]) ||
                         (is_upper(name[at]) && !is_upper(name[at - 1])));
}

static const struct ending *
find_ending(const char *name, size_t len, const struct ending *endings, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (ends_with(name, len, &endings[i]))
            return &endings[i];
    return NULL;
}

/* "AZURE_OPENAI_KEY": a variable of an environment, of whichever service. */
static bool
is_variable_key(const char *name, size_t len)
{
    if (len < 5 || memcmp(name + len - 4, "_KEY", 4) != 0)
        return false;
    for (size_t i = 0; i < len; i++)
        if (is_lower(name[i]))
            return false;
    return !find_ending(name, len, PLAIN_KEYS, ARRAY_LEN(PLAIN_KEYS));
}

/* The length of a name without what only says which of several it is. */
static size_t
cut_which(const char *name, size_t len)
{
    const struct ending *which;

    while (len > 0 && (is_digit(name[len - 1]) || !secrets_is_alnum(name[len - 1])))
        len--;
    which = find_ending(name, len, WHICH, ARRAY_LEN(WHICH));
    if (!which || len <= which->len)
        return len;
    len -= which->len;
    while (len > 0 && (is_digit(name[len - 1]) || !secrets_is_alnum(name[len - 1])))
        len--;
    return len;
}

static enum name_kind
kind_of(const char *name, size_t len)
{
    const struct ending *found;

    len = cut_which(name, len);
    if (find_ending(name, len, HARMLESS, ARRAY_LEN(HARMLESS)))
        return NAME_NONE;
    found = find_ending(name, len, NAMES, ARRAY_LEN(NAMES));
    if (found)
        return found->kind;
    return is_variable_key(name, len) ? NAME_KEY : NAME_NONE;
}

/* Changes between small letters, capitals and digits inside of words. What begins a hump of an
 * identifier ("getUserById", "v2Response") is none: half of the characters of a random text change. */
static size_t
count_breaks(const char *text, size_t len)
{
    size_t breaks = 0;

    for (size_t i = 1; i < len; i++) {
        char a = text[i - 1], b = text[i];
        if (!secrets_is_alnum(a) || !secrets_is_alnum(b) || (is_upper(a) && is_lower(b)))
            continue;
        if (is_upper(b) && !is_upper(a) && i + 2 < len && is_lower(text[i + 1]) &&
            is_lower(text[i + 2]))
            continue;
        breaks +=
            is_upper(a) != is_upper(b) || is_lower(a) != is_lower(b) || is_digit(a) != is_digit(b);
    }
    return breaks;
}

static size_t
count_vowels(const char *text, size_t len)
{
    size_t vowels = 0;

    for (size_t i = 0; i < len; i++)
        vowels += secrets_is_alnum(text[i]) && strchr("aeiou", lower(text[i])) != NULL;
    return vowels;
}

static bool
is_uuid(const char *text, size_t len, const struct traits *t)
{
    return len == 36 && t->hex == 32 && text[8] == '-' && text[13] == '-' && text[18] == '-' &&
           text[23] == '-';
}

static bool
looks_random(const char *text, size_t len)
{
    struct traits t = secrets_traits_of(text, len);
    size_t letters = t.upper + t.lower, breaks = count_breaks(text, len);

    if (len < RANDOM_MIN || t.run < RANDOM_RUN_MIN || is_uuid(text, len, &t))
        return false;
    if (t.hex == len)
        return t.digit && t.digit < len && (len >= 32 || breaks >= 3);
    if (t.digit >= 4 && letters >= 4 && t.digit + letters == len)
        return true;
    bool all = t.upper && t.lower && t.digit;
    size_t need = all && t.run == len ? 3 : all && len >= 20 ? len / 8 : len / 5;
    if (breaks >= 3 && breaks >= need)
        return true;
    /* Few vowels are no words. */
    return t.upper >= 2 && t.lower >= 2 && 4 * count_vowels(text, len) <= letters;
}

static bool
has_three_kinds(const char *text, size_t len)
{
    struct traits t = secrets_traits_of(text, len);

    return t.upper && t.lower && t.digit && !memchr(text, '/', len) && !memmem(text, len, "://", 3);
}

static size_t
span_token(const char *text, size_t len)
{
    size_t n = 0;

    while (n < len && n < VALUE_MAX_BYTES && secrets_in_charset(text[n], TOKEN))
        n++;
    return n;
}

/* Passwords hold more than letters and digits. */
static size_t
span_password(const char *text, size_t len)
{
    size_t n = 0;

    while (n < len && n < VALUE_MAX_BYTES && text[n] > ' ' && text[n] < 0x7f &&
           !strchr("\"'`,;<>(){}[]\\", text[n]))
        n++;
    return n;
}

/* Behind "Authorization:" a scheme may stand: "token 9944b0…". Bearer and Basic have their own look. */
static size_t
skip_scheme(const char *text, size_t len)
{
    size_t n = 0;

    while (n < len && n < 12 && (is_lower(text[n]) || is_upper(text[n])))
        n++;
    if (n == 0 || n == len || text[n] != ' ')
        return 0;
    bool known = (n == 6 && strncasecmp(text, "bearer", n) == 0) ||
                 (n == 5 && strncasecmp(text, "basic", n) == 0);
    return known ? len : n + 1;
}

static bool
fits_kind(enum name_kind kind, const char *value, size_t len)
{
    static const char ENCODED[] = "base64:";
    size_t n;

    if (len > sizeof(ENCODED) && memcmp(value, ENCODED, sizeof(ENCODED) - 1) == 0) {
        value += sizeof(ENCODED) - 1;
        len -= sizeof(ENCODED) - 1;
    }
    n = span_token(value, len);
    if (kind == NAME_HEADER) {
        size_t scheme = skip_scheme(value, len);
        value += scheme;
        n = span_token(value, len - scheme);
    }
    if (kind == NAME_PASSWORD) {
        size_t wide = span_password(value, len);
        bool call = wide < len && value[wide] == '('; /* getPasswordHashV2() */
        if (wide >= PASSWORD_MIN && !call && !secrets_is_placeholder(value, wide) &&
            has_three_kinds(value, wide))
            return true;
    }
    if (kind == NAME_SESSION) /* in a cookie: with %XX */
        n = span_password(value, len);
    while (n > 0 && value[n - 1] == '.') /* of the sentence */
        n--;
    if (n < RANDOM_MIN || secrets_is_placeholder(value, n))
        return false;
    if (kind == NAME_SESSION)
        return n >= SESSION_MIN && looks_random(value, n);
    return looks_random(value, n);
}

bool
secrets_is_assigned(const char *name, size_t name_len, const char *value, size_t len)
{
    enum name_kind kind = len > 0 ? kind_of(name, name_len) : NAME_NONE;

    return kind != NAME_NONE && fits_kind(kind, value, len);
}

/* The start of the word that ends before end; "API key" is one. */
static size_t
word_before(const char *text, size_t end)
{
    size_t start = end;

    while (start > 0 && end - start < NAME_MAX_BYTES && secrets_in_charset(text[start - 1], WORD))
        start--;
    if (end - start == 3 && strncasecmp(text + start, "key", 3) == 0 && start >= 4 &&
        text[start - 1] == ' ')
        for (start--; start > 0 && end - start < NAME_MAX_BYTES &&
                      secrets_in_charset(text[start - 1], WORD);)
            start--;
    return start;
}

static bool
is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
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

/* name: DB_PASSWORD, value: … and key="DbPassword" value="…": the word before "value". */
static size_t
skip_value(const char *text, size_t start, size_t end)
{
    static const char VALUE[] = "value";
    size_t len = sizeof(VALUE) - 1;
    size_t skipped = 0;

    if (end - start != len || strncasecmp(text + start, VALUE, len) != 0)
        return end;
    while (start > 0 && skipped < NAME_TO_VALUE && !secrets_in_charset(text[start - 1], WORD)) {
        start--;
        skipped++;
    }
    return start;
}

/* text[at] is one of : = > or a blank: the word before it may be a name, what follows its value. */
bool
secrets_match_assignment(const char *text, size_t len, size_t at)
{
    size_t end = at, value = at + 1;

    if (text[at] == ' ') {
        size_t n = span_token(text + value, len - value);
        if (n < RANDOM_MIN) /* nearly every word of prose */
            return false;
        while (n > RANDOM_MIN && text[value + n - 1] == '.') /* of the sentence */
            n--;
        end = skip_verb(text, end);
        size_t start = word_before(text, end);
        enum name_kind kind = start < end ? kind_of(text + start, end - start) : NAME_NONE;
        return (kind == NAME_KEY || kind == NAME_PASSWORD) &&
               !secrets_is_placeholder(text + value, n) && looks_random(text + value, n);
    }
    while (end > 0 && at - end < SKIP_MAX && is_one_of(text[end - 1], " \t\"'`])\\"))
        end--;
    size_t start = word_before(text, end);
    size_t named = skip_value(text, start, end);
    if (named != end) {
        end = named;
        start = word_before(text, end);
    }
    while (value < len && value - at <= SKIP_MAX && is_one_of(text[value], " \t\"'`=*>\\"))
        value++;
    return start < end && value < len &&
           secrets_is_assigned(text + start, end - start, text + value, len - value);
}
