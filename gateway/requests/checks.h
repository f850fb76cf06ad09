/* SPDX-License-Identifier: MIT */
/*
 * checks - the stages that a request passes; request.c holds their order.
 *
 * Each returns STEP_NEXT, or answers, or waits for something and ends with request_continue().
 *
 * Source: contract 4.1
 */
#ifndef GANTRY_GATEWAY_REQUESTS_CHECKS_H
#define GANTRY_GATEWAY_REQUESTS_CHECKS_H

#include "requests/routes.h"

/* checks_head.c */
route_fn check_route, check_size, check_key, check_scope, check_servers, check_media,
    check_preferences;
route_fn close_identify; /* whose request was it, when it was answered before the key's turn? */
/* limit.c */
route_fn check_load, check_rate;
route_fn rate_take; /* of a route that decides itself whether it is one to count (ROUTE_RPC) */
/* checks_body.c */
route_fn check_body, check_secrets, check_allowed;
/* idem.c */
route_fn check_idempotency, close_idempotency;
/* forward.c */
route_fn forward_request;
/* audit.c */
route_fn announce_effect; /* before a route's own function changes anything */
route_fn close_audit;

#endif
