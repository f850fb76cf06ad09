/* SPDX-License-Identifier: MIT */
/*
 * dot - products of int8 vectors with many rows of nibbles, by what the processor can do.
 *
 * A row of int8 values lies as two planes of half a byte a value: value = 16 * high - 128 + low, both
 * 0..15. A plane's byte i holds value i in its lower half and value half + i in the upper one. A scan
 * reads the high planes, which say nearly what the product is, and the low ones of the few rows that
 * may be near.
 *
 * The high planes of GROUP_ROWS rows lie together, four bytes of each row after the other: a register
 * holds the same values of 16 rows, and no sums across a register are needed. What is read serves
 * several queries. A low plane is that of one row.
 *
 * half is a multiple of 64; the query's padding is zero. Integers: every kernel gives the same
 * numbers; 4,096 products of at most 127 * 15 * 16 fit 32 bits.
 */
#include <string.h>

#include "collection_own.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define PIECE 4                    /* bytes of a row that lie together */
#define STEP  (GROUP_ROWS * PIECE) /* bytes of a group that hold one piece of each row */

static uint64_t
near_plain(const struct dot_bound *bound, const int32_t *highs, const float *scale,
           const float *slack)
{
    float bounds[SEGMENT_ROWS];
    uint64_t near = 0;

    for (size_t i = 0; i < SEGMENT_ROWS; i++)
        bounds[i] =
            ((float)highs[i] * bound->factor + bound->mean) * scale[i] + bound->length * slack[i];
    for (unsigned i = 0; i < SEGMENT_ROWS; i++)
        near |= (uint64_t)(bounds[i] >= bound->least) << i;
    return near;
}

static uint64_t
large_plain(const uint32_t *sums, uint32_t least)
{
    uint64_t large = 0;

    for (uint32_t from = 0; from < SEGMENT_ROWS; from += 16) {
        uint32_t any = 0;
        for (uint32_t i = from; i < from + 16; i++)
            any |= sums[i] >= least ? UINT32_MAX : 0;
        for (uint32_t i = from; any && i < from + 16; i++)
            large |= (uint64_t)(sums[i] >= least) << i;
    }
    return large;
}

static void
high_plain(const int8_t *const *queries, size_t n, const uint8_t *plane, size_t half,
           unsigned groups, int32_t (*out)[SEGMENT_ROWS])
{
    for (size_t q = 0; q < n; q++)
        for (size_t row = 0; row < SEGMENT_ROWS; row++) {
            const uint8_t *at = plane + row / GROUP_ROWS * GROUP_ROWS * half;
            int32_t sum = 0;
            if (!(groups >> row / GROUP_ROWS & 1))
                continue;
            at += row % GROUP_ROWS * PIECE;
            for (size_t j = 0; j < half; j++) {
                uint8_t byte = at[j / PIECE * STEP + j % PIECE];
                sum += queries[q][j] * (byte & 15) + queries[q][half + j] * (byte >> 4);
            }
            out[q][row] = sum;
        }
}

static int32_t
low_plain(const int8_t *query, const uint8_t *row, size_t half)
{
    int32_t sum = 0;

    for (size_t j = 0; j < half; j++)
        sum += query[j] * (row[j] & 15) + query[half + j] * (row[j] >> 4);
    return sum;
}

#if defined(__x86_64__)

#define AHEAD 4096 /* bytes that are fetched before they are read: a scan waits for memory */

static inline int32_t
piece_of(const int8_t *query)
{
    int32_t piece;

    memcpy(&piece, query, sizeof(piece));
    return piece;
}

/* A pair of products is at most 3,810, and those of four steps are eight pairs: they fit 16 bits. */
__attribute__((target("avx2"))) static void
high_avx2(const int8_t *const *queries, size_t n, const uint8_t *plane, size_t half,
          unsigned groups, int32_t (*out)[SEGMENT_ROWS])
{
    const __m256i mask = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);

    for (size_t g = 0; g < SEGMENT_ROWS / GROUP_ROWS; g++, plane += GROUP_ROWS * half) {
        if (!(groups >> g & 1))
            continue;
        for (size_t q = 0; q < n; q++) {
            __m256i a = _mm256_setzero_si256(), b = a;
            for (size_t j = 0; j < half; j += 4 * PIECE) {
                __m256i sum_a = _mm256_setzero_si256(), sum_b = sum_a;
                for (size_t i = j; i < j + 4 * PIECE; i += PIECE) {
                    const __m256i *at = (const void *)(plane + i * GROUP_ROWS);
                    __m256i low = _mm256_set1_epi32(piece_of(queries[q] + i));
                    __m256i high = _mm256_set1_epi32(piece_of(queries[q] + half + i));
                    __m256i x = _mm256_loadu_si256(at), y = _mm256_loadu_si256(at + 1);
                    sum_a = _mm256_add_epi16(sum_a,
                                             _mm256_maddubs_epi16(_mm256_and_si256(x, mask), low));
                    sum_b = _mm256_add_epi16(sum_b,
                                             _mm256_maddubs_epi16(_mm256_and_si256(y, mask), low));
                    x = _mm256_and_si256(_mm256_srli_epi16(x, 4), mask);
                    y = _mm256_and_si256(_mm256_srli_epi16(y, 4), mask);
                    sum_a = _mm256_add_epi16(sum_a, _mm256_maddubs_epi16(x, high));
                    sum_b = _mm256_add_epi16(sum_b, _mm256_maddubs_epi16(y, high));
                }
                a = _mm256_add_epi32(a, _mm256_madd_epi16(sum_a, ones));
                b = _mm256_add_epi32(b, _mm256_madd_epi16(sum_b, ones));
                if (q == 0)
                    for (size_t i = 0; i < 4; i++)
                        __builtin_prefetch(plane + j * GROUP_ROWS + i * STEP + AHEAD);
            }
            _mm256_storeu_si256((void *)(out[q] + g * GROUP_ROWS), a);
            _mm256_storeu_si256((void *)(out[q] + g * GROUP_ROWS + GROUP_ROWS / 2), b);
        }
    }
}

__attribute__((target("avx2"))) static int32_t
low_avx2(const int8_t *query, const uint8_t *row, size_t half)
{
    const __m256i mask = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
    __m256i sum = _mm256_setzero_si256();

    for (size_t j = 0; j < half; j += 32) {
        __m256i low = _mm256_loadu_si256((const void *)(row + j));
        __m256i high = _mm256_and_si256(_mm256_srli_epi16(low, 4), mask);
        low = _mm256_and_si256(low, mask);
        low = _mm256_maddubs_epi16(low, _mm256_loadu_si256((const void *)(query + j)));
        high = _mm256_maddubs_epi16(high, _mm256_loadu_si256((const void *)(query + half + j)));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_add_epi16(low, high), ones));
    }
    __m128i part = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    part = _mm_hadd_epi32(part, part);
    return _mm_cvtsi128_si32(_mm_hadd_epi32(part, part));
}

#define AVX512      __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))
#define ALL_INLINED static inline __attribute__((always_inline))

/* n queries with so many groups; both are constants where this is called, and the sums registers. */
AVX512 ALL_INLINED void
multiply_block(const int8_t *const *queries, const size_t n, const uint8_t *plane, size_t half,
               const size_t groups, int32_t (*out)[SEGMENT_ROWS], size_t first)
{
    const __m512i mask = _mm512_set1_epi8(15);
    __m512i lows[8], highs[8];

#pragma GCC unroll 8
    for (size_t i = 0; i < n * groups; i++)
        lows[i] = highs[i] = _mm512_setzero_si512();
    for (size_t j = 0; j < half; j += PIECE) {
#pragma GCC unroll 4
        for (size_t g = 0; g < groups; g++) {
            const uint8_t *at = plane + g * GROUP_ROWS * half + j * GROUP_ROWS;
            __builtin_prefetch(at + AHEAD);
            __m512i low = _mm512_loadu_si512(at);
            __m512i high = _mm512_and_si512(_mm512_srli_epi16(low, 4), mask);
            low = _mm512_and_si512(low, mask);
#pragma GCC unroll 8
            for (size_t q = 0; q < n; q++) {
                __m512i *a = &lows[q * groups + g], *b = &highs[q * groups + g];
                *a = _mm512_dpbusd_epi32(*a, low, _mm512_set1_epi32(piece_of(queries[q] + j)));
                *b = _mm512_dpbusd_epi32(*b, high,
                                         _mm512_set1_epi32(piece_of(queries[q] + half + j)));
            }
        }
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < n * groups; i++)
        _mm512_storeu_si512(out[i / groups] + (first + i % groups) * GROUP_ROWS,
                            _mm512_add_epi32(lows[i], highs[i]));
}

/* One query with one group, read in a row: the sums of four pieces go on beside each other. */
AVX512 ALL_INLINED void
multiply_alone(const int8_t *query, const uint8_t *plane, size_t half, int32_t *out)
{
    const __m512i mask = _mm512_set1_epi8(15);
    __m512i lows[4], highs[4];

#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++)
        lows[i] = highs[i] = _mm512_setzero_si512();
    for (size_t j = 0; j < half; j += 4 * PIECE) {
#pragma GCC unroll 4
        for (size_t i = 0; i < 4; i++) {
            const size_t at = j + i * PIECE;
            __builtin_prefetch(plane + at * GROUP_ROWS + AHEAD);
            __m512i low = _mm512_loadu_si512(plane + at * GROUP_ROWS);
            __m512i high = _mm512_and_si512(_mm512_srli_epi16(low, 4), mask);
            low = _mm512_and_si512(low, mask);
            lows[i] = _mm512_dpbusd_epi32(lows[i], low, _mm512_set1_epi32(piece_of(query + at)));
            highs[i] =
                _mm512_dpbusd_epi32(highs[i], high, _mm512_set1_epi32(piece_of(query + half + at)));
        }
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++)
        lows[i] = _mm512_add_epi32(lows[i], highs[i]);
    lows[0] =
        _mm512_add_epi32(_mm512_add_epi32(lows[0], lows[1]), _mm512_add_epi32(lows[2], lows[3]));
    _mm512_storeu_si512(out, lows[0]);
}

AVX512 static void
high_vnni(const int8_t *const *queries, size_t n, const uint8_t *plane, size_t half,
          unsigned groups, int32_t (*out)[SEGMENT_ROWS])
{
    size_t q = 0;

    for (size_t g = 0; g < SEGMENT_ROWS / GROUP_ROWS; g++, plane += GROUP_ROWS * half) {
        if (!(groups >> g & 1))
            continue;
        for (q = 0; q + 8 <= n; q += 8)
            multiply_block(queries + q, 8, plane, half, 1, out + q, g);
        for (; q + 4 <= n; q += 4)
            multiply_block(queries + q, 4, plane, half, 1, out + q, g);
        for (; q + 2 <= n; q += 2)
            multiply_block(queries + q, 2, plane, half, 1, out + q, g);
        if (q < n)
            multiply_alone(queries[q], plane, half, out[q] + g * GROUP_ROWS);
    }
}

AVX512 static int32_t
low_vnni(const int8_t *query, const uint8_t *row, size_t half)
{
    const __m512i mask = _mm512_set1_epi8(15);
    __m512i sum = _mm512_setzero_si512(), more = sum;

    for (size_t j = 0; j < half; j += 64) {
        __m512i low = _mm512_loadu_si512(row + j);
        __m512i high = _mm512_and_si512(_mm512_srli_epi16(low, 4), mask);
        low = _mm512_and_si512(low, mask);
        sum = _mm512_dpbusd_epi32(sum, low, _mm512_loadu_si512(query + j));
        more = _mm512_dpbusd_epi32(more, high, _mm512_loadu_si512(query + half + j));
    }
    return _mm512_reduce_add_epi32(_mm512_add_epi32(sum, more));
}

AVX512 static uint64_t
near_vnni(const struct dot_bound *bound, const int32_t *highs, const float *scale,
          const float *slack)
{
    const __m512 factor = _mm512_set1_ps(bound->factor), mean = _mm512_set1_ps(bound->mean);
    const __m512 length = _mm512_set1_ps(bound->length), least = _mm512_set1_ps(bound->least);
    uint64_t near = 0;

    for (size_t i = 0; i < SEGMENT_ROWS; i += 16) {
        __m512 high = _mm512_cvtepi32_ps(_mm512_loadu_si512(highs + i));
        high = _mm512_mul_ps(_mm512_fmadd_ps(high, factor, mean), _mm512_loadu_ps(scale + i));
        high = _mm512_fmadd_ps(length, _mm512_loadu_ps(slack + i), high);
        near |= (uint64_t)_mm512_cmp_ps_mask(high, least, _CMP_GE_OQ) << i;
    }
    return near;
}

AVX512 static uint64_t
large_vnni(const uint32_t *sums, uint32_t least)
{
    const __m512i bound = _mm512_set1_epi32((int)least);
    uint64_t large = 0;

    for (size_t i = 0; i < SEGMENT_ROWS; i += 16)
        large |= (uint64_t)_mm512_cmpge_epu32_mask(_mm512_loadu_si512(sums + i), bound) << i;
    return large;
}

#elif defined(__aarch64__)

static inline int8x16_t
piece_of(const int8_t *query)
{
    int32_t piece;

    memcpy(&piece, query, sizeof(piece));
    return vreinterpretq_s8_s32(vdupq_n_s32(piece));
}

/* Four rows; a sum has two lanes of each. A product is at most 1,905: two fit 16 bits. */
static inline int32x4_t
multiply_four(const int8_t *query, const uint8_t *at, size_t half)
{
    int32x4_t a = vdupq_n_s32(0), b = a;

    for (size_t j = 0; j < half; j += PIECE) {
        uint8x16_t r = vld1q_u8(at + j * GROUP_ROWS);
        int8x16_t low = vreinterpretq_s8_u8(vandq_u8(r, vdupq_n_u8(15)));
        int8x16_t high = vreinterpretq_s8_u8(vshrq_n_u8(r, 4));
        int8x16_t p = piece_of(query + j), q = piece_of(query + half + j);
        int16x8_t x = vmull_s8(vget_low_s8(low), vget_low_s8(p));
        int16x8_t y = vmull_s8(vget_high_s8(low), vget_high_s8(p));
        a = vpadalq_s16(a, vmlal_s8(x, vget_low_s8(high), vget_low_s8(q)));
        b = vpadalq_s16(b, vmlal_s8(y, vget_high_s8(high), vget_high_s8(q)));
    }
    return vpaddq_s32(a, b);
}

static void
high_neon(const int8_t *const *queries, size_t n, const uint8_t *plane, size_t half,
          unsigned groups, int32_t (*out)[SEGMENT_ROWS])
{
    for (size_t g = 0; g < SEGMENT_ROWS / GROUP_ROWS; g++, plane += GROUP_ROWS * half)
        for (size_t q = 0; q < n && (groups >> g & 1); q++)
            for (size_t i = 0; i < GROUP_ROWS; i += 4)
                vst1q_s32(out[q] + g * GROUP_ROWS + i,
                          multiply_four(queries[q], plane + i * PIECE, half));
}

static int32_t
low_neon(const int8_t *query, const uint8_t *row, size_t half)
{
    int32x4_t sum = vdupq_n_s32(0), more = sum;

    for (size_t j = 0; j < half; j += 16) {
        uint8x16_t r = vld1q_u8(row + j);
        int8x16_t a = vreinterpretq_s8_u8(vandq_u8(r, vdupq_n_u8(15))), p = vld1q_s8(query + j);
        int8x16_t b = vreinterpretq_s8_u8(vshrq_n_u8(r, 4)), q = vld1q_s8(query + half + j);
        sum = vpadalq_s16(sum, vmull_s8(vget_low_s8(a), vget_low_s8(p)));
        sum = vpadalq_s16(sum, vmull_s8(vget_high_s8(a), vget_high_s8(p)));
        more = vpadalq_s16(more, vmull_s8(vget_low_s8(b), vget_low_s8(q)));
        more = vpadalq_s16(more, vmull_s8(vget_high_s8(b), vget_high_s8(q)));
    }
    return vaddvq_s32(vaddq_s32(sum, more));
}

#endif

size_t
dot_kernels(struct dot_kernel kernels[DOT_KERNELS_MAX])
{
    size_t n = 0;

    kernels[n++] = (struct dot_kernel){ "plain", high_plain, low_plain, near_plain, large_plain };
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        kernels[n++] = (struct dot_kernel){ "avx2", high_avx2, low_avx2, near_plain, large_plain };
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni"))
        kernels[n++] =
            (struct dot_kernel){ "avx512-vnni", high_vnni, low_vnni, near_vnni, large_vnni };
#elif defined(__aarch64__)
    kernels[n++] = (struct dot_kernel){ "neon", high_neon, low_neon, near_plain, large_plain };
#endif
    return n;
}

struct dot_kernel
dot_best(void)
{
    struct dot_kernel kernels[DOT_KERNELS_MAX];

    return kernels[dot_kernels(kernels) - 1];
}
