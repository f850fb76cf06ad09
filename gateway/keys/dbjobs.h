/* SPDX-License-Identifier: MIT */
/*
 * dbjobs - one thread with one PostgreSQL connection for what the loop must not wait for: key
 * administration, allowlists, times of last use.
 *
 * Threads: dbjobs_add() from the loop's thread; run on the thread; done on the loop's thread
 */
#ifndef GATEWAY_DBJOBS_H
#define GATEWAY_DBJOBS_H

#include <stdbool.h>

#include "base/loop.h"
#include "base/rc.h"
#include "db/db.h"

#define DBJOBS_MAX 256

struct dbjobs;

struct dbjob {
    struct dbjob *next;
    /* Not called while PostgreSQL is away: rc is then RC_TEMP. */
    enum rc (*run)(struct dbjob *job, struct db *db, struct err *err);
    loop_fn *done; /* with the job, which is the caller's again */
    enum rc rc;
    struct err err;
};

enum rc dbjobs_open(struct loop *loop, const char *database_url, struct dbjobs **out,
                    struct err *err);
void dbjobs_close(struct dbjobs *jobs);
/* false: too many wait; the job stays the caller's. */
bool dbjobs_add(struct dbjobs *jobs, struct dbjob *job);

#endif
