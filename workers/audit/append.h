/* SPDX-License-Identifier: MIT */
/*
 * append - one batch of leaves into the log, in one transaction.
 *
 * build and hash the events -> lock -> check the head -> leaves, full tiles and the signed checkpoint
 * -> commit. An event that is in the log already, by (workspace, event id, kind), is not
 * appended again; its leaf says where it is. This is looked up only after a batch has failed on it,
 * because redeliveries are rare and the unique index watches anyway.
 *
 * Errors:  RC_TEMP    nothing was appended, or it is not known whether (the event ids settle it)
 *          RC_CONFIG  the stored log is not the one that was signed (head.h)
 */
#ifndef GANTRY_AUDIT_APPEND_H
#define GANTRY_AUDIT_APPEND_H

#include "event.h"

/* prune: what a LEAF_PRUNE among them states, else NULL. */
enum rc append_leaves(struct audit *audit, struct db *db, struct leaf *leaves, size_t n,
                      const struct prune *prune, struct arena *mem, struct err *err);

#endif
