/* SPDX-License-Identifier: MIT */
/*
 * secrets_form - whether a word has the whole form of a service's key (the table of base/credentials.h).
 */
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "validate/secrets_own.h"

#define FORM_MAX 256 /* bytes of a key that are looked at: time stays linear */

struct traits
secrets_traits_of(const char *text, size_t len)
{
    struct traits t = { .len = len };
    size_t run = 0;
    for (size_t i = 0; i < len; i++) {
        run = secrets_is_alnum(text[i]) ? run + 1 : 0;
        t.run = run > t.run ? run : t.run;
        t.upper += text[i] >= 'A' && text[i] <= 'Z';
        t.lower += text[i] >= 'a' && text[i] <= 'z';
        t.digit += text[i] >= '0' && text[i] <= '9';
        t.hex += secrets_in_charset(text[i], HEX) || (text[i] >= 'A' && text[i] <= 'F');
    }
    return t;
}

/* "EXAMPLE_KEY" is no key, but "…NG/bPxRfiCYEXAMPLEKEY" has the form of one. */
static bool
has_word(const char *lower, const char *word)
{
    const char *at = strstr(lower, word);
    return at && (at == lower || !secrets_is_alnum(at[-1])) && !secrets_is_alnum(at[strlen(word)]);
}

/* "xxxxxxxx", "your-key-here", "<token>", "${TOKEN}": what stands for a credential. */
bool
secrets_is_placeholder(const char *text, size_t len)
{
    static const char *const WORDS[] = { "your",   "placeholder", "changeme", "change_me",
                                         "xxxx",   "dummy",       "redacted", "insert",
                                         "sample", "****",        "....",     "0000000000" };
    char lower[65];
    size_t n = len < sizeof(lower) - 1 ? len : sizeof(lower) - 1;
    for (size_t i = 0; i < n; i++)
        lower[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + 32) : text[i];
    lower[n] = '\0';
    if ((n && strchr("<$%{[", lower[0])) || has_word(lower, "example") ||
        has_word(lower, "todo")) /* four letters are found in random ones, too */
        return true;
    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++)
        if (strstr(lower, WORDS[i]))
            return true;
    return false;
}

/* What stands in manuals and compose files. */
bool
secrets_is_sample(const char *password, size_t len)
{
    static const char *const WORDS[] = {
        "password",   "passwd",   "secret", "postgres", "mysecretpassword", "mypassword",
        "minioadmin", "rabbitmq", "docker", "letmein",  "foobar",           "default"
    };
    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++)
        if (len == strlen(WORDS[i]) && strncasecmp(password, WORDS[i], len) == 0)
            return true;
    return false;
}

static bool
meets(const struct traits *t, enum need need)
{
    bool letters = t->upper + t->lower > 0;
    switch (need) {
    case ANY:
        return true;
    case DIGIT:
        return t->digit && letters;
    case MIXED:
        return letters && (t->digit || (t->upper && t->lower));
    case RUN:
        return t->run >= SECRETS_RUN_MIN;
    case EITHER:
        return (t->digit && letters) || t->run >= SECRETS_RUN_MIN;
    }
    return false;
}

/* "sk-xxxxxxxx", "AKIAIOSFODNN7EXAMPLE": what manuals print in place of a key. */
static bool
is_sample(const char *text, size_t len)
{
    static const char *const WORDS[] = { "xxxx",        "XXXX",    "EXAMPLE",  "example",
                                         "placeholder", "yourkey", "REDACTED", "redacted" };
    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++)
        if (memmem(text, len, WORDS[i], strlen(WORDS[i])))
            return true;
    return false;
}

const char *
secrets_match_format(const char *text, size_t len)
{
    if (len < SECRETS_FORM_MIN ||
        memchr(text, ' ', SECRETS_FORM_MIN)) /* nearly every word of prose */
        return NULL;
    for (size_t i = 0; i < CREDENTIAL_COUNT; i++) {
        const struct credential *f = &CREDENTIALS[i];
        if (!f->kind || f->prefix[0] != text[0])
            continue;
        size_t start = strlen(f->prefix), end = start;
        if (len < start + f->min || memcmp(text, f->prefix, start) != 0)
            continue;
        while (end < len && end < FORM_MAX && secrets_in_charset(text[end], f->charset))
            end++;
        if (end - start < f->min || (f->max && end - start > f->max))
            continue;
        if (end < len && end < FORM_MAX && secrets_is_alnum(text[end]))
            continue; /* a longer word of other characters */
        struct traits t = secrets_traits_of(text + start, end - start);
        if (!meets(&t, f->need))
            continue;
        if (f->need == ANY ? !is_sample(text + start, end - start)
                           : !secrets_is_placeholder(text + start, end - start))
            return f->kind;
    }
    return NULL;
}
