/* SPDX-License-Identifier: MIT */
/*
 * health - what /readyz and the metrics say of the servers.
 *
 * Threads: the loop's thread only
 */
#ifndef GATEWAY_HEALTH_H
#define GATEWAY_HEALTH_H

#include "gateway.h"

/* Begin to ask, each second, whether Redis takes writes. */
void health_watch(struct gateway *gw);
bool health_redis(const struct gateway *gw);

#endif
