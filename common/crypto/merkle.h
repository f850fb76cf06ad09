/* SPDX-License-Identifier: MIT */
/*
 * merkle - the RFC 6962 hash tree: appending, tiles, roots, proofs and their verification.
 *
 * A tree is appended to through its right edge alone: the roots of its complete subtrees and, per
 * tile level, the hashes of the tile that is not yet full. A tile of level L holds the 256 roots of
 * 256 neighbouring subtrees of 256^L leaves (C2SP tlog-tiles); it is handed out once, when it is
 * full, and never changes. Any node of any tree size can be computed from one tile or from its
 * leaves, so proofs are planned first (which nodes), then read, then folded.
 *
 * Shape:   node (level, index) covers the leaves [index << level, (index + 1) << level)
 * Units:   sizes and indexes count leaves
 * Errors:  RC_INVALID  a proof was asked for outside the tree
 *          RC_DENIED   a proof does not prove it
 * Source:  RFC 6962 section 2.1, RFC 9162 sections 2.1.3 and 2.1.4, c2sp.org/tlog-tiles
 */
#ifndef GANTRY_CRYPTO_MERKLE_H
#define GANTRY_CRYPTO_MERKLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/rc.h"
#include "crypto/hash.h"

#define MERKLE_LEVELS      48 /* of nodes: up to 2^48 - 1 leaves */
#define MERKLE_TILE_HEIGHT 8
#define MERKLE_TILE_WIDTH  256 /* hashes in a full tile */
#define MERKLE_TILE_LEVELS 6   /* = MERKLE_LEVELS / MERKLE_TILE_HEIGHT */
#define MERKLE_PROOF_MAX   64  /* hashes in a proof */
#define MERKLE_NODES_MAX   160 /* nodes that a proof is folded from */

struct merkle_tile {
    unsigned count; /* hashes that are there; below MERKLE_TILE_WIDTH between calls */
    uint8_t hashes[MERKLE_TILE_WIDTH][HASH_LEN];
};

struct merkle_tree {
    uint64_t size;
    uint8_t nodes[MERKLE_LEVELS][HASH_LEN]; /* [i] holds if bit i of size is set */
    struct merkle_tile tiles[MERKLE_TILE_LEVELS];
};

/* A tile is full; root is the hash of all of it. */
typedef void (*merkle_tile_fn)(void *arg, unsigned level, uint64_t index,
                               const struct merkle_tile *tile, const uint8_t root[HASH_LEN]);

void merkle_leaf(const void *data, size_t len, uint8_t out[HASH_LEN]);
void merkle_node(const uint8_t left[HASH_LEN], const uint8_t right[HASH_LEN],
                 uint8_t out[HASH_LEN]);

void merkle_init(struct merkle_tree *tree);
/* full may be NULL. */
void merkle_append(struct merkle_tree *tree, const uint8_t leaf[HASH_LEN], merkle_tile_fn full,
                   void *arg);
void merkle_root(const struct merkle_tree *tree, uint8_t out[HASH_LEN]);

/* Put a stored right edge back: for each tile level the hashes of its unfilled tile, lowest level
 * first; counts[i] must be what size says (RC_INVALID). */
enum rc merkle_restore(struct merkle_tree *tree, uint64_t size,
                       const struct merkle_tile *tiles /* MERKLE_TILE_LEVELS of them */);

struct merkle_ref {
    unsigned level;
    uint64_t index;
};

struct merkle_plan {
    size_t node_count;
    struct merkle_ref nodes[MERKLE_NODES_MAX];
    size_t hash_count;               /* hashes of the proof */
    uint8_t parts[MERKLE_PROOF_MAX]; /* how many nodes are folded into each hash */
};

/* Which nodes the proof needs. Inclusion: index < size. Consistency: 0 < from <= to. */
enum rc merkle_plan_inclusion(uint64_t index, uint64_t size, struct merkle_plan *plan);
enum rc merkle_plan_consistency(uint64_t from, uint64_t to, struct merkle_plan *plan);
/* The nodes whose fold is the root of the tree of that size; one hash. size > 0. */
enum rc merkle_plan_root(uint64_t size, struct merkle_plan *plan);
/* nodes[i] is the hash of plan->nodes[i]; writes plan->hash_count hashes. */
void merkle_fold(const struct merkle_plan *plan, const uint8_t (*nodes)[HASH_LEN],
                 uint8_t (*proof)[HASH_LEN]);

/* Which tile holds node, at which offset, and how many hashes are folded into it. */
struct merkle_place {
    unsigned level;
    uint64_t index;
    unsigned offset, count;
};
struct merkle_place merkle_place(struct merkle_ref node);
/* The hash of a complete subtree from count (a power of two) hashes. */
void merkle_complete(const uint8_t (*hashes)[HASH_LEN], unsigned count, uint8_t out[HASH_LEN]);

enum rc merkle_verify_inclusion(const uint8_t leaf[HASH_LEN], uint64_t index, uint64_t size,
                                const uint8_t (*proof)[HASH_LEN], size_t count,
                                const uint8_t root[HASH_LEN]);

struct merkle_head {
    uint64_t size;
    uint8_t root[HASH_LEN];
};
enum rc merkle_verify_consistency(const struct merkle_head *from, const struct merkle_head *to,
                                  const uint8_t (*proof)[HASH_LEN], size_t count);

#endif
