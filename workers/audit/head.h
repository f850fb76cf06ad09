/* SPDX-License-Identifier: MIT */
/*
 * head - is the stored log the one that we signed last?
 *
 * Called inside the batch's transaction, under the lock. The database's answer is believed when its
 * last checkpoint carries our signature, has as many leaves as there are rows, does not lie before
 * what we signed ourselves, and the stored tiles hash to its root.
 *
 * Errors:  RC_TEMP    the database is unavailable
 *          RC_CONFIG  the log is not the one that was signed: the program must stop
 */
#ifndef GANTRY_AUDIT_HEAD_H
#define GANTRY_AUDIT_HEAD_H

#include "audit.h"

/* After it audit->tree is the tree to append to. *last_ms is the recording time of the last leaf,
 * 0 when there is none. */
enum rc head_check(struct audit *audit, struct db *db, int64_t *last_ms, struct err *err);

/* The same where the last batch was ours too (audit->alone), without waiting for the answer: what is sent
 * behind it is undone, and the commit gives RC_NOTFOUND, if the log does not end with the checkpoint that
 * we signed, byte for byte, and its last leaf. Then head_check() says what is there. */
enum rc head_continue(const struct audit *audit, struct db *db, int64_t recorded_ms,
                      struct err *err);

/* The last signed checkpoint, outside a transaction; RC_NOTFOUND when the log is empty. note has
 * room for NOTE_TEXT_MAX. */
enum rc head_read(const struct audit *audit, struct db *db, struct merkle_head *head, char *note,
                  struct err *err);

/* Fetch tiles: hashes[i] and its count for place i. In a transaction or outside one. */
struct head_tile {
    unsigned level;
    uint64_t index;
    unsigned count;              /* out */
    uint8_t (*hashes)[HASH_LEN]; /* out: room for MERKLE_TILE_WIDTH */
};
enum rc head_tiles(struct db *db, bool in_group, struct head_tile *tiles, size_t n,
                   struct err *err);

#endif
