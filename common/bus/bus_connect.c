/* SPDX-License-Identifier: MIT */
/*
 * bus_connect - the life of a connection: made, made anew when nats.c has given up, closed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "bus/bus_own.h"
#include "process/transport.h"

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
    struct bus_sub *sub;
    LIST_FOREACH (sub, &bus->subs, all) {
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
    struct bus_sub *sub;
    struct err err = { 0 };
    LIST_FOREACH (sub, &bus->subs, all) {
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

static struct bus *
bus_new(struct loop *loop, const struct bus_options *options)
{
    struct bus *bus = calloc(1, sizeof(*bus));
    char unique[ID_TEXT_MAX];
    if (!bus)
        log_no_memory("a connection to NATS");
    bus->loop = loop;
    bus->options = *options;
    bus->options.url = bus_copy_text(options->url);
    bus->options.name = bus_copy_text(options->name ? options->name : "gantry");
    bus->options.inbox_prefix = NULL;
    bus->options.tls_ca_file = bus_copy_text(options->tls_ca_file);
    bus->options.tls_cert_file = bus_copy_text(options->tls_cert_file);
    bus->options.tls_key_file = bus_copy_text(options->tls_key_file);
    LIST_INIT(&bus->subs);
    TAILQ_INIT(&bus->free_slots);
    bus->thread = pthread_self();
    bus->fd = bus->nats_fd = -1;
    bus->expiry = loop_timer_new(loop, pending_expire, bus);
    bus->reopen = loop_timer_new(loop, reopen_now, bus);
    id_new_random(unique);
    snprintf(bus->inbox, sizeof(bus->inbox), "%.48s.%.8s%.4s",
             options->inbox_prefix ? options->inbox_prefix : "_INBOX", unique, unique + 9);
    loop_prepare(loop, LOOP_RANK_WRITE, bus_link_turn, bus);
    return bus;
}

enum rc
bus_connect(struct loop *loop, const struct bus_options *options, uint32_t wait_ms,
            struct bus **out, struct err *err)
{
    struct bus *bus = bus_new(loop, options);
    char place[TRANSPORT_PLACE_MAX];
    enum rc rc = RC_OK;
    transport_place(options->url, place);
    if (natsOptions_Create(&bus->nats_options) != NATS_OK)
        rc = err_set(err, RC_TEMP, "no memory for NATS");
    if (rc == RC_OK && bus_link_options(bus, bus->nats_options) != NATS_OK)
        rc = err_set(err, RC_CONFIG, "the URL of NATS or a TLS file cannot be used");
    if (rc == RC_OK)
        rc = bus_js_listen(bus, err);
    if (rc == RC_OK)
        rc = bus_pull_listen(bus, err);
    if (rc == RC_OK)
        rc = open_connection(bus, err);
    int64_t until_ms = clock_mono_ms() + wait_ms;
    while (rc == RC_OK && !bus->connected && bus->refused == RC_OK && clock_mono_ms() < until_ms)
        loop_turn(loop, 20);
    if (rc == RC_OK && bus->refused != RC_OK)
        rc = err_set_of(err, SERVER_NATS, RC_CONFIG,
                        "NATS at %s refuses the user, the password or the TLS settings", place);
    if (rc == RC_OK && wait_ms && !bus->connected)
        rc = err_set_of(err, SERVER_NATS, RC_TEMP, "no connection to NATS at %s within %u ms",
                        place, wait_ms);
    if (rc != RC_OK) {
        bus_free(bus);
        return rc;
    }
    bus->opened = true;
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
