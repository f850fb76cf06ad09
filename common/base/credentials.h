/* SPDX-License-Identifier: MIT */
/*
 * credentials - the keys and tokens of well-known services: what they begin with, and their whole form.
 *
 * One table for two judgements. Redaction and request ids ask credential_begins(): a word that begins
 * with prefix and has eager bytes is taken for a credential, because too much is harmless there. What
 * memory refuses to store is judged by the whole form (validate/secrets_form.c): it would rather miss a
 * key than refuse a sentence.
 *
 * Shape: case counts; prefixes are compared in the order of the table
 */
#ifndef GANTRY_BASE_CREDENTIALS_H
#define GANTRY_BASE_CREDENTIALS_H

#include <stdbool.h>
#include <stddef.h>

enum charset {
    ALNUM = 1, /* 0-9 A-Z a-z */
    WORD,      /* and _ - */
    HEX,       /* 0-9 a-f */
    CAPS,      /* 0-9 A-Z */
    TOKEN      /* and _ - . + / = ~ */
};

/* The least that the characters behind the prefix must have. */
enum need {
    ANY,
    DIGIT, /* a digit and a letter */
    MIXED, /* both cases, or a digit */
    RUN,   /* SECRETS_RUN_MIN letters and digits in a row */
    EITHER /* DIGIT or RUN */
};

struct credential {
    const char *prefix;
    unsigned char
        eager; /* bytes of the whole word for credential_begins(); 0 = not by its prefix */
    enum charset charset;   /* of the characters behind the prefix */
    unsigned char min, max; /* how many there are; max 0 = no end */
    enum need need;
    const char *kind; /* NULL: has no form, only a beginning */
};

extern const struct credential CREDENTIALS[];
extern const size_t CREDENTIAL_COUNT;

/* Whether text[0..len) begins like a credential. */
bool credential_begins(const char *text, size_t len);

#endif
