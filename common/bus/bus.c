/* SPDX-License-Identifier: MIT */
#include "bus/bus.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "bus/bus_own.h"
#include "process/transport.h"

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

/* --- connecting ------------------------------------------------------------------------------- */

enum rc
bus_need(const struct bus *bus, struct err *err)
{
    if (bus->connected)
        return RC_OK;
    return err_set(err, RC_TEMP, "not connected to NATS");
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
        loop_timer_set(bus->reopen, BUS_REOPEN_MS, 0);
    }
}

char *
bus_copy_text(const char *text)
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
    bus->options.url = bus_copy_text(options->url);
    bus->options.name = bus_copy_text(options->name ? options->name : "gantry");
    bus->options.inbox_prefix = NULL;
    bus->options.tls_ca_file = bus_copy_text(options->tls_ca_file);
    bus->options.tls_cert_file = bus_copy_text(options->tls_cert_file);
    bus->options.tls_key_file = bus_copy_text(options->tls_key_file);
    bus->thread = pthread_self();
    bus->fd = bus->nats_fd = -1;
    bus->expiry = loop_timer_new(loop, pending_expire, bus);
    bus->reopen = loop_timer_new(loop, reopen_now, bus);
    id_new_random(unique);
    snprintf(bus->inbox, sizeof(bus->inbox), "%.48s.%.8s%.4s",
             options->inbox_prefix ? options->inbox_prefix : "_INBOX", unique, unique + 9);
    loop_prepare(loop, bus_link_turn, bus);
    return bus;
}

enum rc
bus_connect(struct loop *loop, const struct bus_options *options, uint32_t wait_ms,
            struct bus **out, struct err *err)
{
    struct bus *bus = bus_new(loop, options);
    char subject[BUS_SUBJECT_MAX];
    char place[TRANSPORT_PLACE_MAX];
    enum rc rc = RC_OK;
    transport_place(options->url, place);
    if (natsOptions_Create(&bus->nats_options) != NATS_OK)
        rc = err_set(err, RC_TEMP, "no memory for NATS");
    if (rc == RC_OK && bus_link_options(bus, bus->nats_options) != NATS_OK)
        rc = err_set(err, RC_CONFIG, "the URL of NATS or a TLS file cannot be used");
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
        rc = err_set(err, RC_CONFIG,
                     "NATS at %s refuses the user, the password or the TLS settings", place);
    if (rc == RC_OK && wait_ms && !bus->connected)
        rc = err_set(err, RC_TEMP, "no connection to NATS at %s within %u ms", place, wait_ms);
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
    bus_waste_burn(bus);
    bus_link_end(bus);
    loop_unprepare(bus->loop, bus_link_turn, bus);
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
    if (msg)
        bus_waste(bus, msg);
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
