/* SPDX-License-Identifier: MIT */
/*
 * utf8 - one strict decoder for everything that looks at text from outside.
 *
 * Refused: overlong forms, surrogates, code points above U+10FFFF, sequences cut short.
 * Source:  RFC 3629; Unicode 15 table 3-7
 */
#ifndef GANTRY_BASE_UTF8_H
#define GANTRY_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The length (1..4) of the sequence at text, with its code point; 0 if it is not valid. */
static inline size_t
utf8_decode(const char *text, size_t len, uint32_t *code)
{
    static const uint32_t SMALLEST[] = { 0, 0, 0x80, 0x800, 0x10000 };
    const unsigned char *bytes = (const unsigned char *)text;
    uint32_t value;
    size_t need;

    if (len == 0)
        return 0;
    if (bytes[0] < 0x80) {
        *code = bytes[0];
        return 1;
    }
    if (bytes[0] < 0xC2 || bytes[0] > 0xF4)
        return 0;
    need = bytes[0] < 0xE0 ? 2 : bytes[0] < 0xF0 ? 3 : 4;
    if (len < need)
        return 0;
    value = bytes[0] & (0x7FU >> need);
    for (size_t i = 1; i < need; i++) {
        if ((bytes[i] & 0xC0) != 0x80)
            return 0;
        value = value << 6 | (bytes[i] & 0x3FU);
    }
    if (value < SMALLEST[need] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
        return 0;
    *code = value;
    return need;
}

static inline bool
utf8_valid(const char *text, size_t len)
{
    uint32_t code;
    size_t step;

    for (size_t at = 0; at < len; at += step) {
        step = utf8_decode(text + at, len - at, &code);
        if (step == 0)
            return false;
    }
    return true;
}

/* Characters (code points) of valid text. */
static inline size_t
utf8_length(const char *text)
{
    size_t count = 0;

    for (; *text; text++)
        count += ((unsigned char)*text & 0xC0) != 0x80;
    return count;
}

#endif
