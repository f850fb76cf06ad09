/* SPDX-License-Identifier: MIT */
/*
 * find_own - what the parts of one search in a collection share.
 *
 * Scores of words are sums of integers (2^-17 of a BM25 point), so that their order does not depend
 * on the order of adding.
 */
#ifndef GANTRY_SEARCH_INDEX_FIND_OWN_H
#define GANTRY_SEARCH_INDEX_FIND_OWN_H

#include <stdatomic.h>

#include "base/clock.h"
#include "collection_own.h"

#define SCORE_UNIT 131072.0 /* 256 terms of at most 38 points fit 32 bits */

static inline bool
search_is_late(const struct collection_search *search)
{
    return search->deadline_us && clock_mono_us() > search->deadline_us;
}

/* rowset.c: a set of rows as a bitmap. */
struct rowset {
    uint64_t *bits; /* owned */
    size_t words;
    uint32_t count;
};
bool rowset_new(const struct collection *c, struct rowset *set); /* empty; false: no memory */
void rowset_copy(struct rowset *to, const struct rowset *from);
void rowset_clear(struct rowset *set);
void rowset_cleanup(struct rowset *set);
void rowset_recount(struct rowset *set);
void rowset_add_list(struct rowset *set, const struct list *list);
void rowset_and(struct rowset *set, const struct rowset *other);
/* Leaves the rows of the list (NULL: none); other is scratch. */
void rowset_and_list(struct rowset *set, const struct list *list, struct rowset *other);
static inline bool
rowset_has(const struct rowset *set, uint32_t row)
{
    return set->bits[row / SEGMENT_ROWS] >> row % SEGMENT_ROWS & 1;
}
static inline bool
rowset_next(const struct rowset *set, uint32_t *row) /* the first one from *row on */
{
    size_t word = *row / SEGMENT_ROWS;
    uint64_t bits;

    if (word >= set->words)
        return false;
    bits = set->bits[word] >> *row % SEGMENT_ROWS << *row % SEGMENT_ROWS;
    while (bits == 0)
        if (++word == set->words)
            return false;
        else
            bits = set->bits[word];
    *row = (uint32_t)(word * SEGMENT_ROWS) + (uint32_t)__builtin_ctzll(bits);
    return true;
}

/* filter.c: the rows that pass. */
enum rc filter_rows(const struct collection *c, const struct collection_filter *filter,
                    struct rowset *out);

/* match.c: the rows of pass that satisfy a group of the query. */
enum rc match_rows(const struct collection *c, const struct collection_search *search,
                   const struct rowset *pass, struct rowset *out);

/* best.c: the first rows of an order: value, newest, id. */
struct place {
    double value;
    uint32_t row;
};
struct best {
    size_t n, depth;
    struct place at[COLLECTION_LEG_MAX];
};
void best_insert(const struct collection *c, struct best *best, double value, uint32_t row);
static inline bool
best_is_full(const struct best *best)
{
    return best->n == best->depth;
}
static inline void
best_push(const struct collection *c, struct best *best, double value, uint32_t row)
{
    if (!best_is_full(best) || (best->n > 0 && value >= best->at[best->n - 1].value))
        best_insert(c, best, value, row);
}

/* bm25.c */
#define TABLE_WORDS 128
#define TABLE_TIMES 3
struct scored {
    const struct list *list;
    struct list_blocks blocks;
    struct few few;
    double weight; /* units */
    uint32_t block;
    uint32_t bound;                           /* of a posting in this window */
    uint32_t postings;                        /* in it, about */
    uint32_t table[TABLE_TIMES][TABLE_WORDS]; /* what occurrences score in a row of so many words */
};
struct scorer {
    const struct collection *c;
    double base, slope; /* of the norm */
    uint64_t postings;
    size_t n;
    struct scored *terms; /* owned */
    uint16_t *order;      /* owned: by bound */
};
enum rc scorer_new(const struct collection *c, const struct collection_search *search,
                   struct scorer *out);
void scorer_cleanup(struct scorer *scorer);
uint32_t scorer_posting(const struct scorer *scorer, const struct scored *term, uint32_t posting);
/* floor.c: what the last of so many rows of pass scores at least, 0 if nothing is known; false: no
 * memory. */
bool scorer_floor(const struct scorer *scorer, const struct rowset *pass, size_t depth,
                  uint64_t *floor);
uint32_t scorer_row(const struct scorer *scorer, uint32_t row);
/* The best rows of pass; those with no word of the query only if zeros are wanted. */
enum rc scorer_best(struct scorer *scorer, const struct collection_search *search,
                    const struct rowset *pass, bool zeros, struct best *best);

/* A row that was found by words, of which the cosine is wanted too. */
struct wanted {
    uint32_t row;
    float cosine;
};

/* One search under way. */
struct finding {
    const struct collection *c;
    const struct collection_search *search;
    struct collection_legs *legs;
    bool late;
    struct rowset pass;
    struct rowset match; /* text, and hybrid if the query needs more than one thing */
    struct scorer scorer;
    struct best text, whole, vectors;
    int8_t *vector; /* owned; NULL: no direction */
    float scale;    /* of it */
    int32_t sum;    /* of its values */
    struct dot_bound bound;
    struct wanted wanted[COLLECTION_LEG_MAX + 1]; /* ascending; filled by the scan */
    size_t wanted_count, wanted_asked, wanted_known;
};

/* nearest.c */
bool nearest_pack(struct finding *f); /* the query's vector; false: no memory */
void nearest_want(struct finding *f, uint32_t row);
float nearest_cosine(const struct finding *f, uint32_t row);
/* The best rows of each by vector, in one pass over the rows. */
void nearest_find(struct finding *findings, size_t n);

/* The same for one search by two threads: each takes the next of the rows that are left. */
struct nearest_pair {
    struct finding *mine, theirs; /* theirs borrows all but what it finds */
    atomic_uint next;
};
void nearest_pair_init(struct nearest_pair *pair, struct finding *f);
void nearest_pair_theirs(void *pair); /* what the other thread does */
/* In the first thread: the rest; after both have ended, one result of two. */
void nearest_pair_mine(struct nearest_pair *pair);
void nearest_pair_join(struct nearest_pair *pair);

#endif
