/* SPDX-License-Identifier: MIT */
/*
 * test_collection_reference - the index against a search of its own that looks at every row: random
 * rows of Zipf words that come, change and go; and one collection against the same rows in slices.
 */
#include "base/cleanup.h"
#include "collection_rows.h"
#include "index/collection_own.h"

#define ROWS       10000 /* more than one window */
#define VOCABULARY 400
#define TERMS_MAX  6
#define SLICES     7
#define NEAR       1e-3

struct world {
    struct sample rows[ROWS];
    struct collection *one, *slices[SLICES];
    uint64_t random;
};

/* A query, and the same as the reference reads it. */
struct asked {
    struct query query;
    struct query_term terms[TERMS_MAX];
    struct query_ref refs[TERMS_MAX];
    struct query_need needs[TERMS_MAX];
    struct query_group groups[2];
    uint32_t words[TERMS_MAX];
    struct collection_filter filter;
    const char *tags[2];
    char scope[16], source[16], tag_text[2][16];
    float vector[DIMS];
    bool has_vector;
    double rows, words_of_rows, with[TERMS_MAX];
};

static uint32_t
random_word(struct world *w)
{
    double u = (double)(next_random(&w->random) % 1000000) / 1000000;
    return (uint32_t)(exp(u * log(VOCABULARY)));
}

static void
fill(struct world *w, struct sample *s, uint32_t number)
{
    uint32_t id = number;

    memset(s, 0, sizeof(*s));
    memcpy(s->id, &id, sizeof(id));
    s->alive = true;
    s->created_ns = (int64_t)(next_random(&w->random) % 500) * 1000000;
    s->expires_ms = next_random(&w->random) % 4 ? 0 : 1 + (int64_t)(next_random(&w->random) % 100);
    snprintf(s->scope, sizeof(s->scope), "s%u", (unsigned)(next_random(&w->random) % 4));
    snprintf(s->source, sizeof(s->source), "o%u", (unsigned)(next_random(&w->random) % 3));
    s->tag_count = next_random(&w->random) % 4;
    for (size_t i = 0; i < s->tag_count; i++)
        snprintf(s->tags[i], sizeof(s->tags[i]), "t%u", (unsigned)(next_random(&w->random) % 5));
    s->word_count = next_random(&w->random) % 30;
    for (size_t i = 0; i < s->word_count; i++)
        s->words[i] = random_word(w);
    if (next_random(&w->random) % 30 == 0) /* so often that its block needs wide postings */
        for (size_t i = 1; i < s->word_count; i++)
            s->words[i] = s->words[0];
    s->has_vector = next_random(&w->random) % 10 != 0;
    set_vector(&w->random, s->vector, (uint32_t)(next_random(&w->random) % 20));
}

static void
ask(struct world *w, struct asked *a)
{
    uint16_t n = (uint16_t)(1 + next_random(&w->random) % 4), at = 0;

    memset(a, 0, sizeof(*a));
    for (uint16_t i = 0; i < n; i++) {
        bool again = true;
        while (again) {
            a->words[i] = random_word(w);
            again = false;
            for (uint16_t j = 0; j < i; j++)
                again |= a->words[j] == a->words[i];
        }
        a->terms[i] = (struct query_term){ term_of(a->words[i]), i % 2 ? .25f : 1, i };
        a->refs[i].term = i;
    }
    a->query = (struct query){ a->terms, a->refs, a->needs, a->groups, n, n, 0, 1, false };
    switch (next_random(&w->random) % 5) {
    case 0: /* a phrase of all */
        for (uint16_t i = 0; i < n; i++)
            a->refs[i].offset = i;
        a->needs[at++] = (struct query_need){ QUERY_PHRASE, 0, n, QUERY_NONE };
        break;
    case 1: /* any of them */
        a->needs[at++] = (struct query_need){ QUERY_ANY, 0, n, QUERY_NONE };
        break;
    default:
        for (; at < n; at++)
            a->needs[at] = (struct query_need){ QUERY_ANY, at, 1, QUERY_NONE };
    }
    a->groups[0].needs = at;
    a->query.need_count = at;
    if (at > 1 &&
        next_random(&w->random) % 3 == 0) { /* the last one not, perhaps unless the first */
        a->groups[0] = (struct query_group){ 0, (uint16_t)(at - 1), (uint16_t)(at - 1), 1 };
        a->needs[at - 1].unless = next_random(&w->random) % 2 ? QUERY_NONE : 0;
    } else if (at > 1 && next_random(&w->random) % 3 == 0) { /* first, or all the others */
        a->groups[0].needs = 1;
        a->groups[1] = (struct query_group){ 1, (uint16_t)(at - 1), 0, 0 };
        a->query.group_count = 2;
    }
    if (next_random(&w->random) % 3 == 0) {
        snprintf(a->scope, sizeof(a->scope), "s%u", (unsigned)(next_random(&w->random) % 5));
        a->filter.scope = a->scope;
    }
    if (next_random(&w->random) % 4 == 0) {
        snprintf(a->source, sizeof(a->source), "o%u", (unsigned)(next_random(&w->random) % 3));
        a->filter.source = a->source;
    }
    a->filter.tags = a->tags;
    a->filter.tag_count = next_random(&w->random) % 2 ? 0 : next_random(&w->random) % 3;
    for (size_t i = 0; i < a->filter.tag_count; i++) {
        snprintf(a->tag_text[i], sizeof(a->tag_text[i]), "t%u",
                 (unsigned)(next_random(&w->random) % 5));
        a->tags[i] = a->tag_text[i];
    }
    a->filter.has_since = next_random(&w->random) % 4 == 0;
    a->filter.since_ms = (int64_t)(next_random(&w->random) % 400);
    a->filter.has_until = next_random(&w->random) % 4 == 0;
    a->filter.until_ms = (int64_t)(next_random(&w->random) % 500);
    a->filter.now_ms = (int64_t)(next_random(&w->random) % 120);
    a->has_vector = next_random(&w->random) % 8 != 0;
    set_vector(&w->random, a->vector, (uint32_t)(next_random(&w->random) % 20));
}

/* --- the reference ------------------------------------------------------------------------------------ */

static size_t
times(const struct sample *s, uint32_t word)
{
    size_t n = 0;
    for (size_t i = 0; i < s->word_count; i++)
        n += s->words[i] == word;
    return n;
}

static bool
satisfies(const struct asked *a, const struct query_need *need, const struct sample *s)
{
    if (need->kind == QUERY_ANY) {
        for (uint16_t i = 0; i < need->n; i++)
            if (times(s, a->words[need->first + i]))
                return true;
        return false;
    }
    for (size_t from = 0; from + need->n <= s->word_count; from++) {
        size_t same = 0;
        while (same < need->n && s->words[from + same] == a->words[need->first + same])
            same++;
        if (same == need->n)
            return true;
    }
    return false;
}

static bool
matches(const struct asked *a, const struct sample *s)
{
    for (uint16_t g = 0; g < a->query.group_count; g++) {
        const struct query_group *group = &a->groups[g];
        bool good = true;
        for (uint16_t i = 0; i < group->needs; i++)
            good = good && satisfies(a, &a->needs[group->first_need + i], s);
        for (uint16_t i = 0; i < group->nots; i++) {
            const struct query_need *not = &a->needs[group->first_not + i];
            bool excused = not ->unless != QUERY_NONE && times(s, a->words[not ->unless]);
            good = good && (excused || !satisfies(a, not, s));
        }
        if (good)
            return true;
    }
    return false;
}

static bool
passes(const struct asked *a, const struct sample *s)
{
    const struct collection_filter *f = &a->filter;

    if (!s->alive || (f->scope && strcmp(f->scope, s->scope) != 0) ||
        (f->source && strcmp(f->source, s->source) != 0) ||
        (f->has_since && s->created_ns < f->since_ms * 1000000) ||
        (f->has_until && s->created_ns >= f->until_ms * 1000000) ||
        (s->expires_ms && s->expires_ms <= f->now_ms))
        return false;
    for (size_t t = 0; t < f->tag_count; t++) {
        bool has = false;
        for (size_t i = 0; i < s->tag_count; i++)
            has = has || strcmp(s->tags[i], f->tags[t]) == 0;
        if (!has)
            return false;
    }
    return true;
}

/* What a query's scores depend on besides the row. */
static void
count(const struct world *w, struct asked *a)
{
    for (size_t i = 0; i < ROWS; i++) {
        const struct sample *s = &w->rows[i];
        if (!s->alive)
            continue;
        a->rows++;
        a->words_of_rows += (double)s->word_count;
        for (uint16_t t = 0; t < a->query.term_count; t++)
            a->with[t] += times(s, a->words[t]) > 0;
    }
}

static double
bm25(const struct asked *a, const struct sample *s)
{
    double norm = 1.2 * (1 - .75 + .75 * (double)s->word_count / (a->words_of_rows / a->rows));
    double sum = 0;

    for (uint16_t t = 0; t < a->query.term_count; t++) {
        double n = (double)times(s, a->words[t]);
        sum += (double)a->terms[t].weight *
               log(1 + (a->rows - a->with[t] + .5) / (a->with[t] + .5)) * n * 2.2 / (n + norm);
    }
    return sum;
}

static double
cosine(const float *a, const float *b)
{
    double dot = 0, x = 0, y = 0;
    for (size_t i = 0; i < DIMS; i++) {
        dot += (double)a[i] * (double)b[i];
        x += (double)a[i] * (double)a[i];
        y += (double)b[i] * (double)b[i];
    }
    return dot / sqrt(x * y);
}

/* --- comparison --------------------------------------------------------------------------------------- */

/* As if another thread had been quicker with all of the vectors. */
static bool
help_at_once(void *context, void (*fn)(void *arg), void *arg)
{
    (void)context;
    fn(arg);
    return true;
}

static void
join_nobody(void *context)
{
    (void)context;
}

static size_t
find(struct collection *const *collections, size_t count, const struct asked *a,
     enum collection_mode mode, size_t k, struct collection_legs *legs)
{
    const struct collection_helper helper = { help_at_once, join_nobody, NULL, 0 };
    struct collection_stats stats = { 0 };
    struct collection_search search = { .mode = mode,
                                        .k = k,
                                        .query = &a->query,
                                        .vector = a->has_vector ? a->vector : NULL,
                                        .filter = a->filter };
    enum rc rc = RC_OK;

    memset(legs, 0, sizeof(*legs));
    for (size_t i = 0; i < count && rc == RC_OK; i++)
        rc = collection_count_terms(collections[i], &a->query, &stats, NULL);
    search.stats = &stats;
    for (size_t i = 0; i < count && rc == RC_OK; i++) {
        struct collection_asked asked = { &search, legs, false };
        rc = collection_find_all(collections[i], &asked, 1, count > 1 ? &helper : NULL, NULL);
    }
    collection_stats_fini(&stats);
    assert_int_equal(rc, RC_OK);
    return legs->text_count;
}

static bool
has(const struct collection_hit *hits, size_t n, const uint8_t *id)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(hits[i].id, id, 16) == 0)
            return true;
    return false;
}

static const struct sample *
sample_of(const struct world *w, const struct collection_hit *hit)
{
    uint32_t number;
    memcpy(&number, hit->id, sizeof(number));
    assert_true(number < ROWS);
    assert_int_equal(hit->place, place_of(&w->rows[number]));
    return &w->rows[number];
}

/* Every hit is right and in order, and none that is left out belongs before the last. */
static void
check_text(const struct world *w, const struct asked *a, const struct collection_hit *hits,
           size_t n, size_t depth, bool conditions)
{
    size_t matching = 0;

    for (size_t i = 0; i < n; i++) {
        const struct sample *s = sample_of(w, &hits[i]);
        assert_true(passes(a, s) && (!conditions || matches(a, s)));
        assert_true(fabs(hits[i].bm25 - bm25(a, s)) < NEAR);
        assert_true(!hits[i].has_vector ||
                    fabs((double)hits[i].cosine - cosine(a->vector, s->vector)) < 1e-5);
        assert_true(hits[i].has_vector == (a->has_vector && s->has_vector));
        if (i == 0)
            continue;
        assert_true(hits[i - 1].bm25 >= hits[i].bm25);
        if (hits[i - 1].bm25 <= hits[i].bm25)
            assert_true(hits[i - 1].created_ns > hits[i].created_ns ||
                        (hits[i - 1].created_ns == hits[i].created_ns &&
                         memcmp(hits[i - 1].id, hits[i].id, 16) < 0));
    }
    for (size_t i = 0; i < ROWS; i++) {
        const struct sample *s = &w->rows[i];
        double value;
        if (!passes(a, s) || (conditions && !matches(a, s)))
            continue;
        value = bm25(a, s);
        matching += conditions || value > 1e-4;
        if (n == depth && !has(hits, n, s->id))
            assert_true(value <= hits[n - 1].bm25 + NEAR);
    }
    assert_int_equal(n, matching < depth ? matching : depth);
}

static void
check_vectors(const struct world *w, const struct asked *a, const struct collection_hit *hits,
              size_t n, size_t depth)
{
    size_t passing = 0;

    for (size_t i = 0; i < n; i++) {
        const struct sample *s = sample_of(w, &hits[i]);
        assert_true(passes(a, s));
        assert_true(hits[i].has_vector == (a->has_vector && s->has_vector));
        assert_true(!hits[i].has_vector ||
                    fabs((double)hits[i].cosine - cosine(a->vector, s->vector)) < 1e-5);
        if (i == 0)
            continue;
        assert_true(hits[i - 1].has_vector >= hits[i].has_vector);
        assert_true(!hits[i].has_vector || hits[i - 1].cosine >= hits[i].cosine);
        if (!hits[i - 1].has_vector)
            assert_true(hits[i - 1].created_ns >= hits[i].created_ns);
    }
    for (size_t i = 0; i < ROWS; i++) {
        const struct sample *s = &w->rows[i];
        passing += passes(a, s);
        if (passes(a, s) && n == depth && !has(hits, n, s->id)) {
            if (a->has_vector && s->has_vector)
                assert_true(hits[n - 1].has_vector &&
                            cosine(a->vector, s->vector) <= (double)hits[n - 1].cosine + 1e-5);
            else
                assert_true(hits[n - 1].has_vector || hits[n - 1].created_ns >= s->created_ns);
        }
    }
    assert_int_equal(n, passing < depth ? passing : depth);
}

/* The best row that satisfies the query is in the answer. */
/* Field by field: what pads a struct is anybody's. */
static void
check_same_hits(const struct collection_hit *a, const struct collection_hit *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert_memory_equal(a[i].id, b[i].id, sizeof(a[i].id));
        assert_int_equal(a[i].created_ns, b[i].created_ns);
        assert_memory_equal(&a[i].bm25, &b[i].bm25, sizeof(a[i].bm25));
        assert_memory_equal(&a[i].cosine, &b[i].cosine, sizeof(a[i].cosine));
        assert_int_equal(a[i].has_vector, b[i].has_vector);
        assert_int_equal(a[i].whole, b[i].whole);
        assert_memory_equal(&a[i].score, &b[i].score, sizeof(a[i].score));
    }
}

static void
check_same(const struct collection_legs *a, const struct collection_legs *b)
{
    assert_int_equal(a->text_count, b->text_count);
    assert_int_equal(a->vector_count, b->vector_count);
    assert_int_equal(a->whole_count, b->whole_count);
    check_same_hits(a->text, b->text, a->text_count);
    check_same_hits(a->vector, b->vector, a->vector_count);
    check_same_hits(a->whole, b->whole, a->whole_count);
    assert_memory_equal(&a->margin, &b->margin, sizeof(a->margin));
}

static void
check_whole(const struct world *w, const struct asked *a, const struct collection_legs *legs)
{
    struct collection_hit hits[COLLECTION_HITS_MAX];
    struct collection_ranking ranking = { COLLECTION_HYBRID, 5, .6, false, 0 };
    size_t n = collection_union(COLLECTION_HYBRID, 5, legs, hits);
    double best = -1;
    bool found = false;

    n = collection_rank(&ranking, hits, n);
    for (size_t i = 0; i < ROWS; i++)
        if (passes(a, &w->rows[i]) && matches(a, &w->rows[i]) && bm25(a, &w->rows[i]) > best)
            best = bm25(a, &w->rows[i]);
    for (size_t i = 0; i < n; i++)
        found |= matches(a, sample_of(w, &hits[i])) && hits[i].bm25 >= best - NEAR;
    assert_true(found || best < 0 || a->query.need_count < 2);
}

static void
check(struct world *w, const struct asked *a)
{
    static struct collection_legs legs, again;
    static const enum collection_mode MODES[] = { COLLECTION_TEXT, COLLECTION_VECTOR,
                                                  COLLECTION_HYBRID };
    size_t k = 1 + next_random(&w->random) % COLLECTION_K_MAX;

    find(&w->one, 1, a, COLLECTION_TEXT, k, &legs);
    check_text(w, a, legs.text, legs.text_count, k, true);
    find(&w->one, 1, a, COLLECTION_VECTOR, k, &legs);
    check_vectors(w, a, legs.vector, legs.vector_count, k + COLLECTION_RERANK);
    find(&w->one, 1, a, COLLECTION_HYBRID, k, &legs);
    check_text(w, a, legs.text, legs.text_count, COLLECTION_DEPTH, false);
    check_vectors(w, a, legs.vector, legs.vector_count, COLLECTION_DEPTH);
    check_whole(w, a, &legs);
    for (size_t m = 0; m < TEST_COUNT(MODES); m++) {
        find(&w->one, 1, a, MODES[m], k, &legs);
        find(w->slices, SLICES, a, MODES[m], k, &again);
        check_same(&legs, &again);
    }
}

static void
put(struct world *w, uint32_t number)
{
    fill(w, &w->rows[number], number);
    assert_int_equal(put_sample(w->one, &w->rows[number]), RC_OK);
    assert_int_equal(put_sample(w->slices[number % SLICES], &w->rows[number]), RC_OK);
}

static void
take(struct world *w, uint32_t number)
{
    bool alive = w->rows[number].alive;

    assert_int_equal(collection_remove(w->one, w->rows[number].id), alive);
    assert_int_equal(collection_remove(w->slices[number % SLICES], w->rows[number].id), alive);
    w->rows[number].alive = false;
}

static void
world_cleanup(struct world **w)
{
    for (size_t i = 0; *w && i < SLICES; i++)
        collection_free((*w)->slices[i]);
    if (*w)
        collection_free((*w)->one);
    free(*w);
}

/* What is searched has blocks of every form. */
static void
check_forms(const struct collection *c)
{
    uint32_t blocks[] = { [BLOCK_NARROW] = 0, [BLOCK_WIDE] = 0, [BLOCK_DENSE] = 0 };

    for (uint32_t i = 0; i < c->list_count; i++)
        for (uint32_t b = 0; c->lists[i].rows > 0 && b < c->lists[i].blocks; b++)
            blocks[c->lists[i].at[b].form]++;
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
        assert_int_not_equal(blocks[i], 0);
}

static void
test_same_as_looking_at_every_row(void **state)
{
    AUTO(world) struct world *w = calloc(1, sizeof(*w));
    struct asked a;

    assert_non_null(w);
    w->random = 88172645463325252u;
    assert_int_equal(collection_new(DIMS, &w->one, NULL), RC_OK);
    for (size_t i = 0; i < SLICES; i++)
        assert_int_equal(collection_new(DIMS, &w->slices[i], NULL), RC_OK);
    for (uint32_t i = 0; i < ROWS; i++)
        put(w, i);
    check_forms(w->one);
    for (int round = 0; round < 6; round++) {
        for (int i = 0; i < 20; i++) {
            ask(w, &a);
            count(w, &a);
            check(w, &a);
        }
        for (int i = 0; i < ROWS / 2; i++) /* come, change and go */
            if (next_random(&w->random) % 3)
                put(w, (uint32_t)(next_random(&w->random) % ROWS));
            else
                take(w, (uint32_t)(next_random(&w->random) % ROWS));
        for (uint32_t i = 0; round == 4 && i < ROWS - 20; i++)
            take(w, i); /* hardly anything is left */
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_as_looking_at_every_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
