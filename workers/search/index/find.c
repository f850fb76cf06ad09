/* SPDX-License-Identifier: MIT */
/*
 * find - the best rows of a collection by words and by vector, each with both values.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "find_own.h"

/* One search under way. */
struct finding {
    const struct collection *c;
    const struct collection_search *search;
    struct rowset pass;
    struct rowset match; /* text, and hybrid if the query needs more than one thing */
    struct scorer scorer;
    int8_t *vector; /* owned; NULL: no direction */
    float scale;
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
    if (!f->search->vector)
        return RC_OK;
    f->vector = aligned_alloc(64, f->c->stride);
    if (!f->vector)
        return RC_TEMP;
    f->scale = vector_pack(f->search->vector, f->c->dims, f->c->stride, f->vector);
    if (!(f->scale > 0)) {
        free(f->vector);
        f->vector = NULL;
    }
    return RC_OK;
}

static float
cosine_of(const struct finding *f, uint32_t row, int32_t dot)
{
    float cosine = (float)dot * f->scale * f->c->scale[row];
    return cosine > 1 ? 1 : cosine < -1 ? -1 : cosine;
}

/* The dot products of a segment's rows: all at once unless few are wanted. */
static void
multiply(const struct finding *f, size_t segment, uint64_t wanted, int32_t dots[SEGMENT_ROWS])
{
    const struct collection *c = f->c;
    const int8_t *rows = c->segments[segment];

    if (__builtin_popcountll(wanted) >= SEGMENT_ROWS / 4) {
        c->dot(f->vector, rows, c->stride, SEGMENT_ROWS, dots);
        return;
    }
    for (; wanted; wanted &= wanted - 1) {
        int i = __builtin_ctzll(wanted);
        c->dot(f->vector, rows + (size_t)i * c->stride, c->stride, 1, &dots[i]);
    }
}

/* Adds those of a segment's rows that are near enough; scale is that of the rows. */
static void
push_segment(const struct finding *f, size_t segment, uint64_t wanted,
             const int32_t dots[SEGMENT_ROWS], struct best *best)
{
    const float *scale = f->c->scale + segment * SEGMENT_ROWS;
    float values[SEGMENT_ROWS];
    double least = best_is_full(best) ? best->at[best->n - 1].value : -2;
    uint64_t near = 0;

    for (size_t i = 0; i < SEGMENT_ROWS; i++)
        values[i] = (float)dots[i] * f->scale * scale[i];
    for (unsigned i = 0; i < SEGMENT_ROWS; i++)
        near |= (uint64_t)(values[i] >= (float)least) << i;
    for (near &= wanted; near; near &= near - 1) {
        int i = __builtin_ctzll(near);
        uint32_t row = (uint32_t)(segment * SEGMENT_ROWS) + (uint32_t)i;
        if (scale[i] > 0)
            best_push(f->c, best, (double)cosine_of(f, row, dots[i]), row);
    }
}

static enum rc
find_vectors(const struct finding *f, struct best *best)
{
    const struct collection *c = f->c;
    int32_t dots[SEGMENT_ROWS] = { 0 };

    for (size_t segment = 0; f->vector && segment < f->pass.words; segment++) {
        uint64_t wanted = f->pass.bits[segment];
        if (!wanted || !c->segments[segment])
            continue;
        if (segment % 64 == 0 && search_is_late(f->search))
            return RC_LIMIT;
        multiply(f, segment, wanted, dots);
        push_segment(f, segment, wanted, dots, best);
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
    int32_t dot;

    memcpy(hit.id, c->ids[row], COLLECTION_ID_LEN);
    if (hit.has_vector) {
        const int8_t *at = c->segments[row / SEGMENT_ROWS] + row % SEGMENT_ROWS * c->stride;
        c->dot(f->vector, at, c->stride, 1, &dot);
        hit.cosine = cosine_of(f, row, dot);
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
find_near(struct finding *f, size_t depth, struct collection_legs *legs)
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
        return find_near(f, k + COLLECTION_RERANK, legs);
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
