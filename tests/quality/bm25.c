/* SPDX-License-Identifier: MIT */
/*
 * bm25 - ranks texts by BM25 over the terms of common/analysis, and by the builtin model, without a
 * server: what tests/quality/measure.py calls.
 *
 * Input:  u32 documents, for each u32 length and its bytes; u32 queries, likewise
 * Output: for each query and each of the modes text, vector and hybrid a line of document numbers
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/analysis.h"
#include "analysis/query.h"
#include "embed/embed.h"

#define K1    1.2
#define B     0.75
#define TOP   10
#define LEG   60
#define SHARE 0.6 /* of BM25 in the hybrid */
#define FALL  1.0 /* of the vector's share where the model knows no word of the query */

struct occurrence {
    uint64_t term;
    uint32_t document;
    uint32_t count;
};

struct collection {
    struct occurrence *items;
    size_t count;
    size_t cap;
    uint32_t *words;
    float *vectors;
    uint32_t documents;
    double average;
};

struct hit {
    double score;
    uint32_t document;
};

static void
check(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "bm25: %s\n", what);
    exit(1);
}

static uint32_t
read_u32(void)
{
    uint32_t value;
    check(fread(&value, sizeof(value), 1, stdin) == 1, "the input ends early");
    return value;
}

static char *
read_text(uint32_t *len)
{
    *len = read_u32();
    char *text = malloc(*len + 1UL);
    check(text && fread(text, 1, *len, stdin) == *len, "the input ends early");
    text[*len] = 0;
    return text;
}

static void
add_document(struct collection *c, uint32_t number, const char *text, uint32_t len)
{
    struct buf terms;
    buf_init(&terms, ANALYSIS_ENCODED_MAX);
    check(analysis_encode(text, len, &terms) == RC_OK, "analysis fails");
    struct analysis_reader reader;
    struct analysis_posting posting;
    check(analysis_open(&reader, (const uint8_t *)terms.data, terms.len), "what was written");
    while (analysis_next(&reader, &posting)) {
        if (c->count == c->cap) {
            c->cap = c->cap ? c->cap * 2 : 65536;
            c->items = realloc(c->items, c->cap * sizeof(*c->items));
            check(c->items, "no memory");
        }
        c->items[c->count++] = (struct occurrence){ posting.term, number, posting.count };
    }
    c->words[number] = reader.words;
    c->average += reader.words;
    embed_builtin(text, len, c->vectors + (size_t)number * EMBED_BUILTIN_DIM);
    buf_fini(&terms);
}

static int
by_term(const void *a, const void *b)
{
    const struct occurrence *x = a, *y = b;
    if (x->term != y->term)
        return x->term < y->term ? -1 : 1;
    return x->document < y->document ? -1 : x->document > y->document;
}

static size_t
find(const struct collection *c, uint64_t term, size_t *count)
{
    size_t low = 0, high = c->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c->items[middle].term < term)
            low = middle + 1;
        else
            high = middle;
    }
    for (*count = 0; low + *count < c->count && c->items[low + *count].term == term;)
        ++*count;
    return low;
}

static void
score_text(const struct collection *c, const struct query *q, double *scores)
{
    static uint32_t frequency[UINT16_MAX + 1];
    size_t count;
    memset(frequency, 0, sizeof(frequency));
    for (size_t i = 0; i < q->term_count; i++) {
        (void)find(c, q->terms[i].term, &count);
        if (count > frequency[q->terms[i].word])
            frequency[q->terms[i].word] = (uint32_t)count;
    }
    for (size_t i = 0; i < q->term_count; i++) {
        size_t at = find(c, q->terms[i].term, &count);
        double df = frequency[q->terms[i].word];
        double idf = log(1 + (c->documents - df + 0.5) / (df + 0.5));
        for (size_t j = at; j < at + count; j++) {
            double tf = c->items[j].count;
            double length = c->words[c->items[j].document] / c->average;
            scores[c->items[j].document] +=
                (double)q->terms[i].weight * idf * tf * (K1 + 1) / (tf + K1 * (1 - B + B * length));
        }
    }
}

static int
by_score(const void *a, const void *b)
{
    const struct hit *x = a, *y = b;
    if (x->score > y->score || x->score < y->score)
        return x->score > y->score ? -1 : 1;
    return x->document < y->document ? -1 : x->document > y->document;
}

static void
rank(const double *scores, uint32_t n, struct hit *hits)
{
    for (uint32_t i = 0; i < n; i++)
        hits[i] = (struct hit){ scores[i], i };
    qsort(hits, n, sizeof(*hits), by_score);
}

static void
print(const struct hit *hits, uint32_t n)
{
    for (uint32_t i = 0; i < n && i < TOP; i++)
        printf("%s%u", i ? " " : "", hits[i].document);
    printf("\n");
}

/* The union of the best of both, each with both scores. */
static void
fuse(const double *text, const double *cosine, const struct hit *best_text,
     const struct hit *best_cosine, uint32_t n, double share)
{
    struct hit all[2 * LEG];
    size_t count = 0;
    for (uint32_t i = 0; i < 2 * LEG && i / 2 < n; i++) {
        uint32_t document = i % 2 ? best_text[i / 2].document : best_cosine[i / 2].document;
        size_t seen = 0;
        while (seen < count && all[seen].document != document)
            seen++;
        if (seen == count)
            all[count++].document = document;
    }
    double most = 0, low = 2, high = -2;
    for (size_t i = 0; i < count; i++) {
        most = fmax(most, text[all[i].document]);
        low = fmin(low, cosine[all[i].document]);
        high = fmax(high, cosine[all[i].document]);
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t d = all[i].document;
        all[i].score = (most > 0 ? share * text[d] / most : 0) +
                       (high > low ? (1 - share) * (cosine[d] - low) / (high - low) : 0);
    }
    qsort(all, count, sizeof(*all), by_score);
    print(all, (uint32_t)count);
}

static void
ask(const struct collection *c, const char *text, uint32_t len)
{
    struct query query = { 0 };
    float vector[EMBED_BUILTIN_DIM];
    uint32_t n = c->documents;
    double *scores = calloc(2UL * n, sizeof(*scores));
    struct hit *hits = calloc(2UL * n, sizeof(*hits));
    check(scores && hits && query_parse(text, len, &query) == RC_OK, "a query fails");
    score_text(c, &query, scores);
    embed_builtin(text, len, vector);
    for (uint32_t i = 0; i < n; i++)
        for (size_t j = 0; j < EMBED_BUILTIN_DIM; j++)
            scores[n + i] += (double)vector[j] * (double)c->vectors[i * EMBED_BUILTIN_DIM + j];
    rank(scores, n, hits);
    rank(scores + n, n, hits + n);
    print(hits, n);
    print(hits + n, n);
    double unknown = (double)embed_builtin_unknown(text, len);
    double vector_share = (1 - SHARE) * (1 - FALL * unknown);
    fuse(scores, scores + n, hits, hits + n, n, 1 - vector_share);
    query_free(&query);
    free(scores);
    free(hits);
}

int
main(void)
{
    struct collection c = { 0 };
    uint32_t len;
    c.documents = read_u32();
    c.words = calloc(c.documents, sizeof(*c.words));
    c.vectors = calloc((size_t)c.documents * EMBED_BUILTIN_DIM, sizeof(*c.vectors));
    check(c.words && c.vectors, "no memory");
    for (uint32_t i = 0; i < c.documents; i++) {
        char *text = read_text(&len);
        add_document(&c, i, text, len);
        free(text);
    }
    c.average /= c.documents;
    qsort(c.items, c.count, sizeof(*c.items), by_term);
    for (uint32_t left = read_u32(); left > 0; left--) {
        char *text = read_text(&len);
        ask(&c, text, len);
        free(text);
    }
    return 0;
}
