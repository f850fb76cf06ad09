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

#define SECRETS_RUN_MIN 16 /* so many letters and digits in a row no word has */
#define SECRETS_FORM_MIN                                                                           \
    20 /* bytes of the shortest key in the table, prefix and all; none has a blank */

struct traits {
    size_t len, upper, lower, digit, hex;
    size_t run; /* the longest of letters and digits */
};

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
        return secrets_is_alnum(c) || (c != '\0' && strchr("_-.+/=~", c) != NULL);
    }
    return false;
}

struct traits secrets_traits_of(const char *text, size_t len);
/* Does it stand for a credential ("your-key-here") rather than being one? */
bool secrets_is_placeholder(const char *text, size_t len);
/* Is value, by its look, a credential for a name like "api_key"? */
bool secrets_is_assigned(const char *name, size_t name_len, const char *value, size_t len);
/* text[at] is one of : = > or a blank. */
bool secrets_match_assignment(const char *text, size_t len, size_t at);
/* The kind of the known format that text starts with; NULL if there is none. */
const char *secrets_match_format(const char *text, size_t len);

#endif
