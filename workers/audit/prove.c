/* SPDX-License-Identifier: MIT */
#include "prove.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "head.h"

#define TILES_MAX (PROVE_PLANS * MERKLE_NODES_MAX)

struct fetch {
    struct head_tile tiles[TILES_MAX];
    size_t count;
    uint8_t (*hashes)[MERKLE_TILE_WIDTH][HASH_LEN]; /* borrowed: until the proof is made */
};

static struct head_tile *
find_tile(struct fetch *fetch, struct merkle_place place)
{
    for (size_t i = 0; i < fetch->count; i++)
        if (fetch->tiles[i].level == place.level && fetch->tiles[i].index == place.index)
            return &fetch->tiles[i];
    return NULL;
}

static void
want_tiles(struct fetch *fetch, const struct merkle_plan *plan)
{
    for (size_t i = 0; i < plan->node_count; i++) {
        struct merkle_place place = merkle_place(plan->nodes[i]);
        if (!find_tile(fetch, place))
            fetch->tiles[fetch->count++] =
                (struct head_tile){ .level = place.level, .index = place.index };
    }
}

static enum rc
fold_plan(struct fetch *fetch, const struct merkle_plan *plan, uint8_t (*proof)[HASH_LEN],
          struct err *err)
{
    uint8_t nodes[MERKLE_NODES_MAX][HASH_LEN];

    for (size_t i = 0; i < plan->node_count; i++) {
        struct merkle_place place = merkle_place(plan->nodes[i]);
        const struct head_tile *tile = find_tile(fetch, place);
        if (!tile || tile->count < place.offset + place.count)
            return err_set(err, RC_CONFIG, "tile %" PRIu64 " of level %u is missing hashes",
                           place.index, place.level);
        merkle_complete(&tile->hashes[place.offset], place.count, nodes[i]);
    }
    merkle_fold(plan, nodes, proof);
    return RC_OK;
}

enum rc
prove_plans(struct db *db, struct prove *prove, struct err *err)
{
    AUTO(free) struct fetch *fetch = calloc(1, sizeof(*fetch));
    AUTO(free) void *hashes = NULL;
    enum rc rc;

    if (!fetch)
        return err_set(err, RC_TEMP, "no memory");
    for (size_t i = 0; i < prove->count; i++)
        want_tiles(fetch, &prove->plans[i]);
    if (fetch->count > 0) {
        hashes = calloc(fetch->count, sizeof(*fetch->hashes));
        if (!hashes)
            return err_set(err, RC_TEMP, "no memory");
        fetch->hashes = hashes;
        for (size_t i = 0; i < fetch->count; i++)
            fetch->tiles[i].hashes = fetch->hashes[i];
        if ((rc = head_tiles(db, false, fetch->tiles, fetch->count, err)) != RC_OK)
            return rc;
    }
    for (size_t i = 0; i < prove->count; i++)
        if ((rc = fold_plan(fetch, &prove->plans[i], prove->hashes[i], err)) != RC_OK)
            return rc;
    return RC_OK;
}

enum rc
prove_leaf(struct db *db, const struct merkle_head *head, uint64_t index,
           const uint8_t leaf[HASH_LEN], struct err *err)
{
    AUTO(free) struct prove *prove = calloc(1, sizeof(*prove));
    enum rc rc;

    if (!prove)
        return err_set(err, RC_TEMP, "no memory");
    prove->count = 1;
    if (merkle_plan_inclusion(index, head->size, &prove->plans[0]) != RC_OK)
        return err_set(err, RC_DENIED, "leaf %" PRIu64 " is not in the signed tree", index);
    if ((rc = prove_plans(db, prove, err)) != RC_OK)
        return rc;
    if (merkle_verify_inclusion(leaf, index, head->size, prove->hashes[0],
                                prove->plans[0].hash_count, head->root) != RC_OK)
        return err_set(err, RC_DENIED, "leaf %" PRIu64 " is not the one in the signed tree", index);
    return RC_OK;
}
