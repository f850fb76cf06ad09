/* SPDX-License-Identifier: MIT */
#include "effects/connectors.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "settings.h"
#include "tasking/folder.h"

#define PLACE       "workers/connector/actions"
#define ACTIONS_MAX 64

struct connectors {
    size_t count;
    char names[ACTIONS_MAX][FOLDER_NAME_MAX];
    cJSON *facts[ACTIONS_MAX]; /* owned */
};

/* What rules can be about. Of an action with several manifests (CONNECTOR_TASK_SERVICE), of all of them:
 * which one it is only the connector knows. */
static enum rc
read_facts(int folder, cJSON **out, struct err *err)
{
    static const char *const FILES[] = { "manifest.json", "manifest.microsoft.json" };
    cJSON *facts = cJSON_CreateObject();
    cJSON *hosts = facts ? cJSON_AddArrayToObject(facts, "hosts") : NULL;
    enum rc rc = hosts ? RC_OK : err_set(err, RC_TEMP, "no memory for the facts of an action");
    for (size_t i = 0; rc == RC_OK && i < ARRAY_LEN(FILES); i++) {
        AUTO(json) cJSON *doc = NULL;
        const cJSON *host;
        struct err other = { 0 };
        rc = folder_read_json(folder, FILES[i], &doc, i == 0 ? err : &other);
        if (rc != RC_OK && i > 0) /* most have one */
            rc = RC_OK;
        cJSON_ArrayForEach (host, json_member(doc, "hosts"))
            (void)cJSON_AddItemToArray(hosts, cJSON_Duplicate(host, true));
        if (json_member(doc, "risk") && !json_member(facts, "risk"))
            (void)cJSON_AddItemToObject(facts, "risk",
                                        cJSON_Duplicate(json_member(doc, "risk"), true));
    }
    if (rc == RC_OK)
        *out = facts;
    else
        cJSON_Delete(facts);
    return rc;
}

static enum rc
take(void *arg, int folder, const char *name, struct err *err)
{
    struct connectors *connectors = arg;
    if (connectors->count == ACTIONS_MAX || !folder_name_valid(name))
        return err_set(err, RC_CONFIG, "%.80s: not the name of an action, or too many names", name);
    enum rc rc = read_facts(folder, &connectors->facts[connectors->count], err);
    if (rc == RC_OK)
        (void)snprintf(connectors->names[connectors->count++], FOLDER_NAME_MAX, "%s", name);
    return rc;
}

__attribute__((noinline)) static enum rc
read_folders(const char *configured, struct connectors *out, struct err *err)
{
    char path[PATH_MAX];
    enum rc rc = folder_locate(configured, PLACE, "CONNECTOR_ACTIONS_DIR", path, sizeof(path), err);
    return rc == RC_OK ? folder_each(path, take, out, err) : rc;
}

enum rc
connectors_open(const struct settings *settings, struct connectors **out, struct err *err)
{
    *out = NULL;
    if (!settings->connector_enabled)
        return RC_OK;
    struct connectors *connectors = calloc(1, sizeof(*connectors));
    if (!connectors)
        return err_set(err, RC_TEMP, "no memory for the names of actions");
    enum rc rc = read_folders(settings->connector_actions_dir, connectors, err);
    if (rc == RC_OK)
        *out = connectors;
    else
        connectors_close(connectors);
    return rc;
}

void
connectors_close(struct connectors *connectors)
{
    for (size_t i = 0; connectors && i < connectors->count; i++)
        cJSON_Delete(connectors->facts[i]);
    free(connectors);
}

const cJSON *
connectors_facts(const struct connectors *connectors, const char *action)
{
    for (size_t i = 0; connectors && action && i < connectors->count; i++)
        if (strcmp(connectors->names[i], action) == 0)
            return connectors->facts[i];
    return NULL;
}

bool
connectors_has(const struct connectors *connectors, const char *action)
{
    return connectors_facts(connectors, action) != NULL;
}

enum command
connectors_command(const struct connectors *connectors, const char *action)
{
    return connectors_has(connectors, action) ? CMD_CONNECTOR_RUN : CMD_EXECUTOR_RUN;
}
