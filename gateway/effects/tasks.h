/* SPDX-License-Identifier: MIT */
/*
 * tasks - what the routes about actions share: the allowlist, room for jobs, one task's message.
 *
 * Source: contract 4.3 and 6
 */
#ifndef GANTRY_GATEWAY_EFFECTS_TASKS_H
#define GANTRY_GATEWAY_EFFECTS_TASKS_H

#include "base/buf.h"
#include "policy/decide.h"
#include "protocol/jobs.h"
#include "requests/request.h"

/* Ask whether the workspace may run all of some actions (borrowed until the answer), and what its policy
 * says about each; answers 403 with the first that it may not, 503 when that cannot be known, or when
 * Redis has no room for jobs. For a stage: the step may come later. */
enum step tasks_allow(struct request *r, struct asked *asked, size_t n);

/* {"task":{"type":action, …params}}; RC_INVALID when params has a member "type". params may be NULL. */
enum rc tasks_message(const char *action, const cJSON *params, struct buf *out);

/* The id of the task of that number in a call: a UUIDv7 of the request's time whose other bits follow
 * from the request's id, so that a retry makes the same ones. */
void tasks_id(const struct request *r, size_t number, char id[ID_TEXT_MAX]);

/* Show a job as pending. fn may be NULL. */
void tasks_show(struct request *r, const char *id, const char *action, kv_fn *fn, void *arg);

#endif
