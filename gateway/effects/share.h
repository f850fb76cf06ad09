/* SPDX-License-Identifier: MIT */
/*
 * share - how much of Redis one workspace may fill.
 *
 * Beyond REDIS_SHARE_BYTES of previews and results of jobs, its previews, tasks and execute calls are
 * answered 503 that names the share; beyond IDEMPOTENCY_SHARE_BYTES of idempotency records, its requests
 * with a new key; nobody else notices. The bytes are counted where they are stored (preview_make.lua,
 * job_finish.lua, idem_reserve.lua) and looked at here at most once a second for each workspace.
 *
 * Threads: the loop's thread only
 * Source:  docs/security.md; docs/operations.md
 */
#ifndef GANTRY_GATEWAY_EFFECTS_SHARE_H
#define GANTRY_GATEWAY_EFFECTS_SHARE_H

#include "requests/request.h"

struct shares;

void shares_open(struct gateway *gw, struct shares **out);
void shares_close(struct shares *shares);

enum share { SHARE_JOBS, SHARE_IDEM, SHARE_KINDS };

/* The key that holds the workspace's share. */
#define SHARE_KEY_MAX 96
void share_key(enum share kind, const char *workspace, char key[SHARE_KEY_MAX]);

/* Whether the workspace's share was used up when it was last looked at; looks again when that was
 * a second ago. (Without a look, what has expired goes on counting.) */
bool share_used_up(struct gateway *gw, enum share kind, const char *workspace);
enum step share_refuse(struct request *r, enum share kind);

#endif
