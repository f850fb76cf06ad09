/* SPDX-License-Identifier: MIT */
/*
 * janitor - takes mount namespaces of ended sandboxes down, in a thread of its own.
 *
 * The last process of a sandbox would do this as it exits: the kernel unmounts everything and waits for
 * a grace period of RCU, milliseconds in which the process counts as living. Who holds a descriptor of
 * the namespace puts that off until the descriptor is closed, and so learns at once that nothing of the
 * sandbox runs any more. To close it takes as long, hence the threads.
 *
 * Threads: one calls; those inside do nothing but close
 */
#ifndef GANTRY_EXECUTOR_SANDBOX_JANITOR_H
#define GANTRY_EXECUTOR_SANDBOX_JANITOR_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/rc.h"

#define JANITOR_THREADS 2
#define JANITOR_LATE_MAX                                                                           \
    8 /* namespaces that wait: beyond that, sandboxes take theirs down themselves */

struct janitor;

enum rc janitor_new(struct janitor **out, struct err *err);
/* Waits until all that was handed over is closed. */
void janitor_free(struct janitor *janitor);

/* Hold the mount namespace of a process; -1 when there is too much to do already, or it has ended. */
int janitor_hold(const struct janitor *janitor, pid_t pid);
/* Have it closed, if there is one; *fd becomes -1. */
void janitor_close(struct janitor *janitor, int *fd);

#endif
