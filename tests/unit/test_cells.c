/* SPDX-License-Identifier: MIT */
/*
 * test_cells - nearest centroids, and training that finds the clusters that are there.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"
#include "workers/ingest/cells.h"

static void
nearest(void **state)
{
    static const float CENTROIDS[3 * 2] = { 1, 0, 0, 1, -1, 0 };
    static const float NEAR[][2] = { { 0.9F, 0.1F }, { 0.1F, 0.9F }, { -0.5F, 0.1F }, { 0, 0 } };
    static const size_t EXPECTED[] = { 0, 1, 2, 0 };
    for (size_t i = 0; i < TEST_COUNT(EXPECTED); i++)
        assert_int_equal(cells_nearest(CENTROIDS, 3, 2, NEAR[i]), EXPECTED[i]);
    /* Dimensions that are no multiple of the lanes count to the last. */
    float wide[2 * 37] = { 0 }, one[37] = { 0 };
    wide[37 + 36] = 1;
    one[36] = 1;
    assert_int_equal(cells_nearest(wide, 2, 37, one), 1);
}

static void
counts(void **state)
{
    static const struct {
        int64_t rows;
        size_t cells;
    } KNOWN[] = {
        { 20000, 128 }, { 32768, 128 }, { 32769, 256 }, { 100000, 512 }, { 10000000, 1024 }
    };
    for (size_t i = 0; i < TEST_COUNT(KNOWN); i++)
        assert_int_equal(cells_count(KNOWN[i].rows), KNOWN[i].cells);
}

/* Vectors around the four ends of two axes: four clusters of 50. */
static float *
four_clusters(void)
{
    float *sample = malloc(200 * 8 * sizeof(*sample));
    assert_non_null(sample);
    for (size_t i = 0; i < 200; i++) {
        float *v = sample + i * 8;
        memset(v, 0, 8 * sizeof(*v));
        v[i % 2] = i % 4 < 2 ? 0.99F : -0.99F;
        v[2 + i % 6] = 0.14F;
    }
    return sample;
}

static void
training_finds_clusters(void **state)
{
    struct cells_training t;
    struct err err;
    assert_int_equal(cells_training_init(&t, four_clusters(), 200, 8, 8, &err), RC_OK);
    size_t steps = 1;
    while (!cells_training_step(&t, 160))
        steps++;
    /* 200 vectors, 8 comparisons each, CELLS_ITERATIONS times, 21 vectors a slice */
    assert_int_equal(steps, (200 * CELLS_ITERATIONS + 20) / 21);
    for (size_t c = 0; c < 8; c++) {
        double length = 0;
        for (size_t i = 0; i < 8; i++)
            length += (double)(t.centroids[c * 8 + i] * t.centroids[c * 8 + i]);
        assert_true(fabs(length - 1) < 1e-3);
    }
    bool used[4] = { false };
    for (size_t c = 0; c < 8; c++)
        for (size_t axis = 0; axis < 4; axis++)
            used[axis] = used[axis] ||
                         (double)(t.centroids[c * 8 + axis % 2] * (axis < 2 ? 1.0F : -1.0F)) > 0.9;
    assert_true(used[0] && used[1] && used[2] && used[3]);
    cells_training_fini(&t);
    assert_null(t.centroids);
}

static void
training_is_repeatable(void **state)
{
    struct cells_training a, b;
    struct err err;
    assert_int_equal(cells_training_init(&a, four_clusters(), 200, 8, 5, &err), RC_OK);
    assert_int_equal(cells_training_init(&b, four_clusters(), 200, 8, 5, &err), RC_OK);
    while (!cells_training_step(&a, 1))
        ;
    assert_true(cells_training_step(&b, 1000000));
    assert_memory_equal(a.centroids, b.centroids, 5 * 8 * sizeof(float));
    cells_training_fini(&a);
    cells_training_fini(&b);
}

static void
small_samples(void **state)
{
    struct cells_training t;
    struct err err;
    assert_int_equal(cells_training_init(&t, calloc(1, 1), 0, 8, 128, &err), RC_BUG);
    float *one = calloc(8, sizeof(*one));
    assert_non_null(one);
    one[3] = 1;
    assert_int_equal(cells_training_init(&t, one, 1, 8, 128, &err), RC_OK);
    assert_int_equal(t.k, 1);
    assert_true(cells_training_step(&t, 100000));
    assert_true((double)t.centroids[3] > 0.999);
    cells_training_fini(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nearest),
        cmocka_unit_test(counts),
        cmocka_unit_test(training_finds_clusters),
        cmocka_unit_test(training_is_repeatable),
        cmocka_unit_test(small_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
