/* SPDX-License-Identifier: MIT */
/*
 * secrets_own - what the parts of secrets.h share; nobody else includes it.
 *
 * Source: common/validate/secrets.h
 */
#ifndef GANTRY_VALIDATE_SECRETS_OWN_H
#define GANTRY_VALIDATE_SECRETS_OWN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/credentials.h"
#include "json/json.h"

#define SECRETS_RANDOM_MIN 16 /* bytes of what looks random */
#define SECRETS_RUN_MIN    16 /* so many letters and digits in a row no word has */
#define SECRETS_FORM_MIN                                                                           \
    20 /* bytes of the shortest key in the table, prefix and all; none has a blank */

struct traits {
    size_t len, upper, lower, digit, hex;
    size_t run; /* the longest of letters and digits */
};

/* What the end of a name says. */
enum name_kind {
    NAME_NONE,
    NAME_KEY,
    NAME_PASSWORD,
    NAME_SHORT,  /* a password's, and a word of prose: "pass" */
    NAME_GLUED,  /* a password's when something is assigned to it: "sshpass" */
    NAME_LOOSE,  /* a key's, and a word of prose: "auth" */
    NAME_QUOTED, /* a password's when a value in quotes follows: "identified by" */
    NAME_SESSION,
    NAME_HEADER
};

static inline bool
secrets_is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static inline bool
secrets_is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static inline bool
secrets_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline char
secrets_lower(char c)
{
    return secrets_is_upper(c) ? (char)(c + 32) : c;
}

/* Is c one of set? */
static inline bool
secrets_is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static inline bool
secrets_is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool
secrets_in_charset(char c, enum charset charset)
{
    switch (charset) {
    case ALNUM:
        return secrets_is_alnum(c);
    case WORD:
        return secrets_is_alnum(c) || c == '_' || c == '-';
    case HEX:
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    case CAPS:
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
    case TOKEN:
        return secrets_is_alnum(c) || c == '_' || (c >= '-' && c <= '/') || c == '+' || c == '=' ||
               c == '~';
    }
    return false;
}

struct traits secrets_traits_of(const char *text, size_t len);
/* Does it stand for a credential ("your-key-here") rather than being one? */
bool secrets_is_placeholder(const char *text, size_t len);
/* Is it the password of manuals and compose files: a word that everybody knows? */
bool secrets_is_sample(const char *password, size_t len);
enum name_kind secrets_name_kind(const char *name, size_t len);
bool secrets_names_password(enum name_kind kind);
/* Is value, by its look, a credential for a name like "api_key"? */
bool secrets_is_assigned(const char *name, size_t name_len, const char *value, size_t len);
/* Is something given to a name here? text[at] is one of : = > , ( | or white space. */
bool secrets_match_assignment(const char *text, size_t len, size_t at);

/* The length of what is no more than letters, digits and what tokens have between; of what passwords have. */
size_t secrets_span_token(const char *text, size_t len);
size_t secrets_span_password(const char *text, size_t len);
bool secrets_looks_random(const char *text, size_t len);
bool secrets_fits_kind(enum name_kind kind, const char *value, size_t len);

/* Is it a password where one of kinds (of capitals, small letters, digits and other characters) is
 * expected in this place? */
bool secrets_is_strong(const char *value, size_t len, unsigned kinds);
/* Does a command get a password here? text[at] is a hyphen. */
bool secrets_match_command(const char *text, size_t len, size_t at);
/* Is word, among the elements of a list that begins with first, one that a command gets? */
bool secrets_match_word(const cJSON *first, const cJSON *word);
/* The kind of the known format that text starts with; NULL if there is none. */
const char *secrets_match_format(const char *text, size_t len);

#endif
