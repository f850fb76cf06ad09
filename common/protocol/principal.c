/* SPDX-License-Identifier: MIT */
/*
 * principal - roles and scopes by table.
 */
#include "principal.h"

#include <string.h>

#define SCOPE_TEXT(name, text) text,
static const char *const SCOPES[] = { SCOPE_TABLE(SCOPE_TEXT) };
#undef SCOPE_TEXT

#define BIT(scope) (1U << (scope))
#define VIEWER     (BIT(SCOPE_ACTIONS_PREVIEW) | BIT(SCOPE_MEMORY_READ))
#define DEVELOPER                                                                                  \
    (VIEWER | BIT(SCOPE_ACTIONS_EXECUTE) | BIT(SCOPE_MEMORY_WRITE) | BIT(SCOPE_AUDIT_WRITE))
#define ADMIN                                                                                      \
    (DEVELOPER | BIT(SCOPE_AUDIT_READ) | BIT(SCOPE_MEMORY_DELETE) | BIT(SCOPE_KEYS_MANAGE) |       \
     BIT(SCOPE_JOBS_MANAGE) | BIT(SCOPE_SECRETS_MANAGE) | BIT(SCOPE_POLICY_MANAGE) |               \
     BIT(SCOPE_ACTIONS_APPROVE) | BIT(SCOPE_WEBHOOKS_MANAGE))

static const struct {
    const char *name;
    uint32_t scopes;
} ROLES[ROLE_COUNT] = {
    [ROLE_VIEWER] = { "viewer", VIEWER },
    [ROLE_DEVELOPER] = { "developer", DEVELOPER },
    [ROLE_ADMIN] = { "admin", ADMIN },
};

const char *
scope_name(enum scope scope)
{
    return scope < SCOPE_COUNT ? SCOPES[scope] : "none";
}

const char *
role_name(enum role role)
{
    return role < ROLE_COUNT ? ROLES[role].name : "unknown";
}

enum rc
role_parse(const char *text, enum role *out)
{
    for (unsigned i = 0; text && i < ROLE_COUNT; i++)
        if (strcmp(text, ROLES[i].name) == 0) {
            *out = (enum role)i;
            return RC_OK;
        }
    return RC_INVALID;
}

uint32_t
role_scopes(enum role role)
{
    return role < ROLE_COUNT ? ROLES[role].scopes : 0;
}

bool
principal_has(const struct principal *principal, enum scope scope)
{
    return scope < SCOPE_COUNT && (principal->scopes & BIT(scope)) != 0;
}
