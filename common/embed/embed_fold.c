/* SPDX-License-Identifier: MIT */
/*
 * embed_fold - case folding by arithmetic on the blocks whose pairs are regular.
 */
#include "embed_fold.h"

#include <stdbool.h>

#include "base/utf8.h"

#define REPLACEMENT 0xFFFD

static bool
between(uint32_t cp, uint32_t low, uint32_t high)
{
    return cp >= low && cp <= high;
}

static uint32_t
fold(uint32_t cp)
{
    if (between(cp, 'A', 'Z'))
        return cp + 32;
    if (cp < 0xC0)
        return cp;
    if (between(cp, 0xC0, 0xDE) && cp != 0xD7)
        return cp + 32;
    if (between(cp, 0x100, 0x137) || between(cp, 0x14A, 0x177) || between(cp, 0x460, 0x481) ||
        between(cp, 0x48A, 0x4BF) || between(cp, 0x4D0, 0x52F) || between(cp, 0x1E00, 0x1E95) ||
        between(cp, 0x1EA0, 0x1EFF))
        return cp | 1;
    if (between(cp, 0x139, 0x148) || between(cp, 0x179, 0x17E))
        return cp + (cp & 1);
    if (cp == 0x178)
        return 0xFF;
    if (between(cp, 0x391, 0x3A9) && cp != 0x3A2)
        return cp + 32;
    if (cp == 0x3C2) /* final sigma */
        return 0x3C3;
    if (between(cp, 0x410, 0x42F))
        return cp + 32;
    if (between(cp, 0x400, 0x40F))
        return cp + 80;
    if (between(cp, 0x531, 0x556)) /* Armenian */
        return cp + 48;
    return cp;
}

uint32_t
fold_next(const char *text, size_t len, size_t *at)
{
    uint32_t cp = REPLACEMENT;
    size_t used = utf8_decode(text + *at, len - *at, &cp);
    *at += used ? used : 1;
    return used ? fold(cp) : REPLACEMENT;
}

enum fold_class
fold_classify(uint32_t cp)
{
    if (cp < 0x80) {
        bool word = between(cp, 'a', 'z') || between(cp, 'A', 'Z') || between(cp, '0', '9');
        return word || cp == '_' ? FOLD_WORD : FOLD_SPACE;
    }
    if (cp < 0xC0)
        return cp == 0xAA || cp == 0xB5 || cp == 0xBA ? FOLD_WORD : FOLD_SPACE;
    if (cp == 0xD7 || cp == 0xF7 || cp == 0x1680 || cp == 0x3000 || cp == 0xFEFF ||
        cp == REPLACEMENT || between(cp, 0x2000, 0x206F) || between(cp, 0x3001, 0x3003) ||
        between(cp, 0x3008, 0x3011) || between(cp, 0xFF01, 0xFF0F))
        return FOLD_SPACE;
    if (between(cp, 0x2190, 0x2BFF) || between(cp, 0x3040, 0x30FF) || between(cp, 0x3400, 0x9FFF) ||
        between(cp, 0xF900, 0xFAFF) || between(cp, 0x1F000, 0x1FAFF) ||
        between(cp, 0x20000, 0x3FFFF))
        return FOLD_ALONE;
    return FOLD_WORD;
}
