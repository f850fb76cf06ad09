/* SPDX-License-Identifier: MIT */
/*
 * best - the first rows of an order, few enough to keep them sorted.
 */
#include <string.h>

#include "find_own.h"

static bool
before(const struct collection *c, const struct place *a, const struct place *b)
{
    if (a->value > b->value || a->value < b->value)
        return a->value > b->value;
    if (c->created_ns[a->row] != c->created_ns[b->row])
        return c->created_ns[a->row] > c->created_ns[b->row];
    return memcmp(c->ids[a->row], c->ids[b->row], COLLECTION_ID_LEN) < 0;
}

void
best_insert(const struct collection *c, struct best *best, double value, uint32_t row)
{
    struct place new = { value, row };
    size_t low = 0, high = best->n;

    if (best_is_full(best)) {
        if (best->n == 0 || !before(c, &new, &best->at[best->n - 1]))
            return;
        high = best->n - 1;
    }
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (before(c, &new, &best->at[middle]))
            high = middle;
        else
            low = middle + 1;
    }
    if (!best_is_full(best))
        best->n++;
    memmove(best->at + low + 1, best->at + low, (best->n - 1 - low) * sizeof(*best->at));
    best->at[low] = new;
}
