/* SPDX-License-Identifier: MIT */
/*
 * memory - allocation that is counted: what malloc really took, and its header.
 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "collection_own.h"

#define HEADER sizeof(size_t)

static size_t
taken(void *pointer)
{
    return pointer ? malloc_usable_size(pointer) + HEADER : 0;
}

static bool
is_over(const struct memory *m, size_t more)
{
    return m->max && m->bytes + more > m->max;
}

void *
memory_resize(struct memory *m, void *pointer, size_t size)
{
    size_t before = taken(pointer);
    void *resized = is_over(m, size > before ? size - before : 0) ? NULL : realloc(pointer, size);

    if (resized)
        m->bytes += taken(resized) - before;
    return resized;
}

void *
memory_aligned(struct memory *m, size_t size)
{
    void *pointer = is_over(m, size) ? NULL : aligned_alloc(64, size);

    if (!pointer)
        return NULL;
    memset(pointer, 0, size);
    m->bytes += taken(pointer);
    return pointer;
}

void
memory_free(struct memory *m, void *pointer)
{
    m->bytes -= taken(pointer);
    free(pointer);
}

/* By an eighth: large arrays are moved by the kernel, and what is not used yet costs nothing. */
bool
memory_grow(struct memory *m, void *array, size_t size, uint32_t *cap)
{
    void *old, *grown;
    uint32_t wanted = *cap + *cap / 8 + 8;

    memcpy(&old, array, sizeof(old));
    grown = memory_resize(m, old, wanted * size);
    if (!grown)
        return false;
    memcpy(array, &grown, sizeof(grown));
    *cap = wanted;
    return true;
}

bool
scratch_reserve(struct memory *m, struct scratch *s, size_t size)
{
    s->len = 0;
    if (size > s->cap) {
        uint8_t *grown = memory_resize(m, s->at, size * 2);
        if (!grown)
            return false;
        s->at = grown;
        s->cap = size * 2;
    }
    return true;
}

void
scratch_put(struct scratch *s, uint32_t value)
{
    for (; value >= 0x80; value >>= 7)
        s->at[s->len++] = (uint8_t)(value | 0x80);
    s->at[s->len++] = (uint8_t)value;
}

uint32_t
record_varint(const uint8_t **at)
{
    uint32_t value = 0;

    for (unsigned shift = 0;; shift += 7) {
        uint8_t byte = *(*at)++;
        value |= (uint32_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return value;
    }
}
