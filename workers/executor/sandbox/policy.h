/* SPDX-License-Identifier: MIT */
/*
 * policy - what a sandbox is to be: manifest + request + bounds -> struct sandbox. Pure.
 *
 * The parameters never reach the sandbox's shape: they are data on the handler's standard input.
 * A request may choose the action and a wall limit within the manifest's bounds, nothing
 * else; so sandboxes of an action are all alike and can be started ahead.
 *
 * Errors: RC_NOTFOUND  no such action
 *         RC_INVALID   parameters that break the manifest's schema, a wall limit out of bounds
 * Source: architecture, decision 11
 */
#ifndef GANTRY_EXECUTOR_SANDBOX_POLICY_H
#define GANTRY_EXECUTOR_SANDBOX_POLICY_H

#include <stdint.h>

#include "base/rc.h"
#include "json/json.h"
#include "sandbox/manifest.h"
#include "validate/schema.h"

struct sandbox {
    const struct action *action; /* borrowed: the catalog's */
    struct limits limits;
};

struct request {
    const char *type;
    cJSON *task;              /* {"type":…, …parameters}; borrowed, but loses optional nulls */
    uint32_t timeout_seconds; /* 0 = the manifest's */
};

/* The sandbox of an action with its manifest's limits: what is started ahead. */
struct sandbox policy_ahead(const struct action *action);

/* Check a request and give its sandbox. errors: the fields that broke a rule. */
enum rc policy_decide(const struct catalog *catalog, const struct request *request,
                      struct sandbox *out, struct field_errors *errors, struct err *err);

/* Check parameters alone (previews); optional ones that are null are taken out. */
enum rc policy_check_params(const struct action *action, cJSON *params,
                            struct field_errors *errors);

#endif
