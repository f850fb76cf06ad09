/* SPDX-License-Identifier: MIT */
/*
 * prune - retention: says in the log that old events go, then has them set to NULL.
 *
 * First a `prune` leaf {up_to, before, retention_seconds} is appended and signed; the database's
 * trigger lets nothing go that no such leaf covers. The bound is not the database's word: the last
 * leaf below it is proved to be in the signed tree, and its time of recording is read from its own
 * bytes; since that time never goes backwards along the log, all leaves before it are as old.
 * The events are set to NULL through another connection, as the role gantry_pruner, by the one
 * function that it may call.
 */
#ifndef GANTRY_AUDIT_PRUNE_H
#define GANTRY_AUDIT_PRUNE_H

#include "audit.h"

/* Called each second; works now and then. */
void prune_start(struct worker *w);
void prune_tick(struct worker *w);

#endif
