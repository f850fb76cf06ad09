/* SPDX-License-Identifier: MIT */
/*
 * mounts - whether the mounts of a template are what they are to be.
 *
 * Reads a mount table as /proc/PID/mountinfo gives it. It holds when no mount receives or passes on
 * what is mounted elsewhere, and the root and all from ARGV_ROOT and ARGV_DEVICES downwards is
 * read-only, without set-user-ID and without devices, but for the devices themselves, each mounted once.
 *
 * Errors: RC_TEMP  one mount is different: the text names it (another attempt may find it settled)
 * Source: proc_pid_mountinfo(5), mount_namespaces(7)
 */
#ifndef GANTRY_EXECUTOR_SANDBOX_MOUNTS_H
#define GANTRY_EXECUTOR_SANDBOX_MOUNTS_H

#include <stdio.h>

#include "base/rc.h"

enum rc mounts_check(FILE *table, struct err *err);

#endif
