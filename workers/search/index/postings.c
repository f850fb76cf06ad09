/* SPDX-License-Identifier: MIT */
/*
 * postings - a list's rows: in the list itself, in blocks of postings, or in dense blocks.
 *
 * A row that is added last (a workspace that is loaded, a new memory) fills blocks to the end; one in
 * the middle (a slot used again) splits a full block in halves, as a B-tree does.
 */
#include <string.h>

#include "collection_own.h"

static bool
is_dense(const struct list *list)
{
    return list->blocks > 0 && list->at[list->blocks - 1].form == BLOCK_DENSE;
}

/* The last block that begins at or before the row, or the first one. Rows of a list are spread much
 * alike: the place is guessed from the row's number, and looked for from there in growing steps. */
static uint32_t
find_block(const struct list *list, uint32_t row)
{
    const struct block *blocks = list->at;
    uint32_t low = 0, high = list->blocks - 1, step = 1, guess;

    if (blocks[high].first <= row)
        return high;
    if (blocks[high].form == BLOCK_DENSE)
        return row / DENSE_ROWS;
    guess = (uint32_t)((uint64_t)row * high / blocks[high].first);
    if (blocks[guess].first <= row) {
        for (low = guess; low + step < high && blocks[low + step].first <= row; step *= 2)
            low += step;
        high = low + step < high ? low + step : high;
    } else {
        for (high = guess; high > step && blocks[high - step].first > row; step *= 2)
            high -= step;
        low = high > step ? high - step : 0;
    }
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (blocks[middle].first <= row)
            low = middle;
        else
            high = middle;
    }
    return low;
}

uint32_t
list_has(const struct list *list, uint32_t row)
{
    if (list->blocks > 0)
        return block_has(&list->at[find_block(list, row)], row);
    for (uint32_t i = 0; i < list->rows; i++)
        if (POSTING_ROW(list->in[i]) == row)
            return list->in[i] & 0xFF;
    return 0;
}

/* Of so few rows the bound need not be exact: it is as if they had no words. */
struct list_blocks
list_blocks(const struct list *list, struct few *few)
{
    if (list->blocks > 0)
        return (struct list_blocks){ list->at, list->blocks };
    memcpy(few->postings, list->in, sizeof(list->in));
    few->block = (struct block){
        .wide = few->postings,
        .first = POSTING_ROW(list->in[0]),
        .n = (uint16_t)list->rows,
        .form = BLOCK_WIDE,
    };
    for (uint32_t i = 0; i < list->rows; i++)
        if ((uint8_t)list->in[i] > few->block.most)
            few->block.most = (uint8_t)list->in[i];
    return (struct list_blocks){ &few->block, 1 };
}

/* What a list of n blocks has room for, at least. */
static uint32_t
blocks_room(uint32_t n)
{
    uint32_t step = n > 1 ? 4 : 1;

    while (n > step * 4)
        step *= 2;
    return (n + step - 1) / step * step;
}

/* Puts the block behind block i - 1 (0: first); false without memory. */
static bool
insert_block(struct memory *m, struct list *list, uint32_t i, const struct block *block)
{
    struct block *blocks = list->blocks > 0 ? list->at : NULL;
    uint32_t room = blocks_room(list->blocks + 1);

    if (room != blocks_room(list->blocks)) {
        blocks = memory_resize(m, blocks, room * sizeof(*blocks));
        if (!blocks)
            return false;
    }
    memmove(blocks + i + 1, blocks + i, (list->blocks - i) * sizeof(*blocks));
    blocks[i] = *block;
    list->at = blocks;
    list->blocks++;
    return true;
}

static void
remove_block(struct memory *m, struct list *list, uint32_t i)
{
    memory_free(m, list->at[i].at);
    list->blocks--;
    memmove(list->at + i, list->at + i + 1, (list->blocks - i) * sizeof(*list->at));
}

/* The block, which has postings, at place i; false without memory, and then it is freed. */
static bool
add_block(struct memory *m, struct list *list, uint32_t i, const struct block *block)
{
    if (insert_block(m, list, i, block))
        return true;
    memory_free(m, block->at);
    return false;
}

/* The upper half of full block i moves to a new one behind it. */
static bool
split_block(struct collection *c, struct list *list, uint32_t i)
{
    enum { HALF = BLOCK_MAX / 2 };
    uint32_t postings[BLOCK_MAX];
    struct block upper = { 0 };

    block_unpack(&list->at[i], postings);
    if (!block_write(&c->memory, &upper, postings + HALF, BLOCK_MAX - HALF))
        return false;
    block_bound(&upper, c->row_words);
    if (!add_block(&c->memory, list, i + 1, &upper))
        return false;
    list->at[i].n = HALF;
    block_bound(&list->at[i], c->row_words);
    return true;
}

/* The postings of a list move into its first block. */
static bool
leave_inline(struct collection *c, struct list *list)
{
    struct block block = { 0 };
    struct list grown = *list;

    if (!block_write(&c->memory, &block, list->in, list->rows))
        return false;
    block_bound(&block, c->row_words);
    if (!add_block(&c->memory, &grown, 0, &block))
        return false;
    *list = grown;
    return true;
}

/* Whether the row, behind those of the last block, begins another one. */
static bool
begins_block(const struct block *last, uint32_t row, uint32_t occurrences)
{
    if (row < block_row(last, last->n - 1u))
        return false;
    return last->n == BLOCK_MAX || (last->n >= NARROW_LEAST && last->form == BLOCK_NARROW &&
                                    !block_stays_narrow(last, row, occurrences));
}

/* The block that has taken the row; NULL without memory, and then none has. */
static struct block *
put_posting(struct collection *c, struct list *list, uint32_t row, uint32_t occurrences)
{
    uint32_t i;

    if (list->blocks == 0 && !leave_inline(c, list))
        return NULL;
    i = find_block(list, row);
    if (i == list->blocks - 1 && begins_block(&list->at[i], row, occurrences)) {
        struct block next = { .least_words = UINT16_MAX };
        if (!block_insert(&c->memory, &next, row, occurrences) ||
            !add_block(&c->memory, list, i + 1, &next))
            return NULL;
        return &list->at[i + 1];
    }
    if (list->at[i].n == BLOCK_MAX) {
        if (!split_block(c, list, i))
            return NULL;
        i = find_block(list, row);
    }
    return block_insert(&c->memory, &list->at[i], row, occurrences) ? &list->at[i] : NULL;
}

/* Dense blocks up to the row's; false without memory. */
static bool
reach_dense(struct memory *m, struct list *list, uint32_t row)
{
    while (list->blocks <= row / DENSE_ROWS) {
        struct block block;
        if (!dense_init(m, &block, list->blocks * DENSE_ROWS) ||
            !add_block(m, list, list->blocks, &block))
            return false;
    }
    return true;
}

static struct block *
put_dense(struct memory *m, struct list *list, uint32_t row, uint32_t occurrences)
{
    struct block *block;

    if (!reach_dense(m, list, row))
        return NULL;
    block = &list->at[row / DENSE_ROWS];
    if (!dense_set(m, block, row - block->first, (uint8_t)occurrences))
        return NULL;
    block->n++;
    return block;
}

static void
put_inline(struct list *list, uint32_t posting)
{
    list->in[list->rows] = posting;
    if (list->rows > 0 && list->in[0] > posting) {
        list->in[1] = list->in[0];
        list->in[0] = posting;
    }
    list->rows++;
}

/* Adds the row to a list of any form; false without memory, and then it is not in it. */
static bool
put(struct collection *c, struct list *list, uint32_t row, uint32_t occurrences)
{
    struct block *block;

    if (list->blocks == 0 && list->rows < LIST_INLINE) {
        put_inline(list, row << 8 | occurrences);
        return true;
    }
    block = is_dense(list) ? put_dense(&c->memory, list, row, occurrences)
                           : put_posting(c, list, row, occurrences);
    if (!block)
        return false;
    if (occurrences > block->most)
        block->most = (uint8_t)occurrences;
    if (c->row_words[row] < block->least_words)
        block->least_words = c->row_words[row];
    list->rows++;
    return true;
}

void
postings_free(struct memory *m, struct list *list)
{
    for (uint32_t b = 0; b < list->blocks; b++)
        memory_free(m, list->at[b].at);
    if (list->blocks > 0)
        memory_free(m, list->at);
}

/* Block i takes in the next one if its own memory has room. */
static void
merge_blocks(struct memory *m, struct list *list, uint32_t i)
{
    struct block *to = list->at + i, *from = to + 1;

    if (!block_merge(to, from))
        return;
    if (from->most > to->most)
        to->most = from->most;
    if (from->least_words < to->least_words)
        to->least_words = from->least_words;
    remove_block(m, list, i + 1);
}

/* Whether the block's bound may be lower without a row that had so many occurrences. */
static bool
had_bound(const struct block *block, uint32_t occurrences, uint16_t words)
{
    return (occurrences > 1 && occurrences == block->most) || words == block->least_words;
}

static void
remove_dense(struct collection *c, struct list *list, uint32_t row)
{
    struct block *block = &list->at[row / DENSE_ROWS];
    uint8_t gone = dense_count(block, row - block->first);

    (void)dense_set(&c->memory, block, row - block->first, 0);
    block->n--;
    if (had_bound(block, gone, c->row_words[row]))
        dense_bound(block, c->row_words);
}

static void
remove_posting(struct collection *c, struct list *list, uint32_t row)
{
    uint32_t i = find_block(list, row), place, gone;
    struct block *block = &list->at[i];

    place = block_place(block, row);
    gone = block_count(block, place);
    block_remove(block, place);
    if (block->n == 0) {
        remove_block(&c->memory, list, i);
        return;
    }
    if (had_bound(block, gone, c->row_words[row]))
        block_bound(block, c->row_words);
    if (i + 1 < list->blocks)
        merge_blocks(&c->memory, list, i);
    if (i > 0)
        merge_blocks(&c->memory, list, i - 1);
}

/* The one row that is left needs no block. */
static void
enter_inline(struct memory *m, struct list *list)
{
    uint32_t posting;

    block_unpack(&list->at[0], &posting);
    postings_free(m, list);
    list->blocks = 0;
    list->in[0] = posting;
}

/* --- common keys -------------------------------------------------------------------------------------- */

#define COMMON_ROWS  4096 /* of the key, and */
#define COMMON_SHARE 8    /* so many times as many are all rows at most; twice that, and it ends */

/* The list in the other form; false without memory. */
static bool
copy_list(struct collection *c, const struct list *list, uint32_t *room, struct list *out)
{
    *out = (struct list){ .key = list->key };
    if (!is_dense(list) && !reach_dense(&c->memory, out, 0))
        return false;
    for (uint32_t b = 0; b < list->blocks; b++) {
        const struct block *block = &list->at[b];
        const uint32_t *at = block_postings(block, room);
        for (uint32_t i = 0; i < block->n; i++)
            if (!put(c, out, POSTING_ROW(at[i]), at[i] & 0xFF)) {
                postings_free(&c->memory, out);
                return false;
            }
    }
    return true;
}

static void
convert(struct collection *c, struct list *list)
{
    uint32_t *room = memory_resize(&c->memory, NULL, DENSE_ROWS * sizeof(*room));
    struct list other;

    if (room && copy_list(c, list, room, &other)) {
        postings_free(&c->memory, list);
        *list = other;
    }
    memory_free(&c->memory, room);
}

/* Looked at now and then, after a row has come or gone; without memory the form stays. */
static void
choose_form(struct collection *c, struct list *list)
{
    uint64_t rows = list->rows;

    if (rows % 1024 != 0)
        return;
    if (is_dense(list) ? rows < COMMON_ROWS / 2 || rows * COMMON_SHARE * 2 < c->used
                       : rows >= COMMON_ROWS && rows * COMMON_SHARE > c->used)
        convert(c, list);
}

/* ------------------------------------------------------------------------------------------------------ */

bool
postings_put(struct collection *c, struct list *list, uint32_t row, uint32_t occurrences)
{
    if (!put(c, list, row, occurrences))
        return false;
    choose_form(c, list);
    return true;
}

void
postings_remove(struct collection *c, struct list *list, uint32_t row)
{
    list->rows--;
    if (list->blocks == 0) {
        list->in[0] = POSTING_ROW(list->in[0]) == row ? list->in[1] : list->in[0];
        return;
    }
    if (is_dense(list)) {
        remove_dense(c, list, row);
        choose_form(c, list);
    } else {
        remove_posting(c, list, row);
    }
    if (list->rows == 1 && !is_dense(list))
        enter_inline(&c->memory, list);
}
