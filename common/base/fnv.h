/* SPDX-License-Identifier: MIT */
/*
 * fnv - FNV-1a, for tables whose keys nobody gains by making collide.
 *
 * Shape:  start with FNV32 or FNV64, add bytes; the low bits of the 64-bit form are folded
 * Source: draft-eastlake-fnv
 */
#ifndef GANTRY_BASE_FNV_H
#define GANTRY_BASE_FNV_H

#include <stddef.h>
#include <stdint.h>

#define FNV32       2166136261u
#define FNV64       UINT64_C(14695981039346656037)
#define FNV64_PRIME UINT64_C(1099511628211)

static inline uint32_t
fnv32(uint32_t hash, const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ at[i]) * 16777619u;
    return hash;
}

static inline uint32_t
fnv32_text(const char *text)
{
    uint32_t hash = FNV32;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619u;
    return hash;
}

/* One symbol: a byte, or what has more bits (then it is FNV's way of mixing, not FNV). */
static inline uint64_t
fnv64_add(uint64_t hash, uint64_t symbol)
{
    return (hash ^ symbol) * FNV64_PRIME;
}

static inline uint64_t
fnv64(uint64_t hash, const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < len; i++)
        hash = fnv64_add(hash, at[i]);
    return hash;
}

/* For a mask of the low bits, which alone are weak. */
static inline uint64_t
fnv64_fold(uint64_t hash)
{
    return hash ^ hash >> 32;
}

#endif
