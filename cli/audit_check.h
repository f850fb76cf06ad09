/* SPDX-License-Identifier: MIT */
/*
 * audit_check - is each leaf whole in itself, and may what is missing be missing?
 *
 * Leaf by leaf: the next index, the event fits its hash, the columns say what the event says, the
 * time of recording does not go backwards; the hash is appended to a tree of our own. Pruned leaves
 * are remembered and judged at the end, when all prune leaves are known: a missing event is
 * legitimate only below the bound of a later prune leaf that is itself under a signed checkpoint,
 * and only if nothing before it is younger than that leaf's `before`.
 *
 * Errors: RC_DENIED  err names the leaf
 */
#ifndef GANTRY_CLI_AUDIT_CHECK_H
#define GANTRY_CLI_AUDIT_CHECK_H

#include "audit_source.h"

#define AUDIT_GAPS_MAX 65536 /* runs of pruned leaves between kept ones */

/* Leaves [from, to) are pruned; the newest kept leaf before them was recorded at before_ms. */
struct audit_gap {
    uint64_t from, to;
    int64_t before_ms;
};

struct audit_prune_leaf {
    uint64_t index, up_to;
    int64_t before_ms;
};

struct audit_check {
    struct merkle_tree tree;
    int64_t last_ms; /* recording time of the last kept leaf */
    uint64_t pruned;
    struct audit_gap *gaps; /* owned */
    size_t gap_count, gap_cap;
    struct audit_prune_leaf *prunes; /* owned; up_to grows along them */
    size_t prune_count, prune_cap;
    uint64_t wrong;         /* the leaf that a failure is about */
    merkle_tile_fn on_tile; /* NULL = nobody looks at full tiles */
    void *tile_arg;
};

void audit_check_init(struct audit_check *check);
void audit_check_fini(struct audit_check *check);

enum rc audit_check_leaf(struct audit_check *check, const struct audit_leaf *leaf, struct err *err);
/* covered: size of the largest tree that a good signature was found for. */
enum rc audit_check_gaps(struct audit_check *check, uint64_t covered, struct err *err);

#endif
