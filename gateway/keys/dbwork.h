/* SPDX-License-Identifier: MIT */
/*
 * dbwork - one thread with one PostgreSQL connection for what the loop must not wait for: key
 * administration, allowlists, times of last use.
 *
 * Threads: dbworker_add() from the loop's thread; run on the thread; done on the loop's thread
 */
#ifndef GANTRY_GATEWAY_KEYS_DBWORK_H
#define GANTRY_GATEWAY_KEYS_DBWORK_H

#include <stdbool.h>
#include <sys/queue.h>

#include "base/loop.h"
#include "base/rc.h"
#include "db/db.h"

#define DBWORK_MAX   256
#define DBWORK_SHARE 64 /* changes of one workspace's keys */

struct dbworker;

struct dbwork {
    STAILQ_ENTRY(dbwork) link; /* the queue's */
    /* Not called while PostgreSQL is unavailable: rc is then RC_TEMP. */
    enum rc (*run)(struct dbwork *work, struct db *db, struct err *err);
    loop_fn *done; /* with itself, which is the caller's again */
    enum rc rc;
    struct err err;
};

enum rc dbworker_open(struct loop *loop, const char *database_url, struct dbworker **out,
                      struct err *err);
void dbworker_close(struct dbworker *worker);
/* false: too many wait; the work stays the caller's. */
bool dbworker_add(struct dbworker *worker, struct dbwork *work);

#endif
