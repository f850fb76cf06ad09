/* SPDX-License-Identifier: MIT */
/*
 * rowset - sets of rows as bitmaps, a word for each segment.
 */
#include <stdlib.h>
#include <string.h>

#include "find_own.h"

bool
rowset_new(const struct collection *c, struct rowset *set)
{
    size_t words = (c->used + SEGMENT_ROWS - 1) / SEGMENT_ROWS;
    uint64_t *bits = calloc(words + 1, sizeof(*bits));

    if (!bits)
        return false;
    *set = (struct rowset){ .bits = bits, .words = words };
    return true;
}

void
rowset_cleanup(struct rowset *set)
{
    free(set->bits);
}

void
rowset_clear(struct rowset *set)
{
    memset(set->bits, 0, set->words * sizeof(*set->bits));
    set->count = 0;
}

void
rowset_copy(struct rowset *to, const struct rowset *from)
{
    memcpy(to->bits, from->bits, from->words * sizeof(*from->bits));
    to->count = from->count;
}

void
rowset_recount(struct rowset *set)
{
    set->count = 0;
    for (size_t i = 0; i < set->words; i++)
        set->count += (uint32_t)__builtin_popcountll(set->bits[i]);
}

static void
add_dense(struct rowset *set, const struct block *block)
{
    size_t from = block->first / SEGMENT_ROWS;

    for (uint32_t i = 0; i < DENSE_ROWS / SEGMENT_ROWS && from + i < set->words; i++)
        set->bits[from + i] |= dense_rows(block, i);
}

static void
add_block(struct rowset *set, const struct block *block)
{
    for (uint32_t i = 0; i < block->n; i++) {
        uint32_t row = block_row(block, i);
        set->bits[row / SEGMENT_ROWS] |= UINT64_C(1) << row % SEGMENT_ROWS;
    }
}

/* The count is for rowset_recount(). */
void
rowset_add_list(struct rowset *set, const struct list *list)
{
    struct few few;
    struct list_blocks blocks = list_blocks(list, &few);

    for (uint32_t b = 0; b < blocks.n; b++)
        if (blocks.at[b].form == BLOCK_DENSE)
            add_dense(set, &blocks.at[b]);
        else
            add_block(set, &blocks.at[b]);
}

void
rowset_and(struct rowset *set, const struct rowset *other)
{
    for (size_t i = 0; i < set->words; i++)
        set->bits[i] &= other->bits[i];
    rowset_recount(set);
}

void
rowset_and_list(struct rowset *set, const struct list *list, struct rowset *other)
{
    if (!list) {
        rowset_clear(set);
    } else if ((uint64_t)set->count * 16 < list->rows) {
        for (uint32_t row = 0; rowset_next(set, &row); row++)
            if (!list_has(list, row))
                set->bits[row / SEGMENT_ROWS] &= ~(UINT64_C(1) << row % SEGMENT_ROWS);
        rowset_recount(set);
    } else {
        rowset_clear(other);
        rowset_add_list(other, list);
        rowset_and(set, other);
    }
}
