/* SPDX-License-Identifier: MIT */
/*
 * rights - the executor gives up root before it starts anything.
 *
 * Run as root, bwrap would leave capabilities inside (architecture, facts). So a root start becomes
 * the user that EXECUTOR_USER names (default nobody), with no groups and no capabilities, after the
 * task folders were read.
 */
#ifndef GANTRY_EXECUTOR_SANDBOX_RIGHTS_H
#define GANTRY_EXECUTOR_SANDBOX_RIGHTS_H

#include "base/rc.h"

#define RIGHTS_USER_DEFAULT "nobody"

/* Does nothing when the process is not root. RC_CONFIG: no such user, or it is root itself. */
enum rc rights_drop(const char *user, struct err *err);

#endif
