/* SPDX-License-Identifier: MIT */
/*
 * secrets_value - whether what is given to a name looks like a credential.
 *
 * How random it must look depends on the name, and on what surely expects a password in its place.
 */
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "validate/secrets_own.h"

#define VALUE_MAX_BYTES 256
#define RANDOM_RUN_MIN  8
#define PASSWORD_MIN    12
#define STRONG_MIN      8
#define SESSION_MIN     24

/* Changes between small letters, capitals and digits inside of words. What begins a hump of an
 * identifier ("getUserById", "v2Response") is none: half of the characters of a random text change. */
static size_t
count_breaks(const char *text, size_t len)
{
    size_t breaks = 0;

    for (size_t i = 1; i < len; i++) {
        char a = text[i - 1], b = text[i];
        if (!secrets_is_alnum(a) || !secrets_is_alnum(b) ||
            (secrets_is_upper(a) && secrets_is_lower(b)))
            continue;
        if (secrets_is_upper(b) && !secrets_is_upper(a) && i + 2 < len &&
            secrets_is_lower(text[i + 1]) && secrets_is_lower(text[i + 2]))
            continue;
        breaks += secrets_is_upper(a) != secrets_is_upper(b) ||
                  secrets_is_lower(a) != secrets_is_lower(b) ||
                  secrets_is_digit(a) != secrets_is_digit(b);
    }
    return breaks;
}

static size_t
count_vowels(const char *text, size_t len)
{
    size_t vowels = 0;

    for (size_t i = 0; i < len; i++)
        vowels += secrets_is_alnum(text[i]) && strchr("aeiou", secrets_lower(text[i])) != NULL;
    return vowels;
}

static bool
is_uuid(const char *text, size_t len, const struct traits *t)
{
    return len == 36 && t->hex == 32 && text[8] == '-' && text[13] == '-' && text[18] == '-' &&
           text[23] == '-';
}

bool
secrets_looks_random(const char *text, size_t len)
{
    struct traits t = secrets_traits_of(text, len);
    size_t letters = t.upper + t.lower, breaks = count_breaks(text, len);

    if (len < SECRETS_RANDOM_MIN || t.run < RANDOM_RUN_MIN || is_uuid(text, len, &t))
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

size_t
secrets_span_token(const char *text, size_t len)
{
    size_t n = 0;

    while (n < len && n < VALUE_MAX_BYTES && secrets_in_charset(text[n], TOKEN))
        n++;
    return n;
}

/* Passwords hold more than letters and digits. */
size_t
secrets_span_password(const char *text, size_t len)
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

    while (n < len && n < 12 && (secrets_is_lower(text[n]) || secrets_is_upper(text[n])))
        n++;
    if (n == 0 || n == len || text[n] != ' ')
        return 0;
    bool known = (n == 6 && strncasecmp(text, "bearer", n) == 0) ||
                 (n == 5 && strncasecmp(text, "basic", n) == 0);
    return known ? len : n + 1;
}

bool
secrets_names_password(enum name_kind kind)
{
    return kind == NAME_PASSWORD || kind == NAME_SHORT || kind == NAME_GLUED;
}

bool
secrets_is_strong(const char *value, size_t len, unsigned kinds)
{
    struct traits t = secrets_traits_of(value, len);
    size_t other = 0;

    for (size_t i = 0; i < len; i++)
        other += !secrets_is_alnum(value[i]) && !secrets_is_one_of(value[i], "_-./:,");
    return len >= STRONG_MIN &&
           (t.upper > 0) + (t.lower > 0) + (t.digit > 0) + (other > 0) >= (int)kinds &&
           t.upper + t.lower > 0 && t.digit + other > 0 && !memchr(value, '(', len) &&
           !memmem(value, len, "://", 3) && !secrets_is_one_of(value[0], "/~@") &&
           !secrets_is_placeholder(value, len) && !secrets_is_sample(value, len);
}

bool
secrets_fits_kind(enum name_kind kind, const char *value, size_t len)
{
    static const char ENCODED[] = "base64:";
    size_t n;

    if (len > sizeof(ENCODED) && memcmp(value, ENCODED, sizeof(ENCODED) - 1) == 0) {
        value += sizeof(ENCODED) - 1;
        len -= sizeof(ENCODED) - 1;
    }
    n = secrets_span_token(value, len);
    if (kind == NAME_HEADER) {
        size_t scheme = skip_scheme(value, len);
        value += scheme;
        n = secrets_span_token(value, len - scheme);
    }
    if (secrets_names_password(kind)) {
        size_t wide = secrets_span_password(value, len);
        bool call = wide < len && value[wide] == '('; /* getPasswordHashV2() */
        if (wide >= PASSWORD_MIN && !call && !secrets_is_placeholder(value, wide) &&
            has_three_kinds(value, wide))
            return true;
    }
    if (kind == NAME_SESSION) /* in a cookie: with %XX */
        n = secrets_span_password(value, len);
    while (n > 0 && value[n - 1] == '.') /* of the sentence */
        n--;
    if (n < SECRETS_RANDOM_MIN || secrets_is_placeholder(value, n))
        return false;
    if (kind == NAME_SESSION)
        return n >= SESSION_MIN && secrets_looks_random(value, n);
    return secrets_looks_random(value, n);
}

bool
secrets_is_assigned(const char *name, size_t name_len, const char *value, size_t len)
{
    enum name_kind kind = len > 0 ? secrets_name_kind(name, name_len) : NAME_NONE;

    return kind != NAME_NONE && secrets_fits_kind(kind, value, len);
}
