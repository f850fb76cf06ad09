/* SPDX-License-Identifier: MIT */
/*
 * events - what happens in a workspace, told to whoever listens: GET /ai/events, and requests that
 * wait for a job.
 *
 * An event comes from NATS, so that every gateway hears it: the .done events of commands, the states
 * that executor and connector tell (gantry.sys.jobs.<workspace>.<id>, gantry.sys.webhooks.<workspace>.<id>), and
 * what a gateway tells all of them (events_tell). It concerns one workspace and needs one scope; it holds no content, only names.
 * A workspace has a window of its last EVENTS_WINDOW events for as long as somebody listens, and
 * EVENTS_LINGER_MS longer, for those who come back with Last-Event-ID. Whatever may have been missed
 * (an id from before the window, another gateway's, an outage of NATS) is answered with the event
 * "missed".
 *
 * Units:   *_ms milliseconds
 * Threads: the loop's thread only
 * Source:  docs/http.md; WHATWG HTML 9.2 (server-sent events)
 */
#ifndef GANTRY_GATEWAY_EVENTS_EVENTS_H
#define GANTRY_GATEWAY_EVENTS_EVENTS_H

#include <sys/queue.h>

#include "base/id.h"
#include "base/rc.h"
#include "bus/bus.h"
#include "protocol/principal.h"

#define EVENTS_WINDOW       512
#define EVENTS_LINGER_MS    120000
#define EVENTS_HEARTBEAT_MS 15000
#define EVENTS_TEXT_MAX     448    /* bytes of one event, with the stream's framing */
#define EVENTS_UNREAD_MAX   262144 /* bytes that may wait for a listener: a whole window */

struct gateway;
struct events;
struct worker_answer;

enum rc events_open(struct gateway *gw, struct events **out, struct err *err);
void events_close(struct events *events); /* NULL allowed */

/* To all gateways, this one too: an event for those in the workspace who have the scope. data: a JSON
 * object in one line, at most EVENTS_TEXT_MAX / 2 bytes. Lost when NATS is unavailable; "missed" says so. */
void events_tell(struct gateway *gw, const char *workspace, enum scope scope, const char *name,
                 const char *data);
/* A command is done (also of families that nobody listens to). */
void events_done(struct events *events, const char *workspace, const char *family, const char *id,
                 const struct worker_answer *answer);
/* NATS is back after an outage: whoever listens may have missed some. */
void events_missed(struct events *events);
/* A key is no longer what it was: its listeners end, and ask again. */
void events_key_changed(struct events *events, const char *key_id);
/* No new listeners; those that there are end, and what waits for a job is told to go on. */
void events_drain(struct events *events);
unsigned events_listeners(const struct events *events);

/* Who waits for the next state of a job. */
struct job_watch {
    LIST_ENTRY(job_watch) link;
    char workspace[WORKSPACE_TEXT_MAX];
    char id[ID_TEXT_MAX];
    /* status: the new one; "" = unknown, look yourself; may call events_unwatch(). */
    void (*fn)(void *arg, const char *status);
    void *arg;
};
/* The watch is the caller's memory, until it is taken out. */
void events_watch(struct events *events, struct job_watch *watch);
void events_unwatch(struct job_watch *watch);

#endif
