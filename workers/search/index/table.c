/* SPDX-License-Identifier: MIT */
/*
 * table - open addressing over numbers whose keys lie elsewhere.
 *
 * Source: linear probing with backward shift at removal (Knuth 6.4, algorithm R)
 */
#include <stdlib.h>
#include <string.h>

#include "collection_own.h"

#define SLOTS_MIN 16

static void
put(struct table *t, uint64_t hash, uint32_t number)
{
    uint32_t at = (uint32_t)hash & t->mask;

    while (t->slots[at])
        at = (at + 1) & t->mask;
    t->slots[at] = number + 1;
}

/* Room for one more at a load of at most 13/16. */
bool
table_reserve(struct memory *m, struct table *t, table_hash_fn *hash, const void *context)
{
    uint32_t slots = t->mask ? t->mask + 1 : 0;
    struct table grown = { .mask = slots ? slots * 2 - 1 : SLOTS_MIN - 1, .used = t->used };

    if (t->used + 1 <= slots / 16 * 13)
        return true;
    grown.slots = memory_resize(m, NULL, (grown.mask + (size_t)1) * sizeof(*grown.slots));
    if (!grown.slots)
        return false;
    memset(grown.slots, 0, (grown.mask + (size_t)1) * sizeof(*grown.slots));
    for (uint32_t i = 0; i < slots; i++)
        if (t->slots[i])
            put(&grown, hash(context, t->slots[i] - 1), t->slots[i] - 1);
    memory_free(m, t->slots);
    *t = grown;
    return true;
}

void
table_add(struct table *t, uint64_t hash, uint32_t number)
{
    put(t, hash, number);
    t->used++;
}

void
table_remove(struct table *t, table_hash_fn *hash, const void *context, uint32_t number)
{
    uint32_t hole = (uint32_t)hash(context, number) & t->mask, at;

    while (t->slots[hole] != number + 1)
        hole = (hole + 1) & t->mask;
    for (at = (hole + 1) & t->mask; t->slots[at]; at = (at + 1) & t->mask) {
        uint32_t home = (uint32_t)hash(context, t->slots[at] - 1) & t->mask;
        if (((at - home) & t->mask) >= ((at - hole) & t->mask)) {
            t->slots[hole] = t->slots[at];
            hole = at;
        }
    }
    t->slots[hole] = 0;
    t->used--;
}
