/* SPDX-License-Identifier: MIT */
/*
 * watchdog - ends the program when its event loop does not turn any more.
 *
 * A gateway that hangs is still connected: the NATS server goes on to give it its share of the
 * logins, and each of them waits in vain. Dead, it gets none, and the supervisor starts it anew. (A
 * whole process that is stopped cannot watch itself: the other gateways do, peers.h.)
 *
 * Threads: one of its own; it counts its own wake-ups, so that a machine that was asleep and a
 *          process that was stopped do not count as a hang
 */
#ifndef GANTRY_GATEWAY_WATCHDOG_H
#define GANTRY_GATEWAY_WATCHDOG_H

#include "base/loop.h"
#include "base/rc.h"

#define WATCHDOG_BEAT_MS 250
#define WATCHDOG_MISSED  20 /* beats: 5 s */

struct watchdog;

enum rc watchdog_open(struct loop *loop, struct watchdog **out, struct err *err);
void watchdog_close(struct watchdog *watchdog); /* NULL allowed */

#endif
