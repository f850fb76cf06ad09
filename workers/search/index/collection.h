/* SPDX-License-Identifier: MIT */
/*
 * collection - the searchable copy of one workspace's memories, in memory only.
 *
 * Rows come and go by id; what a row leaves is gone at once (no tombstones), so that the numbers of
 * rows, of words and of rows with a term are exact. A search has three steps: collection_count_terms()
 * sums the statistics, collection_find() the best rows by BM25 and by cosine, collection_union() and
 * collection_rank() make one order of them. A workspace beyond the memory bound is searched in
 * slices, the first two steps into the same stats and legs: the result is the same to the last bit.
 *
 * Units:   *_ms and *_ns wall time, *_us on clock_mono_us()
 * Errors:  RC_TEMP    no memory; nothing was changed
 *          RC_CORRUPT a row's terms are not what analysis_open() reads; nothing was changed
 *          RC_LIMIT   a search beyond its deadline; more than COLLECTION_ROWS_MAX rows
 * Threads: any number of readers (const struct collection *), or one writer; the caller locks
 */
#ifndef GANTRY_SEARCH_INDEX_COLLECTION_H
#define GANTRY_SEARCH_INDEX_COLLECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analysis/query.h"
#include "base/rc.h"

#define COLLECTION_ID_LEN    16
#define COLLECTION_ROWS_MAX  ((1u << 24) - 1)
#define COLLECTION_DIMS_MAX  4000
#define COLLECTION_TAGS_MAX  1024 /* of a row or a filter; those beyond make RC_LIMIT */
#define COLLECTION_K_MAX     50
#define COLLECTION_DEPTH     60  /* rows of each leg that a hybrid search fuses */
#define COLLECTION_TERMS_MAX 256 /* of a query that are scored: those in the fewest rows */
#define COLLECTION_COUNT_MAX 255 /* more occurrences of a term in a row count as so many */
/* Candidates beyond k that a vector search hands out: enough that ranking them by the exact cosine
 * gives the exact first k (int8 alone puts about one row in a hundred behind the k-th place). */
#define COLLECTION_RERANK   16
#define COLLECTION_LEG_MAX  (COLLECTION_K_MAX + COLLECTION_RERANK)
#define COLLECTION_HITS_MAX (2 * COLLECTION_LEG_MAX + 1) /* of a union */

/* The share of BM25 in a hybrid score when the model has a row for every word of the query. */
#define COLLECTION_TEXT_WEIGHT 0.6

struct collection;

/* Everything is borrowed for the call. */
struct collection_row {
    const uint8_t *id;              /* COLLECTION_ID_LEN bytes */
    uint32_t place;                 /* the caller's word about the row, which its hits hand back */
    int64_t created_ns, expires_ms; /* 0: never expires */
    const char *scope, *source;
    const char *const *tags;
    size_t tag_count;
    const float *vector;  /* dims numbers of any length; NULL or all zero: the row has none */
    const uint8_t *terms; /* from analysis_encode(); NULL: none */
    size_t terms_len;
};

/* dims 1..COLLECTION_DIMS_MAX. */
enum rc collection_new(size_t dims, struct collection **out, struct err *err);
void collection_free(struct collection *c); /* NULL allowed */
void collection_cleanup(struct collection **c);

/* Insert, or replace the row of that id. A few microseconds for a memory of 24 words. */
enum rc collection_put(struct collection *c, const struct collection_row *row, struct err *err);
bool collection_remove(struct collection *c, const uint8_t *id); /* false: there is none */

size_t collection_rows(const struct collection *c);
size_t collection_bytes(const struct collection *c); /* everything allocated, with malloc's share */
size_t collection_dims(const struct collection *c);

/* NULL and 0 tags: any. A row passes if it holds all of the tags. */
struct collection_filter {
    const char *scope, *source;
    const char *const *tags;
    size_t tag_count;
    bool has_since, has_until;
    int64_t since_ms, until_ms; /* since <= created < until */
    int64_t now_ms;             /* rows that expire at or before it do not pass */
};

/* Statistics of all rows (no filter) for the terms of one query. Start with zeros. */
struct collection_stats {
    uint64_t rows, words;
    uint32_t *rows_with; /* owned; one for each of query->terms */
};
enum rc collection_count_terms(const struct collection *c, const struct query *query,
                               struct collection_stats *stats, struct err *err);
void collection_stats_fini(struct collection_stats *stats);

enum collection_mode { COLLECTION_HYBRID, COLLECTION_VECTOR, COLLECTION_TEXT };

struct collection_search {
    enum collection_mode mode;
    size_t k;                             /* 1..COLLECTION_K_MAX */
    const struct query *query;            /* NULL: no words; the text mode then finds nothing */
    const struct collection_stats *stats; /* of query, over all slices; NULL exactly if query is */
    const float *vector;                  /* dims numbers; NULL or all zero: no direction */
    struct collection_filter filter;
    int64_t deadline_us; /* 0: none */
};

/* Both values are known for every hit, in every mode: 0 where the row or the query has none. */
struct collection_hit {
    uint8_t id[COLLECTION_ID_LEN];
    uint32_t place; /* as given with the row */
    int64_t created_ns;
    double bm25;
    float cosine;    /* of the int8 forms, within about .003; a caller may put the exact one here */
    bool has_vector; /* and the query has: cosine means something */
    bool whole;   /* of a hybrid search: the best row by BM25 that satisfies the query (query.h) */
    double score; /* 0..1, by collection_rank() */
};

/* The best rows so far, best first. Start with zeros (n = 0). */
struct collection_legs {
    size_t text_count, vector_count, whole_count;
    struct collection_hit text[COLLECTION_LEG_MAX];
    struct collection_hit vector[COLLECTION_LEG_MAX]; /* then those without one, newest first */
    struct collection_hit whole[1];
    float margin; /* a row whose int8 cosine is farther below the k-th one is no candidate */
};

/* Adds the best rows of c to legs. Hybrid: COLLECTION_DEPTH of each leg; vector: k +
 * COLLECTION_RERANK; text: k, only rows that satisfy the query. Order of equals: newest, then id. */
enum rc collection_find(const struct collection *c, const struct collection_search *search,
                        struct collection_legs *legs, struct err *err);

/* Several searches together, for which the vectors are read once. */
struct collection_asked {
    const struct collection_search *search;
    struct collection_legs *legs;
    bool late; /* set: it took longer than its time budget, and the legs are as they were */
};
/* Another thread for a search that is alone; NULL, or start() false: there is none. */
struct collection_helper {
    bool (*start)(void *context, void (*fn)(void *arg), void *arg);
    void (*join)(void *context); /* fn() has ended, or will never begin */
    void *context;
    size_t least_rows; /* that pass the filter; for fewer it is not worth it */
};
enum rc collection_find_all(const struct collection *c, struct collection_asked *asked, size_t n,
                            const struct collection_helper *helper, struct err *err);

/* The rows that are to be ranked for an answer of k, each row once; the number, at most COLLECTION_HITS_MAX. */
size_t collection_union(enum collection_mode mode, size_t k, const struct collection_legs *legs,
                        struct collection_hit *hits);

struct collection_ranking {
    enum collection_mode mode;
    size_t k;
    double text_weight; /* hybrid: from collection_text_weight() */
    bool has_min_score;
    double min_score;
};

/* Scores, sorts and cuts hits to the answer; the number left. Scores are
 *   vector  the cosine, cut at 0
 *   text    bm25 / (1 + bm25)
 *   hybrid  w * bm25 / max + (1 - w) * (cosine - min) / (max - min) over all hits given
 * A hybrid answer holds the `whole` row: where its score would leave it out, it takes the last place
 * (k > 1). Text that occurs word for word must not be lost to rows that are middling in both. */
size_t collection_rank(const struct collection_ranking *ranking, struct collection_hit *hits,
                       size_t count);

/* w for a query of which the model has rows for `known` (0..1) of the words: unknown words give
 * vectors that mean little. */
double collection_text_weight(double known);

#endif
