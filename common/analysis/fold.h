/* SPDX-License-Identifier: MIT */
/*
 * fold - text to code points in NFKC, what each is, and words folded to compare.
 *
 * Runs of more than FOLD_MARKS_MAX combining marks are cut, so that ordering them is linear (the
 * "stream-safe" form of UAX 15 allows 30).
 */
#ifndef GANTRY_ANALYSIS_FOLD_H
#define GANTRY_ANALYSIS_FOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FOLD_MARKS_MAX 30
#define FOLD_CAP(len)  (2 * (len) + 64) /* code points that NFKC of len bytes may have here */

enum char_class {
    CHAR_OTHER,    /* between words: blanks, punctuation */
    CHAR_LOWER,    /* a letter, not upper case */
    CHAR_UPPER,    /* upper or title case */
    CHAR_DIGIT,    /* decimal */
    CHAR_UNSPACED, /* of a script that writes no blanks: Han, Kana, Thai, Lao, Khmer, Burmese ... */
    CHAR_HANGUL,   /* a syllable */
    CHAR_SYMBOL,   /* a word by itself: emoji and their like */
    CHAR_MARK      /* goes with the character before it */
};

enum script {
    SCRIPT_LATIN, /* also digits */
    SCRIPT_GREEK,
    SCRIPT_CYRILLIC,
    SCRIPT_HEBREW,
    SCRIPT_ARABIC,
    SCRIPT_DEVANAGARI,
    SCRIPT_CJK, /* Han, Hiragana, Katakana, Bopomofo */
    SCRIPT_THAI,
    SCRIPT_HANGUL,
    SCRIPT_SYMBOL,
    SCRIPT_OTHER,
    SCRIPT_COUNT
};

/* NFKC without default ignorables (soft hyphen, joiners); malformed bytes become U+FFFD. Returns
 * the number of code points, at most cap; what does not fit is left out. */
size_t fold_text(const char *text, size_t len, uint32_t *out, size_t cap);

extern const uint8_t FOLD_ASCII[128];
enum char_class fold_class_of(uint32_t code); /* beyond ASCII */

static inline enum char_class
fold_class(uint32_t code)
{
    return code < 0x80 ? (enum char_class)FOLD_ASCII[code] : fold_class_of(code);
}

enum script fold_script(uint32_t code);
bool fold_is_blank(uint32_t code);

#define FOLDED_MAX      320 /* bytes of a folded word of FOLD_WORD_CHARS */
#define FOLD_WORD_CHARS 64

/* A word in up to three spellings, each UTF-8. */
struct folded {
    char plain[FOLDED_MAX];    /* full case folding, accents dropped */
    char accented[FOLDED_MAX]; /* with accents; the same bytes as plain if there are none */
    char spelled[FOLDED_MAX];  /* ae for a with diaeresis and the like; empty if there are none */
    size_t plain_len;
    size_t accented_len;
    size_t spelled_len;
    bool is_ascii; /* plain is */
};

/* At most FOLD_WORD_CHARS code points; apostrophes are dropped. */
void fold_word(const uint32_t *word, size_t n, struct folded *out);

/* Bytes written at out (at most 4). */
size_t fold_put(uint32_t code, char *out);

#endif
