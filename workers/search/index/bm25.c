/* SPDX-License-Identifier: MIT */
/*
 * bm25 - the best rows by the words of a query, exactly.
 *
 * Rows are taken in windows. In each, the lists' blocks bound what a term can add; the terms that
 * together cannot lift a row into the answer are only looked up for the rows that the others found.
 *
 * Source: Robertson and Zaragoza 2009 (k1 1.2, b .75); MaxScore (Turtle and Flood 1995) with block
 *         maxima, over windows as in Lucene's MaxScoreBulkScorer
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "find_own.h"

#define K1     1.2
#define B      0.75
#define WINDOW 4096 /* rows; their sums take 16 KiB */

#define TABLE_FROM  256 /* rows from which a table of scores pays */
#define AT_ONCE     16  /* sums that are compared together; they are below 2^31 */
#define LOOKUP_COST 12  /* postings that are added in the time of one lookup */

struct candidate {
    uint32_t row, sum;
};

static uint32_t
score(const struct scorer *s, double weight, uint32_t occurrences, uint32_t words)
{
    double n = occurrences;
    return (uint32_t)(weight * n / (n + s->base + s->slope * words) + .5);
}

static uint32_t
score_posting(const struct scorer *s, const struct scored *t, uint32_t posting)
{
    uint32_t words = s->c->row_words[posting >> 8];

    if ((posting & 0xFF) == 1 && words < TABLE_WORDS && t->list->rows >= TABLE_FROM)
        return t->once[words];
    return score(s, t->weight, posting & 0xFF, words);
}

uint32_t
scorer_row(const struct scorer *s, uint32_t row)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < s->n; i++) {
        uint32_t occurrences = list_has(s->terms[i].list, row);
        if (occurrences)
            sum += score_posting(s, &s->terms[i], row << 8 | occurrences);
    }
    return sum;
}

/* --- which terms, and what they weigh -------------------------------------------------------------- */

struct choice {
    uint64_t term;
    uint32_t rows_with; /* of the term */
    uint32_t rows_word; /* of the commonest form of its word */
    float weight;
};

static int
compare_choice(const void *a, const void *b)
{
    const struct choice *x = a, *y = b;

    if (x->rows_with != y->rows_with)
        return x->rows_with < y->rows_with ? -1 : 1;
    return x->term < y->term ? -1 : x->term > y->term;
}

static size_t
count_words(const struct query *query)
{
    size_t most = 0;

    for (size_t i = 0; i < query->term_count; i++)
        if (query->terms[i].word > most)
            most = query->terms[i].word;
    return most + 1;
}

/* The terms of the query that are somewhere, those in the fewest rows first. */
static size_t
choose(const struct query *query, const struct collection_stats *stats, uint32_t *words,
       struct choice *choices)
{
    size_t n = 0;

    for (size_t i = 0; i < query->term_count; i++)
        if (stats->rows_with[i] > words[query->terms[i].word])
            words[query->terms[i].word] = stats->rows_with[i];
    for (size_t i = 0; i < query->term_count; i++)
        if (query->terms[i].weight > 0 && stats->rows_with[i] > 0)
            choices[n++] = (struct choice){
                .term = query->terms[i].term,
                .rows_with = stats->rows_with[i],
                .rows_word = words[query->terms[i].word],
                .weight = query->terms[i].weight,
            };
    qsort(choices, n, sizeof(*choices), compare_choice);
    return n < COLLECTION_TERMS_MAX ? n : COLLECTION_TERMS_MAX;
}

static void
set_weight(const struct scorer *s, const struct collection_stats *stats,
           const struct choice *choice, struct scored *term)
{
    double rows = (double)stats->rows, with = choice->rows_word;

    if (with > rows)
        with = rows;
    term->weight =
        log(1 + (rows - with + .5) / (with + .5)) * (double)choice->weight * (K1 + 1) * SCORE_UNIT;
    for (uint32_t i = 0; i < TABLE_WORDS && term->list->rows >= TABLE_FROM; i++)
        term->once[i] = score(s, term->weight, 1, i);
}

enum rc
scorer_new(const struct collection *c, const struct collection_search *search, struct scorer *out)
{
    const struct query *query = search->query;
    const struct collection_stats *stats = search->stats;
    AUTO(free) uint32_t *words = NULL;
    AUTO(free) struct choice *choices = NULL;
    AUTO(scorer) struct scorer s = { .c = c, .base = K1, .slope = 0 };
    size_t n;

    *out = s;
    if (!query || query->term_count == 0 || stats->rows == 0)
        return RC_OK;
    words = calloc(count_words(query), sizeof(*words));
    choices = calloc(query->term_count, sizeof(*choices));
    if (!words || !choices)
        return RC_TEMP;
    n = choose(query, stats, words, choices);
    s.terms = calloc(n + 1, sizeof(*s.terms));
    s.order = calloc(n + 1, sizeof(*s.order));
    if (!s.terms || !s.order)
        return RC_TEMP;
    if (stats->words > 0) {
        s.base = K1 * (1 - B);
        s.slope = K1 * B * (double)stats->rows / (double)stats->words;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t number = list_find(c, choices[i].term);
        if (number == NONE)
            continue;
        s.terms[s.n].list = &c->lists[number];
        set_weight(&s, stats, &choices[i], &s.terms[s.n]);
        s.postings += c->lists[number].rows;
        s.order[s.n] = (uint16_t)s.n;
        s.n++;
    }
    *out = s;
    s.terms = NULL;
    s.order = NULL;
    return RC_OK;
}

void
scorer_cleanup(struct scorer *s)
{
    free(s->terms);
    free(s->order);
}

/* --- windows ------------------------------------------------------------------------------------------ */

/* Moves the term to the window and bounds what it can add there. */
static uint32_t
enter_window(const struct scorer *s, struct scored *t, uint32_t low, uint32_t high)
{
    const struct block *blocks = list_blocks(t->list);

    while (t->block + 1 < t->list->blocks && blocks[t->block + 1].first <= low)
        t->block++;
    t->bound = 0;
    for (uint32_t b = t->block; b < t->list->blocks && blocks[b].first < high; b++) {
        const struct block *block = &blocks[b];
        if (block_at(block)[block->n - 1] >> 8 >= low) {
            uint32_t bound = score(s, t->weight, block->most, block->least_words);
            if (bound > t->bound)
                t->bound = bound;
        }
    }
    return t->bound;
}

/* Nearly sorted from one window to the next. */
static void
sort_order(struct scorer *s)
{
    for (size_t i = 1; i < s->n; i++) {
        uint16_t moved = s->order[i];
        size_t at = i;
        for (; at > 0 && s->terms[s->order[at - 1]].bound > s->terms[moved].bound; at--)
            s->order[at] = s->order[at - 1];
        s->order[at] = moved;
    }
}

static void
add_postings(const struct scorer *s, const struct scored *t, uint32_t low, uint32_t high,
             uint32_t *sums)
{
    const struct block *blocks = list_blocks(t->list);
    const uint16_t *row_words = s->c->row_words;
    bool table = t->list->rows >= TABLE_FROM;

    for (uint32_t b = t->block; b < t->list->blocks && blocks[b].first < high; b++) {
        const uint32_t *at = block_at(&blocks[b]);
        uint32_t i = block_place(&blocks[b], low), end = block_place(&blocks[b], high);
        for (; i < end; i++) {
            uint32_t row = at[i] >> 8, words = row_words[row];
            if (table && (at[i] & 0xFF) == 1 && words < TABLE_WORDS)
                sums[row - low] += t->once[words];
            else
                sums[row - low] += score(s, t->weight, at[i] & 0xFF, words);
        }
    }
}

static bool
reaches(const uint32_t *sums, int32_t least)
{
    int32_t any = 0;

    for (size_t i = 0; i < AT_ONCE; i++)
        any |= (int32_t)sums[i] >= least;
    return any;
}

/* Rows with a sum that can still reach `least`; sums is left zero. */
static size_t
collect(const struct rowset *pass, uint32_t low, uint32_t *sums, uint64_t least,
        struct candidate *candidates)
{
    size_t n = 0;

    for (uint32_t from = 0; from < WINDOW && least <= INT32_MAX; from += AT_ONCE) {
        if (!reaches(sums + from, (int32_t)least))
            continue;
        for (uint32_t i = from; i < from + AT_ONCE; i++)
            if (sums[i] >= least && rowset_has(pass, low + i))
                candidates[n++] = (struct candidate){ low + i, sums[i] };
    }
    memset(sums, 0, WINDOW * sizeof(*sums));
    return n;
}

/* Adds the first `rest` terms of the order, whose bounds are together `left`, to the candidates. */
static size_t
complete(const struct scorer *s, size_t rest, uint64_t left, uint64_t threshold,
         struct candidate *candidates, size_t n)
{
    while (rest > 0 && n > 0) {
        const struct scored *t = &s->terms[s->order[--rest]];
        size_t kept = 0;
        if (t->bound == 0)
            continue;
        left -= t->bound;
        for (size_t i = 0; i < n; i++) {
            struct candidate candidate = candidates[i];
            uint32_t occurrences = list_has(t->list, candidate.row);
            if (occurrences)
                candidate.sum += score_posting(s, t, candidate.row << 8 | occurrences);
            if (candidate.sum + left >= threshold)
                candidates[kept++] = candidate;
        }
        n = kept;
    }
    return n;
}

static bool
window_is_empty(const struct rowset *pass, uint32_t low)
{
    size_t from = low / SEGMENT_ROWS, to = from + WINDOW / SEGMENT_ROWS;

    while (from < to && from < pass->words && pass->bits[from] == 0)
        from++;
    return from == to || from == pass->words;
}

static void
score_window(struct scorer *s, const struct rowset *pass, uint32_t low, uint32_t *sums,
             struct candidate *candidates, struct best *best)
{
    uint64_t threshold = best_is_full(best) ? (uint64_t)best->at[best->n - 1].value : 0;
    uint64_t all = 0, left = 0;
    size_t rest = 0, n;

    for (size_t i = 0; i < s->n; i++)
        all += enter_window(s, &s->terms[i], low, low + WINDOW);
    if (all == 0 || all < threshold)
        return;
    sort_order(s);
    while (rest < s->n && left + s->terms[s->order[rest]].bound < threshold)
        left += s->terms[s->order[rest++]].bound;
    for (size_t i = rest; i < s->n; i++)
        add_postings(s, &s->terms[s->order[i]], low, low + WINDOW, sums);
    n = collect(pass, low, sums, threshold > left ? threshold - left : 1, candidates);
    n = complete(s, rest, left, threshold, candidates, n);
    for (size_t i = 0; i < n; i++)
        best_push(s->c, best, candidates[i].sum, candidates[i].row);
}

static enum rc
best_of_windows(struct scorer *s, const struct collection_search *search, const struct rowset *pass,
                struct best *best)
{
    AUTO(free) uint32_t *sums = calloc(WINDOW, sizeof(*sums));
    AUTO(free) struct candidate *candidates = calloc(WINDOW, sizeof(*candidates));

    if (!sums || !candidates)
        return RC_TEMP;
    for (size_t i = 0; i < s->n; i++)
        s->terms[i].block = 0;
    for (uint32_t low = 0; low < s->c->used; low += WINDOW) {
        if (window_is_empty(pass, low))
            continue;
        if (search_is_late(search))
            return RC_LIMIT;
        score_window(s, pass, low, sums, candidates, best);
    }
    return RC_OK;
}

static bool
best_has(const struct best *best, uint32_t row)
{
    size_t i = 0;

    while (i < best->n && best->at[i].row != row)
        i++;
    return i < best->n;
}

enum rc
scorer_best(struct scorer *s, const struct collection_search *search, const struct rowset *pass,
            bool zeros, struct best *best)
{
    if ((uint64_t)pass->count * s->n * LOOKUP_COST < s->postings) {
        size_t done = 0;
        for (uint32_t row = 0; rowset_next(pass, &row); row++) {
            uint32_t sum = scorer_row(s, row);
            if (sum > 0 || zeros)
                best_push(s->c, best, sum, row);
            if (++done % 1024 == 0 && search_is_late(search))
                return RC_LIMIT;
        }
        return RC_OK;
    }
    if (s->n > 0) {
        enum rc rc = best_of_windows(s, search, pass, best);
        if (rc != RC_OK)
            return rc;
    }
    if (zeros && !best_is_full(best) && pass->count > best->n)
        for (uint32_t row = 0; rowset_next(pass, &row); row++)
            if (!best_has(best, row))
                best_push(s->c, best, 0, row);
    return RC_OK;
}
