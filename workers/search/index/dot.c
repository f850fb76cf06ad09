/* SPDX-License-Identifier: MIT */
/*
 * dot - products of one int8 vector with many rows of nibbles, by what the processor can do.
 *
 * A row of int8 values lies as two planes of half a byte a value: value = 16 * high - 128 + low, both
 * 0..15. A plane's byte i holds value i in its lower half and value half + i in the upper one. A scan
 * reads the high planes, which bound the product, and the low ones of the few rows that may be near.
 *
 * half is a multiple of 64; the query's padding is zero. Integers: every kernel gives the same
 * numbers; 4,096 products of at most 127 * 15 * 16 fit 32 bits.
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
dot_plain(const int8_t *query, const uint8_t *rows, size_t half, size_t n, int32_t *out)
{
    for (size_t i = 0; i < n; i++, rows += half) {
        int32_t sum = 0;
        for (size_t j = 0; j < half; j++)
            sum += query[j] * (rows[j] & 15) + query[half + j] * (rows[j] >> 4);
        out[i] = sum;
    }
}

#if defined(__x86_64__)

#define AHEAD 4096 /* bytes that are fetched before they are read: a scan waits for memory */

/* A pair of products is at most 3,810 and four are at most 15,240: they fit 16 bits. */
__attribute__((target("avx2"))) static void
dot_avx2(const int8_t *query, const uint8_t *rows, size_t half, size_t n, int32_t *out)
{
    const __m256i mask = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);

    for (size_t i = 0; i < n; i++, rows += half) {
        __m256i sum = _mm256_setzero_si256();
        for (size_t j = 0; j < half; j += 64) {
            const __m256i *r = (const void *)(rows + j);
            const __m256i *p = (const void *)(query + j), *q = (const void *)(query + half + j);
            __builtin_prefetch(rows + j + AHEAD);
            __m256i a = _mm256_loadu_si256(r), b = _mm256_loadu_si256(r + 1);
            __m256i c = _mm256_and_si256(_mm256_srli_epi16(a, 4), mask);
            __m256i d = _mm256_and_si256(_mm256_srli_epi16(b, 4), mask);
            a = _mm256_maddubs_epi16(_mm256_and_si256(a, mask), _mm256_loadu_si256(p));
            b = _mm256_maddubs_epi16(_mm256_and_si256(b, mask), _mm256_loadu_si256(p + 1));
            c = _mm256_maddubs_epi16(c, _mm256_loadu_si256(q));
            d = _mm256_maddubs_epi16(d, _mm256_loadu_si256(q + 1));
            a = _mm256_add_epi16(_mm256_add_epi16(a, b), _mm256_add_epi16(c, d));
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(a, ones));
        }
        __m128i part = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
        part = _mm_hadd_epi32(part, part);
        out[i] = _mm_cvtsi128_si32(_mm_hadd_epi32(part, part));
    }
}

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))

AVX512 static inline __m256i
dot_row(const int8_t *query, const uint8_t *row, size_t half)
{
    const __m512i mask = _mm512_set1_epi8(15);
    __m512i sum = _mm512_setzero_si512(), more = sum;

    for (size_t j = 0; j < half; j += 64) {
        __m512i low = _mm512_loadu_si512(row + j);
        __builtin_prefetch(row + j + AHEAD);
        __m512i high = _mm512_and_si512(_mm512_srli_epi16(low, 4), mask);
        low = _mm512_and_si512(low, mask);
        sum = _mm512_dpbusd_epi32(sum, low, _mm512_loadu_si512(query + j));
        more = _mm512_dpbusd_epi32(more, high, _mm512_loadu_si512(query + half + j));
    }
    sum = _mm512_add_epi32(sum, more);
    return _mm256_add_epi32(_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64(sum, 1));
}

/* Four rows are summed up together. */
AVX512 static void
dot_vnni(const int8_t *query, const uint8_t *rows, size_t half, size_t n, int32_t *out)
{
    for (; n >= 4; n -= 4, rows += 4 * half, out += 4) {
        __m256i a =
            _mm256_hadd_epi32(dot_row(query, rows, half), dot_row(query, rows + half, half));
        __m256i b = _mm256_hadd_epi32(dot_row(query, rows + 2 * half, half),
                                      dot_row(query, rows + 3 * half, half));
        a = _mm256_hadd_epi32(a, b);
        __m128i sums = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
        _mm_storeu_si128((void *)out, sums);
    }
    for (; n > 0; n--, rows += half) {
        __m256i a = dot_row(query, rows, half);
        __m128i b = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
        b = _mm_hadd_epi32(b, b);
        *out++ = _mm_cvtsi128_si32(_mm_hadd_epi32(b, b));
    }
}

#elif defined(__aarch64__)

static void
dot_neon(const int8_t *query, const uint8_t *rows, size_t half, size_t n, int32_t *out)
{
    for (size_t i = 0; i < n; i++, rows += half) {
        int32x4_t sum = vdupq_n_s32(0), more = sum;
        for (size_t j = 0; j < half; j += 16) {
            uint8x16_t r = vld1q_u8(rows + j);
            int8x16_t a = vreinterpretq_s8_u8(vandq_u8(r, vdupq_n_u8(15))), p = vld1q_s8(query + j);
            int8x16_t b = vreinterpretq_s8_u8(vshrq_n_u8(r, 4)), q = vld1q_s8(query + half + j);
            sum = vpadalq_s16(sum, vmull_s8(vget_low_s8(a), vget_low_s8(p)));
            sum = vpadalq_s16(sum, vmull_s8(vget_high_s8(a), vget_high_s8(p)));
            more = vpadalq_s16(more, vmull_s8(vget_low_s8(b), vget_low_s8(q)));
            more = vpadalq_s16(more, vmull_s8(vget_high_s8(b), vget_high_s8(q)));
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

float
vector_split(const int8_t *vector, size_t dims, size_t half, uint8_t *high, uint8_t *low)
{
    int32_t rest = 0;

    for (size_t i = 0; i < half; i++) {
        unsigned a = (unsigned)(vector[i] + 128), b = (unsigned)(vector[half + i] + 128);
        high[i] = (uint8_t)(a >> 4 | (b >> 4) << 4);
        low[i] = (uint8_t)((a & 15) | (b & 15) << 4);
    }
    for (size_t i = 0; i < dims; i++) {
        int32_t twice = 2 * ((vector[i] + 128) & 15) - 15;
        rest += twice * twice;
    }
    return sqrtf((float)rest) / 2;
}
