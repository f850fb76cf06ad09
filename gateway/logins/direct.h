/* SPDX-License-Identifier: MIT */
/*
 * direct - everything about clients that come over NATS: their logins, and the end of their
 * connections.
 *
 * Off when CALLOUT_NATS_URL is not set: then only HTTP has keys.
 *
 * Threads: the loop's thread only
 */
#ifndef GANTRY_GATEWAY_LOGINS_DIRECT_H
#define GANTRY_GATEWAY_LOGINS_DIRECT_H

#include <stdbool.h>

#include "base/rc.h"
#include "gateway.h"

struct direct;

/* RC_CONFIG  a part of what it needs is missing */
enum rc direct_check(const struct settings *settings, struct err *err);
/* After gw->bus and gw->keys are open. *out is NULL when it is off. */
enum rc direct_open(struct gateway *gw, struct direct **out, struct err *err);
void direct_close(struct direct *direct); /* before gw->bus and gw->keys; NULL allowed */

/* For keys_options.on_change; direct may be NULL. */
void direct_key_changed(struct direct *direct, const char *key_id);

/* The NKey of CALLOUT_ISSUER_KEY, which nats/callout.conf names: --print-callout-issuer. */
int direct_print_issuer(void);

#endif
