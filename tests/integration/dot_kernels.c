/* SPDX-License-Identifier: MIT */
/*
 * Multiplies with every kernel of this machine and compares with the plain one: built for another
 * machine, and run there or under an emulator, by test_dot_kernels.py. The unit tests do more here.
 */
#include <stdio.h>
#include <string.h>

#include "index/collection_own.h"

enum { MOST = 512, ROUNDS = 20 };

static int8_t queries[DOT_QUERIES][2 * MOST];
static uint8_t plane[SEGMENT_ROWS * MOST], row[MOST];
static int32_t want[DOT_QUERIES][SEGMENT_ROWS], got[DOT_QUERIES][SEGMENT_ROWS];

static void
fill(void *bytes, size_t len, uint64_t *random, bool largest)
{
    for (size_t i = 0; i < len; i++) {
        *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        ((uint8_t *)bytes)[i] = largest ? 0xFF : (uint8_t)(*random >> 56);
    }
}

static bool
agrees(const struct dot_kernel *plain, const struct dot_kernel *kernel, size_t half, size_t n)
{
    const int8_t *at[DOT_QUERIES];
    const unsigned groups = 1u + (unsigned)n % ALL_GROUPS;

    for (size_t q = 0; q < n; q++)
        at[q] = queries[q];
    memset(want, 0, sizeof(want));
    memset(got, 0, sizeof(got));
    plain->high(at, n, plane, half, groups, want);
    kernel->high(at, n, plane, half, groups, got);
    return memcmp(want, got, sizeof(want)) == 0 &&
           plain->low(queries[0], row, half) == kernel->low(queries[0], row, half);
}

int
main(void)
{
    struct dot_kernel kernels[DOT_KERNELS_MAX];
    size_t count = dot_kernels(kernels);
    uint64_t random = 88172645463325252u;

    for (size_t round = 0; round < ROUNDS; round++) {
        fill(queries, sizeof(queries), &random, false);
        fill(plane, sizeof(plane), &random, round == 0);
        fill(row, sizeof(row), &random, round == 0);
        if (round == 0)
            memset(queries, 127, sizeof(queries));
        for (size_t half = 64; half <= MOST; half += 64)
            for (size_t n = 1; n <= DOT_QUERIES; n++)
                for (size_t k = 1; k < count; k++)
                    if (!agrees(&kernels[0], &kernels[k], half, n)) {
                        printf("%s differs\n", kernels[k].name);
                        return 1;
                    }
    }
    printf("%s agrees\n", kernels[count - 1].name);
    return 0;
}
