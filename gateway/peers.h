/* SPDX-License-Identifier: MIT */
/*
 * peers - the gateways watch each other: one that falls silent loses its place among those that the
 * NATS server asks about logins.
 *
 * Each says every PEERS_BEAT_MS on gantry.sys.gateway.callout.<name> that it lives; <name> is also
 * the name of its callout connection. A gateway that was silent for PEERS_SILENT_MS without having
 * said goodbye has that connection ended (kick.h). A gateway that was only slow connects again.
 *
 * Threads: the loop's thread only
 */
#ifndef GANTRY_GATEWAY_PEERS_H
#define GANTRY_GATEWAY_PEERS_H

#include "base/id.h"
#include "base/loop.h"
#include "base/rc.h"
#include "bus/bus.h"

#define PEERS_BEAT_MS   250
#define PEERS_SILENT_MS 1250
#define PEERS_MAX       64
#define PEERS_NAME_MAX  40

struct peers;
struct kick;

/* A new name for a callout connection: letters, digits and hyphens. */
void peers_name(char name[PEERS_NAME_MAX]);

/* bus and kick are borrowed. */
enum rc peers_open(struct loop *loop, struct bus *bus, struct kick *kick, const char *name,
                   struct peers **out, struct err *err);
/* Says goodbye; before bus_free(). NULL allowed. */
void peers_close(struct peers *peers);

#endif
