/* SPDX-License-Identifier: MIT */
/*
 * vectors - where the vectors lie: segments of 64 rows, cut from ever larger slabs.
 *
 * A scan of scattered segments takes three times as long as one of memory in a row, and huge pages
 * save a third again: a slab is a quarter of what there is already, up to 2 MiB on one huge page. Its
 * first half are the high planes, which a scan reads; its second half the low ones.
 */
#include "collection_own.h"

static bool
add_slab(struct collection *c)
{
    size_t segment = SEGMENT_ROWS * 2 * c->half, count = c->slab_segments / 4 + 1;
    bool huge = count * segment > HUGE_PAGE;
    uint8_t *slab;

    if (c->slab_count == c->slab_cap &&
        !memory_grow(&c->memory, &c->slabs, sizeof(*c->slabs), &c->slab_cap))
        return false;
    if (huge)
        count = HUGE_PAGE / segment;
    slab = huge ? memory_huge(&c->memory) : memory_aligned(&c->memory, count * segment);
    if (!slab)
        return false;
    c->slabs[c->slab_count++] = slab;
    if (!huge)
        c->small_slabs++;
    c->slab_segments += (uint32_t)count;
    c->slab_next = slab;
    c->slab_low = slab + count * segment / 2;
    c->slab_left = (uint32_t)count;
    return true;
}

bool
vectors_reserve(struct collection *c, uint32_t segment)
{
    if (c->segments[segment])
        return true;
    if (c->slab_left == 0 && !add_slab(c))
        return false;
    c->segments[segment] = c->slab_next;
    c->lows[segment] = c->slab_low;
    c->slab_next += SEGMENT_ROWS * c->half;
    c->slab_low += SEGMENT_ROWS * c->half;
    c->slab_left--;
    return true;
}

void
vectors_fini(struct collection *c)
{
    for (uint32_t i = 0; i < c->slab_count; i++)
        if (i < c->small_slabs)
            memory_free(&c->memory, c->slabs[i]);
        else
            memory_free_huge(&c->memory, c->slabs[i]);
    memory_free(&c->memory, c->slabs);
}
