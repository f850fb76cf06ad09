/* SPDX-License-Identifier: MIT */
/*
 * selftest - proves the sandbox on this kernel before any task is taken.
 *
 * Runs the action health_check in a real sandbox: it tries to reach the network, host files, nested
 * namespaces and more, and every check must hold. When bubblewrap cannot even start, the error names
 * the setting to change.
 *
 * Errors: RC_CONFIG  no sandbox, or one that does not hold: the text says what to change
 */
#ifndef GANTRY_EXECUTOR_SANDBOX_SELFTEST_H
#define GANTRY_EXECUTOR_SANDBOX_SELFTEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/rc.h"
#include "sandbox/manifest.h"

#define SELFTEST_ACTION "health_check"

/* Blocks until the test is over (its wall limit is the manifest's). cgroup: "" or NULL = none. */
enum rc selftest_run(const struct catalog *catalog, const char *bwrap, const char *cgroup,
                     struct err *err);

/* What this kernel and container allow, as far as it can be read; -1 = there is no such setting. */
struct selftest_host {
    int64_t userns_clone;      /* kernel.unprivileged_userns_clone */
    int64_t max_userns;        /* user.max_user_namespaces */
    int64_t apparmor_restrict; /* kernel.apparmor_restrict_unprivileged_userns */
};

/* The setting to change, for what bwrap said. Pure; returns text. */
const char *selftest_advise(const char *said, const struct selftest_host *host, char *text,
                            size_t cap);

#endif
