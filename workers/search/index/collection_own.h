/* SPDX-License-Identifier: MIT */
/*
 * collection_own - what the parts of a collection share.
 *
 * Rows are slots of arrays, used again when free. Every key of a row (a term, or a facet: scope,
 * source, tag) has a list of the rows that hold it, in blocks of sorted 32-bit postings (row number,
 * occurrences) that are changed in place: a row that goes takes its postings along. A common key has
 * dense blocks instead, with a count for each row (dense.c). The row's record names its keys and the
 * positions of its terms. Vectors lie in segments of 64 rows, one word of a bitmap each, split into
 * high and low nibbles (dot.c).
 */
#ifndef GANTRY_SEARCH_INDEX_COLLECTION_OWN_H
#define GANTRY_SEARCH_INDEX_COLLECTION_OWN_H

#include "collection.h"

#define SEGMENT_ROWS 64
#define GROUP_ROWS   16 /* whose high nibbles lie together */
#define ALL_GROUPS   15u
#define HUGE_PAGE    (2u << 20) /* bytes */
#define BLOCK_MAX    126        /* postings: 504 bytes, with malloc's header 512 */
#define LIST_INLINE  2
#define DENSE_ROWS   4096 /* of a dense block, whether they have the key or not */
#define NONE         UINT32_MAX

/* Keys above every term: facets, by the number of their name. */
#define FACET_KEY (UINT64_C(1) << 48)
enum facet { FACET_SCOPE = 's', FACET_SOURCE = 'o', FACET_TAG = 't' };

struct block {
    union {
        uint32_t *at;    /* owned */
        uint8_t *counts; /* owned: of a dense block */
    };
    uint32_t first;       /* its first row */
    uint16_t n, cap;      /* n: rows that have the key */
    uint16_t least_words; /* of its rows; with `most` a bound of what a posting can score */
    uint8_t most;
    uint8_t bits; /* of each count of a dense block, 4 or 8; 0: postings */
};

/* A key and its rows. All its blocks are of one form; dense ones follow each other without a gap. */
struct list {
    uint64_t key;
    uint32_t rows;   /* 0: the number is free */
    uint32_t blocks; /* 0: the postings are `in` */
    union {
        struct block *at; /* owned */
        uint32_t in[LIST_INLINE];
        uint32_t next_free;
    };
};
_Static_assert(sizeof(struct list) == 24, "most lists have one row");

struct name {
    char *text; /* owned; the first byte is the kind of facet */
    uint32_t refs;
    uint32_t next_free;
};

/* Open addressing: number + 1, 0 = free. */
struct table {
    uint32_t *slots; /* owned */
    uint32_t mask;   /* 0: no slots */
    uint32_t used;
};

struct scratch {
    uint8_t *at; /* owned */
    size_t len, cap;
};

struct memory {
    size_t bytes;
    size_t max; /* 0: none; a test makes memory end */
};

/* Records of the rows of a segment, in any order without a gap. */
struct records {
    uint8_t *at; /* owned */
    uint32_t len, cap;
};

/* Rows of a segment that can reach a value: (high * factor + mean) * scale + length * slack >= least. */
struct dot_bound {
    float factor, mean, length, least;
};

/* dot.c: a way to multiply that a machine has; all give the same numbers. */
#define DOT_QUERIES 8
struct dot_kernel {
    const char *name;
    /* Of n queries (at most DOT_QUERIES) with a segment's high plane: the rows of the groups (a bit
     * each) into out[query][row]. */
    void (*high)(const int8_t *const *queries, size_t n, const uint8_t *plane, size_t half,
                 unsigned groups, int32_t (*out)[SEGMENT_ROWS]);
    int32_t (*low)(const int8_t *query, const uint8_t *row, size_t half); /* of one row */
    /* A bit for each row. Its numbers are floats: near the border kernels may differ. */
    uint64_t (*near)(const struct dot_bound *bound, const int32_t *highs, const float *scale,
                     const float *slack);
    /* A bit for each of a segment's sums that is at least so large. */
    uint64_t (*large)(const uint32_t *sums, uint32_t least);
};
#define DOT_KERNELS_MAX 4
size_t dot_kernels(struct dot_kernel kernels[DOT_KERNELS_MAX]); /* of this machine, best last */
struct dot_kernel dot_best(void);

struct collection {
    struct memory memory;
    size_t dims, half; /* bytes of a plane's row: two dimensions each, and padding */
    struct dot_kernel dot;

    uint32_t cap, used, free_row; /* used: slots that were ever taken */
    uint32_t rows;
    uint64_t words;
    int64_t first_expiry_ms; /* no row expires before; 0: none expires at all */
    uint8_t (*ids)[COLLECTION_ID_LEN];
    int64_t *created_ns;
    int64_t *expires_ms; /* NULL: none has had an expiry */
    uint16_t *row_words;
    float *turned;       /* owned: of a vector that is put */
    float *scale;        /* of the vector: cosine = dot * scale * the query's; 0: none */
    float *slack;        /* what the low nibbles add to their mean, as a cosine, is rarely more */
    uint32_t *record_at; /* where it begins in its segment's */
    uint64_t *alive;
    struct records *records; /* of segments */
    uint8_t **segments;      /* of slabs: high planes; NULL: none of its rows has had a vector */
    uint8_t **lows;          /* of slabs: low planes */
    struct table by_id;

    uint8_t **slabs;                            /* owned each */
    uint32_t slab_count, slab_cap, small_slabs; /* those behind are huge pages */
    uint32_t slab_segments, slab_left;          /* in all; not yet used */
    uint8_t *slab_next, *slab_low;              /* the next planes */

    struct list *lists;
    uint32_t list_count, list_cap, free_list;
    struct table by_key;

    struct name *names;
    uint32_t name_count, name_cap, free_name;
    struct table by_name;

    struct scratch scratch; /* the record that is being made */
};

/* memory.c: as malloc(), realloc() and free(), counted. */
void *memory_resize(struct memory *m, void *pointer, size_t size);
void *memory_aligned(struct memory *m, size_t size); /* a multiple of 64 bytes, aligned, zeroed */
void *memory_huge(struct memory *m);                 /* HUGE_PAGE bytes, aligned, zeroed */
void memory_free_huge(struct memory *m, void *pointer);
void memory_free(struct memory *m, void *pointer);
/* Room for one more entry: false, and nothing changed, without memory. */
bool memory_grow(struct memory *m, void *array, size_t size, uint32_t *cap);
/* A record is facets, 0, terms, 0: each facet its number + 1; each term twice its number + 1, and 1
 * more if the count of its positions follows (else it is 1); their differences; all as varints. */
bool scratch_reserve(struct memory *m, struct scratch *s, size_t size); /* and empty it */
void scratch_put(struct scratch *s, uint32_t value);
uint32_t record_varint(const uint8_t **at);
static inline uint32_t
record_count(const uint8_t **at, uint32_t term) /* of positions; term as it was read */
{
    return term & 1 ? record_varint(at) : 1;
}

/* records.c: of rows that are alive. */
bool records_add(struct collection *c, uint32_t row, const struct scratch *record);
void records_remove(struct collection *c, uint32_t row, size_t len);
void records_fini(struct collection *c);
static inline const uint8_t *
record_of(const struct collection *c, uint32_t row)
{
    return c->records[row / SEGMENT_ROWS].at + c->record_at[row];
}

/* table.c */
typedef uint64_t table_hash_fn(const void *context, uint32_t number);
bool table_reserve(struct memory *m, struct table *t, table_hash_fn *hash, const void *context);
void table_add(struct table *t, uint64_t hash, uint32_t number); /* after table_reserve() */
void table_remove(struct table *t, table_hash_fn *hash, const void *context, uint32_t number);

/* postings.c */
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
/* Where in a block the row's posting is or belongs. */
uint32_t block_place(const struct block *block, uint32_t row);
/* Occurrences of the key in the row, 0: none. */
uint32_t block_has(const struct block *block, uint32_t row);
uint32_t list_has(const struct list *list, uint32_t row);

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
/* The block's postings; room: for DENSE_ROWS. */
static inline const uint32_t *
block_postings(const struct block *block, uint32_t *room)
{
    if (!block->bits)
        return block->at;
    dense_unpack(block, room);
    return room;
}

/* names.c: the key of a facet. name_take() counts a use, NONE without memory. */
uint32_t name_find(const struct collection *c, enum facet kind, const char *text);
uint32_t name_take(struct collection *c, enum facet kind, const char *text);
void name_drop(struct collection *c, uint32_t number);
void names_fini(struct collection *c);

/* vectors.c: room for the vectors of a segment. */
bool vectors_reserve(struct collection *c, uint32_t segment);
void vectors_fini(struct collection *c);

/* pack.c: the int8 form of a vector, turned; its scale, 0 without a direction. stride: a multiple of
 * 128, at least dims; so many numbers has `turned`, which is left with the turned vector. */
#define VECTOR_STRIDE_MAX 4096
float vector_pack(const float *vector, size_t dims, size_t stride, float *turned, int8_t *out);
void vector_turn(float *vector, size_t stride);
/* Of 2 * half values: a row of both planes; the length of what the low one is off its mean (7.5). */
float vector_split(const int8_t *vector, size_t half, uint8_t *high, uint8_t *low);
void vector_place(const uint8_t *high, size_t half, uint8_t *plane, size_t row); /* of a segment */

#endif
