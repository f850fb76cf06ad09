/* SPDX-License-Identifier: MIT */
#include "peers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "logins/kick.h"

#define PREFIX      "gantry.sys.gateway.callout."
#define NAME_PREFIX "gantry-callout-"
#define GOODBYE     "bye"
#define SUBJECT_LEN 96

struct peer {
    char name[PEERS_NAME_MAX];
    int64_t heard_ms; /* monotonic; 0 = the slot is free */
};

struct peers {
    struct bus *bus;
    struct kick *kick;
    struct bus_sub *sub;
    struct loop_timer *timer;
    char name[PEERS_NAME_MAX];
    struct peer known[PEERS_MAX];
    int64_t turned_ms; /* our own last beat */
};

void
peers_name(char name[PEERS_NAME_MAX])
{
    char unique[ID_TEXT_MAX];
    id_new_random(unique);
    (void)snprintf(name, PEERS_NAME_MAX, NAME_PREFIX "%.8s%.4s", unique, unique + 9);
}

static void
say(struct peers *peers, const char *what)
{
    char subject[SUBJECT_LEN];
    struct err err = { 0 };
    (void)snprintf(subject, sizeof(subject), PREFIX "%s", peers->name);
    struct bus_out out = { .subject = subject, .data = what, .len = strlen(what) };
    if (bus_connected(peers->bus) && bus_publish(peers->bus, &out, &err) != RC_OK)
        log_debug("%s", err.text);
}

/* The slot with this name; otherwise a free slot; otherwise NULL. */
static struct peer *
find(struct peers *peers, const char *name)
{
    struct peer *free_slot = NULL;
    for (unsigned i = 0; i < PEERS_MAX; i++) {
        struct peer *peer = &peers->known[i];
        if (peer->heard_ms && strcmp(peer->name, name) == 0)
            return peer;
        if (!peer->heard_ms)
            free_slot = peer;
    }
    return free_slot;
}

static void
on_beat(void *arg, const struct bus_msg *msg)
{
    struct peers *peers = arg;
    const char *name = msg->subject + sizeof(PREFIX) - 1;
    if (strncmp(name, NAME_PREFIX, sizeof(NAME_PREFIX) - 1) != 0 ||
        strlen(name) >= PEERS_NAME_MAX || strcmp(name, peers->name) == 0)
        return;
    struct peer *peer = find(peers, name);
    if (!peer)
        return;
    (void)snprintf(peer->name, sizeof(peer->name), "%s", name);
    bool bye = msg->len == sizeof(GOODBYE) - 1 && memcmp(msg->data, GOODBYE, msg->len) == 0;
    peer->heard_ms = bye ? 0 : clock_mono_ms();
}

/* A gateway that has just reconnected does not judge its peers: their heartbeats are still unread. */
static void
on_timer(void *arg)
{
    struct peers *peers = arg;
    int64_t now_ms = clock_mono_ms();
    bool was_away = now_ms - peers->turned_ms > 3 * PEERS_BEAT_MS || !bus_connected(peers->bus);
    peers->turned_ms = now_ms;
    say(peers, "");
    for (unsigned i = 0; i < PEERS_MAX; i++) {
        struct peer *peer = &peers->known[i];
        if (!peer->heard_ms)
            continue;
        if (was_away) {
            peer->heard_ms = now_ms;
        } else if (now_ms - peer->heard_ms > PEERS_SILENT_MS) {
            log_warn("a gateway is silent: it is removed from the auth callout");
            kick_peer(peers->kick, peer->name);
            peer->heard_ms = 0;
        }
    }
}

enum rc
peers_open(struct loop *loop, struct bus *bus, struct kick *kick, const char *name,
           struct peers **out, struct err *err)
{
    struct peers *peers = calloc(1, sizeof(*peers));
    if (!peers)
        return err_set(err, RC_TEMP, "no memory");
    peers->bus = bus;
    peers->kick = kick;
    peers->turned_ms = clock_mono_ms();
    (void)snprintf(peers->name, sizeof(peers->name), "%s", name);
    enum rc rc = bus_subscribe(bus, PREFIX "*", NULL, on_beat, peers, &peers->sub, err);
    if (rc != RC_OK) {
        free(peers);
        return rc;
    }
    /* At once: a gateway that froze before its first heartbeat would never be missed. */
    say(peers, "");
    peers->timer = loop_timer_new(loop, on_timer, peers);
    loop_timer_set(peers->timer, PEERS_BEAT_MS, PEERS_BEAT_MS);
    *out = peers;
    return RC_OK;
}

void
peers_close(struct peers *peers)
{
    if (!peers)
        return;
    say(peers, GOODBYE);
    bus_unsubscribe(peers->sub);
    loop_timer_free(peers->timer);
    free(peers);
}
