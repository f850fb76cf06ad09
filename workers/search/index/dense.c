/* SPDX-License-Identifier: MIT */
/*
 * dense - blocks of a common key's list: a count for each row.
 *
 * Of a key that an eighth of the rows have, these take no more than postings, and what a row has is
 * seen without a search. Four bits hold most counts; a block with a larger one has eight.
 */
#include <endian.h>
#include <string.h>

#include "collection_own.h"

#define FOUR_BITS 15 /* the most that they hold */

static uint8_t *
new_counts(struct memory *m, uint8_t bits)
{
    size_t size = (size_t)DENSE_ROWS / 8 * bits;
    uint8_t *counts = memory_resize(m, NULL, size);

    if (counts)
        memset(counts, 0, size);
    return counts;
}

bool
dense_init(struct memory *m, struct block *block, uint32_t first)
{
    uint8_t *counts = new_counts(m, 4);

    if (!counts)
        return false;
    *block = (struct block){
        .counts = counts,
        .first = first,
        .least_words = UINT16_MAX,
        .form = BLOCK_DENSE,
        .bits = 4,
    };
    return true;
}

static bool
widen(struct memory *m, struct block *block)
{
    uint8_t *counts = new_counts(m, 8);

    if (!counts)
        return false;
    for (uint32_t i = 0; i < DENSE_ROWS; i++)
        counts[i] = dense_count(block, i);
    memory_free(m, block->counts);
    block->counts = counts;
    block->bits = 8;
    return true;
}

bool
dense_set(struct memory *m, struct block *block, uint32_t place, uint8_t count)
{
    uint32_t shift = place % 2 * 4;

    if (count > FOUR_BITS && block->bits == 4 && !widen(m, block))
        return false;
    if (block->bits == 8)
        block->counts[place] = count;
    else
        block->counts[place / 2] =
            (uint8_t)((block->counts[place / 2] & FOUR_BITS << (4 - shift)) | count << shift);
    return true;
}

/* Of sixteen counts of four bits: a bit for each that is not 0. */
static uint64_t
bits_of_sixteen(const uint8_t *counts)
{
    uint64_t x;

    memcpy(&x, counts, sizeof(x));
    x = le64toh(x);
    x |= x >> 1;
    x = (x | x >> 2) & UINT64_C(0x1111111111111111);
    x = (x | x >> 3) & UINT64_C(0x0303030303030303);
    x = (x | x >> 6) & UINT64_C(0x000F000F000F000F);
    x = (x | x >> 12) & UINT64_C(0x000000FF000000FF);
    return (x | x >> 24) & 0xFFFF;
}

uint64_t
dense_rows(const struct block *block, uint32_t segment)
{
    uint64_t rows = 0;

    if (block->bits == 4)
        for (uint32_t i = 0; i < SEGMENT_ROWS; i += 16)
            rows |= bits_of_sixteen(block->counts + (segment * SEGMENT_ROWS + i) / 2) << i;
    else
        for (uint32_t i = 0; i < SEGMENT_ROWS; i++)
            rows |= (uint64_t)(block->counts[segment * SEGMENT_ROWS + i] != 0) << i;
    return rows;
}

void
dense_unpack(const struct block *block, uint32_t *postings)
{
    for (uint32_t segment = 0; segment < DENSE_ROWS / SEGMENT_ROWS; segment++)
        for (uint64_t rows = dense_rows(block, segment); rows; rows &= rows - 1) {
            uint32_t place = segment * SEGMENT_ROWS + (uint32_t)__builtin_ctzll(rows);
            *postings++ = (block->first + place) << 8 | dense_count(block, place);
        }
}

/* Rows that went can only lower it: found again, it needs no further look. */
void
dense_bound(struct block *block, const uint16_t *row_words)
{
    uint16_t least_words = UINT16_MAX;
    uint8_t most = 0;

    for (uint32_t i = 0; i < DENSE_ROWS; i++) {
        uint8_t count = dense_count(block, i);
        if (count > most)
            most = count;
        if (count > 0 && row_words[block->first + i] < least_words)
            least_words = row_words[block->first + i];
        if (most == block->most && least_words == block->least_words)
            return;
    }
    block->most = most;
    block->least_words = least_words;
}
