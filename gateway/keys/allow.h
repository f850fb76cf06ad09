/* SPDX-License-Identifier: MIT */
/*
 * allow - which actions a workspace may run: its own list, or ALLOW_ACTIONS_DEFAULT; and its policy.
 *
 * Also the service on gantry.sys.allowlist.<workspace>, which executors and connectors ask: the answer is
 * {"workspace":…,"actions":[…],"egress":[…],"policy":{"version":…,"document":{…}}}. Without PostgreSQL there is no answer: the executor tries again,
 * it never allows and never rejects on a guess. A list is remembered for ALLOW_FRESH_MS, for whoever
 * wants one that may be that old; nothing is denied by a remembered list.
 *
 * Errors:  RC_TEMP  PostgreSQL is unavailable · RC_NOTFOUND  no such workspace
 * Threads: the loop's thread only
 * Source:  contract 6
 */
#ifndef GANTRY_GATEWAY_KEYS_ALLOW_H
#define GANTRY_GATEWAY_KEYS_ALLOW_H

#include <stdbool.h>

#include "base/rc.h"
#include "json/json.h"

#define ALLOW_FRESH_MS     1000
#define ALLOW_SUBJECT      "gantry.sys.allowlist."
#define ALLOW_ACTIONS_MAX  256
#define ALLOW_ACTION_BYTES 257

struct gateway;
struct allowlist;

/* The actions of one workspace; borrowed during the call. */
struct allow_view {
    unsigned count;
    char (*actions)[ALLOW_ACTION_BYTES];
    char *egress; /* JSON array: the hosts that its connector actions may reach; NULL = none */
    /* Its policy: the latest version, or what POLICY_DEFAULT says (version 0); NULL = none. */
    const cJSON *policy;
    int64_t policy_version;
    cJSON *own_policy; /* owned */
};

typedef void allow_fn(void *arg, enum rc rc, const struct allow_view *view);

enum rc allow_open(struct gateway *gw, struct allowlist **out, struct err *err);
void allow_close(struct allowlist *list);
/* A list that PostgreSQL gave less than ALLOW_FRESH_MS ago; NULL if there is none. */
const struct allow_view *allow_known(const struct allowlist *list, const char *workspace);
/* Ask PostgreSQL. If RC_OK is returned, fn is called exactly once, later; otherwise never. */
enum rc allow_ask(struct allowlist *list, const char *workspace, allow_fn *fn, void *arg);
/* The workspace has changed: ask before the next answer. */
void allow_changed(struct allowlist *list, const char *workspace);
bool allow_has(const struct allow_view *view, const char *action);

#endif
