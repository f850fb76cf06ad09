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
#define WINDOW DENSE_ROWS /* whose sums take 16 KiB */

#define TABLE_FROM  256 /* rows from which a table of scores pays */
#define LOOKUP_COST 12  /* postings that are added in the time of one lookup */
#define ADD_FACTOR  1   /* a list as long as what is added already is added too */

struct candidate {
    uint32_t row, sum;
};

static uint32_t
score(const struct scorer *s, double weight, uint32_t occurrences, uint32_t words)
{
    double n = occurrences;
    return (uint32_t)(weight * n / (n + s->base + s->slope * words) + .5);
}

/* The same for a term that has a table or not. */
static inline uint32_t
score_term(const struct scorer *s, const struct scored *t, bool table, uint32_t occurrences,
           uint32_t words)
{
    if (table && occurrences <= TABLE_TIMES && words < TABLE_WORDS)
        return t->table[occurrences - 1][words];
    return score(s, t->weight, occurrences, words);
}

uint32_t
scorer_posting(const struct scorer *s, const struct scored *t, uint32_t posting)
{
    return score_term(s, t, t->list->rows >= TABLE_FROM, posting & 0xFF,
                      s->c->row_words[posting >> 8]);
}

uint32_t
scorer_row(const struct scorer *s, uint32_t row)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < s->n; i++) {
        uint32_t occurrences = list_has(s->terms[i].list, row);
        if (occurrences)
            sum += scorer_posting(s, &s->terms[i], row << 8 | occurrences);
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
    for (uint32_t n = 1; n <= TABLE_TIMES && term->list->rows >= TABLE_FROM; n++)
        for (uint32_t i = 0; i < TABLE_WORDS; i++)
            term->table[n - 1][i] = score(s, term->weight, n, i);
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
        s.terms[s.n].blocks = list_blocks(s.terms[s.n].list, &s.terms[s.n].few);
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

static uint32_t
block_last(const struct block *block)
{
    if (block->form == BLOCK_DENSE)
        return block->first + DENSE_ROWS - 1;
    return block_row(block, block->n - 1u);
}

/* Moves the term to the window and bounds what it can add there. */
static uint32_t
enter_window(const struct scorer *s, struct scored *t, uint32_t low, uint32_t high)
{
    const struct block *blocks = t->blocks.at;

    while (t->block + 1 < t->blocks.n && blocks[t->block + 1].first <= low)
        t->block++;
    t->bound = t->postings = 0;
    for (uint32_t b = t->block; b < t->blocks.n && blocks[b].first < high; b++) {
        const struct block *block = &blocks[b];
        uint32_t bound = score(s, t->weight, block->most, block->least_words);
        if (bound > t->bound && (block->first >= low || block_last(block) >= low))
            t->bound = bound;
        t->postings += block->n;
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

/* The rows of a window that have got something. */
struct window {
    uint32_t low;
    uint32_t sums[WINDOW];
    uint64_t touched[WINDOW / 64];
    size_t n;
    struct candidate candidates[WINDOW];
};

static void
prefetch_block(const struct block *block)
{
    const uint8_t *at = block->at;
    uint32_t bytes = block->n * (block->form == BLOCK_NARROW ? 2u : 4u);

    for (uint32_t i = 0; block->form != BLOCK_DENSE && i < bytes; i += 64)
        __builtin_prefetch(at + i);
}

/* Of a block: the postings in the window. One form is compiled for each kind of block. */
static inline __attribute__((always_inline)) void
add_block(const struct scorer *s, const struct scored *t, const struct block *block, bool narrow,
          struct window *w)
{
    const struct block own = *block; /* which no sum is written over */
    const uint16_t *row_words = s->c->row_words + w->low;
    bool table = t->list->rows >= TABLE_FROM;
    uint32_t word = 0, most = (1u << own.bits) - 1, base = own.first - w->low, place, count;
    uint64_t touched = 0;

    for (uint32_t i = own.first < w->low ? block_place(block, w->low) : 0; i < own.n; i++) {
        place = narrow ? base + ((uint32_t)own.narrow[i] >> own.bits)
                       : POSTING_ROW(own.wide[i]) - w->low;
        count = narrow ? (own.narrow[i] & most) + 1 : own.wide[i] & 0xFF;
        if (place >= WINDOW)
            break;
        w->sums[place] += score_term(s, t, table, count, row_words[place]);
        if (place / 64 != word) {
            w->touched[word] |= touched;
            word = place / 64;
            touched = 0;
        }
        touched |= UINT64_C(1) << place % 64;
    }
    w->touched[word] |= touched;
}

/* The same of a dense block, whose rows are the window's. */
static void
add_dense(const struct scorer *s, const struct scored *t, const struct block *block,
          struct window *w)
{
    const uint16_t *row_words = s->c->row_words + w->low;
    bool table = t->list->rows >= TABLE_FROM;

    for (uint32_t segment = 0; segment < WINDOW / SEGMENT_ROWS; segment++) {
        uint64_t rows = dense_rows(block, segment);
        w->touched[segment] |= rows;
        for (; rows; rows &= rows - 1) {
            uint32_t place = segment * SEGMENT_ROWS + (uint32_t)__builtin_ctzll(rows);
            uint32_t occurrences = dense_count(block, place);
            w->sums[place] += score_term(s, t, table, occurrences, row_words[place]);
        }
    }
}

static void
add_postings(const struct scorer *s, const struct scored *t, struct window *w)
{
    const struct block *blocks = t->blocks.at;

    for (uint32_t b = t->block; b < t->blocks.n && blocks[b].first < w->low + WINDOW; b++) {
        if (b + 1 < t->blocks.n)
            prefetch_block(&blocks[b + 1]);
        if (blocks[b].form == BLOCK_NARROW)
            add_block(s, t, &blocks[b], true, w);
        else if (blocks[b].form == BLOCK_WIDE)
            add_block(s, t, &blocks[b], false, w);
        else if (blocks[b].first == w->low)
            add_dense(s, t, &blocks[b], w);
    }
}

/* The rows with a sum that can still reach the answer; the window is left empty. */
static void
collect(const struct scorer *s, const struct rowset *pass, uint32_t least, struct window *w)
{
    const uint64_t *bits = pass->bits + w->low / SEGMENT_ROWS;
    size_t words = pass->words - w->low / SEGMENT_ROWS;

    w->n = 0;
    for (uint32_t word = 0; word < WINDOW / 64; word++) {
        uint64_t large = w->touched[word];
        uint32_t *sums = w->sums + word * 64;
        if (!large)
            continue;
        large &= s->c->dot.large(sums, least);
        if (word < words)
            large &= bits[word];
        for (; large; large &= large - 1) {
            uint32_t i = (uint32_t)__builtin_ctzll(large);
            w->candidates[w->n++] = (struct candidate){ w->low + word * 64 + i, sums[i] };
        }
        for (uint32_t i = 0; i < 64; i++)
            sums[i] = 0;
        w->touched[word] = 0;
    }
}

/* Adds the first `rest` terms of the order, whose bounds are together `left`, to the candidates. */
static void
complete(const struct scorer *s, size_t rest, uint64_t left, uint64_t threshold, struct window *w)
{
    while (rest > 0 && w->n > 0) {
        const struct scored *t = &s->terms[s->order[--rest]];
        const struct block *blocks = t->blocks.at;
        uint32_t b = t->block;
        size_t kept = 0;
        if (t->bound == 0)
            continue;
        left -= t->bound;
        for (size_t i = 0; i < w->n; i++) {
            struct candidate candidate = w->candidates[i];
            while (b + 1 < t->blocks.n && blocks[b + 1].first <= candidate.row)
                b++;
            uint32_t occurrences = block_has(&blocks[b], candidate.row);
            if (occurrences)
                candidate.sum += scorer_posting(s, t, candidate.row << 8 | occurrences);
            if (candidate.sum + left >= threshold)
                w->candidates[kept++] = candidate;
        }
        w->n = kept;
    }
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
score_window(struct scorer *s, const struct rowset *pass, uint64_t floor, struct window *w,
             struct best *best)
{
    uint64_t threshold = best_is_full(best) ? (uint64_t)best->at[best->n - 1].value : 0;
    uint64_t all = 0, left = 0, added = 0;
    size_t rest = 0;

    if (threshold < floor)
        threshold = floor;
    for (size_t i = 0; i < s->n; i++)
        all += enter_window(s, &s->terms[i], w->low, w->low + WINDOW);
    if (all == 0 || all < threshold)
        return;
    sort_order(s);
    while (rest < s->n && left + s->terms[s->order[rest]].bound < threshold)
        left += s->terms[s->order[rest++]].bound;
    for (size_t i = rest; i < s->n; i++)
        added += s->terms[s->order[i]].postings;
    while (rest > 0 && s->terms[s->order[rest - 1]].postings <= added * ADD_FACTOR) {
        left -= s->terms[s->order[--rest]].bound;
        added += s->terms[s->order[rest]].postings;
    }
    for (size_t i = rest; i < s->n; i++)
        add_postings(s, &s->terms[s->order[i]], w);
    collect(s, pass, threshold > left ? (uint32_t)(threshold - left) : 1, w);
    complete(s, rest, left, threshold, w);
    for (size_t i = 0; i < w->n; i++)
        best_push(s->c, best, w->candidates[i].sum, w->candidates[i].row);
}

static enum rc
best_of_windows(struct scorer *s, const struct collection_search *search, const struct rowset *pass,
                struct best *best)
{
    AUTO(free) struct window *w = calloc(1, sizeof(*w));
    uint64_t floor = 0;

    if (!w || (best->n == 0 && !scorer_floor(s, pass, best->depth, &floor)))
        return RC_TEMP;
    for (size_t i = 0; i < s->n; i++)
        s->terms[i].block = 0;
    for (; w->low < s->c->used; w->low += WINDOW) {
        if (window_is_empty(pass, w->low))
            continue;
        if (search_is_late(search))
            return RC_LIMIT;
        score_window(s, pass, floor, w, best);
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
