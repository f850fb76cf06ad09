/* SPDX-License-Identifier: MIT */
/*
 * dbstep - a request that waits for the database thread (keys/dbwork.h): its share of it, and what it
 * is answered when it gets no place there or PostgreSQL is unavailable.
 *
 * Threads: the loop's thread only
 * Source:  docs/security.md, the table of bounds
 */
#ifndef GANTRY_GATEWAY_REQUESTS_DBSTEP_H
#define GANTRY_GATEWAY_REQUESTS_DBSTEP_H

#include "keys/dbwork.h"
#include "requests/request.h"

/* True: work->done will be called, and calls dbstep_end(). False: no place; work stays the caller's. */
bool dbstep_try(struct request *r, struct dbwork *work);
/* The same as a step: STEP_WAIT, or the answer that there are too many of what (a plural) at once. */
enum step dbstep_begin(struct request *r, struct dbwork *work, const char *what);
void dbstep_end(struct request *r);

/* For work->rc that is not RC_OK; why is the sentence for an error of ours. */
enum step dbstep_failed(struct request *r, const struct dbwork *work, const char *why);

#endif
