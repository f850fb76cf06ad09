/* SPDX-License-Identifier: MIT */
/*
 * memory - allocation that is counted: what malloc really took, and its header.
 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

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
    /* NOLINTNEXTLINE: nobody asks for 0 bytes */
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

/* From the kernel itself: aligned_alloc() would keep as much again for the alignment. */
void *
memory_huge(struct memory *m)
{
    size_t before, size = 2 * (size_t)HUGE_PAGE;
    uint8_t *got;

    if (is_over(m, HUGE_PAGE))
        return NULL;
    got = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (got == MAP_FAILED)
        return NULL;
    before = (HUGE_PAGE - (uintptr_t)got % HUGE_PAGE) % HUGE_PAGE;
    if (before > 0)
        (void)munmap(got, before);
    (void)munmap(got + before + HUGE_PAGE, HUGE_PAGE - before);
    (void)madvise(got + before, HUGE_PAGE, MADV_HUGEPAGE); /* only a hint */
    m->bytes += HUGE_PAGE;
    return got + before;
}

void
memory_free_huge(struct memory *m, void *pointer)
{
    (void)munmap(pointer, HUGE_PAGE);
    m->bytes -= HUGE_PAGE;
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
