/* SPDX-License-Identifier: MIT */
/*
 * audit_verify - does the log hold what was signed?
 *
 * Every leaf is checked (audit_check.h) and a tree of our own is built from them. Wherever the
 * caller's checkpoint or one that the database keeps says what the root was at a size, the two are
 * compared. Only the caller's checkpoint proves anything against someone who can rewrite all of the
 * database; the stored ones narrow a change down, to the leaf if they can, and what lies after the
 * caller's is reported as unproven. The key comes from the caller, never from the database.
 *
 * Errors: RC_DENIED  the log is not what was signed; result->problem says which leaf or size
 */
#ifndef GANTRY_CLI_AUDIT_VERIFY_H
#define GANTRY_CLI_AUDIT_VERIFY_H

#include "audit_source.h"
#include "crypto/note.h"

struct audit_verify {
    const struct note_key *key;
    const char *checkpoint; /* the caller's note; NULL = none is held */
    void (*progress)(void *arg, uint64_t leaves);
    void *arg;
};

struct audit_result {
    uint64_t leaves, pruned;
    uint64_t proven; /* leaves under the caller's checkpoint, or the last stored one */
    bool has_wrong;  /* wrong_from..wrong_to says where */
    uint64_t wrong_from, wrong_to; /* leaves [from, to) of which at least the first … is wrong */
    char problem[ERR_TEXT_MAX];    /* "" = the log is good */
};

enum rc audit_verify(const struct audit_verify *verify, struct audit_source *source,
                     struct audit_result *result, struct err *err);

/* The first leaf that is not the one under head, found through the stored tiles; RC_NOTFOUND when
 * the tiles do not hash to head's root themselves. */
enum rc audit_locate(struct db *db, const struct merkle_head *head, uint64_t *index,
                     struct err *err);

#endif
