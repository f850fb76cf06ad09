/* SPDX-License-Identifier: MIT */
/*
 * block - the postings of one block, in 16 bits each where they fit, else in 32.
 *
 * What is written keeps the form of the block as long as it fits; what does not makes the block anew,
 * in the form for all of its postings. A posting that goes only leaves the others closer together.
 */
#include <string.h>

#include "collection_own.h"

static uint32_t
posting_at(const struct block *block, uint32_t i)
{
    return block_row(block, i) << 8 | block_count(block, i);
}

void
block_unpack(const struct block *block, uint32_t *postings)
{
    for (uint32_t i = 0; i < block->n; i++)
        postings[i] = posting_at(block, i);
}

/* Rows are spread much alike: the place is guessed from the row's number. */
uint32_t
block_place(const struct block *block, uint32_t row)
{
    uint32_t n = block->n, last, place;

    if (n == 0 || (last = block_row(block, n - 1)) < row)
        return n;
    if (row <= block->first)
        return 0;
    place = (row - block->first) * (n - 1) / (last - block->first);
    while (block_row(block, place) < row)
        place++;
    while (block_row(block, place - 1) >= row)
        place--;
    return place;
}

/* --- what a row has ------------------------------------------------------------------------------------- */

#define LOOK 16 /* postings that are compared at once */

static uint32_t
look_wide(const uint32_t *at, uint32_t row)
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < LOOK; i++)
        found |= POSTING_ROW(at[i]) == row ? at[i] & 0xFF : 0;
    return found;
}

/* The posting less the one with a count of 1 in that row: below 2^bits it is of the row. */
static uint32_t
look_narrow(const uint16_t *at, uint16_t once, unsigned bits)
{
    uint16_t found = 0, most = (uint16_t)((1u << bits) - 1);

    for (uint32_t i = 0; i < LOOK; i++) {
        uint16_t more = (uint16_t)(at[i] - once);
        found |= more <= most ? (uint16_t)(more + 1) : 0;
    }
    return found;
}

/* The guess of block_place() is mostly nearer than half of LOOK: nothing to be predicted. */
uint32_t
block_has(const struct block *block, uint32_t row)
{
    uint32_t n = block->n, offset = row - block->first, last, from, found;

    if (block->form == BLOCK_DENSE)
        return offset < DENSE_ROWS ? dense_count(block, offset) : 0;
    if (row < block->first || row > (last = block_row(block, n - 1)))
        return 0;
    if (n >= LOOK) {
        from = offset * (n - 1) / (last - block->first);
        from = from < LOOK / 2 ? 0 : from - LOOK / 2;
        from = from + LOOK > n ? n - LOOK : from;
        found =
            block->form == BLOCK_WIDE
                ? look_wide(block->wide + from, row)
                : look_narrow(block->narrow + from, (uint16_t)(offset << block->bits), block->bits);
        if (found || (block_row(block, from) < row && block_row(block, from + LOOK - 1) > row))
            return found;
    }
    from = block_place(block, row);
    return block_row(block, from) == row ? block_count(block, from) : 0;
}

void
block_bound(struct block *block, const uint16_t *row_words)
{
    block->most = 0;
    block->least_words = UINT16_MAX;
    for (uint32_t i = 0; i < block->n; i++) {
        uint32_t count = block_count(block, i), words = row_words[block_row(block, i)];
        if (count > block->most)
            block->most = (uint8_t)count;
        if (words < block->least_words)
            block->least_words = (uint16_t)words;
    }
}

/* --- which form ----------------------------------------------------------------------------------------- */

static unsigned
count_bits(uint32_t count)
{
    return count > 1 ? 32 - (unsigned)__builtin_clz(count - 1) : 0;
}

/* How far a narrow block's last row may be from its first. */
static uint32_t
narrow_reach(unsigned bits)
{
    return (1u << (16 - bits)) - 1;
}

static unsigned
posting_bytes(enum block_form form)
{
    return form == BLOCK_NARROW ? sizeof(uint16_t) : sizeof(uint32_t);
}

/* The narrowest form of n postings, into the form and bits of out. */
static void
choose_form(const uint32_t *postings, uint32_t n, struct block *out)
{
    uint32_t rows = POSTING_ROW(postings[n - 1]) - POSTING_ROW(postings[0]), most = 1;

    for (uint32_t i = 0; i < n; i++)
        if ((postings[i] & 0xFF) > most)
            most = postings[i] & 0xFF;
    out->bits = (uint8_t)count_bits(most);
    out->form = rows <= narrow_reach(out->bits) ? BLOCK_NARROW : BLOCK_WIDE;
}

bool
block_stays_narrow(const struct block *block, uint32_t row, uint32_t count)
{
    unsigned bits = count_bits(count) > block->bits ? count_bits(count) : block->bits;

    return block->form == BLOCK_NARROW && row - block->first <= narrow_reach(bits);
}

/* Whether the posting can be written among the others as they are. */
static bool
fits(const struct block *block, uint32_t row, uint32_t count)
{
    if (block->form == BLOCK_WIDE)
        return true;
    return block->n > 0 && row > block->first && count_bits(count) <= block->bits &&
           block_stays_narrow(block, row, count);
}

/* --- changes -------------------------------------------------------------------------------------------- */

/* In steps of malloc's, whose chunks of 16 bytes begin with 8 of its own. */
static bool
reserve(struct memory *m, struct block *block, size_t bytes)
{
    size_t room = (bytes + 8 + 15) / 16 * 16 - 8;
    void *grown;

    if (bytes <= block->room)
        return true;
    grown = memory_resize(m, block->at, room);
    if (!grown)
        return false;
    block->at = grown;
    block->room = (uint16_t)room;
    return true;
}

static void
store(struct block *block, uint32_t i, uint32_t row, uint32_t count)
{
    if (block->form == BLOCK_NARROW)
        block->narrow[i] = (uint16_t)((row - block->first) << block->bits | (count - 1));
    else
        block->wide[i] = row << 8 | count;
}

bool
block_write(struct memory *m, struct block *block, const uint32_t *postings, uint32_t n)
{
    struct block form;

    choose_form(postings, n, &form);
    if (!reserve(m, block, n * (size_t)posting_bytes(form.form)))
        return false;
    block->form = form.form;
    block->bits = form.bits;
    block->n = (uint16_t)n;
    block->first = POSTING_ROW(postings[0]);
    for (uint32_t i = 0; i < n; i++)
        store(block, i, POSTING_ROW(postings[i]), postings[i] & 0xFF);
    return true;
}

/* Room in front of one of n things of so many bytes. */
static void
open_place(void *at, uint32_t n, uint32_t place, size_t size)
{
    uint8_t *from = (uint8_t *)at + place * size;

    memmove(from + size, from, (n - place) * size);
}

bool
block_insert(struct memory *m, struct block *block, uint32_t row, uint32_t count)
{
    uint32_t postings[BLOCK_MAX], n = block->n, place = block_place(block, row);
    unsigned size = posting_bytes(block->form);

    if (!fits(block, row, count)) {
        block_unpack(block, postings);
        open_place(postings, n, place, sizeof(*postings));
        postings[place] = row << 8 | count;
        return block_write(m, block, postings, n + 1);
    }
    if (!reserve(m, block, (n + 1) * (size_t)size))
        return false;
    open_place(block->at, n, place, size);
    if (place == 0)
        block->first = row;
    store(block, place, row, count);
    block->n++;
    return true;
}

void
block_remove(struct block *block, uint32_t place)
{
    unsigned size = posting_bytes(block->form);
    uint8_t *at = (uint8_t *)block->at + (size_t)place * size;
    uint32_t first;

    block->n--;
    memmove(at, at + size, (block->n - place) * (size_t)size);
    if (place > 0 || block->n == 0)
        return;
    first = block_row(block, 0);
    for (uint32_t i = 0; block->form == BLOCK_NARROW && i < block->n; i++)
        block->narrow[i] = (uint16_t)(block->narrow[i] - ((first - block->first) << block->bits));
    block->first = first;
}

bool
block_merge(struct block *to, const struct block *from)
{
    uint32_t postings[BLOCK_MAX], n = (uint32_t)to->n + from->n;
    struct block form;

    if (n > BLOCK_MAX * 3 / 4 || n * sizeof(*to->narrow) > to->room)
        return false;
    block_unpack(to, postings);
    block_unpack(from, postings + to->n);
    choose_form(postings, n, &form);
    return n * posting_bytes(form.form) <= to->room && block_write(NULL, to, postings, n);
}
