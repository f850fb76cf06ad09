/* SPDX-License-Identifier: MIT */
/*
 * fleet - the last snapshot of metrics of each worker that runs, for /metrics.
 *
 * Source:  gantry.sys.metrics.<program>.<instance>, every 5 s (common/protocol/metrics.h); one that has been
 *          silent for 30 s is gone
 * Threads: the loop's thread only
 */
#ifndef GANTRY_GATEWAY_FLEET_H
#define GANTRY_GATEWAY_FLEET_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/rc.h"
#include "bus/bus.h"
#include "json/json.h"
#include "protocol/bounds.h"
#include "protocol/metrics.h"

#define FLEET_MAX 256 /* workers; what is beyond is left out */

struct fleet;

enum rc fleet_new(struct bus *bus, struct fleet **out, struct err *err);
void fleet_free(struct fleet *fleet); /* before the bus */
/* Whether a worker of this program has told of itself in the last 15 s, three of its times. */
bool fleet_has(const struct fleet *fleet, const char *program);
/* Whether a worker has said in the last 15 s that its embedding server does not work. */
bool fleet_embedding_fails(const struct fleet *fleet);
/* Whether a worker has said in the last 15 s that it is full. */
bool fleet_is_full(const struct fleet *fleet, enum bound bound);
/* The member "workers": of each program how many run and how many are healthy. */
void fleet_put(struct fleet *fleet, struct json_writer *w);
/* Commands that workers of this program have in hand. */
uint64_t fleet_in_hand(const struct fleet *fleet, const char *program);
/* self: of this gateway, shown first. */
void fleet_expose(struct fleet *fleet, const struct metrics_snapshot *self,
                  const struct exposition *e);

#endif
