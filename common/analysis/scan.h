/* SPDX-License-Identifier: MIT */
/*
 * scan - a text to the forms of its words; documents and queries go through the same code.
 *
 * Words:    A run of letters and digits, cut at humps (getUser), between letters and digits (v2) and
 *           between scripts: its parts. Parts joined by one of . - _ / : @ & = + # and their like
 *           make a compound (a path, host, address, version, file name), found by each part and by
 *           the whole of each level: a/b_c.d has the parts a b c d and the wholes bcd, bc and abcd,
 *           iPhone15 the parts i phone 15 and the wholes iphone and iphone15.
 * Unspaced: A run of Han, Kana, Thai and the like is its characters and its pairs of characters.
 *           A Hangul word is itself, its first syllable and its pairs of syllables.
 * Bounds:   Positions end at ANALYSIS_WORDS_MAX. A compound of more than SCAN_PARTS_MAX parts is
 *           cut into several. A run that is cut into parts of less than three characters on
 *           average (base64, hexadecimal) is one part. A part beyond FOLD_WORD_CHARS characters
 *           counts by all its characters, in one term without a stem. Time is linear in len.
 */
#ifndef GANTRY_ANALYSIS_SCAN_H
#define GANTRY_ANALYSIS_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analysis/fold.h"
#include "analysis/stem.h"
#include "base/rc.h"

#define SCAN_PARTS_MAX  64
#define SCAN_LEVELS     6    /* of joints; those of the last level join the smallest things */
#define SCAN_JOINED_MAX 1024 /* bytes of the parts of a compound written together */

enum form_kind {
    FORM_BASE, /* what the word is found by: the English or script's own stem, without accents */
    FORM_LANGUAGE, /* its stem in another language; as good as the base */
    FORM_SPELLING, /* mueller for Mueller with an umlaut; as good as the base */
    FORM_WHOLE,    /* of `span` parts written together; as good as all of them */
    FORM_ACCENT,   /* with its accents: a better match */
    FORM_CASE,     /* a function word written as a name (Will, IT): a better match */
    FORM_GLUED,    /* a word with a hyphen glued to its front (-xvf): a better match */
    FORM_CHAR,     /* one character of an unspaced run: a weak match */
    FORM_WORD,     /* the whole of a Hangul word: a better match */
    FORM_PAIR      /* two characters: what a run is found by */
};

struct form {
    uint64_t term;
    uint16_t position;
    uint8_t kind;   /* enum form_kind */
    uint8_t script; /* enum script */
    uint8_t span;   /* positions that it covers */
    bool is_stop;
    uint8_t language; /* of FORM_LANGUAGE */
};

enum scan_kind { SCAN_DOCUMENT, SCAN_QUERY };

/* A word of Latin script that gets its other stem when the language is known. */
struct later {
    uint32_t at; /* into kept */
    uint16_t position;
    uint8_t len;
};

struct part {
    uint32_t start; /* into scan->text */
    uint32_t end;
    uint8_t level; /* of the joint before it: lower joins larger things */
};

/* The parts of a compound, folded and written together. */
struct joined {
    char text[SCAN_JOINED_MAX];
    size_t len;
    uint16_t start[SCAN_PARTS_MAX];
    uint16_t end[SCAN_PARTS_MAX];
    size_t count; /* parts that are in text: what does not fit has no whole */
};

struct scan {
    enum scan_kind kind;
    struct form *forms; /* owned, as all pointers here */
    size_t count;
    size_t cap;
    uint32_t words;         /* positions used */
    enum language language; /* of the words in Latin script; English if in doubt */
    bool failed;            /* no memory */

    uint32_t *text;
    size_t text_len;
    struct stemmers stemmers;
    uint32_t hits[LANGUAGE_COUNT]; /* function words seen */
    struct later *later;
    size_t later_count;
    size_t later_cap;
    char *kept;
    size_t kept_len;
    size_t kept_cap;
    bool at_sentence; /* nothing of the sentence was read yet */

    struct part parts[SCAN_PARTS_MAX]; /* of the compound that is being read */
    struct joined joined;
    struct folded word; /* the part that was read last */
};

/* RC_TEMP: no memory. scan is for scan_fini() in any case. */
enum rc scan_text(struct scan *scan, enum scan_kind kind, const char *text, size_t len);
void scan_fini(struct scan *scan);
#define scan_cleanup scan_fini

/* Within scan: forms.c. */
void scan_add(struct scan *scan, enum form_kind kind, enum script script, const char *word,
              size_t len, size_t position, size_t span);
void scan_compound(struct scan *scan, const struct part *parts, size_t count, bool glued);
void scan_unspaced(struct scan *scan, size_t start, size_t end);
void scan_hangul(struct scan *scan, size_t start, size_t end);
void scan_languages(struct scan *scan);

#endif
