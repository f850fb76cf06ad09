/* SPDX-License-Identifier: MIT */
/*
 * health - what /readyz and the metrics say of the servers.
 *
 * Threads: the loop's thread only
 */
#ifndef GANTRY_GATEWAY_HEALTH_H
#define GANTRY_GATEWAY_HEALTH_H

#include "gateway.h"
#include "json/json.h"

/* Begin to ask, each second, whether Redis takes writes. */
void health_watch(struct gateway *gw);
bool health_redis(const struct gateway *gw);
/* The members "status", "dependencies" and "full"; whether requests with a key can be answered. */
bool health_put(const struct gateway *gw, struct json_writer *w);

#endif
