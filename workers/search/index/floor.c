/* SPDX-License-Identifier: MIT */
/*
 * floor - a score that the last row of an answer has at least, before any window is looked at.
 *
 * The rows that hold the rarest terms are few, and mostly the best: as many of them as the answer has
 * are scored in full. With the least of their scores as the first threshold, common terms are hardly
 * ever read.
 */
#include <stdlib.h>

#include "base/cleanup.h"
#include "find_own.h"

#define SEED_ROWS 1024

/* Rows that hold one of the rarest terms, ascending, and what these terms score in them. */
struct seed {
    size_t n;
    struct part {
        uint32_t row, sum;
    } rows[2][SEED_ROWS];
    struct part *now, *next;
    uint32_t sums[SEED_ROWS];
    uint32_t room[DENSE_ROWS];
};

/* Adds a list, or as much of it as there is room for. */
static void
seed_list(const struct scorer *s, const struct scored *t, struct seed *seed)
{
    const struct block *blocks = t->blocks.at;
    const struct part *from = seed->now, *end = from + seed->n;
    struct part *to = seed->next, *limit = to + SEED_ROWS;

    for (uint32_t b = 0; b < t->blocks.n && to < limit; b++) {
        const uint32_t *at = block_postings(&blocks[b], seed->room);
        for (uint32_t i = 0; i < blocks[b].n; i++) {
            uint32_t row = at[i] >> 8, sum = scorer_posting(s, t, at[i]);
            while (from < end && from->row < row && to < limit)
                *to++ = *from++;
            if (to == limit)
                break;
            if (from < end && from->row == row)
                sum += from++->sum;
            *to++ = (struct part){ row, sum };
        }
    }
    while (from < end && to < limit)
        *to++ = *from++;
    seed->n = (size_t)(to - seed->next);
    to = seed->next;
    seed->next = seed->now;
    seed->now = to;
}

/* The value that k (1..n) of n have or exceed; they are moved about (Hoare's selection). */
static uint32_t
select_largest(uint32_t *values, size_t n, size_t k)
{
    size_t low = 0, high = n - 1;

    while (low < high) {
        uint32_t middle = values[low + (high - low) / 2];
        size_t i = low, j = high;
        for (;;) {
            while (values[i] > middle) /* NOLINT: n values; middle is one of them and stops it */
                i++;
            while (values[j] < middle) /* NOLINT: the same */
                j--;
            if (i >= j)
                break;
            uint32_t moved = values[i];
            values[i++] = values[j];
            values[j--] = moved;
        }
        if (k - 1 <= j)
            high = j;
        else
            low = j + 1;
    }
    return values[k - 1];
}

/* The rarest terms' lists: enough of them for the depth, and more while they are short. */
static void
take_lists(const struct scorer *s, size_t depth, struct seed *seed)
{
    uint64_t rows = 0;

    seed->now = seed->rows[0];
    seed->next = seed->rows[1];
    seed->n = 0;
    for (size_t i = 0; i < s->n; i++) {
        rows += s->terms[i].list->rows;
        if (rows > SEED_ROWS && seed->n > 2 * depth)
            break;
        seed_list(s, &s->terms[i], seed);
    }
}

bool
scorer_floor(const struct scorer *s, const struct rowset *pass, size_t depth, uint64_t *out)
{
    AUTO(free) struct seed *seed = malloc(sizeof(*seed));
    uint32_t least, n = 0, taken = 0;

    *out = 0;
    if (!seed)
        return false;
    take_lists(s, depth, seed);
    for (size_t i = 0; i < seed->n; i++)
        if (rowset_has(pass, seed->now[i].row)) {
            seed->now[n] = seed->now[i];
            seed->sums[n++] = seed->now[i].sum;
        }
    if (n < depth)
        return true;
    least = select_largest(seed->sums, n, depth);
    for (uint32_t i = 0; i < n && taken < depth; i++)
        if (seed->now[i].sum >= least)
            seed->sums[taken++] = scorer_row(s, seed->now[i].row);
    *out = select_largest(seed->sums, taken, depth);
    return true;
}
