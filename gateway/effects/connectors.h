/* SPDX-License-Identifier: MIT */
/*
 * connectors - which actions go to gantry-connector instead of gantry-executor: those that have a folder.
 *
 * Errors:  RC_CONFIG  CONNECTOR_ENABLED, and the folders cannot be read
 */
#ifndef GANTRY_GATEWAY_EFFECTS_CONNECTORS_H
#define GANTRY_GATEWAY_EFFECTS_CONNECTORS_H

#include <stdbool.h>

#include "json/json.h"
#include "protocol/command.h"

struct connectors;
struct settings;

/* *out NULL: there is no connector. */
enum rc connectors_open(const struct settings *settings, struct connectors **out, struct err *err);
void connectors_close(struct connectors *connectors); /* NULL is fine */
bool connectors_has(const struct connectors *connectors, const char *action);
/* Its hosts and terms of risk {hosts,risk}, as its manifests have them; NULL when it has none. */
const cJSON *connectors_facts(const struct connectors *connectors, const char *action);
/* The command that executes an action. */
enum command connectors_command(const struct connectors *connectors, const char *action);

#endif
