/* SPDX-License-Identifier: MIT */
/* embed_static - see embed_static.h; the builtin file is part of the read-only data. */
#include "embed/embed_static.h"

#include <string.h>

#include "base/fnv.h"

#define HEADER_BYTES 64
#define ALIGNMENT    64

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the file is read in place: a little-endian machine is needed"
#endif

/* Relative to the root of the project, where the compiler is called. */
__asm__(".pushsection .rodata.embed_static, \"a\", %progbits\n"
        ".balign 64\n"
        ".hidden embed_static_file\n"
        ".globl embed_static_file\n"
        "embed_static_file:\n"
        ".incbin \"common/embed/gantry-static-en-256.gsm\"\n"
        ".hidden embed_static_end\n"
        ".globl embed_static_end\n"
        "embed_static_end:\n"
        ".byte 0\n"
        ".popsection\n");
extern const uint8_t embed_static_file[];
extern const uint8_t embed_static_end[];

struct header {
    char magic[8];
    uint32_t rows;
    uint32_t dim;
    uint32_t slots;
    uint32_t string_bytes;
    float hashed_scale;
};

const uint8_t *
static_model_builtin(size_t *len)
{
    *len = (size_t)((uintptr_t)embed_static_end - (uintptr_t)embed_static_file);
    return embed_static_file;
}

bool
static_model_view(const uint8_t *bytes, size_t len, struct static_model *out)
{
    struct header h;
    if (len < HEADER_BYTES)
        return false;
    memcpy(&h, bytes, sizeof(h));
    if (memcmp(h.magic, "GSTATIC1", sizeof(h.magic)) != 0 || h.rows == 0 || h.dim == 0 ||
        h.slots <= h.rows || (h.slots & (h.slots - 1)) != 0)
        return false;
    uint64_t scale_at = HEADER_BYTES;
    uint64_t offset_at = scale_at + 4ULL * h.dim;
    uint64_t slot_at = offset_at + 4ULL * (h.rows + 1ULL);
    uint64_t strings_at = slot_at + 4ULL * h.slots;
    uint64_t row_at = (strings_at + h.string_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (row_at > len || (uint64_t)h.rows * h.dim != len - row_at)
        return false;
    *out = (struct static_model){
        .rows = h.rows,
        .dim = h.dim,
        .slots = h.slots,
        .string_bytes = h.string_bytes,
        .hashed_scale = h.hashed_scale,
        .scale = (const float *)(const void *)(bytes + scale_at),
        .offset = (const uint32_t *)(const void *)(bytes + offset_at),
        .slot = (const uint32_t *)(const void *)(bytes + slot_at),
        .strings = (const char *)bytes + strings_at,
        .row = (const int8_t *)bytes + row_at,
    };
    return true;
}

bool
static_model_check(const struct static_model *m)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < m->slots; i++) {
        if (m->slot[i] > m->rows)
            return false;
        used += m->slot[i] > 0;
    }
    for (uint32_t i = 0; i < m->rows; i++)
        if (m->offset[i] > m->offset[i + 1])
            return false;
    return used < m->slots && m->offset[m->rows] <= m->string_bytes;
}

static const char INNER[] = "##";

/* The row of piece, whose hash it is. */
static uint32_t
find_hashed(const struct static_model *m, uint64_t hash, const char *piece, size_t len,
            size_t prefix)
{
    uint32_t mask = m->slots - 1;
    for (uint32_t i = (uint32_t)fnv64_fold(hash) & mask; m->slot[i] > 0; i = (i + 1) & mask) {
        uint32_t row = m->slot[i] - 1;
        const char *found = m->strings + m->offset[row];
        if (m->offset[row + 1] - m->offset[row] == len + prefix &&
            memcmp(found, INNER, prefix) == 0 && memcmp(found + prefix, piece, len) == 0)
            return row;
    }
    return STATIC_NONE;
}

uint32_t
static_model_find(const struct static_model *m, const char *piece, size_t len, bool inner)
{
    size_t prefix = inner ? 2 : 0;
    uint64_t hash = fnv64(fnv64(FNV64, INNER, prefix), piece, len);
    return find_hashed(m, hash, piece, len, prefix);
}

uint32_t
static_model_longest(const struct static_model *m, const char *text, size_t *len, bool inner)
{
    uint64_t hashes[STATIC_PIECE_MAX + 1];
    uint32_t row = STATIC_NONE;
    size_t prefix = inner ? 2 : 0;
    size_t n = *len < STATIC_PIECE_MAX ? *len : STATIC_PIECE_MAX;
    hashes[0] = fnv64(FNV64, INNER, prefix);
    for (size_t i = 0; i < n; i++) {
        hashes[i + 1] = fnv64_add(hashes[i], (unsigned char)text[i]);
        __builtin_prefetch(&m->slot[(uint32_t)fnv64_fold(hashes[i + 1]) & (m->slots - 1)]);
    }
    for (; n > 0 && row == STATIC_NONE; n -= row == STATIC_NONE)
        row = find_hashed(m, hashes[n], text, n, prefix);
    *len = n;
    return row;
}
