/* SPDX-License-Identifier: MIT */
/*
 * postings - the lists of rows by key: sorted blocks, changed in place; of common keys dense ones.
 *
 * A row that is added last (a workspace that is loaded, a new memory) fills blocks to the end; one in
 * the middle (a slot used again) splits a full block in halves, as a B-tree does.
 */
#include <stdlib.h>
#include <string.h>

#include "collection_own.h"

#define ROW(posting) ((posting) >> 8)

static uint64_t
hash_key(uint64_t key)
{
    key *= UINT64_C(0x9E3779B97F4A7C15);
    return key ^ key >> 32;
}

static uint64_t
hash_of(const void *context, uint32_t number)
{
    const struct collection *c = context;
    return hash_key(c->lists[number].key);
}

uint32_t
list_find(const struct collection *c, uint64_t key)
{
    const struct table *t = &c->by_key;

    if (!t->mask)
        return NONE;
    for (uint32_t at = (uint32_t)hash_key(key) & t->mask; t->slots[at]; at = (at + 1) & t->mask)
        if (c->lists[t->slots[at] - 1].key == key)
            return t->slots[at] - 1;
    return NONE;
}

void
list_prefetch(const struct collection *c, uint64_t key)
{
    if (c->by_key.mask)
        __builtin_prefetch(&c->by_key.slots[(uint32_t)hash_key(key) & c->by_key.mask]);
}

/* What the key's slot names, which is mostly the key's list. */
static const struct list *
guess_list(const struct collection *c, uint64_t key)
{
    uint32_t slot = c->by_key.mask ? c->by_key.slots[(uint32_t)hash_key(key) & c->by_key.mask] : 0;

    return slot ? &c->lists[slot - 1] : NULL;
}

void
list_prefetch_rows(const struct collection *c, uint64_t key)
{
    const struct list *list = guess_list(c, key);

    if (list)
        __builtin_prefetch(list);
}

void
list_prefetch_block(const struct collection *c, uint64_t key)
{
    const struct list *list = guess_list(c, key);

    if (list && list->blocks > 0)
        __builtin_prefetch(&list->at[list->blocks - 1]);
}

void
list_prefetch_last(const struct collection *c, uint64_t key)
{
    const struct list *list = guess_list(c, key);
    const struct block *last = list && list->blocks > 0 ? &list->at[list->blocks - 1] : NULL;

    if (last && !last->bits)
        __builtin_prefetch(&last->at[last->n - 1], 1);
}

static bool
is_dense(const struct list *list)
{
    return list->blocks > 0 && list->at[list->blocks - 1].bits != 0;
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
    if (blocks[high].bits)
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

/* Guessed likewise. */
uint32_t
block_place(const struct block *block, uint32_t row)
{
    const uint32_t *at = block->at;
    uint32_t n = block->n, first, place;

    if (n == 0 || ROW(at[n - 1]) < row)
        return n;
    first = ROW(at[0]);
    if (row <= first)
        return 0;
    place = (row - first) * (n - 1) / (ROW(at[n - 1]) - first);
    while (ROW(at[place]) < row)
        place++;
    while (ROW(at[place - 1]) >= row)
        place--;
    return place;
}

#define LOOK 16 /* postings that are compared at once */

/* The guess of block_place() is mostly nearer than half of LOOK: nothing to be predicted. */
uint32_t
block_has(const struct block *block, uint32_t row)
{
    const uint32_t *at = block->at;
    uint32_t n = block->n, first, last, from, found = 0;

    if (block->bits)
        return row - block->first < DENSE_ROWS ? dense_count(block, row - block->first) : 0;
    if (n >= LOOK && row >= (first = ROW(at[0])) && row <= (last = ROW(at[n - 1]))) {
        from = (row - first) * (n - 1) / (last - first);
        from = from < LOOK / 2 ? 0 : from - LOOK / 2;
        from = from + LOOK > n ? n - LOOK : from;
        for (uint32_t i = 0; i < LOOK; i++)
            found |= ROW(at[from + i]) == row ? at[from + i] & 0xFF : 0;
        if (found || (ROW(at[from]) < row && ROW(at[from + LOOK - 1]) > row))
            return found;
    }
    from = block_place(block, row);
    return from < n && ROW(at[from]) == row ? at[from] & 0xFF : 0;
}

uint32_t
list_has(const struct list *list, uint32_t row)
{
    if (list->blocks > 0)
        return block_has(&list->at[find_block(list, row)], row);
    for (uint32_t i = 0; i < list->rows; i++)
        if (ROW(list->in[i]) == row)
            return list->in[i] & 0xFF;
    return 0;
}

static void
count_bound(struct block *block, const uint16_t *row_words)
{
    const uint32_t *at = block->at;

    block->most = 0;
    block->least_words = UINT16_MAX;
    for (uint32_t i = 0; i < block->n; i++) {
        if ((uint8_t)at[i] > block->most)
            block->most = (uint8_t)at[i];
        if (row_words[ROW(at[i])] < block->least_words)
            block->least_words = row_words[ROW(at[i])];
    }
}

/* Of so few rows the bound need not be exact: it is as if they had no words. */
struct list_blocks
list_blocks(const struct list *list, struct few *few)
{
    if (list->blocks > 0)
        return (struct list_blocks){ list->at, list->blocks };
    memcpy(few->postings, list->in, sizeof(list->in));
    few->block = (struct block){
        .at = few->postings,
        .first = ROW(list->in[0]),
        .n = (uint16_t)list->rows,
    };
    for (uint32_t i = 0; i < list->rows; i++)
        if ((uint8_t)list->in[i] > few->block.most)
            few->block.most = (uint8_t)list->in[i];
    return (struct list_blocks){ &few->block, 1 };
}

/* Sizes that malloc has no remainder for. */
static bool
grow_block(struct memory *m, struct block *block)
{
    static const uint16_t CAPS[] = { 6, 10, 14, 22, 34, 50, 74, 102, BLOCK_MAX };
    uint32_t *grown;
    size_t i = 0;

    while (CAPS[i] <= block->cap)
        i++;
    grown = memory_resize(m, block->at, CAPS[i] * sizeof(*grown));
    if (!grown)
        return false;
    block->at = grown;
    block->cap = CAPS[i];
    return true;
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

/* A new block at place i; false without memory, and then nothing is changed. */
static bool
add_block(struct memory *m, struct list *list, uint32_t i, struct block *block)
{
    if (block->cap == 0 && !grow_block(m, block))
        return false;
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
    struct block upper = { .n = HALF, .cap = BLOCK_MAX };

    upper.at = memory_resize(&c->memory, NULL, BLOCK_MAX * sizeof(*upper.at));
    if (!upper.at)
        return false;
    memcpy(upper.at, list->at[i].at + HALF, HALF * sizeof(*upper.at));
    upper.first = ROW(upper.at[0]);
    count_bound(&upper, c->row_words);
    if (!add_block(&c->memory, list, i + 1, &upper))
        return false;
    list->at[i].n = HALF;
    count_bound(&list->at[i], c->row_words);
    return true;
}

/* The postings of a list move into its first block. */
static bool
leave_inline(struct collection *c, struct list *list)
{
    struct block block = { 0 };
    struct list grown = *list;

    if (!grow_block(&c->memory, &block))
        return false;
    block.n = (uint16_t)list->rows;
    memcpy(block.at, list->in, sizeof(list->in));
    block.first = ROW(block.at[0]);
    count_bound(&block, c->row_words);
    if (!add_block(&c->memory, &grown, 0, &block))
        return false;
    *list = grown;
    return true;
}

/* A block with room for the row; NULL without memory, and then nothing is changed. */
static struct block *
make_room(struct collection *c, struct list *list, uint32_t row)
{
    struct block next = { .least_words = UINT16_MAX }, *block;
    uint32_t i;

    if (list->blocks == 0 && !leave_inline(c, list))
        return NULL;
    i = find_block(list, row);
    block = &list->at[i];
    if (block->n < block->cap)
        return block;
    if (block->cap < BLOCK_MAX)
        return grow_block(&c->memory, block) ? block : NULL;
    if (i == list->blocks - 1 && row > ROW(block->at[block->n - 1]))
        return add_block(&c->memory, list, i + 1, &next) ? &list->at[i + 1] : NULL;
    if (!split_block(c, list, i))
        return NULL;
    return &list->at[find_block(list, row)];
}

static uint32_t
make_list(struct collection *c, uint64_t key)
{
    uint32_t number = c->free_list;

    if (!table_reserve(&c->memory, &c->by_key, hash_of, c))
        return NONE;
    if (number != NONE) {
        c->free_list = c->lists[number].next_free;
    } else {
        if (c->list_count == c->list_cap &&
            !memory_grow(&c->memory, &c->lists, sizeof(*c->lists), &c->list_cap))
            return NONE;
        number = c->list_count++;
    }
    c->lists[number] = (struct list){ .key = key };
    table_add(&c->by_key, hash_key(key), number);
    return number;
}

/* The block of the row; NULL without memory. */
static struct block *
make_dense_room(struct memory *m, struct list *list, uint32_t row)
{
    while (list->blocks <= row / DENSE_ROWS) {
        struct block block;
        if (!dense_init(m, &block, list->blocks * DENSE_ROWS) ||
            !add_block(m, list, list->blocks, &block))
            return NULL;
    }
    return &list->at[row / DENSE_ROWS];
}

static void
insert_posting(uint32_t *at, uint32_t n, uint32_t place, uint32_t posting)
{
    memmove(at + place + 1, at + place, (n - place) * sizeof(*at));
    at[place] = posting;
}

/* Adds the row to a list of any form; false without memory, and then it is not in it. */
static bool
put(struct collection *c, struct list *list, uint32_t row, uint32_t occurrences)
{
    uint32_t posting = row << 8 | occurrences;
    struct block *block;

    if (list->blocks == 0 && list->rows < LIST_INLINE) {
        insert_posting(list->in, list->rows, list->rows > 0 && list->in[0] < posting, posting);
        list->rows++;
        return true;
    }
    block = is_dense(list) ? make_dense_room(&c->memory, list, row) : make_room(c, list, row);
    if (!block)
        return false;
    if (!block->bits) {
        insert_posting(block->at, block->n, block_place(block, row), posting);
        block->first = ROW(block->at[0]);
    } else if (!dense_set(&c->memory, block, row - block->first, (uint8_t)occurrences)) {
        return false;
    }
    block->n++;
    if (occurrences > block->most)
        block->most = (uint8_t)occurrences;
    if (c->row_words[row] < block->least_words)
        block->least_words = c->row_words[row];
    list->rows++;
    return true;
}

static void
free_blocks(struct memory *m, struct list *list)
{
    for (uint32_t b = 0; b < list->blocks; b++)
        memory_free(m, list->at[b].at);
    if (list->blocks > 0)
        memory_free(m, list->at);
}

/* --- common keys -------------------------------------------------------------------------------------- */

#define COMMON_ROWS  4096 /* of the key, and */
#define COMMON_SHARE 8    /* so many times as many are all rows at most; twice that, and it ends */

/* The list in the other form; false without memory. */
static bool
copy_list(struct collection *c, const struct list *list, uint32_t *room, struct list *out)
{
    *out = (struct list){ .key = list->key };
    if (!is_dense(list) && !make_dense_room(&c->memory, out, 0))
        return false;
    for (uint32_t b = 0; b < list->blocks; b++) {
        const struct block *block = &list->at[b];
        const uint32_t *at = block_postings(block, room);
        for (uint32_t i = 0; i < block->n; i++)
            if (!put(c, out, ROW(at[i]), at[i] & 0xFF)) {
                free_blocks(&c->memory, out);
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
        free_blocks(&c->memory, list);
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

uint32_t
list_add(struct collection *c, uint64_t key, uint32_t row, uint32_t occurrences)
{
    uint32_t number = list_find(c, key);

    if (number == NONE && (number = make_list(c, key)) == NONE)
        return NONE;
    if (!put(c, &c->lists[number], row, occurrences))
        return NONE; /* a list that exists has rows: one that is new has room */
    choose_form(c, &c->lists[number]);
    return number;
}

static void
free_list(struct collection *c, uint32_t number)
{
    struct list *list = &c->lists[number];

    table_remove(&c->by_key, hash_of, c, number);
    free_blocks(&c->memory, list);
    *list = (struct list){ .next_free = c->free_list };
    c->free_list = number;
}

/* Block i takes in the next one if its own memory has room. */
static void
merge_blocks(struct memory *m, struct list *list, uint32_t i)
{
    struct block *to = list->at + i, *from = to + 1;
    uint32_t n = (uint32_t)to->n + from->n;

    if (n > BLOCK_MAX * 3 / 4 || n > to->cap)
        return;
    memcpy(to->at + to->n, from->at, from->n * sizeof(*to->at));
    to->n = (uint16_t)n;
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
    choose_form(c, list);
}

static void
remove_posting(struct collection *c, struct list *list, uint32_t row)
{
    uint32_t i = find_block(list, row), place;
    struct block *block = &list->at[i];
    uint32_t *at = block->at, gone;

    place = block_place(block, row);
    gone = at[place];
    block->n--;
    memmove(at + place, at + place + 1, (block->n - place) * sizeof(*at));
    if (block->n == 0) {
        remove_block(&c->memory, list, i);
        return;
    }
    block->first = ROW(at[0]);
    if (had_bound(block, gone & 0xFF, c->row_words[row]))
        count_bound(block, c->row_words);
    if (i + 1 < list->blocks)
        merge_blocks(&c->memory, list, i);
    if (i > 0)
        merge_blocks(&c->memory, list, i - 1);
}

/* The one row that is left needs no block. */
static void
enter_inline(struct memory *m, struct list *list)
{
    uint32_t posting = list->at[0].at[0];

    free_blocks(m, list);
    list->blocks = 0;
    list->in[0] = posting;
}

void
list_remove(struct collection *c, uint32_t number, uint32_t row)
{
    struct list *list = &c->lists[number];

    if (--list->rows == 0)
        free_list(c, number);
    else if (list->blocks == 0)
        list->in[0] = ROW(list->in[0]) == row ? list->in[1] : list->in[0];
    else if (is_dense(list))
        remove_dense(c, list, row);
    else
        remove_posting(c, list, row);
    if (list->blocks > 0 && list->rows == 1 && !is_dense(list))
        enter_inline(&c->memory, list);
}

void
lists_fini(struct collection *c)
{
    for (uint32_t i = 0; i < c->list_count; i++)
        if (c->lists[i].rows > 0)
            free_blocks(&c->memory, &c->lists[i]);
    memory_free(&c->memory, c->lists);
    memory_free(&c->memory, c->by_key.slots);
}
