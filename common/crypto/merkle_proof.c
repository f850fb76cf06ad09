/* SPDX-License-Identifier: MIT */
/*
 * Proofs. RFC 6962 defines them by recursion over [lo, hi), split at the largest power of two
 * below its width; here the recursion is a loop from the root down, so the hashes come out in
 * reverse. Each hash covers a range that starts at a multiple of its width rounded up to a power
 * of two, so it is a fold of complete subtrees, widest first.
 */
#include <assert.h>
#include <string.h>

#include "crypto/merkle.h"

/* The largest power of two below width; width > 1. */
static uint64_t
split(uint64_t width)
{
    return 1ull << (63 - __builtin_clzll(width - 1));
}

/* Add the hash of the leaves [lo, hi) to the plan. */
static void
add_range(struct merkle_plan *plan, uint64_t lo, uint64_t hi)
{
    uint8_t parts = 0;

    assert(plan->hash_count < MERKLE_PROOF_MAX);
    while (lo < hi) {
        unsigned level = (unsigned)(63 - __builtin_clzll(hi - lo));
        assert(plan->node_count < MERKLE_NODES_MAX && lo % (1ull << level) == 0);
        plan->nodes[plan->node_count++] = (struct merkle_ref){ level, lo >> level };
        lo += 1ull << level;
        parts++;
    }
    plan->parts[plan->hash_count++] = parts;
}

enum rc
merkle_plan_inclusion(uint64_t index, uint64_t size, struct merkle_plan *plan)
{
    uint64_t lo = 0, hi = size;

    if (index >= size || size >> MERKLE_LEVELS)
        return RC_INVALID;
    plan->node_count = plan->hash_count = 0;
    while (hi - lo > 1) {
        uint64_t middle = lo + split(hi - lo);
        if (index < middle) {
            add_range(plan, middle, hi);
            hi = middle;
        } else {
            add_range(plan, lo, middle);
            lo = middle;
        }
    }
    return RC_OK;
}

enum rc
merkle_plan_consistency(uint64_t from, uint64_t to, struct merkle_plan *plan)
{
    uint64_t lo = 0, hi = to;

    if (from == 0 || from > to || to >> MERKLE_LEVELS)
        return RC_INVALID;
    plan->node_count = plan->hash_count = 0;
    while (from != hi) {
        uint64_t middle = lo + split(hi - lo);
        if (from <= middle) {
            add_range(plan, middle, hi);
            hi = middle;
        } else {
            add_range(plan, lo, middle);
            lo = middle;
        }
    }
    if (lo > 0)
        add_range(plan, lo, hi);
    return RC_OK;
}

enum rc
merkle_plan_root(uint64_t size, struct merkle_plan *plan)
{
    if (size == 0 || size >> MERKLE_LEVELS)
        return RC_INVALID;
    plan->node_count = plan->hash_count = 0;
    add_range(plan, 0, size);
    return RC_OK;
}

void
merkle_fold(const struct merkle_plan *plan, const uint8_t (*nodes)[HASH_LEN],
            uint8_t (*proof)[HASH_LEN])
{
    size_t end = plan->node_count;

    /* The last planned hash is the deepest, and proofs start there. */
    for (size_t i = 0; i < plan->hash_count; i++) {
        size_t parts = plan->parts[plan->hash_count - 1 - i];
        uint8_t hash[HASH_LEN];
        memcpy(hash, nodes[end - 1], HASH_LEN);
        for (size_t j = 2; j <= parts; j++)
            merkle_node(nodes[end - j], hash, hash);
        memcpy(proof[i], hash, HASH_LEN);
        end -= parts;
    }
}

enum rc
merkle_verify_inclusion(const uint8_t leaf[HASH_LEN], uint64_t index, uint64_t size,
                        const uint8_t (*proof)[HASH_LEN], size_t count,
                        const uint8_t root[HASH_LEN])
{
    uint8_t hash[HASH_LEN];
    uint64_t node = index, last = size - 1;

    if (index >= size)
        return RC_DENIED;
    memcpy(hash, leaf, HASH_LEN);
    for (size_t i = 0; i < count; i++) {
        if (last == 0)
            return RC_DENIED;
        if ((node & 1) || node == last) {
            merkle_node(proof[i], hash, hash);
            while (!(node & 1) && node != 0) {
                node >>= 1;
                last >>= 1;
            }
        } else {
            merkle_node(hash, proof[i], hash);
        }
        node >>= 1;
        last >>= 1;
    }
    return last == 0 && hash_equal(hash, root) ? RC_OK : RC_DENIED;
}

enum rc
merkle_verify_consistency(const struct merkle_head *from, const struct merkle_head *to,
                          const uint8_t (*proof)[HASH_LEN], size_t count)
{
    uint8_t old[HASH_LEN], new[HASH_LEN];
    uint64_t node, last;
    size_t next = 0;

    if (from->size > to->size)
        return RC_DENIED;
    if (from->size == to->size)
        return count == 0 && hash_equal(from->root, to->root) ? RC_OK : RC_DENIED;
    if (from->size == 0) /* every tree extends the empty one */
        return count == 0 ? RC_OK : RC_DENIED;

    node = from->size - 1;
    last = to->size - 1;
    while (node & 1) {
        node >>= 1;
        last >>= 1;
    }
    /* A complete old tree is itself the first node and is not repeated in the proof. */
    if (node == 0) {
        memcpy(old, from->root, HASH_LEN);
    } else {
        if (count == 0)
            return RC_DENIED;
        memcpy(old, proof[next++], HASH_LEN);
    }
    memcpy(new, old, HASH_LEN);
    for (; next < count; next++) {
        if (last == 0)
            return RC_DENIED;
        if ((node & 1) || node == last) {
            merkle_node(proof[next], old, old);
            merkle_node(proof[next], new, new);
            while (!(node & 1) && node != 0) {
                node >>= 1;
                last >>= 1;
            }
        } else {
            merkle_node(new, proof[next], new);
        }
        node >>= 1;
        last >>= 1;
    }
    return last == 0 && hash_equal(old, from->root) && hash_equal(new, to->root) ? RC_OK
                                                                                 : RC_DENIED;
}
