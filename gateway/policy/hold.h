/* SPDX-License-Identifier: MIT */
/*
 * hold - actions that wait for an approval: rows of the table `approval`, which survive everything that
 * PostgreSQL survives.
 *
 * Theory of operation. A command that needs an approval is not published: its message, with all
 * that its claim needs, becomes a row (its payload encrypted under DATA_KEY for workspace and id), and the
 * job is shown as waiting_approval. A decision changes the row, in one statement, once. Everything after that
 * (telling who approves, publishing what was approved, ending the job of what was not, the audit events) is
 * done by outbox.c, which finds rows with something left to do, in whichever gateway is alive.
 *
 * Threads: the loop's thread only
 */
#ifndef GANTRY_GATEWAY_POLICY_HOLD_H
#define GANTRY_GATEWAY_POLICY_HOLD_H

#include "keys/dbwork.h"
#include "kv/kv.h"
#include "policy/decide.h"

#define HOLD_WAITING_MAX 1000                       /* of one workspace */
#define HOLD_KEEP_S      (90LL * 86400)             /* what is decided is listed for so long */
#define HOLD_PAYLOAD_MAX (MESSAGE_MAX + (64 << 10)) /* bytes of one, encrypted */

/* One that is to wait. */
struct held {
    const char *id;            /* the job's; borrowed */
    const struct asked *asked; /* borrowed */
    const char *payload;       /* what would have been published; borrowed during the call */
    size_t len;
};

/* All of them, or none. fn is called once, later, if RC_OK is returned. rc: RC_OK; RC_LIMIT: too many wait; RC_TEMP. */
typedef void hold_fn(void *arg, enum rc rc);
enum rc hold_all(struct request *r, const struct held *held, size_t n, hold_fn *fn, void *arg);

/* Show the job of one as waiting. fn gets the reply of job_hold.lua. */
void hold_show(struct request *r, const char *id, const struct asked *asked, kv_fn *fn, void *arg);
/* For ROUTE_COMMAND: hold the request's own command instead of publishing it, and answer 202. */
enum step hold_command(struct request *r);

/* The bytes that are approved: their hash, and the place under which they are encrypted. */
struct hold_bytes {
    const char *workspace, *id, *command;
    int64_t policy_version;
    const char *payload;
    size_t len;
};
void hold_hash(const struct gateway *gw, const struct hold_bytes *bytes, char hex[65]);
enum rc hold_open(const struct gateway *gw, const struct hold_bytes *place, const uint8_t *sealed,
                  size_t len, struct buf *out);

/* waiting.c: how many wait, for /metrics; read again now and then. */
struct exposition;
struct waiting;
enum rc waiting_open(struct gateway *gw, struct waiting **out, struct err *err);
void waiting_close(struct waiting *waiting); /* NULL is fine */
void waiting_expose(const struct waiting *waiting, const struct exposition *e);

/* outbox.c */
struct outbox;
enum rc outbox_open(struct gateway *gw, struct outbox **out, struct err *err);
void outbox_close(struct outbox *outbox); /* NULL is fine */
/* Something is to be done now. */
void outbox_kick(struct outbox *outbox);

#endif
