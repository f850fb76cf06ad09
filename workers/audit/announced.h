/* SPDX-License-Identifier: MIT */
/*
 * announced - requests that were announced before they changed something, until their end is known.
 *
 * Theory of operation. An announcement is no leaf. It is a row, sealed, in the same transaction as
 * whatever came with it, and is settled at once: any number of them holds up nobody. The end of the
 * request deletes the row in the transaction that makes it a leaf, however late it comes.
 * A row that is left belongs to a gateway that died, or that cannot reach AUDIT. That is not decided by the
 * clock: AUDIT is a work queue, so the time at which the server received its oldest message says up
 * to when everything is recorded. Once that is AUDIT_INTENT_MS after the announcement and the end was
 * not among it, the request is recorded as it was announced: status "unknown". Should its end come
 * later still, it becomes a leaf of kind "correction" that names the one it corrects.
 *
 * Errors:  as db.h; RC_LIMIT the arena is used up
 * Source:  issue 14, section 5, points 2 and 3; docs/audit.md
 */
#ifndef GANTRY_AUDIT_ANNOUNCED_H
#define GANTRY_AUDIT_ANNOUNCED_H

#include "event.h"

/* Inside the batch's transaction: keep the announced among the leaves, and drop what has ended. */
enum rc announced_send(const struct audit *audit, struct db *db, struct leaf *leaves, size_t n,
                       struct arena *mem, struct err *err);

/* Inside it too: which of the leaves are in the log as unknown: rows of statement `unknown`. */
enum rc announced_unknown(struct db *db, const struct leaf *leaves, size_t n, const PGresult **rows,
                          struct err *err);

/* The worker's tick: record what has no end. */
void announced_tick(struct worker *w);

#endif
