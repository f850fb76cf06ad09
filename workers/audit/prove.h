/* SPDX-License-Identifier: MIT */
/*
 * prove - executes a proof's plan: fetches the tiles it needs in one query and folds them.
 *
 * Errors: RC_TEMP the database is unavailable · RC_CONFIG tiles are missing or too short
 */
#ifndef GANTRY_AUDIT_PROVE_H
#define GANTRY_AUDIT_PROVE_H

#include "audit.h"

#define PROVE_PLANS 3

/* Up to PROVE_PLANS plans that are executed at once. */
struct prove {
    size_t count;
    struct merkle_plan plans[PROVE_PLANS];
    uint8_t hashes[PROVE_PLANS][MERKLE_PROOF_MAX][HASH_LEN]; /* out: plans[i].hash_count of them */
};

enum rc prove_plans(struct db *db, struct prove *prove, struct err *err);

/* Is this event the leaf at index of the tree that was signed last? RC_DENIED if not. */
enum rc prove_leaf(struct db *db, const struct merkle_head *head, uint64_t index,
                   const uint8_t leaf[HASH_LEN], struct err *err);

#endif
