/* SPDX-License-Identifier: MIT */
#include "base/blank.h"

#include <stddef.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/utf8.h"

struct range {
    uint32_t first, last;
};

static const struct range BLANK[] = {
    { 0x09, 0x0D },     { 0x20, 0x20 },       { 0x85, 0x85 },       { 0xA0, 0xA0 },
    { 0xAD, 0xAD },     { 0x34F, 0x34F },     { 0x61C, 0x61C },     { 0x115F, 0x1160 },
    { 0x1680, 0x1680 }, { 0x17B4, 0x17B5 },   { 0x180B, 0x180F },   { 0x2000, 0x200F },
    { 0x2028, 0x202F }, { 0x205F, 0x206F },   { 0x2800, 0x2800 },   { 0x3000, 0x3000 },
    { 0x3164, 0x3164 }, { 0xFE00, 0xFE0F },   { 0xFEFF, 0xFEFF },   { 0xFFA0, 0xFFA0 },
    { 0xFFF0, 0xFFFB }, { 0x1BCA0, 0x1BCA3 }, { 0x1D173, 0x1D17A }, { 0xE0000, 0xE0FFF },
};

static bool
is_blank(uint32_t code)
{
    for (size_t i = 0; i < ARRAY_LEN(BLANK) && code >= BLANK[i].first; i++)
        if (code <= BLANK[i].last)
            return true;
    return false;
}

bool
blank_text(const char *text)
{
    size_t len = strlen(text), step;
    uint32_t code = 0;

    for (; len > 0; text += step, len -= step) {
        step = utf8_decode(text, len, &code);
        if (step == 0 || !is_blank(code))
            return false;
    }
    return true;
}
