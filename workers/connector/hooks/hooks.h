/* SPDX-License-Identifier: MIT */
/*
 * hooks - what services may have done here: made, listed, deleted; and their requests verified.
 *
 * Theory of operation. A service posts to the gateway, which has no secret of it: it passes the raw bytes and
 * headers on (HOOK_SUBJECT). Here the signature is verified over these bytes; only then they are parsed, and
 * the hook's template becomes the body of one command. The gateway carries that out as a request of its own
 * with the hook as its key (gateway/hooks/hooks.c).
 *
 * Shape:   the question is {"hook","headers":{},"body":BASE64}; the answer {"outcome":"…", …}:
 *          ok         "workspace", "command", "body", and "delivery": equal for requests that are one
 *          ignored    only does not take it
 *          challenge  Slack wants "challenge" back
 *          malformed  "detail" says what of the body, or of the template
 *          denied     no such hook, or not its signature; unavailable  PostgreSQL does not answer
 */
#ifndef GANTRY_CONNECTOR_HOOKS_HOOKS_H
#define GANTRY_CONNECTOR_HOOKS_HOOKS_H

#include "bus/bus.h"
#include "jobs/connector.h"

#define HOOKS_MAX    20 /* of a workspace */
#define HOOK_ID_LEN  12
#define HOOK_NOUN    "hook"
#define HOOK_SUBJECT "gantry.sys.connector.hook"

void hooks_create_start(struct worker *w, struct call *call);
void hooks_list_start(struct worker *w, struct call *call);
void hooks_delete_start(struct worker *w, struct call *call);
void hooks_rotate_start(struct worker *w, struct call *call);

/* take.c: HOOK_SUBJECT; arg is the connector. */
void hooks_on_request(void *arg, const struct bus_msg *msg);

#endif
