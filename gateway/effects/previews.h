/* SPDX-License-Identifier: MIT */
/*
 * previews - what POST /ai/preview keeps for POST /ai/execute, bound to workspace, action, params.
 *
 * Shape:   Redis hash preview:<workspace>:<id>: action, params (sealed), expires (ms), used (by which
 *          command); it stays for a day, so that a late use can be told from a wrong id
 * Threads: the loop's thread only
 */
#ifndef GANTRY_GATEWAY_EFFECTS_PREVIEWS_H
#define GANTRY_GATEWAY_EFFECTS_PREVIEWS_H

#include "kv/kv.h"
#include "requests/request.h"

#define PREVIEW_LIFE_MS  3600000
#define PREVIEW_RECORD_S 86400
#define PREVIEW_REDIS_MS 2000

/* fn gets { action } or { nil }: what the preview is about, without using it. */
void preview_look(struct request *r, const char *id, kv_fn *fn, void *arg);
/* fn gets the reply of preview_use.lua; the use is r's command. */
void preview_use(struct request *r, const char *id, kv_fn *fn, void *arg);
/* Its parameters from the reply; NULL when they cannot be opened. Owned by the caller. */
cJSON *preview_params(const struct request *r, const char *id, const struct kv_reply *reply);

#endif
