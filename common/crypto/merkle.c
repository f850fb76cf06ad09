/* SPDX-License-Identifier: MIT */
#include "crypto/merkle.h"

#include <assert.h>
#include <string.h>

void
merkle_leaf(const void *data, size_t len, uint8_t out[HASH_LEN])
{
    const struct hash_part parts[] = { { "\x00", 1 }, { data, len } };

    hash_sha256(parts, 2, out);
}

void
merkle_node(const uint8_t left[HASH_LEN], const uint8_t right[HASH_LEN], uint8_t out[HASH_LEN])
{
    uint8_t both[1 + 2 * HASH_LEN];

    both[0] = 0x01;
    memcpy(both + 1, left, HASH_LEN);
    memcpy(both + 1 + HASH_LEN, right, HASH_LEN);
    hash_sha256_bytes(both, sizeof(both), out);
}

void
merkle_init(struct merkle_tree *tree)
{
    memset(tree, 0, sizeof(*tree));
}

void
merkle_append(struct merkle_tree *tree, const uint8_t leaf[HASH_LEN], merkle_tile_fn full,
              void *arg)
{
    uint8_t hash[HASH_LEN];
    unsigned level = 0;

    memcpy(hash, leaf, HASH_LEN);
    for (;; level++) {
        assert(level < MERKLE_LEVELS);
        if (level % MERKLE_TILE_HEIGHT == 0) {
            unsigned above = level / MERKLE_TILE_HEIGHT;
            struct merkle_tile *tile = &tree->tiles[above];
            if (above > 0) {
                /* The tile below has just become full, and this is the hash of all of it. */
                struct merkle_tile *below = &tree->tiles[above - 1];
                if (full)
                    full(arg, above - 1, tree->size >> level, below, hash);
                below->count = 0;
            }
            memcpy(tile->hashes[tile->count++], hash, HASH_LEN);
        }
        if (!(tree->size >> level & 1))
            break;
        merkle_node(tree->nodes[level], hash, hash);
    }
    memcpy(tree->nodes[level], hash, HASH_LEN);
    tree->size++;
}

void
merkle_root(const struct merkle_tree *tree, uint8_t out[HASH_LEN])
{
    uint8_t hash[HASH_LEN];
    bool any = false;

    if (tree->size == 0) {
        hash_sha256_bytes("", 0, out);
        return;
    }
    for (unsigned level = 0; level < MERKLE_LEVELS; level++) {
        if (!(tree->size >> level & 1))
            continue;
        if (any)
            merkle_node(tree->nodes[level], hash, hash);
        else
            memcpy(hash, tree->nodes[level], HASH_LEN);
        any = true;
    }
    memcpy(out, hash, HASH_LEN);
}

void
merkle_complete(const uint8_t (*hashes)[HASH_LEN], unsigned count, uint8_t out[HASH_LEN])
{
    uint8_t work[MERKLE_TILE_WIDTH][HASH_LEN];

    assert(count > 0 && count <= MERKLE_TILE_WIDTH && (count & (count - 1)) == 0);
    memcpy(work, hashes, (size_t)count * HASH_LEN);
    for (; count > 1; count /= 2)
        for (unsigned i = 0; i < count / 2; i++)
            merkle_node(work[2 * i], work[2 * i + 1], work[i]);
    memcpy(out, work[0], HASH_LEN);
}

enum rc
merkle_restore(struct merkle_tree *tree, uint64_t size, const struct merkle_tile *tiles)
{
    if (size >> MERKLE_LEVELS)
        return RC_INVALID;
    for (unsigned i = 0; i < MERKLE_TILE_LEVELS; i++)
        if (tiles[i].count != (size >> (i * MERKLE_TILE_HEIGHT)) % MERKLE_TILE_WIDTH)
            return RC_INVALID;

    merkle_init(tree);
    tree->size = size;
    for (unsigned i = 0; i < MERKLE_TILE_LEVELS; i++) {
        unsigned offset = 0;
        tree->tiles[i] = tiles[i];
        for (unsigned bit = MERKLE_TILE_HEIGHT; bit-- > 0;) {
            unsigned width = 1u << bit;
            if (!(tiles[i].count & width))
                continue;
            merkle_complete(&tiles[i].hashes[offset], width,
                            tree->nodes[i * MERKLE_TILE_HEIGHT + bit]);
            offset += width;
        }
    }
    return RC_OK;
}

struct merkle_place
merkle_place(struct merkle_ref node)
{
    unsigned bits = node.level % MERKLE_TILE_HEIGHT;
    uint64_t first = node.index << bits;

    return (struct merkle_place){
        .level = node.level / MERKLE_TILE_HEIGHT,
        .index = first / MERKLE_TILE_WIDTH,
        .offset = (unsigned)(first % MERKLE_TILE_WIDTH),
        .count = 1u << bits,
    };
}
