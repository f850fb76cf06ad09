/* SPDX-License-Identifier: MIT */
/*
 * find - the best rows of a collection by words and by vector, each with both values.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "find_own.h"

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

/* The newest rows that have no cosine; mostly those in the last slots. */
static void
find_others(const struct finding *f, struct best *best)
{
    for (size_t word = f->pass.words; word-- > 0;)
        for (uint64_t bits = f->pass.bits[word], last; bits; bits ^= last) {
            unsigned i = 63 - (unsigned)__builtin_clzll(bits);
            uint32_t row = (uint32_t)(word * SEGMENT_ROWS) + i;
            last = UINT64_C(1) << i;
            if (!f->vector || !(f->c->scale[row] > 0))
                best_push(f->c, best, 0, row);
        }
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
make_hit(const struct finding *f, uint32_t row, double bm25)
{
    struct collection_hit hit = {
        .place = f->c->places[row],
        .created_ns = f->c->created_ns[row],
        .bm25 = bm25 / SCORE_UNIT,
        .has_vector = f->vector && f->c->scale[row] > 0,
    };

    memcpy(hit.id, f->c->ids[row], COLLECTION_ID_LEN);
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
add_text(const struct finding *f, const struct best *best, struct collection_hit *leg, size_t *n)
{
    for (size_t i = 0; i < best->n; i++) {
        struct collection_hit hit = make_hit(f, best->at[i].row, best->at[i].value);
        if (hit.has_vector)
            hit.cosine = nearest_cosine(f, best->at[i].row);
        insert_hit(leg, n, best->depth, has_more_words, &hit);
    }
}

static void
add_vectors(const struct finding *f, const struct best *best, struct collection_legs *legs)
{
    for (size_t i = 0; i < best->n; i++) {
        uint32_t row = best->at[i].row;
        struct collection_hit hit = make_hit(f, row, scorer_row(&f->scorer, row));
        hit.cosine = (float)best->at[i].value;
        insert_hit(legs->vector, &legs->vector_count, best->depth, is_closer, &hit);
    }
}

/* The best row by BM25 that satisfies the query: mostly one of the text leg. */
static enum rc
find_whole(struct finding *f)
{
    enum rc rc = match_rows(f->c, f->search, &f->pass, &f->match);

    f->whole.depth = 1;
    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < f->text.n && !best_is_full(&f->whole); i++)
        if (rowset_has(&f->match, f->text.at[i].row))
            best_push(f->c, &f->whole, f->text.at[i].value, f->text.at[i].row);
    if (f->match.count > 0 && !best_is_full(&f->whole))
        return scorer_best(&f->scorer, f->search, &f->match, true, &f->whole);
    return RC_OK;
}

/* A query with one need is satisfied by every row that it finds: the formula alone puts it first. */
static enum rc
find_words(struct finding *f)
{
    const struct query *query = f->search->query;
    enum rc rc = RC_OK;

    switch (f->search->mode) {
    case COLLECTION_HYBRID:
        f->text.depth = COLLECTION_DEPTH;
        rc = scorer_best(&f->scorer, f->search, &f->pass, false, &f->text);
        return rc == RC_OK && query && query->need_count > 1 ? find_whole(f) : rc;
    case COLLECTION_VECTOR:
        return RC_OK;
    case COLLECTION_TEXT:
        f->text.depth = f->search->k;
        rc = match_rows(f->c, f->search, &f->pass, &f->match);
        return rc == RC_OK ? scorer_best(&f->scorer, f->search, &f->match, true, &f->text) : rc;
    }
    return RC_BUG;
}

static size_t
vector_depth(const struct collection_search *search)
{
    switch (search->mode) {
    case COLLECTION_HYBRID:
        return COLLECTION_DEPTH;
    case COLLECTION_VECTOR:
        return search->k + COLLECTION_RERANK;
    case COLLECTION_TEXT:
        break;
    }
    return 0;
}

/* What both legs need. */
static enum rc
begin(struct finding *f)
{
    const struct collection_search *search = f->search;
    enum rc rc;

    if (search->k < 1 || search->k > COLLECTION_K_MAX || !search->query != !search->stats)
        return RC_BUG;
    if ((rc = filter_rows(f->c, &search->filter, &f->pass)) != RC_OK ||
        (rc = scorer_new(f->c, search, &f->scorer)) != RC_OK)
        return rc;
    f->vectors.depth = vector_depth(search);
    return nearest_pack(f) ? RC_OK : RC_TEMP;
}

static enum rc
take_words(struct finding *f)
{
    enum rc rc = search_is_late(f->search) ? RC_LIMIT : find_words(f);

    for (size_t i = 0; i < f->text.n; i++)
        nearest_want(f, f->text.at[i].row);
    if (f->whole.n > 0)
        nearest_want(f, f->whole.at[0].row);
    f->late = rc == RC_LIMIT;
    return f->late ? RC_OK : rc;
}

/* Two int8 cosines, whose errors are like noise of .01 / sqrt(dims) each, and more than five standard
 * deviations: the fewer dimensions there are, the more does one rounding count. */
static float
margin_of(size_t dims)
{
    return dims < 256 ? .1f / sqrtf((float)dims) : .006f;
}

static void
finish(struct finding *f)
{
    struct best others = { .depth = f->vectors.depth };

    f->legs->margin = margin_of(f->c->dims);
    add_text(f, &f->text, f->legs->text, &f->legs->text_count);
    add_vectors(f, &f->vectors, f->legs);
    if (!best_is_full(&f->vectors))
        find_others(f, &others);
    add_vectors(f, &others, f->legs);
    add_text(f, &f->whole, f->legs->whole, &f->legs->whole_count);
}

/* The vectors in another thread, and the words, and what is left of the vectors, in this one. False: it has
 * none. */
static bool
find_beside(struct finding *f, const struct collection_helper *helper, enum rc *rc)
{
    struct nearest_pair pair;

    if (!helper || !f->vector || f->vectors.depth == 0 || f->pass.count < helper->least_rows)
        return false;
    nearest_pair_init(&pair, f);
    if (!helper->start(helper->context, nearest_pair_theirs, &pair))
        return false;
    *rc = take_words(f);
    if (*rc == RC_OK)
        nearest_pair_mine(&pair);
    helper->join(helper->context);
    if (*rc == RC_OK)
        nearest_pair_join(&pair);
    return true;
}

static enum rc
find_all(struct finding *findings, size_t n, const struct collection_helper *helper)
{
    enum rc rc = RC_OK;

    for (size_t i = 0; i < n && rc == RC_OK; i++)
        rc = begin(&findings[i]);
    if (rc == RC_OK && (n > 1 || !find_beside(&findings[0], helper, &rc))) {
        for (size_t i = 0; i < n && rc == RC_OK; i++)
            rc = take_words(&findings[i]);
        if (rc == RC_OK)
            nearest_find(findings, n);
    }
    for (size_t i = 0; i < n && rc == RC_OK; i++)
        if (!findings[i].late)
            finish(&findings[i]);
    return rc;
}

enum rc
collection_find_all(const struct collection *c, struct collection_asked *asked, size_t n,
                    const struct collection_helper *helper, struct err *err)
{
    AUTO(free) struct finding *findings = calloc(n + 1, sizeof(*findings));
    enum rc rc = findings ? RC_OK : RC_TEMP;

    for (size_t i = 0; i < n && rc == RC_OK; i++)
        findings[i] = (struct finding){ .c = c, .search = asked[i].search, .legs = asked[i].legs };
    if (rc == RC_OK && n > 0)
        rc = find_all(findings, n, helper);
    for (size_t i = 0; i < n && findings; i++) {
        asked[i].late = findings[i].late;
        finding_cleanup(&findings[i]);
    }
    if (rc == RC_TEMP)
        return err_set(err, rc, "no memory for a search");
    return rc == RC_OK ? RC_OK
                       : err_set(err, rc, "a search without statistics, or of no such size");
}

enum rc
collection_find(const struct collection *c, const struct collection_search *search,
                struct collection_legs *legs, struct err *err)
{
    struct collection_asked asked = { .search = search, .legs = legs };
    enum rc rc = collection_find_all(c, &asked, 1, NULL, err);

    if (rc == RC_OK && asked.late)
        return err_set(err, RC_LIMIT, "the search took longer than its time budget");
    return rc;
}
