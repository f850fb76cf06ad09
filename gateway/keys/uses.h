/* SPDX-License-Identifier: MIT */
/*
 * uses - writes down when keys were last used, a minute at a time, on the database thread.
 *
 * Threads: the loop's thread only
 */
#ifndef GANTRY_GATEWAY_KEYS_USES_H
#define GANTRY_GATEWAY_KEYS_USES_H

#include "base/rc.h"

#define USES_EVERY_MS 60000
#define USES_AT_ONCE  500

struct gateway;
struct uses;

enum rc uses_open(struct gateway *gw, struct uses **out, struct err *err);
void uses_close(struct uses *uses);

#endif
