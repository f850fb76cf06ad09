/* SPDX-License-Identifier: MIT */
/*
 * test_collection - rows, filters, conditions, fusion and bounds of the index, each alone.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "collection_rows.h"
#include "index/collection_own.h"

static struct sample
make(uint8_t number, size_t count, const uint32_t *words)
{
    struct sample s = { .id = { number }, .created_ns = number * 1000, .word_count = count };
    memcpy(s.words, words, count * sizeof(*words));
    strcpy(s.scope, "a");
    strcpy(s.source, "b");
    return s;
}
#define ROW(number, ...)                                                                           \
    make(number, sizeof((uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t),                           \
         (uint32_t[]){ __VA_ARGS__ })

/* A query of single words: one group of all, or none. */
struct asked {
    struct query query;
    struct query_term terms[8];
    struct query_ref refs[8];
    struct query_need needs[8];
    struct query_group groups[2];
};

static void
ask(struct asked *a, size_t count, const uint32_t *words)
{
    *a = (struct asked){ 0 };
    for (uint16_t i = 0; i < count; i++) {
        a->terms[i] = (struct query_term){ term_of(words[i]), 1, i };
        a->refs[i].term = i;
        a->needs[i] = (struct query_need){ QUERY_ANY, i, 1, QUERY_NONE };
    }
    a->groups[0].needs = (uint16_t)count;
    a->query =
        (struct query){ a->terms,        a->refs,         a->needs, a->groups, (uint16_t)count,
                        (uint16_t)count, (uint16_t)count, 1,        false };
}
#define ASK(a, ...)                                                                                \
    ask(a, sizeof((uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t), (uint32_t[]){ __VA_ARGS__ })

static struct collection_hit hits[COLLECTION_HITS_MAX];

static size_t
run(const struct collection *c, struct collection_search search, double weight)
{
    AUTO(free) struct collection_legs *legs = calloc(1, sizeof(*legs));
    struct collection_stats stats = { 0 };
    struct collection_ranking ranking = { search.mode, search.k, weight, false, 0 };
    enum rc rc;

    assert_non_null(legs);
    if (search.query) {
        assert_int_equal(collection_count_terms(c, search.query, &stats, NULL), RC_OK);
        search.stats = &stats;
    }
    rc = collection_find(c, &search, legs, NULL);
    collection_stats_fini(&stats);
    assert_int_equal(rc, RC_OK);
    return collection_rank(&ranking, hits, collection_union(search.mode, search.k, legs, hits));
}

static size_t
run_text(const struct collection *c, const struct asked *a)
{
    struct collection_search search = { .mode = COLLECTION_TEXT, .k = 10, .query = &a->query };
    return run(c, search, 0);
}

static struct collection *
new_collection(size_t dims)
{
    struct collection *c = NULL;
    assert_int_equal(collection_new(dims, &c, NULL), RC_OK);
    return c;
}

static void
test_bm25_is_the_formula(void **state)
{
    AUTO(collection) struct collection *c = new_collection(4);
    struct sample rows[] = { ROW(1, 7, 7, 8, 9), ROW(2, 7, 8), ROW(3, 9, 9) };
    struct asked a;

    for (size_t i = 0; i < TEST_COUNT(rows); i++)
        assert_int_equal(put_sample(c, &rows[i]), RC_OK);
    ASK(&a, 7, 8);
    assert_int_equal(run_text(c, &a), 2);
    /* idf = ln(1 + 1.5/2.5) = .470004; average 8/3; row 2: 2 * idf * 2.2 / (1 + 1.2 * (.25 + .75 * .75)) */
    assert_int_equal(hits[0].id[0], 2);
    assert_true(fabs(hits[0].bm25 - 1.04716) < 1e-4);
    /* row 1: idf * 2.2 * (2 / (2 + 1.65) + 1 / (1 + 1.65)) */
    assert_int_equal(hits[1].id[0], 1);
    assert_true(fabs(hits[1].bm25 - 0.95678) < 1e-4);
    assert_true(fabs(hits[1].score - 0.95678 / 1.95678) < 1e-4);
}

static void
test_replace_and_remove_leave_nothing(void **state)
{
    AUTO(collection) struct collection *c = new_collection(4);
    struct sample row = ROW(1, 7, 8), other = ROW(2, 8), changed = ROW(1, 9);
    struct asked a;
    size_t bytes;

    assert_int_equal(put_sample(c, &other), RC_OK);
    assert_int_equal(put_sample(c, &row), RC_OK);
    assert_true(collection_remove(c, row.id));
    bytes = collection_bytes(c);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(put_sample(c, &row), RC_OK);
        assert_int_equal(put_sample(c, &changed), RC_OK);
        assert_int_equal(collection_rows(c), 2);
        ASK(&a, 7);
        assert_int_equal(run_text(c, &a), 0);
        ASK(&a, 9);
        assert_int_equal(run_text(c, &a), 1);
        assert_true(collection_remove(c, row.id));
        assert_false(collection_remove(c, row.id));
    }
    assert_int_equal(collection_rows(c), 1);
    assert_true(collection_bytes(c) <= bytes + 512);
    ASK(&a, 8);
    assert_int_equal(run_text(c, &a), 1);
    assert_int_equal(hits[0].id[0], 2);
}

static void
test_foreign_terms_are_refused(void **state)
{
    AUTO(collection) struct collection *c = new_collection(4);
    struct sample row = ROW(1, 7, 8);
    const struct collection_row bad = { .id = row.id,
                                        .scope = "a",
                                        .source = "b",
                                        .terms = (const uint8_t *)"\x01\x02",
                                        .terms_len = 2 };

    assert_int_equal(put_sample(c, &row), RC_OK);
    assert_int_equal(collection_put(c, &bad, NULL), RC_CORRUPT);
    struct asked a;
    ASK(&a, 7);
    assert_int_equal(run_text(c, &a), 1);
}

/* The times are kept from the first row on that expires, whatever was there before it. */
static void
test_an_expiry_may_come_late(void **state)
{
    AUTO(collection) struct collection *c = new_collection(4);
    struct collection_search search = { .mode = COLLECTION_VECTOR, .k = 50, .filter.now_ms = 100 };

    for (uint8_t i = 1; i <= 200; i++) {
        struct sample row = ROW(i, 7);
        if (i <= 80)
            assert_null(c->expires_ms);
        row.expires_ms = i > 80 && i % 4 == 0 ? 100 : 0;
        assert_int_equal(put_sample(c, &row), RC_OK);
    }
    assert_non_null(c->expires_ms);
    for (size_t left = 50; left > 0; left--) { /* the newest that are there are found */
        assert_int_equal(run(c, search, 0), 50);
        for (size_t i = 0; i < 50; i++)
            assert_false(hits[i].id[0] > 80 && hits[i].id[0] % 4 == 0);
        assert_true(collection_remove(c, hits[0].id));
    }
    search.filter.now_ms = 99;
    assert_int_equal(run(c, search, 0), 50);
    assert_int_equal(hits[0].id[0], 200);
}

static void
test_filters(void **state)
{
    AUTO(collection) struct collection *c = new_collection(4);
    struct sample x = ROW(1, 7), y = ROW(2, 7), z = ROW(3, 7);
    struct collection_search search = { .mode = COLLECTION_VECTOR, .k = 10 };

    strcpy(x.scope, "left");
    strcpy(y.source, "left"); /* a scope is no source and no tag */
    strcpy(z.tags[0], "red");
    strcpy(z.tags[1], "left");
    strcpy(z.tags[2], "red");
    z.tag_count = 3;
    x.created_ns = 5000000, y.created_ns = 5999999, z.created_ns = 6000000;
    x.expires_ms = 100;
    assert_int_equal(put_sample(c, &x), RC_OK);
    assert_int_equal(put_sample(c, &y), RC_OK);
    assert_int_equal(put_sample(c, &z), RC_OK);
    assert_int_equal(run(c, search, 0), 3);
    assert_int_equal(hits[0].id[0], 3); /* no vectors: newest first, score 0 */
    assert_true(hits[0].score <= 0);

    search.filter.scope = "left";
    assert_int_equal(run(c, search, 0), 1);
    assert_int_equal(hits[0].id[0], 1);
    search.filter.source = "left";
    assert_int_equal(run(c, search, 0), 0);
    search.filter.scope = NULL;
    assert_int_equal(run(c, search, 0), 1);
    assert_int_equal(hits[0].id[0], 2);
    search.filter.source = NULL;
    search.filter.tags = (const char *[]){ "left", "red" };
    search.filter.tag_count = 2;
    assert_int_equal(run(c, search, 0), 1);
    assert_int_equal(hits[0].id[0], 3);
    search.filter.tags = (const char *[]){ "left", "blue" };
    assert_int_equal(run(c, search, 0), 0);

    search.filter = (struct collection_filter){ .has_since = true, .since_ms = 6 };
    assert_int_equal(run(c, search, 0), 1);
    search.filter = (struct collection_filter){ .has_until = true, .until_ms = 6 };
    assert_int_equal(run(c, search, 0), 2);
    search.filter = (struct collection_filter){ .now_ms = 99 };
    assert_int_equal(run(c, search, 0), 3);
    search.filter.now_ms = 100;
    assert_int_equal(run(c, search, 0), 2);
    assert_true(collection_remove(c, z.id));
    search.filter = (struct collection_filter){ .tags = (const char *[]){ "red" }, .tag_count = 1 };
    assert_int_equal(run(c, search, 0), 0);
}

static void
test_phrases_and_nots(void **state)
{
    AUTO(collection) struct collection *c = new_collection(4);
    struct sample rows[] = { ROW(1, 1, 2, 3), ROW(2, 2, 1, 3), ROW(3, 2, 4, 1, 4, 1, 2),
                             ROW(4, 1, 9, 2), ROW(5, 3) };
    struct asked a;

    for (size_t i = 0; i < TEST_COUNT(rows); i++)
        assert_int_equal(put_sample(c, &rows[i]), RC_OK);
    ASK(&a, 1, 2);
    assert_int_equal(run_text(c, &a), 4);
    a.refs[1].offset = 1;
    a.needs[0] = (struct query_need){ QUERY_PHRASE, 0, 2, QUERY_NONE }; /* "1 2" */
    a.groups[0].needs = 1;
    assert_int_equal(run_text(c, &a), 2);
    assert_int_equal(hits[0].id[0] + hits[1].id[0], 1 + 3);

    ASK(&a, 3, 1, 2, 9); /* 3 -"1 2" */
    a.refs[2].offset = 1;
    a.needs[1] = (struct query_need){ QUERY_PHRASE, 1, 2, QUERY_NONE };
    a.groups[0] = (struct query_group){ 0, 1, 1, 1 };
    assert_int_equal(run_text(c, &a), 2);
    assert_int_equal(hits[0].id[0] + hits[1].id[0], 2 + 5);

    ASK(&a, 2, 1, 9); /* 2 -1, unless 9 */
    a.groups[0] = (struct query_group){ 0, 1, 1, 1 };
    assert_int_equal(run_text(c, &a), 0);
    a.needs[1].unless = 2;
    assert_int_equal(run_text(c, &a), 1);
    assert_int_equal(hits[0].id[0], 4);

    ASK(&a, 9, 3); /* 9 or 3 */
    a.groups[0] = (struct query_group){ 0, 1, 0, 0 };
    a.groups[1] = (struct query_group){ 1, 1, 0, 0 };
    a.query.group_count = 2;
    assert_int_equal(run_text(c, &a), 4);

    a.groups[0] = (struct query_group){ 0, 0, 0, 1 }; /* only a NOT */
    a.query.group_count = 1;
    assert_int_equal(run_text(c, &a), 0);
    a.query.group_count = 0;
    assert_int_equal(run_text(c, &a), 0);
}

/* A query's only row with all words, which both halves of the score call middling. */
static void
test_hybrid_keeps_the_whole_row(void **state)
{
    AUTO(collection) struct collection *c = new_collection(2);
    struct asked a;
    const float near[] = { 1, 0 }, far[] = { 0, 1 };
    size_t found = 0;

    for (uint8_t i = 0; i < 200; i++) {
        struct sample row = ROW(i, i % 2 ? 1 : 2, 5);
        if (i == 100) {
            row.word_count = 40;
            row.words[0] = 1;
            row.words[39] = 2;
        }
        memcpy(row.vector, i == 100 ? far : near, sizeof(near));
        row.vector[1] += (float)i / 1000;
        row.has_vector = true;
        assert_int_equal(put_sample(c, &row), RC_OK);
    }
    ASK(&a, 1, 2);
    struct collection_search search = {
        .mode = COLLECTION_HYBRID, .k = 5, .query = &a.query, .vector = near
    };
    assert_int_equal(run(c, search, collection_text_weight(1)), 5);
    for (size_t i = 0; i < 5; i++) {
        found += hits[i].id[0] == 100;
        assert_true(hits[i].score >= 0 && hits[i].score <= 1);
        assert_true(i == 0 || hits[i].score <= hits[i - 1].score);
    }
    assert_int_equal(found, 1);
    assert_int_equal(hits[4].id[0], 100);
    assert_true(fabs(collection_text_weight(1) - .6) < 1e-9);
    assert_true(fabs(collection_text_weight(0) - 1) < 1e-9);
    assert_true(fabs(collection_text_weight(.5) - .8) < 1e-9);
}

static void
test_answers_are_filled(void **state)
{
    AUTO(collection) struct collection *c = new_collection(2);
    struct asked a;
    struct sample rows[] = { ROW(1, 7), ROW(2, 8), ROW(3, 8), ROW(4, 8), ROW(5, 8) };
    const float query[] = { 1, 1 };

    for (size_t i = 0; i < TEST_COUNT(rows); i++) {
        rows[i].has_vector = i == 1 || i == 2;
        rows[i].vector[0] = 1;
        rows[i].vector[1] = i == 1 ? 1 : -3;
        assert_int_equal(put_sample(c, &rows[i]), RC_OK);
    }
    ASK(&a, 7);
    struct collection_search search = {
        .mode = COLLECTION_HYBRID, .k = 50, .query = &a.query, .vector = query
    };
    assert_int_equal(run(c, search, .6), 5);
    const uint8_t want[] = { 1, 2, 5, 4, 3 };
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(hits[i].id[0], want[i]);
    search.mode = COLLECTION_VECTOR;
    assert_int_equal(run(c, search, 0), 5);
    const uint8_t near[] = { 2, 3, 5, 4, 1 };
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(hits[i].id[0], near[i]);
    assert_true(hits[1].score <= 0 && hits[1].cosine < -.4f && hits[4].bm25 > 1);
    search.k = 2;
    assert_int_equal(run(c, search, 0), 2);
}

static void
test_time_budget(void **state)
{
    AUTO(collection) struct collection *c = new_collection(2);
    AUTO(free) struct collection_legs *legs = calloc(1, sizeof(*legs));
    struct sample row = ROW(1, 7);
    struct asked a;
    struct collection_stats stats = { 0 };
    static const enum collection_mode MODES[] = { COLLECTION_HYBRID, COLLECTION_VECTOR,
                                                  COLLECTION_TEXT };

    assert_non_null(legs);
    row.has_vector = true;
    row.vector[0] = 1;
    assert_int_equal(put_sample(c, &row), RC_OK);
    ASK(&a, 7);
    assert_int_equal(collection_count_terms(c, &a.query, &stats, NULL), RC_OK);
    for (size_t i = 0; i < TEST_COUNT(MODES); i++) {
        struct collection_search search = { .mode = MODES[i],
                                            .k = 5,
                                            .query = &a.query,
                                            .stats = &stats,
                                            .vector = row.vector,
                                            .deadline_us = clock_mono_us() - 1 };
        assert_int_equal(collection_find(c, &search, legs, NULL), RC_LIMIT);
        assert_int_equal(legs->text_count + legs->vector_count + legs->whole_count, 0);
    }
    collection_stats_fini(&stats);
}

/* A put that memory ends in leaves what was, wherever it ends. */
static void
test_put_is_all_or_nothing(void **state)
{
    AUTO(collection) struct collection *c = new_collection(DIMS);
    uint64_t random = 4711;
    size_t failed = 0;

    for (uint8_t i = 1; i < 150; i++) {
        struct sample row = ROW(i, 1, 2, 2, 300u + i, 7u + i % 3), old = row;
        enum rc rc = RC_TEMP;
        struct asked a;
        row.has_vector = true;
        set_vector(&random, row.vector, 0);
        snprintf(row.scope, sizeof(row.scope), "s%d", i);
        old.words[3] = 1000;
        if (i % 2)
            assert_int_equal(put_sample(c, &old), RC_OK);
        for (size_t more = 1; rc == RC_TEMP; more = more * 5 / 4 + 1) {
            size_t rows = collection_rows(c);
            c->memory.max = c->memory.bytes + more;
            rc = put_sample(c, &row);
            c->memory.max = 0;
            if (rc != RC_TEMP)
                break;
            failed++;
            assert_int_equal(collection_rows(c), rows);
            ASK(&a, 300u + i);
            assert_int_equal(run_text(c, &a), 0);
            ASK(&a, 1000);
            assert_int_equal(run_text(c, &a), i % 2);
        }
        assert_int_equal(rc, RC_OK);
        assert_int_equal(collection_rows(c), i);
        ASK(&a, 300u + i);
        assert_int_equal(run_text(c, &a), 1);
    }
    assert_true(failed > 1000);
    for (uint8_t i = 1; i < 150; i++)
        assert_true(collection_remove(c, (const uint8_t[16]){ i }));
    assert_int_equal(c->words, 0);
    assert_int_equal(c->by_key.used + c->by_name.used + c->by_id.used, 0);
}

static void
test_bytes_are_all_that_is_held(void **state)
{
    AUTO(collection) struct collection *c = new_collection(256);
    AUTO(free) float *vector = calloc(256, sizeof(*vector));
    uint64_t random = 99;
    size_t n = 20000;

    assert_non_null(vector);
    for (uint32_t i = 0; i < n; i++) {
        uint8_t terms[16 + WORDS_MAX * 9];
        uint32_t words[24];
        for (size_t w = 0; w < 24; w++)
            words[w] = (uint32_t)exp((double)(next_random(&random) % 10000) / 970);
        vector[0] = (float)i;
        vector[1] = 1;
        struct collection_row row = { .id = (const uint8_t *)&(uint32_t[4]){ i },
                                      .scope = "user:1",
                                      .source = "unknown",
                                      .vector = vector,
                                      .terms = terms,
                                      .terms_len = write_terms(words, 24, terms) };
        assert_int_equal(collection_put(c, &row, NULL), RC_OK);
    }
    assert_true(collection_bytes(c) > n * (256 + 16 + 24 * 4));
    assert_true(collection_bytes(c) < n * 560);
    for (uint32_t i = 0; i < n; i++)
        assert_true(collection_remove(c, (const uint8_t *)&(uint32_t[4]){ i }));
    assert_int_equal(collection_rows(c), 0);
}

/* Of a vector leg, the rows that exact cosines may put among the first k, and no others. */
static void
test_union_keeps_the_rivals_of_a_vector_search(void **state)
{
    static const float COSINES[] = { .9f, .8f, .799f, .7945f, .7f };
    static struct collection_legs legs;
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(COSINES); i++)
        legs.vector[i] = (struct collection_hit){ .id = { (uint8_t)i },
                                                  .cosine = COSINES[i],
                                                  .has_vector = true };
    legs.vector[5] = (struct collection_hit){ .id = { 5 } };
    legs.vector_count = 6;
    legs.margin = .006f;
    assert_int_equal(collection_union(COLLECTION_VECTOR, 1, &legs, hits), 1);
    assert_int_equal(collection_union(COLLECTION_VECTOR, 2, &legs, hits), 4);
    assert_int_equal(hits[3].id[0], 3);
    assert_int_equal(collection_union(COLLECTION_VECTOR, 4, &legs, hits), 4);
    assert_int_equal(collection_union(COLLECTION_VECTOR, 6, &legs, hits), 6);
    assert_int_equal(collection_union(COLLECTION_VECTOR, 50, &legs, hits), 6);
    assert_int_equal(collection_union(COLLECTION_HYBRID, 2, &legs, hits), 6);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_union_keeps_the_rivals_of_a_vector_search),
        cmocka_unit_test(test_bm25_is_the_formula),
        cmocka_unit_test(test_replace_and_remove_leave_nothing),
        cmocka_unit_test(test_foreign_terms_are_refused),
        cmocka_unit_test(test_an_expiry_may_come_late),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_phrases_and_nots),
        cmocka_unit_test(test_hybrid_keeps_the_whole_row),
        cmocka_unit_test(test_answers_are_filled),
        cmocka_unit_test(test_time_budget),
        cmocka_unit_test(test_put_is_all_or_nothing),
        cmocka_unit_test(test_bytes_are_all_that_is_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
