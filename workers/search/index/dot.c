/* SPDX-License-Identifier: MIT */
/*
 * dot - products of one int8 vector with many, by what the processor can do.
 *
 * The stride is a multiple of 64 and the padding zero. Integers: every kernel gives the same numbers;
 * 4,032 products of at most 127 * 127 fit 32 bits.
 */
#include <math.h>
#include <string.h>

#include "collection_own.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

static void
dot_plain(const int8_t *query, const int8_t *rows, size_t stride, size_t n, int32_t *out)
{
    for (size_t i = 0; i < n; i++, rows += stride) {
        int32_t sum = 0;
        for (size_t j = 0; j < stride; j++)
            sum += query[j] * rows[j];
        out[i] = sum;
    }
}

#if defined(__x86_64__)

__attribute__((target("avx2"))) static void
dot_avx2(const int8_t *query, const int8_t *rows, size_t stride, size_t n, int32_t *out)
{
    for (size_t i = 0; i < n; i++, rows += stride) {
        __m256i sum = _mm256_setzero_si256(), more = sum;
        for (size_t j = 0; j < stride; j += 32) {
            const __m128i *q = (const void *)(query + j), *r = (const void *)(rows + j);
            __m256i a = _mm256_cvtepi8_epi16(_mm_loadu_si128(q));
            __m256i b = _mm256_cvtepi8_epi16(_mm_loadu_si128(r));
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
            a = _mm256_cvtepi8_epi16(_mm_loadu_si128(q + 1));
            b = _mm256_cvtepi8_epi16(_mm_loadu_si128(r + 1));
            more = _mm256_add_epi32(more, _mm256_madd_epi16(a, b));
        }
        sum = _mm256_add_epi32(sum, more);
        __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
        half = _mm_hadd_epi32(half, half);
        out[i] = _mm_cvtsi128_si32(_mm_hadd_epi32(half, half));
    }
}

/* vpdpbusd multiplies unsigned by signed: a row with its sign bits turned is row + 128, and the sum
 * of 128 * query is taken off again. */
__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))) static void
dot_vnni(const int8_t *query, const int8_t *rows, size_t stride, size_t n, int32_t *out)
{
    const __m512i turn = _mm512_set1_epi8(-128);
    __m512i offset = _mm512_setzero_si512();
    int32_t minus;

    for (size_t j = 0; j < stride; j += 64)
        offset = _mm512_dpbusd_epi32(offset, turn, _mm512_loadu_si512(query + j));
    minus = _mm512_reduce_add_epi32(offset);
    for (; n > 0; n--, rows += stride) {
        __m512i sum = _mm512_setzero_si512(), more = sum;
        size_t j = 0;
        for (; j + 128 <= stride; j += 128) {
            __m512i a = _mm512_xor_si512(turn, _mm512_loadu_si512(rows + j));
            __m512i b = _mm512_xor_si512(turn, _mm512_loadu_si512(rows + j + 64));
            sum = _mm512_dpbusd_epi32(sum, a, _mm512_loadu_si512(query + j));
            more = _mm512_dpbusd_epi32(more, b, _mm512_loadu_si512(query + j + 64));
        }
        if (j < stride)
            sum = _mm512_dpbusd_epi32(sum, _mm512_xor_si512(turn, _mm512_loadu_si512(rows + j)),
                                      _mm512_loadu_si512(query + j));
        *out++ = _mm512_reduce_add_epi32(_mm512_add_epi32(sum, more)) - minus;
    }
}

#elif defined(__aarch64__)

static void
dot_neon(const int8_t *query, const int8_t *rows, size_t stride, size_t n, int32_t *out)
{
    for (size_t i = 0; i < n; i++, rows += stride) {
        int32x4_t sum = vdupq_n_s32(0), more = sum;
        for (size_t j = 0; j < stride; j += 16) {
            int8x16_t a = vld1q_s8(query + j), b = vld1q_s8(rows + j);
            sum = vpadalq_s16(sum, vmull_s8(vget_low_s8(a), vget_low_s8(b)));
            more = vpadalq_s16(more, vmull_s8(vget_high_s8(a), vget_high_s8(b)));
        }
        out[i] = vaddvq_s32(vaddq_s32(sum, more));
    }
}

#endif

size_t
dot_kernels(struct dot_kernel kernels[DOT_KERNELS_MAX])
{
    size_t n = 0;

    kernels[n++] = (struct dot_kernel){ "plain", dot_plain };
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        kernels[n++] = (struct dot_kernel){ "avx2", dot_avx2 };
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni"))
        kernels[n++] = (struct dot_kernel){ "avx512-vnni", dot_vnni };
#elif defined(__aarch64__)
    kernels[n++] = (struct dot_kernel){ "neon", dot_neon };
#endif
    return n;
}

dot_fn *
dot_best(void)
{
    struct dot_kernel kernels[DOT_KERNELS_MAX];

    return kernels[dot_kernels(kernels) - 1].dot;
}

#define LANES 8

/* The largest size and the sum of squares, in lanes that the compiler can keep in one register. */
static void
measure(const float *vector, size_t dims, float *most, double *sum)
{
    float sizes[LANES] = { 0 }, sums[LANES] = { 0 };
    size_t i = 0;

    for (; i + LANES <= dims; i += LANES)
        for (size_t j = 0; j < LANES; j++) {
            float size = __builtin_fabsf(vector[i + j]);
            sizes[j] = size > sizes[j] ? size : sizes[j];
            sums[j] += size * size;
        }
    for (size_t j = 0; i < dims; i++, j++) {
        float size = __builtin_fabsf(vector[i]);
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
vector_pack(const float *vector, size_t dims, size_t stride, int8_t *out)
{
    float most, factor;
    double sum;

    measure(vector, dims, &most, &sum);
    memset(out + dims, 0, stride - dims);
    factor = 127 / most;
    if (!(most > 0) || !(sum > 0) || !isfinite(sum) || !isfinite(factor)) {
        memset(out, 0, dims);
        return 0;
    }
    for (size_t i = 0; i < dims; i++) {
        float value = vector[i] * factor; /* at most 127 and a little */
        out[i] = (int8_t)(int)(value + __builtin_copysignf(.5f, value));
    }
    return (float)((double)most / 127 / sqrt(sum));
}
