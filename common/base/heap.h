/* SPDX-License-Identifier: MIT */
/*
 * heap - an ordered set of deadlines: intrusive nodes, the earliest first.
 *
 * A node lies inside the object that waits; it must stay where it is while it is in the heap.
 *
 * Units:  at_ms on the caller's clock
 * Source: the binary heap; nearly all deadlines are pushed in growing order, which costs nothing
 */
#ifndef GANTRY_BASE_HEAP_H
#define GANTRY_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    int64_t at_ms;
    size_t place; /* 1-based; 0 = in no heap */
};

struct heap {
    struct heap_node **nodes; /* owned array of borrowed nodes */
    size_t count;
    size_t cap;
};

void heap_fini(struct heap *heap);

/* Put a node in, or move it if it is there already. No memory: the process exits. */
void heap_set(struct heap *heap, struct heap_node *node, int64_t at_ms);
void heap_remove(struct heap *heap, struct heap_node *node); /* nothing if it is in no heap */
struct heap_node *heap_first(const struct heap *heap);       /* NULL when empty */

static inline bool
heap_has(const struct heap_node *node)
{
    return node->place != 0;
}

#endif
