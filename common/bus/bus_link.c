/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "bus/bus_own.h"

/*
 * Theory of operation. nats.c is given our loop instead of a thread of its own for reading: it calls
 * on_attach() when it has a socket (on its reconnecting thread), and we call its parser when there
 * is something to read. Subscriptions are synchronous ones: the parser puts messages into their
 * queues on our thread, and bus_drain() takes them out again at once. So no other thread touches a
 * message, there is nothing to lock or to wake, and everything of one read is one batch.
 *
 * Publishing appends to nats.c's buffer. Its wish to write only sets want_write; flush_turn() makes
 * one write of everything once a turn, just before the loop waits.
 *
 * nats.c before 3.10 closes the socket on whatever thread notices a failure: the loop watches a
 * duplicate, so that the number cannot be another file's when the watch ends. Since 3.10 it leaves
 * the closing to us, after the watch has ended.
 *
 * nats.c gives up after the same authentication error twice. reopen_now() (bus_connect.c) then makes a new
 * connection with the same subscriptions: a server that was reconfigured must not end the program.
 */
#define CONNECT_TIMEOUT_MS 2000
#define RECONNECT_WAIT_MS  250
#define PING_EVERY_MS      20000
#define PENDING_BYTES      (1 << 20) /* held by nats.c while it reconnects */
#define READ_BYTES         (256 * 1024)
#define SERVERS_MAX        16 /* of one cluster; more are not asked */

#define CLOSING_IS_OURS (NATS_VERSION_NUMBER >= 0x030a00)

struct event {
    struct bus *bus;
    int fd, nats_fd;
    natsStatus status;
    char text[256];
};

static struct event *
event_new(struct bus *bus)
{
    struct event *event = calloc(1, sizeof(*event));
    if (!event)
        log_no_memory("an event of the NATS connection");
    event->bus = bus;
    event->fd = -1;
    return event;
}

/* --- the socket on the loop ------------------------------------------------------------------- */

void
bus_link_end(struct bus *bus)
{
    loop_watch_free(bus->watch);
    bus->watch = NULL;
    if (bus->fd >= 0)
        close(bus->fd);
    bus->fd = -1;
#if CLOSING_IS_OURS
    if (bus->nats_fd >= 0)
        natsConnection_ProcessCloseEvent(&bus->nats_fd);
    bus->nats_fd = -1;
#endif
}

static void
on_socket(void *arg, unsigned events)
{
    struct bus *bus = arg;
    if (events & LOOP_READ) {
        natsConnection_ProcessReadEvent(bus->nc);
        bus_drain(bus);
    }
    /* Writing happens in bus_link_turn(): being here has ended the wait. */
}

int
bus_link_turn(void *arg)
{
    struct bus *bus = arg;
    if (bus->nc && atomic_load(&bus->want_write)) {
        natsConnection_ProcessWriteEvent(bus->nc);
        if (bus->watch)
            loop_watch_set(bus->watch,
                           atomic_load(&bus->want_write) ? LOOP_READ | LOOP_WRITE : LOOP_READ);
    }
    bus_waste_turn(bus); /* when the rest is on its way */
    return -1;
}

void
bus_push(struct bus *bus)
{
    (void)bus_link_turn(bus);
}

static void
set_connected(struct bus *bus, bool connected)
{
    if (bus->connected == connected)
        return;
    bus->connected = connected;
    if (connected) {
        bus->was_connected = true;
        bus->refused = RC_OK;
    } else if (!bus->freeing) {
        pending_fail_all(bus, "the connection to NATS was lost");
    }
    if (bus->options.on_state && bus->opened && !bus->freeing)
        bus->options.on_state(bus->options.arg, connected);
}

static void
attached(void *arg)
{
    AUTO(free) struct event *event = arg;
    struct bus *bus = event->bus;
    struct err err = { 0 };
    bus_link_end(bus);
    bus->fd = event->fd;
    bus->nats_fd = event->nats_fd;
    if (loop_watch_new(bus->loop, bus->fd, LOOP_READ, on_socket, bus, &bus->watch, &err) != RC_OK) {
        log_error("NATS: %s", err.text);
        return;
    }
    set_connected(bus, true);
}

static void
detached(void *arg)
{
    AUTO(free) struct event *event = arg;
    struct bus *bus = event->bus;
    bus_link_end(bus);
    set_connected(bus, false);
}

static natsStatus
on_attach(void **user, void *loop, natsConnection *nc, natsSock fd)
{
    struct bus *bus = loop;
    (void)nc;
    *user = bus;
    struct event *event = event_new(bus);
    event->nats_fd = fd;
    event->fd = dup(fd);
    if (event->fd < 0) {
        free(event);
        return NATS_IO_ERROR;
    }
    loop_post(bus->loop, attached, event);
    return NATS_OK;
}

static natsStatus
on_read_wish(void *user, bool add)
{
    struct bus *bus = user;
    if (!add)
        loop_post(bus->loop, detached, event_new(bus));
    return NATS_OK;
}

static void
nothing(void *arg)
{
    (void)arg;
}

static natsStatus
on_write_wish(void *user, bool add)
{
    struct bus *bus = user;
    atomic_store(&bus->want_write, add);
    if (add && !pthread_equal(pthread_self(), bus->thread))
        loop_post(bus->loop, nothing, NULL);
    return NATS_OK;
}

static natsStatus
on_detach(void *user)
{
    struct bus *bus = user;
    loop_post(bus->loop, detached, event_new(bus));
    return NATS_OK;
}

/* --- what nats.c tells from its own threads --------------------------------------------------- */

static void
closed(void *arg)
{
    AUTO(free) struct event *event = arg;
    struct bus *bus = event->bus;
    bus->closed = true;
    bus_link_end(bus);
    set_connected(bus, false);
    /* It retries everything for ever but a refusal (credentials, or TLS that does not fit) and a server
     * that dies in the middle of the greeting; only the former happens again. */
    if (!bus->was_connected && ++bus->closes > 1)
        bus->refused = RC_CONFIG;
    if (bus->freeing)
        return;
    if (bus->was_connected)
        log_error("NATS closed the connection (%s): connecting again each second", event->text);
    loop_timer_set(bus->reopen, BUS_REOPEN_MS, 0);
}

/* Whoever asks chooses the reply subject: that must not end the program that answers. Our own
 * publishes go to "gantry." and "$" only, where no answer goes (bus_sub.c). */
static bool
is_answer(const char *violation)
{
    static const char PUBLISH[] = "Publish to \"";
    const char *subject = strstr(violation, PUBLISH);
    subject = subject ? subject + sizeof(PUBLISH) - 1 : "$";
    return *subject != '$' && strncmp(subject, "gantry.", 7) != 0;
}

static void
failed(void *arg)
{
    AUTO(free) struct event *event = arg;
    struct bus *bus = event->bus;
    if (event->status == NATS_SLOW_CONSUMER) {
        log_warn("NATS: messages were dropped, they came faster than they were read");
        return;
    }
    if (event->status != NATS_NOT_PERMITTED) {
        log_warn("NATS: %s", event->text);
        return;
    }
    if (is_answer(event->text)) {
        log_warn("NATS: an answer could not be delivered where the asker wanted it: %s",
                 event->text);
        return;
    }
    if (bus->options.on_violation) {
        bus->options.on_violation(bus->options.arg, event->text);
        return;
    }
    log_fatal("NATS refuses what this program needs, see nats/server.conf: %s", event->text);
    exit(EXIT_CONFIG);
}

static void
post_error(struct bus *bus, natsConnection *nc, natsStatus status, loop_fn *fn)
{
    struct event *event = event_new(bus);
    const char *text = NULL;
    event->status = natsConnection_GetLastError(nc, &text);
    if (status != NATS_OK)
        event->status = status;
    snprintf(event->text, sizeof(event->text), "%s",
             text ? text : natsStatus_GetText(event->status));
    loop_post(bus->loop, fn, event);
}

static void
on_error(natsConnection *nc, natsSubscription *sub, natsStatus status, void *arg)
{
    (void)sub;
    post_error(arg, nc, status, failed);
}

static void
on_closed(natsConnection *nc, void *arg)
{
    post_error(arg, nc, NATS_OK, closed);
}

static void
on_connected(natsConnection *nc, void *arg)
{
    (void)nc;
    (void)
        arg; /* on_attach() has told already; nats.c wants the callback to connect in background */
}

/* --- options --- */

/* One URL or a comma-separated list, each with its user and password. (natsOptions_SetURL() takes a
 * list for one URL with a strange password.) */
static natsStatus
set_servers(natsOptions *o, const char *urls)
{
    const char *servers[SERVERS_MAX];
    int count = 0;
    char *rest = NULL;
    char *copy = bus_copy_text(urls);

    for (char *one = strtok_r(copy, ", ", &rest); one; one = strtok_r(NULL, ", ", &rest)) {
        if (count == SERVERS_MAX)
            break;
        servers[count++] = one;
    }
    natsStatus s = natsOptions_SetServers(o, servers, count);
    free(copy);
    return s;
}

static natsStatus
set_times(natsOptions *o)
{
    natsStatus s = natsOptions_SetTimeout(o, CONNECT_TIMEOUT_MS);
    if (s == NATS_OK)
        s = natsOptions_SetPingInterval(o, PING_EVERY_MS);
    if (s == NATS_OK)
        s = natsOptions_SetMaxPingsOut(o, 2);
    if (s == NATS_OK)
        s = natsOptions_SetAllowReconnect(o, true);
    if (s == NATS_OK)
        s = natsOptions_SetMaxReconnect(o, -1);
    if (s == NATS_OK)
        s = natsOptions_SetReconnectWait(o, RECONNECT_WAIT_MS);
    if (s == NATS_OK)
        s = natsOptions_SetReconnectJitter(o, RECONNECT_WAIT_MS, RECONNECT_WAIT_MS);
    return s;
}

static natsStatus
set_sizes(natsOptions *o)
{
    natsStatus s = natsOptions_SetIOBufSize(o, READ_BYTES);
    if (s == NATS_OK)
        s = natsOptions_SetReconnectBufSize(o, PENDING_BYTES);
    return s;
}

static natsStatus
set_callbacks(struct bus *bus, natsOptions *o)
{
    natsStatus s = natsOptions_SetRetryOnFailedConnect(o, true, on_connected, bus);
    if (s == NATS_OK)
        s = natsOptions_SetErrorHandler(o, on_error, bus);
    if (s == NATS_OK)
        s = natsOptions_SetClosedCB(o, on_closed, bus);
    if (s == NATS_OK)
        s = natsOptions_SetEventLoop(o, bus, on_attach, on_read_wish, on_write_wish, on_detach);
    if (s == NATS_OK)
        s = natsOptions_SetSendAsap(o, true);
    return s;
}

static natsStatus
set_tls(natsOptions *o, const struct bus_options *options)
{
    natsStatus s = NATS_OK;
    if (strstr(options->url, "tls://"))
        s = natsOptions_SetSecure(o, true);
    if (s == NATS_OK && options->tls_ca_file)
        s = natsOptions_LoadCATrustedCertificates(o, options->tls_ca_file);
    if (s == NATS_OK && options->tls_cert_file)
        s = natsOptions_LoadCertificatesChain(o, options->tls_cert_file, options->tls_key_file);
    return s;
}

/* One after the other; the first failure stops it. */
natsStatus
bus_link_options(struct bus *bus, natsOptions *o)
{
    natsStatus s = set_servers(o, bus->options.url);
    if (s == NATS_OK)
        s = natsOptions_SetName(o, bus->options.name);
    if (s == NATS_OK)
        s = natsOptions_SetIgnoreDiscoveredServers(o, true);
    if (s == NATS_OK)
        s = set_times(o);
    if (s == NATS_OK)
        s = set_sizes(o);
    if (s == NATS_OK)
        s = set_callbacks(bus, o);
    if (s == NATS_OK)
        s = set_tls(o, &bus->options);
    return s;
}
