/* SPDX-License-Identifier: MIT */
/*
 * analysis - a text to the terms that it can be found by, in any script, and their stored form.
 *
 * A term is a 48-bit hash of a folded word, a part of one, or a pair of characters. Everything that
 * changes the terms of a text changes ANALYSIS_VERSION. docs/memory.md says what becomes of a text.
 *
 * Shape:   u8 version, varint words, varint distinct; for each term, ascending: its 6 bytes (big
 *          endian), varint count, count varint deltas of its positions (at least 1 but the first)
 * Units:   a position is the place of a word in the text, from 0; all forms of a word share it, the
 *          parts of an identifier and the characters of an unspaced script have one each
 * Bounds:  words beyond ANALYSIS_WORDS_MAX are not indexed; a text has at most 64 KiB
 * Errors:  RC_TEMP  no memory
 *          RC_LIMIT out is full
 * Threads: no state; any number at once
 */
#ifndef GANTRY_ANALYSIS_ANALYSIS_H
#define GANTRY_ANALYSIS_ANALYSIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/rc.h"

#define ANALYSIS_VERSION     2
#define ANALYSIS_WORDS_MAX   65535  /* words, so that a position fits 16 bits */
#define ANALYSIS_TERMS_MAX   262144 /* occurrences of terms; forms beyond it are left out */
#define ANALYSIS_TERM_BYTES  6
#define ANALYSIS_TERM_LIMIT  (UINT64_C(1) << 48) /* every term is below */
#define ANALYSIS_ENCODED_MAX (4u * 1024 * 1024)  /* bytes, never reached: for buf_init() */

/* The stored form of a text; always valid for analysis_open(). Malformed UTF-8 separates words. */
enum rc analysis_encode(const char *text, size_t len, struct buf *out);

struct analysis_reader {
    uint8_t version;
    uint32_t words;    /* the length for BM25 */
    uint32_t distinct; /* terms */
    uint32_t left;     /* terms not yet read */
    const uint8_t *at; /* borrowed */
    const uint8_t *end;
};

struct analysis_posting {
    uint64_t term;
    uint32_t count;    /* occurrences, at least 1 */
    uint32_t left;     /* positions not yet read */
    uint32_t position; /* the last one read */
    const uint8_t *at; /* borrowed: deltas of positions */
    const uint8_t *end;
};

/* Checks every bound of all the bytes, so that what follows cannot fail. False: not of this form,
 * or of a version that this program does not know. bytes are borrowed by the reader. */
bool analysis_open(struct analysis_reader *reader, const uint8_t *bytes, size_t len);

/* The next term, ascending; false at the end. */
bool analysis_next(struct analysis_reader *reader, struct analysis_posting *posting);

/* The next position of a term, ascending; false at the end. */
bool analysis_position(struct analysis_posting *posting, uint32_t *position);

/* The version of stored bytes, 0 if there are none: is a row to be analysed again? */
uint8_t analysis_version(const uint8_t *bytes, size_t len);

#endif
