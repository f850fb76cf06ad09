/* SPDX-License-Identifier: MIT */
/*
 * collection_own - what the parts of a collection share.
 *
 * Rows are slots of arrays, used again when free. Every key of a row (a term, or a facet: scope,
 * source, tag) has a list of the rows that hold it (postings_own.h), which are changed in place: a row
 * that goes takes its postings along. The row's record names its keys and the positions of its terms.
 * Vectors lie in segments of 64 rows, one word of a bitmap each, split into high and low nibbles
 * (dot.c).
 */
#ifndef GANTRY_SEARCH_INDEX_COLLECTION_OWN_H
#define GANTRY_SEARCH_INDEX_COLLECTION_OWN_H

#include "postings_own.h"

#define SEGMENT_ROWS 64
#define GROUP_ROWS   16 /* whose high nibbles lie together */
#define ALL_GROUPS   15u
#define HUGE_PAGE    (2u << 20) /* bytes */

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
    uint32_t *places;
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
