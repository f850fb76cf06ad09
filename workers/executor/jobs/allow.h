/* SPDX-License-Identifier: MIT */
/*
 * allow - which actions a workspace may run: asked of the gateway over NATS. A list is remembered for a
 * second, to allow; before anything is denied the gateway is asked anew.
 *
 * Errors:  RC_TEMP  the gateway does not answer: try again; never allow, never reject
 * Threads: the loop's thread only
 * Source:  contract section 6
 */
#ifndef GANTRY_EXECUTOR_ALLOW_H
#define GANTRY_EXECUTOR_ALLOW_H

#include <stdbool.h>

#include "base/rc.h"
#include "bus/bus.h"
#include "json/json.h"

#define ALLOW_SUBJECT    "gantry.sys.allowlist."
#define ALLOW_FRESH_MS   1000
#define ALLOW_TIMEOUT_MS 2000

struct allow;

/* actions: an array of names, borrowed during the call; NULL unless rc is RC_OK. */
typedef void allow_fn(void *arg, enum rc rc, const cJSON *actions, const struct err *err);

enum rc allow_new(struct bus *bus, struct allow **out, struct err *err);
void allow_free(struct allow *allow);
/* fn is called once, now or later. action: a remembered list is good enough if this is on it; NULL: it
 * is not. */
void allow_ask(struct allow *allow, const char *workspace, const char *action, allow_fn *fn,
               void *arg);
bool allow_has(const cJSON *actions, const char *name);

#endif
