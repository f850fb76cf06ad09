/* SPDX-License-Identifier: MIT */
/*
 * pack - a vector as eight bits a value, turned so that they serve.
 *
 * Models give vectors with a few values that are far larger than the others, and eight bits that reach
 * so far say little of the rest. All vectors are turned alike first, which changes no cosine: then the
 * values of each are much alike in size, and what rounding takes away is like noise.
 *
 * Source: a Hadamard transform behind fixed random signs (Ailon and Chazelle 2009)
 */
#include <math.h>
#include <string.h>

#include "collection_own.h"

#define LANES 8

/* Blocks of a power of two; the stride is a multiple of 128. */
void
vector_turn(float *vector, size_t stride)
{
    size_t block = stride & -stride;
    uint64_t signs = 0;

    for (size_t i = 0; i < stride; i++) {
        if (i % 64 == 0)
            signs = (i / 64 + 1) * UINT64_C(0x9E3779B97F4A7C15);
        if (signs >> i % 64 & 1)
            vector[i] = -vector[i];
    }
    for (size_t step = 1; step < block; step *= 2)
        for (size_t from = 0; from < stride; from += 2 * step)
            for (size_t i = from; i < from + step; i++) {
                float a = vector[i], b = vector[i + step];
                vector[i] = a + b;
                vector[i + step] = a - b;
            }
}

/* The largest size and the sum of squares, in lanes that the compiler can keep in one register. */
static void
measure(const float *vector, size_t n, float *most, double *sum)
{
    float sizes[LANES] = { 0 }, sums[LANES] = { 0 };

    for (size_t i = 0; i < n; i += LANES)
        for (size_t j = 0; j < LANES; j++) {
            float size = __builtin_fabsf(vector[i + j]);
            sizes[j] = size > sizes[j] ? size : sizes[j];
            sums[j] += size * size;
        }
    *most = 0;
    *sum = 0;
    for (size_t j = 0; j < LANES; j++) {
        *most = sizes[j] > *most ? sizes[j] : *most;
        *sum += (double)sums[j];
    }
}

float
vector_pack(const float *vector, size_t dims, size_t stride, float *turned, int8_t *out)
{
    float most, factor;
    double sum;

    memcpy(turned, vector, dims * sizeof(*turned));
    memset(turned + dims, 0, (stride - dims) * sizeof(*turned));
    vector_turn(turned, stride);
    measure(turned, stride, &most, &sum);
    factor = 127 / most;
    if (!(most > 0) || !(sum > 0) || !isfinite(sum) || !isfinite(factor)) {
        memset(out, 0, stride);
        return 0;
    }
    for (size_t i = 0; i < stride; i++) {
        float value = turned[i] * factor; /* at most 127 and a little */
        out[i] = (int8_t)(int)(value + __builtin_copysignf(.5f, value));
    }
    return (float)((double)most / 127 / sqrt(sum));
}

float
vector_split(const int8_t *vector, size_t half, uint8_t *high, uint8_t *low)
{
    int32_t rest = 0;

    for (size_t i = 0; i < half; i++) {
        unsigned a = (unsigned)(vector[i] + 128), b = (unsigned)(vector[half + i] + 128);
        int32_t c = 2 * (int32_t)(a & 15) - 15, d = 2 * (int32_t)(b & 15) - 15;
        high[i] = (uint8_t)(a >> 4 | (b >> 4) << 4);
        low[i] = (uint8_t)((a & 15) | (b & 15) << 4);
        rest += c * c + d * d;
    }
    return sqrtf((float)rest) / 2;
}

void
vector_place(const uint8_t *high, size_t half, uint8_t *plane, size_t row)
{
    uint8_t *at = plane + row / GROUP_ROWS * GROUP_ROWS * half + row % GROUP_ROWS * 4;

    for (size_t i = 0; i < half; i += 4, at += (size_t)GROUP_ROWS * 4)
        memcpy(at, high + i, 4);
}
