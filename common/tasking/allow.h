/* SPDX-License-Identifier: MIT */
/*
 * allow - which actions a workspace may run, and which hosts they may reach: asked of the gateway over
 * NATS. Lists are remembered for a second, to allow; before anything is denied the gateway is asked anew.
 *
 * Shape:   {"workspace":…,"actions":[…],"egress":[…]}
 * Errors:  RC_TEMP  the gateway does not answer: try again; never allow, never reject
 * Threads: the loop's thread only
 * Source:  contract section 6
 */
#ifndef GANTRY_TASKING_ALLOW_H
#define GANTRY_TASKING_ALLOW_H

#include <stdbool.h>

#include "base/rc.h"
#include "bus/bus.h"
#include "json/json.h"

#define ALLOW_SUBJECT    "gantry.sys.allowlist."
#define ALLOW_FRESH_MS   1000
#define ALLOW_TIMEOUT_MS 2000

struct allow;
struct question;

/* lists: the gateway's answer, borrowed during the call; NULL unless rc is RC_OK. */
typedef void allow_fn(void *arg, enum rc rc, const cJSON *lists, const struct err *err);

enum rc allow_new(struct bus *bus, struct allow **out, struct err *err);
void allow_free(struct allow *allow);
/* The lists remembered for less than ALLOW_FRESH_MS, if they have the action. NULL says nothing: ask. */
const cJSON *allow_known(const struct allow *allow, const char *workspace, const char *action);
/* If RC_OK is returned, fn is called exactly once, later, unless *out (which may be NULL) is given to
 * allow_forget() before; otherwise never. */
enum rc allow_ask(struct allow *allow, const char *workspace, allow_fn *fn, void *arg,
                  struct question **out, struct err *err);
void allow_forget(struct question *question); /* NULL is fine */
bool allow_has(const cJSON *lists, const char *action);

#endif
