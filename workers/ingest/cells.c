/* SPDX-License-Identifier: MIT */
/*
 * cells - spherical k-means in slices.
 */
#include "cells.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

size_t
cells_count(int64_t rows)
{
    size_t k = 128;
    while (k < CELLS_MAX && (int64_t)k * 256 < rows)
        k *= 2;
    return k;
}

/* Four sums at a time: the compiler may not reorder float additions by itself. */
static float
dot(const float *a, const float *b, size_t dim)
{
    typedef float lanes __attribute__((vector_size(16)));
    lanes sums[4] = { { 0 } };
    float total = 0;
    size_t i = 0;
    for (; i + 16 <= dim; i += 16) {
        for (size_t l = 0; l < 4; l++) {
            lanes x, y;
            memcpy(&x, a + i + 4 * l, sizeof(x));
            memcpy(&y, b + i + 4 * l, sizeof(y));
            sums[l] += x * y;
        }
    }
    lanes all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    for (; i < dim; i++)
        total += a[i] * b[i];
    return total + (all[0] + all[1]) + (all[2] + all[3]);
}

size_t
cells_nearest(const float *centroids, size_t n, size_t dim, const float *vector)
{
    size_t best = 0;
    float nearest = -2;
    for (size_t i = 0; i < n; i++) {
        float near = dot(centroids + i * dim, vector, dim);
        if (near > nearest) {
            nearest = near;
            best = i;
        }
    }
    return best;
}

/* A fixed sequence: training must not depend on anything but the sample. */
static uint64_t
next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

enum rc
cells_training_init(struct cells_training *t, float *sample, size_t n_sample, size_t dim, size_t k,
                    struct err *err)
{
    if (k > n_sample)
        k = n_sample;
    *t = (struct cells_training){ .dim = dim, .k = k, .n_sample = n_sample, .sample = sample };
    if (k == 0 || dim == 0) {
        cells_training_fini(t);
        return err_set(err, RC_BUG, "training needs vectors");
    }
    t->centroids = calloc(k * dim, sizeof(*t->centroids));
    t->sums = calloc(k * dim, sizeof(*t->sums));
    t->counts = calloc(k, sizeof(*t->counts));
    if (!t->centroids || !t->sums || !t->counts) {
        cells_training_fini(t);
        return err_set(err, RC_TEMP, "no memory for training");
    }
    uint64_t state = n_sample;
    /* Seeds: k different vectors, by a partial shuffle of the sample. */
    AUTO(free) float *row = malloc(dim * sizeof(*row));
    for (size_t i = 0; row && i < k; i++) {
        size_t j = i + (size_t)(next_random(&state) % (n_sample - i));
        memcpy(row, sample + i * dim, dim * sizeof(*row));
        memmove(sample + i * dim, sample + j * dim, dim * sizeof(*row));
        memcpy(sample + j * dim, row, dim * sizeof(*row));
        memcpy(t->centroids + i * dim, sample + i * dim, dim * sizeof(*row));
    }
    return RC_OK;
}

void
cells_training_fini(struct cells_training *t)
{
    free(t->sample);
    free(t->centroids);
    free(t->sums);
    free(t->counts);
    *t = (struct cells_training){ 0 };
}

static void
end_iteration(struct cells_training *t)
{
    for (size_t c = 0; c < t->k; c++) {
        double *sum = t->sums + c * t->dim, length = 0;
        for (size_t i = 0; i < t->dim; i++)
            length += sum[i] * sum[i];
        /* An empty cell keeps its place: its seed is a real vector. */
        for (size_t i = 0; i < t->dim && t->counts[c] && length > 0; i++)
            t->centroids[c * t->dim + i] = (float)(sum[i] / sqrt(length));
    }
    memset(t->sums, 0, t->k * t->dim * sizeof(*t->sums));
    memset(t->counts, 0, t->k * sizeof(*t->counts));
    t->iteration++;
    t->at = 0;
}

bool
cells_training_step(struct cells_training *t, size_t comparisons)
{
    size_t vectors = comparisons / t->k + 1;
    while (vectors-- > 0 && t->iteration < CELLS_ITERATIONS) {
        const float *vector = t->sample + t->at * t->dim;
        size_t c = cells_nearest(t->centroids, t->k, t->dim, vector);
        for (size_t i = 0; i < t->dim; i++)
            t->sums[c * t->dim + i] += (double)vector[i];
        t->counts[c]++;
        if (++t->at == t->n_sample)
            end_iteration(t);
    }
    return t->iteration >= CELLS_ITERATIONS;
}
