/* SPDX-License-Identifier: MIT */
/*
 * bus_out - what every file of the door needs to send: texts, publishing, messages to destroy.
 *
 * natsMsg_Destroy() hands a message to a thread of nats.c and wakes it: one by one that costs more than
 * all else together. bus_waste() collects them, and they are destroyed in one go, at the end of a turn that
 * leaves many of them or large ones: where one request comes after the other, waking the thread once a
 * turn would still be the most expensive part of it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "bus/bus_own.h"

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

char *
bus_copy_text(const char *text)
{
    char *copy = text ? strdup(text) : NULL;
    if (text && !copy)
        log_no_memory("a text of the NATS connection");
    return copy;
}

enum rc
bus_need(const struct bus *bus, struct err *err)
{
    if (bus->connected)
        return RC_OK;
    return err_set_of(err, SERVER_NATS, RC_TEMP, "not connected to NATS");
}

void
bus_waste_burn(struct bus *bus)
{
    for (size_t i = 0; i < bus->n_waste; i++)
        natsMsg_Destroy(bus->waste[i]);
    bus->n_waste = 0;
    bus->waste_bytes = 0;
}

void
bus_waste_turn(struct bus *bus)
{
    if (bus->n_waste >= BUS_WASTE_FEW || bus->waste_bytes >= BUS_WASTE_BYTES)
        bus_waste_burn(bus);
}

/* It may have held a secret on its way, and it may stay for long: nats.c does not wipe what it frees. */
void
bus_waste(struct bus *bus, natsMsg *msg)
{
    size_t len = (size_t)natsMsg_GetDataLength(msg);
    if (len)
        explicit_bzero((void *)(uintptr_t)natsMsg_GetData(msg), len);
    if (bus->n_waste == BUS_WASTE_MAX)
        bus_waste_burn(bus);
    bus->waste[bus->n_waste++] = msg;
    bus->waste_bytes += len;
}

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
