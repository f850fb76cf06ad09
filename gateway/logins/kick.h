/* SPDX-License-Identifier: MIT */
/*
 * kick - ends the NATS connections of keys that are not valid any more.
 *
 * Two ways, because either alone can miss one. When a key changes (keys.h tells within a third of a
 * second), the servers are asked for its connections at once and a second time a moment later, for a
 * login that was under way. And every KICK_SWEEP_MS all connections of the account CLIENTS are gone
 * through, for what changed while no gateway looked. A connection whose key was only changed may log
 * in again at once and gets the new rights.
 *
 * The same sweep counts the connections of each workspace: the newest beyond its share are ended. (How
 * fast it may make new ones is the callout's affair.)
 *
 * Uses the user "kick", whose account imports from the system account how to list connections and end
 * them, and nothing else.
 *
 * Threads: the loop's thread only
 * Source:  nats-server's system services ($SYS.REQ.SERVER.*.CONNZ and .KICK)
 */
#ifndef GANTRY_GATEWAY_LOGINS_KICK_H
#define GANTRY_GATEWAY_LOGINS_KICK_H

#include <stdint.h>

#include "base/loop.h"
#include "base/rc.h"
#include "bus/bus.h"

#define KICK_USER          "kick" /* of nats/server.conf */
#define KICK_SWEEP_MS      10000
#define KICK_AGAIN_MS      1000
#define KICK_SUBSCRIPTIONS 1000 /* of a connection: nats/server.conf */

struct kick;
struct keys;

struct kick_options {
    struct bus_options bus;                                  /* url of the user kick */
    const struct keys *keys;                                 /* borrowed */
    uint64_t *kicked;                                        /* counted here */
    uint64_t most;                                           /* connections of one workspace */
    void (*on_crowded)(void *arg, const char *workspace);    /* one is ended for that */
    void (*on_subscribed)(void *arg, const char *workspace); /* one has KICK_SUBSCRIPTIONS */
    void *arg;
};

enum rc kick_open(struct loop *loop, const struct kick_options *options, struct kick **out,
                  struct err *err);
void kick_close(struct kick *kick); /* NULL allowed */

/* This key was revoked, or what it may do has changed. */
void kick_key(struct kick *kick, const char *key_id);
/* End the callout connection of another gateway, by the connection's name: it hangs (peers.h). */
void kick_peer(struct kick *kick, const char *name);

#endif
