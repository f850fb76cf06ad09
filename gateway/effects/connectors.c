/* SPDX-License-Identifier: MIT */
#include "effects/connectors.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "settings.h"
#include "tasking/folder.h"

#define PLACE       "workers/connector/actions"
#define ACTIONS_MAX 64

struct connectors {
    size_t count;
    char names[ACTIONS_MAX][FOLDER_NAME_MAX];
};

static enum rc
take(void *arg, int folder, const char *name, struct err *err)
{
    struct connectors *connectors = arg;
    (void)folder;
    if (connectors->count == ACTIONS_MAX || !folder_name_valid(name))
        return err_set(err, RC_CONFIG, "%.80s: no name of an action, or one too many", name);
    (void)snprintf(connectors->names[connectors->count++], FOLDER_NAME_MAX, "%s", name);
    return RC_OK;
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
        free(connectors);
    return rc;
}

void
connectors_close(struct connectors *connectors)
{
    free(connectors);
}

bool
connectors_has(const struct connectors *connectors, const char *action)
{
    for (size_t i = 0; connectors && action && i < connectors->count; i++)
        if (strcmp(connectors->names[i], action) == 0)
            return true;
    return false;
}

enum command
connectors_command(const struct connectors *connectors, const char *action)
{
    return connectors_has(connectors, action) ? CMD_CONNECTOR_RUN : CMD_EXECUTOR_RUN;
}
