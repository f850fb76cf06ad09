/* SPDX-License-Identifier: MIT */
/*
 * handlers - the functions that the rows of the route table name.
 *
 * A handler answers (answer.h) and returns STEP_ANSWERED, or starts something, returns STEP_WAIT,
 * and answers in the continuation with request_continue(r, STEP_ANSWERED).
 *
 * Source: contract 4.3
 */
#ifndef GANTRY_GATEWAY_REQUESTS_HANDLERS_H
#define GANTRY_GATEWAY_REQUESTS_HANDLERS_H

#include "requests/routes.h"

route_fn health_live, health_ready;                                  /* health.c */
route_fn openapi_get;                                                /* openapi.c */
route_fn console_get, docs_get;                                      /* console.c */
route_fn whoami_get, overview_get;                                   /* overview.c */
route_fn letters_list, letters_get, letters_replay, letters_discard; /* letters.c */
route_fn hook_take;                                                  /* hooks.c */
route_fn key_create, key_list, key_rotate, key_revoke;               /* keys_http.c */
route_fn task_allow;                                                 /* tasks.c */
void task_stored(struct request *r);                                 /* tasks.c */
route_fn policy_get, policy_put_route, policy_version, policy_versions, policy_test; /* rules.c */
route_fn approvals_list, approvals_get, approvals_decide, job_cancel; /* approvals.c */
route_fn preview_make;                                                /* previews.c */
route_fn execute_allow, execute_queue;                                /* execute.c */
route_fn job_wait;                                                    /* job_wait.c */
route_fn events_listen;                                               /* listen.c */
route_fn mcp_admit, mcp_post;                                         /* mcp.c */
/* idem.c: puts the request's scope into a recorded answer */
void replay_scope(const struct request *r, cJSON *body);

#endif
