/* SPDX-License-Identifier: MIT */
/*
 * test_collection_vectors - the vectors of the index: how they are multiplied, and what is found by them.
 */
#include <math.h>
#include <pthread.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "collection_rows.h"

enum { QUERIES = DOT_QUERIES, MOST = 4096 };

/* Rows of two segments' planes, and what multiplying them gives. */
struct planes {
    int8_t queries[QUERIES][MOST], rows[SEGMENT_ROWS][MOST];
    uint8_t high[SEGMENT_ROWS * MOST / 2], low[SEGMENT_ROWS][MOST / 2];
    int32_t want[QUERIES][SEGMENT_ROWS], sums[QUERIES];
};

static void
fill_planes(struct planes *p, size_t half, uint64_t *random)
{
    memset(p->want, 0, sizeof(p->want));
    memset(p->sums, 0, sizeof(p->sums));
    for (size_t i = 0; i < sizeof(p->rows); i++)
        p->rows[i / MOST][i % MOST] = (int8_t)((int)(next_random(random) % 255) - 127);
    memset(p->rows[0], half % 512 ? 127 : -127, 2 * half); /* the largest sums */
    for (size_t q = 0; q < QUERIES; q++)
        for (size_t i = 0; i < 2 * half; i++) {
            p->queries[q][i] = q == 0 ? 127 : (int8_t)((int)(next_random(random) % 255) - 127);
            p->sums[q] += p->queries[q][i];
        }
    for (size_t r = 0; r < SEGMENT_ROWS; r++) {
        uint8_t high[MOST / 2];
        (void)vector_split(p->rows[r], half, high, p->low[r]);
        vector_place(high, half, p->high, r);
        for (size_t q = 0; q < QUERIES; q++)
            for (size_t i = 0; i < 2 * half; i++)
                p->want[q][r] += p->queries[q][i] * p->rows[r][i];
    }
}

static void
check_kernel(const struct dot_kernel *kernel, const struct planes *p, size_t half, size_t n,
             unsigned groups)
{
    static int32_t got[QUERIES][SEGMENT_ROWS];
    const int8_t *queries[QUERIES];

    memset(got, 0x55, sizeof(got));
    for (size_t q = 0; q < n; q++)
        queries[q] = p->queries[q];
    kernel->high(queries, n, p->high, half, groups, got);
    for (size_t q = 0; q < n; q++)
        for (size_t r = 0; r < SEGMENT_ROWS; r++) {
            int32_t low = kernel->low(p->queries[q], p->low[r], half);
            if (!(groups >> r / GROUP_ROWS & 1))
                assert_int_equal(got[q][r], 0x55555555);
            else if (16 * got[q][r] - 128 * p->sums[q] + low != p->want[q][r])
                fail_msg("%s differs at %zu values, row %zu of %zu queries", kernel->name, 2 * half,
                         r, n);
        }
}

static void
test_kernels_agree(void **state)
{
    AUTO(free) struct planes *p = calloc(1, sizeof(*p));
    struct dot_kernel kernels[DOT_KERNELS_MAX];
    size_t n = dot_kernels(kernels);
    uint64_t random = 88172645463325252u;

    assert_non_null(p);
    for (size_t half = 64; half <= MOST / 2; half += half < 256 ? 64 : 448) {
        fill_planes(p, half, &random);
        for (size_t k = 0; k < n; k++) {
            for (size_t count = 1; count <= QUERIES; count++)
                check_kernel(&kernels[k], p, half, count, ALL_GROUPS);
            check_kernel(&kernels[k], p, half, 1, 5);
            check_kernel(&kernels[k], p, half, 3, 8);
        }
    }
    print_message("# kernels: %zu, best %s\n", n, kernels[n - 1].name);
}

static void
test_kernels_find_what_is_near(void **state)
{
    struct dot_kernel kernels[DOT_KERNELS_MAX];
    const struct dot_bound bound = { .factor = 2, .mean = -3, .length = 4, .least = 10 };
    int32_t highs[SEGMENT_ROWS] = { 0 };
    float scale[SEGMENT_ROWS] = { 0 }, slack[SEGMENT_ROWS] = { 0 };

    highs[3] = 8, scale[3] = 1;                  /* 13 */
    highs[4] = 6, scale[4] = 1;                  /* 9 */
    highs[20] = 6, scale[20] = 1, slack[20] = 1; /* 13 */
    highs[47] = 30, scale[47] = .1f;             /* 5.7 */
    highs[63] = -5, scale[63] = -1;              /* 13 */
    for (size_t k = 0; k < dot_kernels(kernels); k++)
        assert_int_equal(kernels[k].near(&bound, highs, scale, slack),
                         UINT64_C(1) << 3 | UINT64_C(1) << 20 | UINT64_C(1) << 63);
}

static void
test_kernels_find_what_is_large(void **state)
{
    struct dot_kernel kernels[DOT_KERNELS_MAX];
    uint32_t sums[SEGMENT_ROWS] = { 0 };

    sums[0] = 7, sums[1] = 6, sums[15] = UINT32_MAX, sums[16] = 8, sums[40] = 1u << 31,
    sums[63] = 7;
    for (size_t k = 0; k < dot_kernels(kernels); k++) {
        assert_int_equal(kernels[k].large(sums, 7), UINT64_C(1) | UINT64_C(1) << 15 |
                                                        UINT64_C(1) << 16 | UINT64_C(1) << 40 |
                                                        UINT64_C(1) << 63);
        assert_int_equal(kernels[k].large(sums, UINT32_MAX), UINT64_C(1) << 15);
        assert_int_equal(kernels[k].large(sums, 0), UINT64_MAX);
    }
}

/* A few values that are far larger than the rest do not take the rest's precision. */
static void
test_turning_keeps_cosines(void **state)
{
    AUTO(collection) struct collection *c = NULL;
    struct collection_search search = { .mode = COLLECTION_VECTOR, .k = 10 };
    AUTO(free) struct collection_legs *legs = calloc(1, sizeof(*legs));
    float query[200], vector[200];
    uint64_t random = 4711;

    assert_non_null(legs);
    assert_int_equal(collection_new(200, &c, NULL), RC_OK);
    for (uint8_t r = 1; r <= 20; r++) {
        const uint8_t id[16] = { r };
        struct collection_row row = { .id = id, .scope = "a", .source = "b", .vector = vector };
        for (size_t i = 0; i < 200; i++)
            vector[i] = (float)(next_random(&random) % 2001) / 1000 - 1;
        vector[7] = 40;
        vector[100] = r;
        assert_int_equal(collection_put(c, &row, NULL), RC_OK);
    }
    memset(query, 0, sizeof(query));
    query[7] = 1;
    query[100] = 1;
    search.vector = query;
    assert_int_equal(collection_find(c, &search, legs, NULL), RC_OK);
    assert_int_equal(legs->vector_count, 20);
    for (size_t i = 0; i < 10; i++) {
        double r = 20 - (double)i, rest = 198. / 3;
        assert_int_equal(legs->vector[i].id[0], 20 - i);
        assert_true(fabs((double)legs->vector[i].cosine -
                         (40 + r) / sqrt(2 * (1600 + r * r + rest))) < .006);
    }
}

/* Each of several searches finds what it finds alone, whatever the others ask. */
static void
test_searches_together_find_the_same(void **state)
{
    enum { ROWS = 1000, SEARCHES = 19 };
    AUTO(collection) struct collection *c = NULL;
    AUTO(free) struct collection_legs *legs = calloc(SEARCHES + 1, sizeof(*legs));
    static float vectors[SEARCHES][DIMS];
    struct collection_search searches[SEARCHES];
    struct collection_asked asked[SEARCHES];
    uint64_t random = 4711;

    assert_non_null(legs);
    assert_int_equal(collection_new(DIMS, &c, NULL), RC_OK);
    for (uint32_t i = 0; i < ROWS; i++) {
        struct sample row = { .scope = "0", .source = "b" };
        memcpy(row.id, &i, sizeof(i));
        row.scope[0] = i % 100 == 0 ? '1' : '0';
        row.has_vector = i % 7 != 0;
        set_vector(&random, row.vector, i % 5);
        assert_int_equal(put_sample(c, &row), RC_OK);
    }
    for (size_t i = 0; i < SEARCHES; i++) {
        set_vector(&random, vectors[i], (uint32_t)i % 5);
        searches[i] = (struct collection_search){ .mode = COLLECTION_VECTOR,
                                                  .k = 1 + i,
                                                  .vector = i % 6 == 5 ? NULL : vectors[i] };
        if (i % 3 == 0)
            searches[i].filter.scope = "1";
        searches[i].deadline_us = i == 4 ? clock_mono_us() - 1 : 0;
        asked[i] = (struct collection_asked){ &searches[i], &legs[i], false };
    }
    assert_int_equal(collection_find_all(c, asked, SEARCHES, NULL, NULL), RC_OK);
    for (size_t i = 0; i < SEARCHES; i++) {
        struct collection_legs *alone = &legs[SEARCHES];
        memset(alone, 0, sizeof(*alone));
        assert_int_equal(asked[i].late, i == 4);
        assert_int_equal(collection_find(c, &searches[i], alone, NULL), i == 4 ? RC_LIMIT : RC_OK);
        assert_memory_equal(&legs[i], alone, sizeof(*alone));
        assert_int_equal(alone->vector_count, i == 4       ? 0
                                              : i % 3 == 0 ? 10
                                                           : i + 1 + COLLECTION_RERANK);
    }
}

static double
exact_cosine(const float *a, const float *b, size_t dims)
{
    double dot = 0, as = 0, bs = 0;
    for (size_t i = 0; i < dims; i++) {
        dot += (double)a[i] * (double)b[i];
        as += (double)a[i] * (double)a[i];
        bs += (double)b[i] * (double)b[i];
    }
    return dot / sqrt(as * bs);
}

/* Few dimensions are rounded coarsely: of the rows at hand none is given up that belongs to the first. */
static void
test_rivals_of_few_dimensions_are_kept(void **state)
{
    enum { FEW = 8, ROWS = 100, SEARCHES = 2000, K = 10 };
    AUTO(collection) struct collection *c = NULL;
    static struct collection_legs legs;
    static struct collection_hit union_of[COLLECTION_HITS_MAX];
    static float vectors[ROWS + SEARCHES][FEW];
    uint64_t random = 4711;
    (void)state;

    assert_int_equal(collection_new(FEW, &c, NULL), RC_OK);
    for (uint32_t i = 0; i < ROWS + SEARCHES; i++) {
        struct sample row = { .scope = "0", .source = "b", .has_vector = true };
        memcpy(row.id, &i, sizeof(i));
        for (size_t j = 0; j < FEW; j++)
            row.vector[j] = vectors[i][j] = (float)(next_random(&random) % 2001) / 1000 - 1;
        if (i < ROWS)
            assert_int_equal(put_sample(c, &row), RC_OK);
    }
    for (size_t s = 0; s < SEARCHES; s++) {
        const float *query = vectors[ROWS + s];
        double at[COLLECTION_LEG_MAX];
        memset(&legs, 0, sizeof(legs));
        struct collection_search search = { .mode = COLLECTION_VECTOR, .k = K, .vector = query };
        assert_int_equal(collection_find(c, &search, &legs, NULL), RC_OK);
        for (size_t i = 0; i < legs.vector_count; i++) {
            uint32_t number;
            memcpy(&number, legs.vector[i].id, sizeof(number));
            at[i] = exact_cosine(query, vectors[number], FEW);
        }
        size_t n = collection_union(COLLECTION_VECTOR, K, &legs, union_of);
        for (size_t i = n; i < legs.vector_count; i++) {
            size_t nearer = 0;
            for (size_t j = 0; j < n; j++)
                nearer += at[j] >= at[i];
            assert_true(nearer >= K);
        }
    }
}

/* A helper whose work is done at once, in another thread meanwhile, or never. */
struct helping {
    enum { AT_ONCE, MEANWHILE, NEVER, NOBODY } when;
    void (*fn)(void *arg);
    void *arg;
    pthread_t thread;
    unsigned started, joined;
};

static void *
run_thread(void *arg)
{
    struct helping *h = arg;

    h->fn(h->arg);
    return NULL;
}

static bool
start_helping(void *context, void (*fn)(void *arg), void *arg)
{
    struct helping *h = context;

    if (h->when == NOBODY)
        return false;
    h->started++;
    h->fn = fn;
    h->arg = arg;
    if (h->when == AT_ONCE)
        fn(arg);
    if (h->when == MEANWHILE)
        assert_int_equal(pthread_create(&h->thread, NULL, run_thread, h), 0);
    return true;
}

static void
join_helping(void *context)
{
    struct helping *h = context;

    h->joined++;
    if (h->when == MEANWHILE)
        assert_int_equal(pthread_join(h->thread, NULL), 0);
}

static void
check_helped(const struct collection *c, struct collection_search *search, size_t least_rows,
             unsigned starts)
{
    static struct collection_legs alone, helped;
    const struct collection_helper helper = { start_helping, join_helping, NULL, least_rows };

    memset(&alone, 0, sizeof(alone));
    assert_int_equal(collection_find(c, search, &alone, NULL), RC_OK);
    for (unsigned when = AT_ONCE; when <= NOBODY; when++) {
        struct helping h = { .when = when };
        struct collection_helper one = helper;
        struct collection_asked asked = { search, &helped, false };
        one.context = &h;
        memset(&helped, 0, sizeof(helped));
        assert_int_equal(collection_find_all(c, &asked, 1, &one, NULL), RC_OK);
        assert_false(asked.late);
        assert_memory_equal(&helped, &alone, sizeof(alone));
        assert_int_equal(h.started, when == NOBODY ? 0 : starts);
        assert_int_equal(h.joined, h.started);
    }
}

/* Shares are of 4,096 rows: three, the last one not full. */
static void
test_two_threads_find_the_same(void **state)
{
    enum { ROWS = 9000 };
    AUTO(collection) struct collection *c = NULL;
    uint64_t random = 7;
    float vector[DIMS];
    struct collection_search search = { .mode = COLLECTION_VECTOR, .k = 10, .vector = vector };
    (void)state;

    assert_int_equal(collection_new(DIMS, &c, NULL), RC_OK);
    for (uint32_t i = 0; i < ROWS; i++) {
        struct sample row = { .scope = "0", .source = "b", .has_vector = i % 7 != 0 };
        memcpy(row.id, &i, sizeof(i));
        row.scope[0] = i % 2 == 0 ? '1' : '0';
        set_vector(&random, row.vector, i % 5);
        assert_int_equal(put_sample(c, &row), RC_OK);
    }
    for (uint32_t i = 0; i < 5; i++) {
        set_vector(&random, vector, i);
        check_helped(c, &search, ROWS, 1);
    }
    check_helped(c, &search, ROWS + 1, 0);
    search.filter.scope = "1";
    check_helped(c, &search, ROWS, 0);
    check_helped(c, &search, ROWS / 2, 1);
    search.mode = COLLECTION_TEXT;
    check_helped(c, &search, 1, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kernels_agree),
        cmocka_unit_test(test_kernels_find_what_is_near),
        cmocka_unit_test(test_kernels_find_what_is_large),
        cmocka_unit_test(test_turning_keeps_cosines),
        cmocka_unit_test(test_searches_together_find_the_same),
        cmocka_unit_test(test_rivals_of_few_dimensions_are_kept),
        cmocka_unit_test(test_two_threads_find_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
