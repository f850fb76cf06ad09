/* SPDX-License-Identifier: MIT */
/*
 * rank - one order of what the legs found.
 */
#include <string.h>

#include "collection.h"

/* Rows of a vector leg that the exact cosine may put among the first k. */
static size_t
count_rivals(const struct collection_legs *legs, size_t k)
{
    size_t n = legs->vector_count;

    if (n <= k)
        return n;
    const struct collection_hit *last = &legs->vector[k - 1];
    while (n > k && (!legs->vector[n - 1].has_vector ||
                     legs->vector[n - 1].cosine < last->cosine - legs->margin))
        n--;
    return n;
}

size_t
collection_union(enum collection_mode mode, size_t k, const struct collection_legs *legs,
                 struct collection_hit *hits)
{
    size_t n = 0;

    if (mode == COLLECTION_VECTOR) {
        n = count_rivals(legs, k);
        memcpy(hits, legs->vector, n * sizeof(*hits));
        return n;
    }
    for (size_t i = 0; i < legs->text_count; i++)
        hits[n++] = legs->text[i];
    if (mode == COLLECTION_TEXT)
        return n;
    for (size_t i = 0; i < legs->vector_count + legs->whole_count; i++) {
        const struct collection_hit *hit =
            i < legs->vector_count ? &legs->vector[i] : &legs->whole[0];
        size_t at = 0;
        while (at < n && memcmp(hits[at].id, hit->id, COLLECTION_ID_LEN) != 0)
            at++;
        if (at == n)
            hits[n++] = *hit;
        if (i == legs->vector_count)
            hits[at].whole = true;
    }
    return n;
}

/* What a hybrid score is measured by. */
struct measure {
    double text_weight, most_text;
    double near, far;
};

static struct measure
measure_hits(const struct collection_ranking *ranking, const struct collection_hit *hits,
             size_t count)
{
    struct measure m = { .text_weight = ranking->text_weight, .near = -2, .far = 2 };

    for (size_t i = 0; i < count; i++) {
        if (hits[i].bm25 > m.most_text)
            m.most_text = hits[i].bm25;
        if (hits[i].has_vector && (double)hits[i].cosine > m.near)
            m.near = (double)hits[i].cosine;
        if (hits[i].has_vector && (double)hits[i].cosine < m.far)
            m.far = (double)hits[i].cosine;
    }
    return m;
}

static double
cut(double value)
{
    return value > 1 ? 1 : value > 0 ? value : 0;
}

static double
score_hit(enum collection_mode mode, const struct measure *m, const struct collection_hit *hit)
{
    double text = 0, vector = 0;

    switch (mode) {
    case COLLECTION_VECTOR:
        return hit->has_vector ? cut((double)hit->cosine) : 0;
    case COLLECTION_TEXT:
        return cut(hit->bm25 / (1 + hit->bm25));
    case COLLECTION_HYBRID:
        break;
    }
    if (m->most_text > 0)
        text = hit->bm25 / m->most_text;
    if (hit->has_vector) /* all alike: all are the nearest */
        vector = m->near > m->far ? ((double)hit->cosine - m->far) / (m->near - m->far) : 1;
    return cut(m->text_weight * text + (1 - m->text_weight) * vector);
}

/* By score; vectors that the cut made equal by cosine, and those without one last. */
static bool
is_before(enum collection_mode mode, const struct collection_hit *a, const struct collection_hit *b)
{
    if (a->score > b->score || a->score < b->score)
        return a->score > b->score;
    if (mode == COLLECTION_VECTOR && a->has_vector != b->has_vector)
        return a->has_vector;
    if (mode == COLLECTION_VECTOR && (a->cosine > b->cosine || a->cosine < b->cosine))
        return a->cosine > b->cosine;
    if (a->created_ns != b->created_ns)
        return a->created_ns > b->created_ns;
    return memcmp(a->id, b->id, COLLECTION_ID_LEN) < 0;
}

static void
sort_hits(enum collection_mode mode, struct collection_hit *hits, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct collection_hit hit = hits[i];
        size_t at = i;
        for (; at > 0 && is_before(mode, &hit, &hits[at - 1]); at--)
            hits[at] = hits[at - 1];
        hits[at] = hit;
    }
}

size_t
collection_rank(const struct collection_ranking *ranking, struct collection_hit *hits, size_t count)
{
    struct measure measure = measure_hits(ranking, hits, count);
    size_t n = count < ranking->k ? count : ranking->k;

    for (size_t i = 0; i < count; i++)
        hits[i].score = score_hit(ranking->mode, &measure, &hits[i]);
    sort_hits(ranking->mode, hits, count);
    for (size_t i = n; n > 1 && i < count; i++)
        if (hits[i].whole)
            hits[n - 1] = hits[i];
    while (ranking->has_min_score && n > 0 && hits[n - 1].score < ranking->min_score)
        n--;
    return n;
}

double
collection_text_weight(double known)
{
    return 1 - (1 - COLLECTION_TEXT_WEIGHT) * cut(known);
}
