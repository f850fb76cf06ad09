/* SPDX-License-Identifier: MIT */
/*
 * stem - words to their stems, by Snowball's stemmers (libstemmer).
 *
 * Threads: a set of stemmers belongs to one thread; each is made at its first word
 */
#ifndef GANTRY_ANALYSIS_STEM_H
#define GANTRY_ANALYSIS_STEM_H

#include <stdbool.h>
#include <stddef.h>

enum language {
    LANGUAGE_ENGLISH,
    LANGUAGE_GERMAN,
    LANGUAGE_SPANISH,
    LANGUAGE_FRENCH,
    LANGUAGE_RUSSIAN,
    LANGUAGE_GREEK,
    LANGUAGE_ARABIC,
    LANGUAGE_HINDI,
    LANGUAGE_COUNT
};

struct sb_stemmer;

struct stemmers {
    struct sb_stemmer *of[LANGUAGE_COUNT]; /* owned; NULL until needed */
    bool failed;                           /* no memory for one: its stems are wrong */
};

void stemmers_fini(struct stemmers *stemmers);
#define stemmers_cleanup stemmers_fini

#define STEM_WORD_MAX 64 /* bytes; a longer word is its own stem */

/* The stem of a folded word, borrowed until the next call; the word itself where there is none. */
const char *stem_word(struct stemmers *stemmers, enum language language, const char *word,
                      size_t len, size_t *stem_len);

#endif
