/* SPDX-License-Identifier: MIT */
/*
 * embed_fold - code points of UTF-8 text, folded to lower case and classified; no locale involved.
 *
 * Covers the cased scripts of ASCII, Latin-1, Latin Extended-A, Greek and Cyrillic; other scripts
 * pass through. Malformed bytes read as U+FFFD, one byte each.
 */
#ifndef GANTRY_EMBED_FOLD_H
#define GANTRY_EMBED_FOLD_H

#include <stddef.h>
#include <stdint.h>

enum fold_class {
    FOLD_SPACE, /* between words: white space, punctuation, symbols of ASCII and Latin-1 */
    FOLD_WORD,  /* part of a word */
    FOLD_ALONE  /* a word by itself: CJK characters, emoji */
};

/* The folded code point at text[*at]; moves *at behind it. *at < len. */
uint32_t fold_next(const char *text, size_t len, size_t *at);
enum fold_class fold_classify(uint32_t code_point);

#endif
