/* SPDX-License-Identifier: MIT */
#include "sandbox/policy.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

struct sandbox
policy_ahead(const struct action *action)
{
    return (struct sandbox){ .action = action, .limits = action->limits };
}

enum rc
policy_check_params(const struct action *action, cJSON *params, struct field_errors *errors)
{
    schema_drop_nulls(action->params, params);
    return schema_check(action->params, params, errors);
}

/* The schema describes the parameters: the task without its type. The caller wrote them in "task". */
static enum rc
check_task(const struct action *action, cJSON *task, struct field_errors *errors)
{
    AUTO(json) cJSON *params = NULL;
    struct field_errors found = { 0 };
    enum rc rc;

    schema_drop_nulls(action->params, task);
    params = cJSON_Duplicate(task, true);
    cJSON_DeleteItemFromObjectCaseSensitive(params, "type");
    rc = policy_check_params(action, params, &found);
    for (size_t i = 0; i < found.count; i++) {
        char field[SCHEMA_FIELD_MAX + 8];
        (void)snprintf(field, sizeof(field), "task%s%s", found.items[i].field[0] ? "." : "",
                       found.items[i].field);
        field_errors_add(errors, field, "%s", found.items[i].detail);
    }
    return rc;
}

enum rc
policy_decide(const struct catalog *catalog, const struct request *request, struct sandbox *out,
              struct field_errors *errors, struct err *err)
{
    const struct action *action = catalog_find(catalog, request->type);
    struct sandbox sandbox;
    enum rc rc;

    if (!action)
        return err_set(err, RC_NOTFOUND, "there is no action '%.64s'; GET /ai/actions lists them",
                       request->type);
    sandbox = policy_ahead(action);
    if ((rc = check_task(action, request->task, errors)) != RC_OK) /* a job shows only this text */
        return err_set(err, rc, "a parameter of %s is wrong: %s %s", action->name,
                       errors->count ? errors->items[0].field : "task",
                       errors->count ? errors->items[0].detail : "");
    if (request->timeout_seconds > 0) {
        uint64_t wall_ms = (uint64_t)request->timeout_seconds * 1000;

        if (wall_ms > action->limits.wall_max_ms) {
            field_errors_add(errors, "timeout_seconds", "must be at most %u for this action",
                             action->limits.wall_max_ms / 1000);
            return err_set(err, RC_INVALID, "timeout_seconds is beyond the bound of %s",
                           action->name);
        }
        sandbox.limits.wall_ms = (uint32_t)wall_ms;
    }
    *out = sandbox;
    return RC_OK;
}
