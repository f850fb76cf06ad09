/* SPDX-License-Identifier: MIT */
/*
 * streams - how much waits in each stream of JetStream, for /metrics and /readyz.
 *
 * Asked every STREAMS_EVERY_MS, so that reading the page asks nobody and waits for nothing.
 *
 * Threads: the loop's thread only
 */
#ifndef GANTRY_GATEWAY_METRICS_STREAMS_H
#define GANTRY_GATEWAY_METRICS_STREAMS_H

#include <stdbool.h>

#include "base/loop.h"
#include "bus/bus.h"
#include "protocol/exposition.h"

#define STREAMS_EVERY_MS 5000

struct streams;

/* bus is borrowed. */
enum rc streams_open(struct loop *loop, struct bus *bus, struct streams **out, struct err *err);
void streams_close(struct streams *streams); /* after bus_free(); NULL allowed */
/* Events wait in AUDIT, and for some time none has left it: nobody records them. */
bool streams_audit_stuck(const struct streams *streams);
/* running: tasks that executors have in hand. */
void streams_expose(const struct streams *streams, uint64_t running, const struct exposition *e);

#endif
