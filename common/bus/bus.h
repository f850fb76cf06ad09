/* SPDX-License-Identifier: MIT */
/*
 * bus - the one door to NATS: connection, publishing, subscriptions and JetStream, on the loop.
 *
 * The connection is driven by the program's loop; callbacks run on the loop's thread. It reconnects
 * for ever by itself; while it is down publishing answers RC_TEMP. A permission violation that the
 * server reports is a configuration error: it is logged with the subject, counted, and handed to
 * on_violation (default: the program exits with EXIT_CONFIG).
 *
 * A callback never runs before the call that takes it has returned; when that call fails, it never
 * runs. bus_connect(), bus_flush(), bus_request_sync(), bus_pull_drain() and bus_free() turn the
 * loop: other callbacks run inside them. Only on_violation may be called while bus_connect() waits.
 *
 * Shape:   a message is subject, optional reply, headers, payload; all borrowed during a callback
 * Units:   *_ms milliseconds; stream_ns nanoseconds since the epoch, set by the server
 * Errors:  RC_TEMP not connected, no answer in time, stream full (err says which) · RC_CONFIG refused
 * Threads: the loop's thread only
 * Source:  NATS client protocol; ADR-1 (JetStream API), ADR-32 (service errors); nats.c
 */
#ifndef GANTRY_BUS_BUS_H
#define GANTRY_BUS_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "base/rc.h"

struct bus;
struct bus_sub;

struct bus_header {
    const char *name;
    const char *value;
};

struct bus_msg {
    const char *subject;
    const char *reply; /* NULL when none is wanted */
    const char *data;
    size_t len;
    /* Set for JetStream deliveries only (the reply is then the ack subject): */
    uint64_t stream_seq;
    uint64_t deliveries; /* 1 for the first */
    int64_t stream_ns;
    const void *handle; /* the door's own */
};

struct bus_options {
    const char *url;          /* nats://user:password@host:port or tls://…, comma-separated */
    const char *name;         /* connection name, e.g. "gantry-ingest" */
    const char *inbox_prefix; /* e.g. "_INBOX.ingest"; NULL = "_INBOX"; a unique token is added */
    const char *tls_ca_file, *tls_cert_file, *tls_key_file; /* NULL = none */
    void (*on_violation)(void *arg, const char *text);      /* NULL = fatal */
    /* Each change after bus_connect() has returned; may be NULL. */
    void (*on_state)(void *arg, bool connected);
    void *arg;
};

typedef void bus_fn(void *arg, const struct bus_msg *msg);
/* rc: RC_OK and msg, or RC_TEMP with msg NULL (no answer in time, no responder: err says). */
typedef void bus_reply_fn(void *arg, enum rc rc, const struct bus_msg *msg, const struct err *err);
/* The PubAck. duplicate: the server had this Nats-Msg-Id already. RC_LIMIT: the subject is full. */
typedef void bus_ack_fn(void *arg, enum rc rc, bool duplicate, const struct err *err);

/* Starts connecting; RC_CONFIG for an unusable URL. Waits up to wait_ms for the first connection
 * (RC_TEMP when it takes longer). */
enum rc bus_connect(struct loop *loop, const struct bus_options *options, uint32_t wait_ms,
                    struct bus **out, struct err *err);
/* Flushes, closes, releases. Answers still awaited are dropped: no callback runs any more. */
void bus_free(struct bus *bus);
bool bus_connected(const struct bus *bus);
/* Write what was published now, from inside a long call that does not turn the loop. */
void bus_push(struct bus *bus);
/* Wait until everything published has reached the server. For shutdown and tools. */
enum rc bus_flush(struct bus *bus, uint32_t timeout_ms, struct err *err);

/* Headers of a received message; NULL when absent. Borrowed during the callback. */
const char *bus_msg_header(const struct bus_msg *msg, const char *name);

/* Core publish and request. headers end at n_headers; data may be NULL with len 0. */
struct bus_out {
    const char *subject;
    const char *reply; /* usually NULL */
    const struct bus_header *headers;
    size_t n_headers;
    const void *data;
    size_t len;
};
enum rc bus_publish(struct bus *bus, const struct bus_out *out, struct err *err);
/* If RC_OK is returned, fn is called exactly once; otherwise never. */
enum rc bus_request(struct bus *bus, const struct bus_out *out, uint32_t timeout_ms,
                    bus_reply_fn *fn, void *arg, struct err *err);
/* JetStream publish: if RC_OK is returned, fn is called exactly once, with the PubAck or its absence within timeout_ms.
 * msg_id may be NULL. What was reported RC_TEMP may be stored all the same: publish again with the
 * same msg_id. */
enum rc bus_js_publish(struct bus *bus, const struct bus_out *out, const char *msg_id,
                       uint32_t timeout_ms, bus_ack_fn *fn, void *arg, struct err *err);

/* queue NULL = every subscriber gets each message. Messages of one subscription come in their order; what
 * one read brought for several comes for the newest of them first. */
enum rc bus_subscribe(struct bus *bus, const char *subject, const char *queue, bus_fn *fn,
                      void *arg, struct bus_sub **out, struct err *err);
void bus_unsubscribe(struct bus_sub *sub);
/* Take nothing new: the server stops sending, what is on its way is still delivered. */
void bus_sub_drain(struct bus_sub *sub);
/* The same for everything that is pulled, for good. Turns the loop until what the server has chosen
 * for us is here. */
void bus_pull_drain(struct bus *bus);

/* Pull consumers: deliver up to batch messages of an existing durable consumer to fn, with credit
 * given by bus_pull_more(). fn gets JetStream messages; msg NULL means "the request ended" (time,
 * or the batch is complete). Missing heartbeats and lost requests end by themselves. */
struct bus_pull;
enum rc bus_pull_new(struct bus *bus, const char *stream, const char *consumer, bus_fn *fn,
                     void *arg, struct bus_pull **out, struct err *err);
enum rc bus_pull_more(struct bus_pull *pull, unsigned batch, uint32_t wait_ms, struct err *err);
/* How many messages the requests under way may still bring. */
unsigned bus_pull_credit(const struct bus_pull *pull);
void bus_pull_free(struct bus_pull *pull);

/* Keep a message beyond its callback; bus_msg_release() ends it. */
struct bus_msg *bus_msg_keep(const struct bus_msg *msg);
void bus_msg_release(struct bus_msg *msg);

/* Settling JetStream messages. bus_ack() is the double ack: fn hears of the server's confirmation. */
enum bus_settle { BUS_ACK, BUS_NAK, BUS_TERM, BUS_PROGRESS };
enum rc bus_settle(struct bus *bus, const struct bus_msg *msg, enum bus_settle how,
                   uint32_t delay_ms, bus_ack_fn *fn, void *arg, struct err *err);

/* For tools without a loop of their own: turn the loop until the answer is there. The answer is
 * malloc()ed into *data. */
enum rc bus_request_sync(struct bus *bus, const struct bus_out *out, uint32_t timeout_ms,
                         char **data, size_t *len, struct err *err);

#endif
