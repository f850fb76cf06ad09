/* SPDX-License-Identifier: MIT */
/*
 * cells - centroids of a large workspace's vectors: training, and the nearest one to a vector.
 *
 * Spherical k-means over a sample: vectors of length 1, nearness by dot product. Training is cut
 * into slices of bounded work, so that a single-threaded program can go on serving between them.
 * The same sample and seed give the same centroids.
 *
 * Units:   a slice is a number of vector comparisons
 * Source:  docs/memory.md
 */
#ifndef GANTRY_CELLS_H
#define GANTRY_CELLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rc.h"

#define CELLS_MAX        1024
#define CELLS_SAMPLE     24 /* vectors for each centroid */
#define CELLS_ITERATIONS 6

/* How many cells suit so many rows. */
size_t cells_count(int64_t rows);

/* Index of the nearest of n centroids[n * dim]; n > 0. */
size_t cells_nearest(const float *centroids, size_t n, size_t dim, const float *vector);

struct cells_training {
    size_t dim, k, n_sample;
    float *sample;    /* owned: n_sample * dim, length 1 each */
    float *centroids; /* owned: k * dim */
    double *sums;     /* owned */
    size_t *counts;   /* owned */
    size_t at;        /* next vector of the sample */
    unsigned iteration;
};

/* Takes ownership of sample (malloc()ed) in any case. */
enum rc cells_training_init(struct cells_training *training, float *sample, size_t n_sample,
                            size_t dim, size_t k, struct err *err);
void cells_training_fini(struct cells_training *training);
/* True when done: centroids[k * dim] are final. */
bool cells_training_step(struct cells_training *training, size_t comparisons);

#endif
