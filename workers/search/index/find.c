/* SPDX-License-Identifier: MIT */
/*
 * find - the best rows of a collection by words and by vector, each with both values.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "find_own.h"

#define SLACK    1.0001f /* bounds are sums of floats: a little more than they come to */
#define ROUNDING 1e-5f

/* One search under way. */
struct finding {
    const struct collection *c;
    const struct collection_search *search;
    struct rowset pass;
    struct rowset match; /* text, and hybrid if the query needs more than one thing */
    struct scorer scorer;
    int8_t *vector; /* owned; NULL: no direction */
    float scale;
    float length; /* scale * length: 1 and a little; by it a row's slack is a cosine */
    int32_t sum;  /* of the vector */
};

static void
finding_cleanup(struct finding *f)
{
    rowset_cleanup(&f->pass);
    rowset_cleanup(&f->match);
    scorer_cleanup(&f->scorer);
    free(f->vector);
}

enum rc
collection_count_terms(const struct collection *c, const struct query *query,
                       struct collection_stats *stats, struct err *err)
{
    if (!stats->rows_with)
        stats->rows_with = calloc(query->term_count + 1u, sizeof(*stats->rows_with));
    if (!stats->rows_with)
        return err_set(err, RC_TEMP, "no memory for the statistics of a query");
    stats->rows += c->rows;
    stats->words += c->words;
    for (size_t i = 0; i < query->term_count; i++) {
        uint32_t number = list_find(c, query->terms[i].term);
        if (number != NONE)
            stats->rows_with[i] += c->lists[number].rows;
    }
    return RC_OK;
}

void
collection_stats_fini(struct collection_stats *stats)
{
    free(stats->rows_with);
    *stats = (struct collection_stats){ 0 };
}

static enum rc
pack_query(struct finding *f)
{
    size_t stride = 2 * f->c->half;
    double squares = 0;

    if (!f->search->vector)
        return RC_OK;
    f->vector = aligned_alloc(64, stride);
    if (!f->vector)
        return RC_TEMP;
    f->scale = vector_pack(f->search->vector, f->c->dims, stride, f->vector);
    if (!(f->scale > 0)) {
        free(f->vector);
        f->vector = NULL;
        return RC_OK;
    }
    for (size_t i = 0; i < f->c->dims; i++) {
        f->sum += f->vector[i];
        squares += f->vector[i] * f->vector[i];
    }
    f->length = f->scale * (float)sqrt(squares) * SLACK;
    return RC_OK;
}

static float
cosine_of(const struct finding *f, uint32_t row, int32_t dot)
{
    float cosine = (float)dot * f->scale * f->c->scale[row];
    return cosine > 1 ? 1 : cosine < -1 ? -1 : cosine;
}

/* Products with the rows of a plane: all at once unless few are wanted. */
static void
multiply(const struct finding *f, const uint8_t *plane, uint64_t wanted, int32_t dots[SEGMENT_ROWS])
{
    const struct collection *c = f->c;

    if (__builtin_popcountll(wanted) >= SEGMENT_ROWS / 4) {
        c->dot(f->vector, plane, c->half, SEGMENT_ROWS, dots);
        return;
    }
    for (; wanted; wanted &= wanted - 1) {
        int i = __builtin_ctzll(wanted);
        c->dot(f->vector, plane + (size_t)i * c->half, c->half, 1, &dots[i]);
    }
}

/* Of the high nibbles' products, rows that can reach the value whatever their low ones are. */
static uint64_t
find_near(const struct finding *f, size_t segment, const int32_t highs[SEGMENT_ROWS], float least)
{
    const float *scale = f->c->scale + segment * SEGMENT_ROWS;
    const float *slack = f->c->slack + segment * SEGMENT_ROWS;
    const float mean = 7.5f * (float)f->sum;
    float bounds[SEGMENT_ROWS];
    uint64_t near = 0;

    for (size_t i = 0; i < SEGMENT_ROWS; i++)
        bounds[i] = ((float)(16 * highs[i] - 128 * f->sum) + mean) * f->scale * scale[i] +
                    f->length * slack[i];
    for (unsigned i = 0; i < SEGMENT_ROWS; i++)
        near |= (uint64_t)(bounds[i] >= least) << i;
    return near;
}

static void
find_in_segment(const struct finding *f, size_t segment, struct best *best)
{
    const struct collection *c = f->c;
    int32_t highs[SEGMENT_ROWS], lows[SEGMENT_ROWS];
    uint64_t near = f->pass.bits[segment];

    if (__builtin_popcountll(near) < SEGMENT_ROWS / 4)
        memset(highs, 0, sizeof(highs));
    multiply(f, c->segments[segment], near, highs);
    if (best_is_full(best))
        near &= find_near(f, segment, highs, (float)best->at[best->n - 1].value - ROUNDING);
    if (!near)
        return;
    multiply(f, c->lows[segment], near, lows);
    for (; near; near &= near - 1) {
        int i = __builtin_ctzll(near);
        uint32_t row = (uint32_t)(segment * SEGMENT_ROWS) + (uint32_t)i;
        if (c->scale[row] > 0)
            best_push(c, best, (double)cosine_of(f, row, 16 * highs[i] - 128 * f->sum + lows[i]),
                      row);
    }
}

static enum rc
find_vectors(const struct finding *f, struct best *best)
{
    for (size_t segment = 0; f->vector && segment < f->pass.words; segment++) {
        if (!f->pass.bits[segment] || !f->c->segments[segment])
            continue;
        if (segment % 64 == 0 && search_is_late(f->search))
            return RC_LIMIT;
        find_in_segment(f, segment, best);
    }
    return RC_OK;
}

/* The newest rows that have no cosine. */
static void
find_others(const struct finding *f, struct best *best)
{
    for (uint32_t row = 0; rowset_next(&f->pass, &row); row++)
        if (!f->vector || !(f->c->scale[row] > 0))
            best_push(f->c, best, 0, row);
}

/* --- legs ---------------------------------------------------------------------------------------------- */

typedef bool before_fn(const struct collection_hit *a, const struct collection_hit *b);

static bool
is_newer(const struct collection_hit *a, const struct collection_hit *b)
{
    if (a->created_ns != b->created_ns)
        return a->created_ns > b->created_ns;
    return memcmp(a->id, b->id, COLLECTION_ID_LEN) < 0;
}

static bool
has_more_words(const struct collection_hit *a, const struct collection_hit *b)
{
    if (a->bm25 > b->bm25 || a->bm25 < b->bm25)
        return a->bm25 > b->bm25;
    return is_newer(a, b);
}

static bool
is_closer(const struct collection_hit *a, const struct collection_hit *b)
{
    if (a->has_vector != b->has_vector)
        return a->has_vector;
    if (a->cosine > b->cosine || a->cosine < b->cosine)
        return a->cosine > b->cosine;
    return is_newer(a, b);
}

static struct collection_hit
make_hit(const struct finding *f, uint32_t row)
{
    const struct collection *c = f->c;
    struct collection_hit hit = {
        .created_ns = c->created_ns[row],
        .bm25 = (double)scorer_row(&f->scorer, row) / SCORE_UNIT,
        .has_vector = f->vector && c->scale[row] > 0,
    };

    memcpy(hit.id, c->ids[row], COLLECTION_ID_LEN);
    if (hit.has_vector) {
        size_t segment = row / SEGMENT_ROWS, at = row % SEGMENT_ROWS * c->half;
        int32_t high, low;
        c->dot(f->vector, c->segments[segment] + at, c->half, 1, &high);
        c->dot(f->vector, c->lows[segment] + at, c->half, 1, &low);
        hit.cosine = cosine_of(f, row, 16 * high - 128 * f->sum + low);
    }
    return hit;
}

/* Adds a hit to a leg that is in order and holds at most depth. */
static void
insert_hit(struct collection_hit *leg, size_t *n, size_t depth, before_fn *before,
           const struct collection_hit *hit)
{
    size_t at = *n;

    while (at > 0 && before(hit, &leg[at - 1]))
        at--;
    if (at == depth)
        return;
    if (*n < depth)
        ++*n;
    memmove(leg + at + 1, leg + at, (*n - 1 - at) * sizeof(*leg));
    leg[at] = *hit;
}

static void
add_text(const struct finding *f, const struct best *best, struct collection_legs *legs)
{
    for (size_t i = 0; i < best->n; i++) {
        struct collection_hit hit = make_hit(f, best->at[i].row);
        insert_hit(legs->text, &legs->text_count, best->depth, has_more_words, &hit);
    }
}

static void
add_vectors(const struct finding *f, const struct best *best, struct collection_legs *legs)
{
    for (size_t i = 0; i < best->n; i++) {
        struct collection_hit hit = make_hit(f, best->at[i].row);
        insert_hit(legs->vector, &legs->vector_count, best->depth, is_closer, &hit);
    }
}

/* The best row by BM25 that satisfies the query: mostly one of the text leg. */
static enum rc
find_whole(struct finding *f, const struct best *text, struct best *whole)
{
    enum rc rc = match_rows(f->c, f->search, &f->pass, &f->match);

    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < text->n && !best_is_full(whole); i++)
        if (rowset_has(&f->match, text->at[i].row))
            best_push(f->c, whole, text->at[i].value, text->at[i].row);
    if (f->match.count > 0 && !best_is_full(whole))
        return scorer_best(&f->scorer, f->search, &f->match, true, whole);
    return RC_OK;
}

static enum rc
find_text(struct finding *f, size_t depth, struct collection_legs *legs)
{
    struct best best = { .depth = depth };
    enum rc rc = match_rows(f->c, f->search, &f->pass, &f->match);

    if (rc == RC_OK)
        rc = scorer_best(&f->scorer, f->search, &f->match, true, &best);
    if (rc == RC_OK)
        add_text(f, &best, legs);
    return rc;
}

/* A query with one need is satisfied by every row that it finds: the formula alone puts it first. */
static enum rc
find_fused(struct finding *f, struct collection_legs *legs)
{
    struct best text = { .depth = COLLECTION_DEPTH }, vectors = text, others = text;
    struct best whole = { .depth = 1 };
    enum rc rc = scorer_best(&f->scorer, f->search, &f->pass, false, &text);

    if (rc == RC_OK && f->search->query && f->search->query->need_count > 1)
        rc = find_whole(f, &text, &whole);
    if (rc == RC_OK)
        rc = find_vectors(f, &vectors);
    if (rc != RC_OK)
        return rc;
    if (!best_is_full(&vectors))
        find_others(f, &others);
    add_text(f, &text, legs);
    add_vectors(f, &vectors, legs);
    add_vectors(f, &others, legs);
    if (whole.n > 0) {
        struct collection_hit hit = make_hit(f, whole.at[0].row);
        insert_hit(legs->whole, &legs->whole_count, 1, has_more_words, &hit);
    }
    return RC_OK;
}

static enum rc
find_nearest(struct finding *f, size_t depth, struct collection_legs *legs)
{
    struct best vectors = { .depth = depth }, others = vectors;
    enum rc rc = find_vectors(f, &vectors);

    if (rc != RC_OK)
        return rc;
    if (!best_is_full(&vectors))
        find_others(f, &others);
    add_vectors(f, &vectors, legs);
    add_vectors(f, &others, legs);
    return RC_OK;
}

static enum rc
find(struct finding *f, struct collection_legs *legs)
{
    size_t k = f->search->k;
    enum rc rc = filter_rows(f->c, &f->search->filter, &f->pass);

    if (rc != RC_OK || f->pass.count == 0)
        return rc;
    if ((rc = scorer_new(f->c, f->search, &f->scorer)) != RC_OK || (rc = pack_query(f)) != RC_OK)
        return rc;
    switch (f->search->mode) {
    case COLLECTION_HYBRID:
        return find_fused(f, legs);
    case COLLECTION_VECTOR:
        return find_nearest(f, k + COLLECTION_RERANK, legs);
    case COLLECTION_TEXT:
        return find_text(f, k, legs);
    }
    return RC_BUG;
}

enum rc
collection_find(const struct collection *c, const struct collection_search *search,
                struct collection_legs *legs, struct err *err)
{
    AUTO(finding) struct finding f = { .c = c, .search = search };
    enum rc rc;

    if (search->k < 1 || search->k > COLLECTION_K_MAX || !search->query != !search->stats)
        return err_set(err, RC_BUG, "a search for %zu rows, or without statistics", search->k);
    rc = find(&f, legs);
    if (rc == RC_LIMIT)
        return err_set(err, rc, "the search took longer than its time budget");
    if (rc == RC_TEMP)
        return err_set(err, rc, "no memory for a search");
    return rc == RC_OK ? RC_OK : err_set(err, rc, "a search of no known mode");
}
