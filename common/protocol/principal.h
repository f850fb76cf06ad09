/* SPDX-License-Identifier: MIT */
/*
 * principal - who asks: workspace, key, role, and the scopes that the role has.
 *
 * Source: contract 4.2
 */
#ifndef GANTRY_PROTOCOL_PRINCIPAL_H
#define GANTRY_PROTOCOL_PRINCIPAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/rc.h"

/* clang-format off */
#define SCOPE_TABLE(X)                           \
    X(SCOPE_ACTIONS_PREVIEW, "actions:preview")  \
    X(SCOPE_MEMORY_READ,     "memory:read")      \
    X(SCOPE_ACTIONS_EXECUTE, "actions:execute")  \
    X(SCOPE_MEMORY_WRITE,    "memory:write")     \
    X(SCOPE_AUDIT_WRITE,     "audit:write")      \
    X(SCOPE_AUDIT_READ,      "audit:read")       \
    X(SCOPE_MEMORY_DELETE,   "memory:delete")    \
    X(SCOPE_KEYS_MANAGE,     "keys:manage")      \
    X(SCOPE_JOBS_MANAGE,     "jobs:manage")      \
    X(SCOPE_SECRETS_MANAGE,  "secrets:manage")   \
    X(SCOPE_POLICY_MANAGE,   "policy:manage")    \
    X(SCOPE_ACTIONS_APPROVE, "actions:approve")  \
    X(SCOPE_WEBHOOKS_MANAGE, "webhooks:manage")
/* clang-format on */

#define SCOPE_ENUM(name, text) name,
enum scope { SCOPE_TABLE(SCOPE_ENUM) SCOPE_COUNT, SCOPE_NONE = SCOPE_COUNT };
#undef SCOPE_ENUM

enum role { ROLE_VIEWER, ROLE_DEVELOPER, ROLE_ADMIN, ROLE_COUNT };

#define KEY_ID_LEN 12

struct principal {
    char workspace[WORKSPACE_TEXT_MAX];
    char
        key_id[KEY_ID_LEN + 1]; /* "" for a direct NATS client whose key the server does not name */
    enum role role;             /* ROLE_COUNT when unknown */
    uint32_t scopes;            /* bit set of 1u << enum scope */
};

const char *scope_name(enum scope scope);
const char *role_name(enum role role);
enum rc role_parse(const char *text, enum role *out);
uint32_t role_scopes(enum role role);
bool principal_has(const struct principal *principal, enum scope scope);

#endif
