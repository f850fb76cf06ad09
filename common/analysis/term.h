/* SPDX-License-Identifier: MIT */
/*
 * term - the 48-bit hash that stands for a word.
 *
 * Not a secret: collisions can be made, and give whoever makes them a wrong row in an own search.
 */
#ifndef GANTRY_ANALYSIS_TERM_H
#define GANTRY_ANALYSIS_TERM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TERM_SEED 0x9ae16a3b2f90404fULL /* part of the stored form */

static inline uint64_t
term_mix(uint64_t state, uint64_t word)
{
    state = (state ^ word) * 0x9fb21c651e98df25ULL;
    state ^= state >> 29;
    state *= 0xa0761d6478bd642fULL;
    return state ^ state >> 32;
}

/* The state of a hash in parts: term_add() over them, then term_end(). Bytes as on x86-64. */
static inline uint64_t
term_add(uint64_t state, const char *bytes, size_t len)
{
    for (; len > 0;) {
        size_t n = len < 8 ? len : 8;
        uint64_t word = 0;
        for (size_t i = 0; i < n; i++)
            word |= (uint64_t)(unsigned char)bytes[i] << (8 * i);
        state = term_mix(state ^ n, word);
        bytes += n;
        len -= n;
    }
    return state;
}

static inline uint64_t
term_end(uint64_t state)
{
    return term_mix(state, TERM_SEED) >> 16;
}

static inline uint64_t
term_of(const char *word, size_t len)
{
    return term_end(term_add(TERM_SEED, word, len));
}

#endif
