/* SPDX-License-Identifier: MIT */
/*
 * events_own - what the files of this folder share; nobody else includes it.
 *
 * events.c hears NATS and wakes who waits for a job; channels.c keeps each workspace's window and its
 * listeners; listen.c is the route.
 *
 * Source: gateway/events/events.h
 */
#ifndef GANTRY_GATEWAY_EVENTS_EVENTS_OWN_H
#define GANTRY_GATEWAY_EVENTS_EVENTS_OWN_H

#include "base/buf.h"
#include "base/loop.h"
#include "events/events.h"
#include "requests/request.h"

#define CHANNEL_BUCKETS 1024
#define WATCH_BUCKETS   1024

struct listener {
    TAILQ_ENTRY(listener) channel_link;
    TAILQ_ENTRY(listener) beat_link;
    struct channel *channel; /* borrowed; NULL: it has left its channel */
    struct request *r;       /* borrowed: its owner */
    struct tally_row *share; /* borrowed: the workspace's */
    int64_t beat_ms;         /* monotonic: when something was written last */
    bool open;               /* its answer has begun */
};
TAILQ_HEAD(listener_list, listener);

/* One event as it goes out, without its id. */
struct told {
    uint64_t number;
    uint32_t scope;       /* the bit that a listener needs; 0 = everybody */
    char id[ID_TEXT_MAX]; /* of the job, else "" */
    char status[16];      /* … and its state */
    char *text;           /* owned */
    size_t len;
};

struct channel {
    LIST_ENTRY(channel) link;
    char workspace[WORKSPACE_TEXT_MAX];
    char epoch[17];                    /* of the numbers: 16 hex digits */
    uint64_t last;                     /* number of the newest event */
    struct told window[EVENTS_WINDOW]; /* a ring, by number */
    struct listener_list listeners;
    int64_t quiet_ms; /* monotonic: since nobody listens; 0 = somebody does */
};
LIST_HEAD(channel_list, channel);
LIST_HEAD(watch_list, job_watch);

struct events {
    struct gateway *gw; /* borrowed */
    struct channel_list channels[CHANNEL_BUCKETS];
    struct listener_list beats; /* all, the one that was written to longest ago first */
    unsigned n_listeners;
    struct tally *shares; /* owned: listeners of each workspace */
    struct watch_list watches[WATCH_BUCKETS];
    struct loop_timer *timer; /* owned */
    bool draining;
};

/* An event, as its source gives it. */
struct telling {
    const char *workspace;
    uint32_t scope;   /* bit */
    const char *name; /* of the event */
    const char *data; /* JSON, one line */
    const char *job;  /* of a job: its id and state; NULL = none */
    const char *status;
};

/* channels.c */
struct channel *channel_find(struct events *events, const char *workspace);
struct channel *channel_get(struct events *events, const char *workspace); /* NULL: no memory */
void channel_tell(struct channel *channel, const struct telling *telling);
void channel_missed(struct channel *channel);
void channel_free(struct channel *channel);
/* What the listener hears first: "ready", what it missed, or "missed". */
void channel_greet(struct channel *channel, struct listener *listener, const char *last_id);
/* Once a second: heartbeats, listeners whose key is no more, channels that nobody needs. */
void channels_tick(void *events);
void listener_leave(struct listener *listener);
void listener_end(struct listener *listener); /* politely */

#endif
