/* SPDX-License-Identifier: MIT */
/*
 * collection_rows - rows for tests of the index: their words are numbers, and what the index makes of
 * their vectors are whole numbers that int8 holds exactly.
 */
#ifndef COLLECTION_ROWS_H
#define COLLECTION_ROWS_H

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/analysis.h"
#include "index/collection_own.h"
#include "test.h"

#define WORDS_MAX 60
#define DIMS      128

struct sample {
    uint8_t id[16];
    bool alive, has_vector;
    int64_t created_ns, expires_ms;
    char scope[16], source[16], tags[3][16];
    size_t tag_count, word_count;
    uint32_t words[WORDS_MAX];
    float vector[DIMS];
};

static inline uint64_t
next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state >> 11;
}

static inline uint64_t
term_of(uint32_t word)
{
    return (word * UINT64_C(0x9E3779B97F4A7C15)) >> 16;
}

static inline size_t
write_varint(uint8_t *out, uint32_t value)
{
    size_t n = 0;
    for (; value >= 128; value >>= 7)
        out[n++] = (uint8_t)(value | 128);
    out[n++] = (uint8_t)value;
    return n;
}

/* The column `terms` of a text, written as analysis.h describes it: its length. */
static inline size_t
write_terms(const uint32_t *words, size_t count, uint8_t *out)
{
    uint64_t terms[WORDS_MAX];
    size_t distinct = 0, n = 0;

    for (size_t i = 0; i < count; i++) {
        size_t at = 0;
        while (at < distinct && terms[at] < term_of(words[i]))
            at++;
        if (at < distinct && terms[at] == term_of(words[i]))
            continue;
        memmove(terms + at + 1, terms + at, (distinct - at) * sizeof(*terms));
        terms[at] = term_of(words[i]);
        distinct++;
    }
    out[n++] = ANALYSIS_VERSION;
    n += write_varint(out + n, (uint32_t)count);
    n += write_varint(out + n, (uint32_t)distinct);
    for (size_t t = 0; t < distinct; t++) {
        uint32_t times = 0, last = 0;
        for (int shift = 40; shift >= 0; shift -= 8)
            out[n++] = (uint8_t)(terms[t] >> shift);
        for (size_t i = 0; i < count; i++)
            times += term_of(words[i]) == terms[t];
        n += write_varint(out + n, times);
        for (size_t i = 0; i < count; i++)
            if (term_of(words[i]) == terms[t]) {
                n += write_varint(out + n, (uint32_t)i - last);
                last = (uint32_t)i;
            }
    }
    return n;
}

/* Another one whenever the row is put anew with another time. */
static inline uint32_t
place_of(const struct sample *s)
{
    uint32_t number;
    memcpy(&number, s->id, sizeof(number));
    return number * 31 + (uint32_t)s->created_ns + 1;
}

static inline enum rc
put_sample(struct collection *c, const struct sample *s)
{
    uint8_t terms[16 + WORDS_MAX * 9];
    const char *tags[] = { s->tags[0], s->tags[1], s->tags[2] };
    struct collection_row row = {
        .id = s->id,
        .place = place_of(s),
        .created_ns = s->created_ns,
        .expires_ms = s->expires_ms,
        .scope = s->scope,
        .source = s->source,
        .tags = tags,
        .tag_count = s->tag_count,
        .vector = s->has_vector ? s->vector : NULL,
        .terms = terms,
        .terms_len = write_terms(s->words, s->word_count, terms),
    };
    return collection_put(c, &row, NULL);
}

/* The index turns a vector (pack.c): this one is turned back before, and all of it stays exact. */
static inline void
turn_back(float *vector)
{
    for (size_t step = 1; step < DIMS; step *= 2)
        for (size_t i = 0; i < DIMS; i++)
            if (!(i & step)) {
                float a = vector[i], b = vector[i + step];
                vector[i] = a + b;
                vector[i + step] = a - b;
            }
    for (size_t i = 0; i < DIMS; i++) {
        float unit[DIMS] = { 0 };
        unit[i] = 1;
        vector_turn(unit, DIMS);
        vector[i] *= unit[0];
    }
}

static inline void
set_vector(uint64_t *state, float *vector, uint32_t centre)
{
    uint64_t about = centre * UINT64_C(0x9E3779B97F4A7C15) + 1;

    for (size_t i = 0; i < DIMS; i++)
        vector[i] =
            (float)((int)(next_random(state) % 121) - 60 + (int)(next_random(&about) % 121) - 60);
    vector[0] = 127; /* the largest: the scale is 1 and nothing is rounded */
    turn_back(vector);
}

#endif
