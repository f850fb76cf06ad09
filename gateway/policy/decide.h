/* SPDX-License-Identifier: MIT */
/*
 * decide - what the workspace's policy says about an action of a request.
 *
 * Threads: the loop's thread only
 */
#ifndef GANTRY_GATEWAY_POLICY_DECIDE_H
#define GANTRY_GATEWAY_POLICY_DECIDE_H

#include "keys/allow.h"
#include "policy/policy.h"
#include "requests/request.h"

/* An action that is asked for, and what was decided about it. */
struct asked {
    const char *action;  /* borrowed */
    const cJSON *params; /* borrowed; NULL = none. A member "type" is not a parameter */
    struct policy_decision decision;
    int64_t expires_s; /* how long an approval of it is waited for */
};

/* view NULL: the workspace does not exist, and nothing is decided. */
void decide(const struct request *r, const struct allow_view *view, struct asked *asked);
/* Of several the one that matters most: denied, waiting, or the first. NULL when no policy applies. */
const struct policy_decision *decide_gravest(const struct asked *asked, size_t n);
/* 403: the rule, or the score, and where to look. */
enum step answer_denied(struct request *r, const struct asked *asked);

#endif
