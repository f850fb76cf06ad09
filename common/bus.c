/* SPDX-License-Identifier: MIT */
#include "bus.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus_own.h"
#include "cleanup.h"
#include "clock.h"
#include "id.h"
#include "log.h"

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
 * The socket belongs to nats.c, which closes it on whatever thread notices a failure: the loop
 * watches a duplicate, so that the number cannot be another file's when the watch ends.
 *
 * nats.c gives up after the same authentication error twice. reopen_now() then makes a new
 * connection with the same subscriptions: a server that was reconfigured must not end the program.
 */
#define CONNECT_TIMEOUT_MS 2000
#define RECONNECT_WAIT_MS  250
#define REOPEN_WAIT_MS     1000
#define PING_EVERY_MS      20000
#define PENDING_BYTES      (1 << 20) /* held by nats.c while it reconnects */
#define READ_BYTES         (256 * 1024)

struct event {
    struct bus *bus;
    int fd;
    natsStatus status;
    char text[256];
};

static struct event *
event_new(struct bus *bus)
{
    struct event *event = calloc(1, sizeof(*event));
    if (!event)
        exit(EXIT_TEMP);
    event->bus = bus;
    event->fd = -1;
    return event;
}

enum rc
rc_from_nats(natsStatus status, const char *what, struct err *err)
{
    switch ((int)status) {
    case NATS_OK:
        return RC_OK;
    case NATS_INVALID_ARG:
    case NATS_INVALID_SUBJECT:
    case NATS_INVALID_QUEUE_NAME:
    case NATS_ADDRESS_MISSING:
        return err_set(err, RC_BUG, "%s: %s", what, natsStatus_GetText(status));
    case NATS_MAX_PAYLOAD:
        return err_set(err, RC_LIMIT, "%s: larger than the server's max_payload", what);
    case NATS_NOT_PERMITTED:
    case NATS_CONNECTION_AUTH_FAILED:
    case NATS_SSL_ERROR:
        return err_set(err, RC_CONFIG, "%s: %s", what, natsStatus_GetText(status));
    default: /* the many ways in which a network fails */
        return err_set(err, RC_TEMP, "%s: %s", what, natsStatus_GetText(status));
    }
}

/* --- the socket on the loop ------------------------------------------------------------------- */

static void
end_watch(struct bus *bus)
{
    loop_watch_free(bus->watch);
    bus->watch = NULL;
    if (bus->fd >= 0)
        close(bus->fd);
    bus->fd = -1;
}

static void
on_socket(void *arg, unsigned events)
{
    struct bus *bus = arg;
    if (events & LOOP_READ) {
        natsConnection_ProcessReadEvent(bus->nc);
        bus_drain(bus);
    }
    /* Writing happens in flush_turn(): being here has ended the wait. */
}

static int
flush_turn(void *arg)
{
    struct bus *bus = arg;
    if (!bus->nc || !atomic_load(&bus->want_write))
        return -1;
    natsConnection_ProcessWriteEvent(bus->nc);
    if (bus->watch)
        loop_watch_set(bus->watch,
                       atomic_load(&bus->want_write) ? LOOP_READ | LOOP_WRITE : LOOP_READ);
    return -1;
}

void
bus_push(struct bus *bus)
{
    (void)flush_turn(bus);
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
    if (bus->options.on_state && !bus->freeing)
        bus->options.on_state(bus->options.arg, connected);
}

static void
attached(void *arg)
{
    AUTO(free) struct event *event = arg;
    struct bus *bus = event->bus;
    struct err err;
    end_watch(bus);
    bus->fd = event->fd;
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
    end_watch(bus);
    set_connected(bus, false);
}

static natsStatus
on_attach(void **user, void *loop, natsConnection *nc, natsSock fd)
{
    struct bus *bus = loop;
    (void)nc;
    *user = bus;
    struct event *event = event_new(bus);
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
    end_watch(bus);
    set_connected(bus, false);
    /* It retries everything for ever but a refusal: credentials, or TLS that does not fit. */
    if (!bus->was_connected)
        bus->refused = RC_CONFIG;
    if (bus->freeing)
        return;
    if (bus->was_connected)
        log_error("NATS closed the connection (%s): trying anew each second", event->text);
    loop_timer_set(bus->reopen, REOPEN_WAIT_MS, 0);
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

/* --- connecting ------------------------------------------------------------------------------- */

enum rc
bus_need(const struct bus *bus, struct err *err)
{
    if (bus->connected)
        return RC_OK;
    return err_set(err, RC_TEMP, "not connected to NATS");
}

/* nats.c frees neither on failure: the caller closes the bus. */
static natsStatus
set_options(struct bus *bus, natsOptions *o)
{
    const struct bus_options *options = &bus->options;
    natsStatus s = natsOptions_SetURL(o, options->url);
    bool tls = strstr(options->url, "tls://") != NULL;
    struct {
        natsStatus status;
    } steps[] = {
        { natsOptions_SetName(o, options->name) },
        { natsOptions_SetTimeout(o, CONNECT_TIMEOUT_MS) },
        { natsOptions_SetIOBufSize(o, READ_BYTES) },
        { natsOptions_SetPingInterval(o, PING_EVERY_MS) },
        { natsOptions_SetMaxPingsOut(o, 2) },
        { natsOptions_SetAllowReconnect(o, true) },
        { natsOptions_SetMaxReconnect(o, -1) },
        { natsOptions_SetReconnectWait(o, RECONNECT_WAIT_MS) },
        { natsOptions_SetReconnectJitter(o, RECONNECT_WAIT_MS, RECONNECT_WAIT_MS) },
        { natsOptions_SetReconnectBufSize(o, PENDING_BYTES) },
        { natsOptions_SetIgnoreDiscoveredServers(o, true) },
        { natsOptions_SetRetryOnFailedConnect(o, true, on_connected, bus) },
        { natsOptions_SetSendAsap(o, true) },
        { natsOptions_SetErrorHandler(o, on_error, bus) },
        { natsOptions_SetClosedCB(o, on_closed, bus) },
        { natsOptions_SetEventLoop(o, bus, on_attach, on_read_wish, on_write_wish, on_detach) },
        { tls ? natsOptions_SetSecure(o, true) : NATS_OK },
        { options->tls_ca_file ? natsOptions_LoadCATrustedCertificates(o, options->tls_ca_file)
                               : NATS_OK },
        { options->tls_cert_file
              ? natsOptions_LoadCertificatesChain(o, options->tls_cert_file, options->tls_key_file)
              : NATS_OK },
    };
    for (size_t i = 0; s == NATS_OK && i < ARRAY_LEN(steps); i++)
        s = steps[i].status;
    return s;
}

static enum rc
open_connection(struct bus *bus, struct err *err)
{
    bus->closed = false;
    natsStatus s = natsConnection_Connect(&bus->nc, bus->nats_options);
    if (s != NATS_OK && s != NATS_NOT_YET_CONNECTED) {
        enum rc rc = rc_from_nats(s, "connecting to NATS", err);
        bus->closed = true;
        natsConnection_Destroy(TAKE(bus->nc));
        return rc;
    }
    for (struct bus_sub *sub = bus->subs; sub; sub = sub->next) {
        enum rc rc = sub->dead ? RC_OK : bus_sub_open(sub, err);
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

static void
reopen_now(void *arg)
{
    struct bus *bus = arg;
    struct err err;
    for (struct bus_sub *sub = bus->subs; sub; sub = sub->next) {
        natsSubscription_Destroy(sub->sub);
        sub->sub = NULL;
    }
    natsConnection_Destroy(TAKE(bus->nc));
    atomic_store(&bus->want_write, false);
    if (open_connection(bus, &err) != RC_OK) {
        log_warn("%s: trying again", err.text);
        loop_timer_set(bus->reopen, REOPEN_WAIT_MS, 0);
    }
}

static char *
copy_text(const char *text)
{
    char *copy = text ? strdup(text) : NULL;
    if (text && !copy)
        exit(EXIT_TEMP);
    return copy;
}

static struct bus *
bus_new(struct loop *loop, const struct bus_options *options)
{
    struct bus *bus = calloc(1, sizeof(*bus));
    char unique[ID_TEXT_MAX];
    if (!bus)
        exit(EXIT_TEMP);
    bus->loop = loop;
    bus->options = *options;
    bus->options.url = copy_text(options->url);
    bus->options.name = copy_text(options->name ? options->name : "gantry");
    bus->options.inbox_prefix = NULL;
    bus->options.tls_ca_file = copy_text(options->tls_ca_file);
    bus->options.tls_cert_file = copy_text(options->tls_cert_file);
    bus->options.tls_key_file = copy_text(options->tls_key_file);
    bus->thread = pthread_self();
    bus->fd = -1;
    bus->expiry = loop_timer_new(loop, pending_expire, bus);
    bus->reopen = loop_timer_new(loop, reopen_now, bus);
    id_new_random(unique);
    snprintf(bus->inbox, sizeof(bus->inbox), "%.48s.%.8s%.4s",
             options->inbox_prefix ? options->inbox_prefix : "_INBOX", unique, unique + 9);
    loop_prepare(loop, flush_turn, bus);
    return bus;
}

enum rc
bus_connect(struct loop *loop, const struct bus_options *options, uint32_t wait_ms,
            struct bus **out, struct err *err)
{
    struct bus *bus = bus_new(loop, options);
    char subject[BUS_SUBJECT_MAX];
    enum rc rc = RC_OK;
    if (natsOptions_Create(&bus->nats_options) != NATS_OK)
        rc = err_set(err, RC_TEMP, "no memory for NATS");
    if (rc == RC_OK && set_options(bus, bus->nats_options) != NATS_OK)
        rc = err_set(err, RC_CONFIG, "NATS_URL or a TLS file cannot be used");
    snprintf(subject, sizeof(subject), "%s.j.*", bus->inbox);
    if (rc == RC_OK)
        rc = bus_subscribe(bus, subject, NULL, NULL, bus, &bus->mux, err);
    snprintf(subject, sizeof(subject), "%s.p.*", bus->inbox);
    if (rc == RC_OK)
        rc = bus_subscribe(bus, subject, NULL, NULL, bus, &bus->pulled, err);
    if (rc == RC_OK)
        rc = open_connection(bus, err);
    int64_t until_ms = clock_mono_ms() + wait_ms;
    while (rc == RC_OK && !bus->connected && bus->refused == RC_OK && clock_mono_ms() < until_ms)
        loop_turn(loop, 20);
    if (rc == RC_OK && bus->refused != RC_OK)
        rc = err_set(err, RC_CONFIG, "NATS refuses the user, password or TLS settings of NATS_URL");
    if (rc == RC_OK && wait_ms && !bus->connected)
        rc = err_set(err, RC_TEMP, "no connection to NATS within %u ms", wait_ms);
    if (rc != RC_OK) {
        bus_free(bus);
        return rc;
    }
    *out = bus;
    return RC_OK;
}

bool
bus_connected(const struct bus *bus)
{
    return bus->connected;
}

/* Waits for nats.c's threads to have told everything: they hold a pointer to the bus. */
static void
close_connection(struct bus *bus)
{
    if (!bus->nc)
        return;
    if (!bus->closed) {
        natsConnection_Close(bus->nc);
        int64_t until_ms = clock_mono_ms() + 5000;
        while (!bus->closed && clock_mono_ms() < until_ms)
            loop_turn(bus->loop, 10);
    }
    natsConnection_Destroy(TAKE(bus->nc));
}

void
bus_free(struct bus *bus)
{
    if (!bus)
        return;
    bus->freeing = true;
    if (bus->connected)
        (void)bus_flush(bus, 1000, NULL);
    loop_timer_free(bus->reopen);
    close_connection(bus);
    bus_subs_free(bus);
    end_watch(bus);
    loop_unprepare(bus->loop, flush_turn, bus);
    loop_timer_free(bus->expiry);
    pending_fini(bus);
    natsOptions_Destroy(bus->nats_options);
    void *texts[] = { (void *)(uintptr_t)bus->options.url, (void *)(uintptr_t)bus->options.name,
                      (void *)(uintptr_t)bus->options.tls_ca_file,
                      (void *)(uintptr_t)bus->options.tls_cert_file,
                      (void *)(uintptr_t)bus->options.tls_key_file };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        free(texts[i]);
    free(bus);
}

/* --- publishing ------------------------------------------------------------------------------- */

enum rc
bus_send(struct bus *bus, const struct bus_out *out, const char *reply, const char *msg_id,
         struct err *err)
{
    enum rc rc = bus_need(bus, err);
    if (rc != RC_OK)
        return rc;
    if (out->n_headers == 0 && !msg_id) {
        natsStatus sent =
            reply ? natsConnection_PublishRequest(bus->nc, out->subject, reply, out->data,
                                                  (int)out->len)
                  : natsConnection_Publish(bus->nc, out->subject, out->data, (int)out->len);
        return rc_from_nats(sent, "publishing", err);
    }
    natsMsg *msg = NULL;
    natsStatus s = natsMsg_Create(&msg, out->subject, reply, out->data, (int)out->len);
    for (size_t i = 0; s == NATS_OK && i < out->n_headers; i++)
        s = natsMsgHeader_Set(msg, out->headers[i].name, out->headers[i].value);
    if (s == NATS_OK && msg_id)
        s = natsMsgHeader_Set(msg, "Nats-Msg-Id", msg_id);
    if (s == NATS_OK)
        s = natsConnection_PublishMsg(bus->nc, msg);
    natsMsg_Destroy(msg);
    return rc_from_nats(s, "publishing", err);
}

enum rc
bus_publish(struct bus *bus, const struct bus_out *out, struct err *err)
{
    return bus_send(bus, out, out->reply, NULL, err);
}

struct flushing {
    bool done;
    enum rc rc;
};

static void
flushed(void *arg, enum rc rc, bool duplicate, const struct err *err)
{
    struct flushing *flushing = arg;
    (void)duplicate;
    (void)err;
    flushing->done = true;
    flushing->rc = rc;
}

/* A message to ourselves comes back after everything before it has been read by the server. */
enum rc
bus_flush(struct bus *bus, uint32_t timeout_ms, struct err *err)
{
    struct flushing flushing = { 0 };
    char subject[BUS_SUBJECT_MAX];
    enum rc rc = bus_need(bus, err);
    if (rc != RC_OK)
        return rc;
    struct pending *pending = pending_new(bus, PENDING_SETTLE, timeout_ms);
    if (!pending)
        return err_set(err, RC_TEMP, "too many answers are awaited");
    pending->ack_fn = flushed;
    pending->arg = &flushing;
    pending_reply(bus, pending, "j", subject);
    struct bus_out out = { .subject = subject };
    rc = bus_send(bus, &out, NULL, NULL, err);
    if (rc != RC_OK) {
        pending_free(bus, pending);
        return rc;
    }
    while (!flushing.done)
        loop_turn(bus->loop, 20);
    if (flushing.rc != RC_OK)
        return err_set(err, RC_TEMP, "NATS has not read everything in time");
    return RC_OK;
}
