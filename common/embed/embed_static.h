/* SPDX-License-Identifier: MIT */
/*
 * embed_static - the file of a static model: a vector for each word piece.
 *
 * Shape:   little-endian; "GSTATIC1", u32 rows, dim, slots (a power of two), string bytes, f32 scale
 *          of hashed words, zeros to 64; f32 scale[dim]; u32 offset[rows + 1] into the strings; u32
 *          slot[slots] (row + 1, 0 free; FNV-1a 64 of the piece, start (h ^ h >> 32) & (slots - 1),
 *          linear probing; a piece inside a word begins with ##); the strings; zeros to a multiple
 *          of 64; i8 row[rows * dim]
 * Threads: read-only, any number at once
 */
#ifndef GANTRY_EMBED_EMBED_STATIC_H
#define GANTRY_EMBED_EMBED_STATIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATIC_NONE      UINT32_MAX
#define STATIC_PIECE_MAX 24 /* bytes of a piece in a text that is searched */

struct static_model { /* all borrowed from the file */
    uint32_t rows;
    uint32_t dim;
    uint32_t slots;
    uint32_t string_bytes;
    float hashed_scale;
    const float *scale;
    const uint32_t *offset;
    const uint32_t *slot;
    const char *strings;
    const int8_t *row;
};

/* The model in `bytes`, which are aligned to 64. False: a size in it does not fit len. */
bool static_model_view(const uint8_t *bytes, size_t len, struct static_model *out);

/* Does every offset and slot point into the file, and does every search end? Reads all of them. */
bool static_model_check(const struct static_model *model);

/* The row of a piece (inner: one that is stored with ## before it), or STATIC_NONE. */
uint32_t static_model_find(const struct static_model *model, const char *piece, size_t len,
                           bool inner);

/* The row of the longest piece that text begins with, and in *len, which is that of text, its length. */
uint32_t static_model_longest(const struct static_model *model, const char *text, size_t *len,
                              bool inner);

/* The model that is part of the program. */
const uint8_t *static_model_builtin(size_t *len);

#endif
