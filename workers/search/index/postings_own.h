/* SPDX-License-Identifier: MIT */
/*
 * postings_own - the rows that hold a key: a list of blocks for each key.
 *
 * A list of one or two rows holds their postings itself. A longer one has blocks, each with the
 * postings of up to BLOCK_MAX rows in ascending order and a bound of what they can score:
 *
 *     narrow  16 bits a posting: the distance from the block's first row above `bits` bits, in them
 *             the occurrences less 1; the block has as many bits as its largest count needs
 *     wide    32 bits: the row in 24, the occurrences in 8; where 16 are too few
 *     dense   no postings but a count for each of DENSE_ROWS rows, in 4 or 8 bits: all the blocks
 *             of a common key, one behind the other without a gap (dense.c)
 *
 * Whoever reads postings one by one, and not in a hurry, takes wide ones from block_postings().
 */
#ifndef GANTRY_SEARCH_INDEX_POSTINGS_OWN_H
#define GANTRY_SEARCH_INDEX_POSTINGS_OWN_H

#include "collection.h"

#define LIST_INLINE 2
#define BLOCK_MAX   132 /* postings: 264 bytes if narrow, with malloc's header 272 */
/* Postings from which a narrow block and another one behind it take less than one of wide ones. */
#define NARROW_LEAST 24
#define DENSE_ROWS   4096 /* of a dense block, whether they have the key or not */
#define NONE         UINT32_MAX

/* Keys above every term: facets, by the number of their name. */
#define FACET_KEY (UINT64_C(1) << 48)
enum facet { FACET_SCOPE = 's', FACET_SOURCE = 'o', FACET_TAG = 't' };

#define POSTING_ROW(posting) ((posting) >> 8) /* of a wide one */

struct memory;

enum block_form { BLOCK_NARROW, BLOCK_WIDE, BLOCK_DENSE };

struct block {
    union {
        void *at; /* owned */
        uint16_t *narrow;
        uint32_t *wide;
        uint8_t *counts; /* dense */
    };
    uint32_t first;       /* its first row */
    uint16_t n;           /* rows that have the key */
    uint16_t room;        /* bytes; not of a dense block */
    uint16_t least_words; /* of its rows; with `most` a bound of what a posting can score */
    uint8_t most;
    uint8_t form; /* enum block_form */
    uint8_t bits; /* of each count of a narrow or dense block */
};
_Static_assert(sizeof(struct block) == 24, "there are many");

/* A key and its rows. */
struct list {
    uint64_t key;
    uint32_t rows;   /* 0: the number is free */
    uint32_t blocks; /* 0: the postings are `in` */
    union {
        struct block *at;         /* owned */
        uint32_t in[LIST_INLINE]; /* wide */
        uint32_t next_free;
    };
};
_Static_assert(sizeof(struct list) == 24, "most lists have one row");

/* lists.c */
uint32_t list_find(const struct collection *c, uint64_t key); /* or NONE */
/* Adds the row to the key's list, which is made if need be; its number, NONE without memory. */
uint32_t list_add(struct collection *c, uint64_t key, uint32_t row, uint32_t occurrences);
void list_remove(struct collection *c, uint32_t number, uint32_t row);
/* Hints, in this order, some time before list_add(). */
void list_prefetch(const struct collection *c, uint64_t key);
void list_prefetch_rows(const struct collection *c, uint64_t key);
void list_prefetch_block(const struct collection *c, uint64_t key);
void list_prefetch_last(const struct collection *c, uint64_t key);
void lists_fini(struct collection *c);

/* postings.c: of a list that has a row, or none yet. False without memory, and then it is as before. */
bool postings_put(struct collection *c, struct list *list, uint32_t row, uint32_t occurrences);
void postings_remove(struct collection *c, struct list *list, uint32_t row); /* not the last one */
void postings_free(struct memory *m, struct list *list);
/* A list's blocks, one at least; they are the list's own, or lie in `few`. */
struct few {
    struct block block;
    uint32_t postings[LIST_INLINE];
};
struct list_blocks {
    const struct block *at;
    uint32_t n;
};
struct list_blocks list_blocks(const struct list *list, struct few *few);
uint32_t list_has(const struct list *list, uint32_t row); /* occurrences of the key, 0: none */

/* block.c: narrow and wide ones, from n = 0 on. All but block_has() are not for dense ones. */
static inline uint32_t
block_row(const struct block *block, uint32_t i)
{
    return block->form == BLOCK_NARROW ? block->first + ((uint32_t)block->narrow[i] >> block->bits)
                                       : POSTING_ROW(block->wide[i]);
}
static inline uint32_t
block_count(const struct block *block, uint32_t i)
{
    return block->form == BLOCK_NARROW ? (block->narrow[i] & ((1u << block->bits) - 1)) + 1
                                       : block->wide[i] & 0xFF;
}
uint32_t block_has(const struct block *block, uint32_t row);   /* as list_has() */
uint32_t block_place(const struct block *block, uint32_t row); /* of the row's posting, or for it */
void block_unpack(const struct block *block, uint32_t *postings);
/* The n (1..BLOCK_MAX) postings replace the block's. False without memory, and then nothing is
 * changed; so with block_insert(), which changes the bound as little as this one. */
bool block_write(struct memory *m, struct block *block, const uint32_t *postings, uint32_t n);
bool block_insert(struct memory *m, struct block *block, uint32_t row, uint32_t count);
bool block_stays_narrow(const struct block *block, uint32_t row,
                        uint32_t count); /* with it, behind the others */
void block_remove(struct block *block, uint32_t place);
/* Takes in the postings of the next block if there is room and it stays well below full. */
bool block_merge(struct block *to, const struct block *from);
void block_bound(struct block *block, const uint16_t *row_words);

/* dense.c; a place is a row's from the block's first on, a segment its rows of a word of a bitmap. */
bool dense_init(struct memory *m, struct block *block, uint32_t first);
/* Sets a count (0: none), not the block's n and bound; false without memory. */
bool dense_set(struct memory *m, struct block *block, uint32_t place, uint8_t count);
uint64_t dense_rows(const struct block *block, uint32_t segment);
void dense_unpack(const struct block *block, uint32_t *postings); /* n of them */
void dense_bound(struct block *block, const uint16_t *row_words); /* after rows have gone */
static inline uint8_t
dense_count(const struct block *block, uint32_t place)
{
    unsigned two = block->counts[block->bits == 8 ? place : place / 2];

    return (uint8_t)(block->bits == 8 ? two : two >> place % 2 * 4 & 15);
}

/* The block's postings, wide; room: for DENSE_ROWS. */
static inline const uint32_t *
block_postings(const struct block *block, uint32_t *room)
{
    if (block->form == BLOCK_WIDE)
        return block->wide;
    if (block->form == BLOCK_DENSE)
        dense_unpack(block, room);
    else
        block_unpack(block, room);
    return room;
}

#endif
