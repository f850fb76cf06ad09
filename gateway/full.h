/* SPDX-License-Identifier: MIT */
/*
 * full - which bounds refused something lately, for /readyz, the metrics and the log.
 *
 * A bound that refuses is full for BOUND_MS. The log says whose request it was when that begins; readers
 * of /readyz, who need no key, see the bound's name only. docs/security.md has the table of bounds.
 *
 * Threads: the loop's thread only
 */
#ifndef GANTRY_GATEWAY_FULL_H
#define GANTRY_GATEWAY_FULL_H

#include <stdbool.h>
#include <stdint.h>

#include "json/json.h"
#include "protocol/exposition.h"

/* clang-format off */
#define FULL_TABLE(X)                                              \
    X(FULL_REQUESTS,    "requests")    /* a workspace's */         \
    X(FULL_BODIES,      "bodies")      /* a workspace's */         \
    X(FULL_ALL_BODIES,  "all_bodies")                              \
    X(FULL_QUEUE,       "queue")       /* a workspace's commands */\
    X(FULL_AUDIT,       "audit")       /* a workspace's events */  \
    X(FULL_REDIS_SHARE, "redis_share") /* a workspace's */         \
    X(FULL_IDEM_SHARE,  "idempotency_share") /* a workspace's */   \
    X(FULL_REDIS,       "redis")                                   \
    X(FULL_CONNECTIONS, "connections") /* of all addresses */      \
    X(FULL_ADDRESS,     "address_connections") /* an address's */  \
    X(FULL_ANSWERS,     "answers")     /* that are not read */     \
    X(FULL_ANSWER_BYTES, "answer_bytes") /* a workspace's, under way */ \
    X(FULL_KEY_CHECKS,  "key_checks")  /* that wait for Argon2 */  \
    X(FULL_SUBSCRIPTIONS, "nats_subscriptions") /* a connection's */ \
    X(FULL_KEY_CHANGES, "key_changes") /* a workspace's */         \
    X(FULL_ALL_KEY_CHANGES, "all_key_changes")                     \
    X(FULL_NATS,        "nats_connections") /* a workspace's */\
    X(FULL_LISTENERS,   "listeners")   /* a key's, a workspace's, all */
/* clang-format on */

enum full {
#define FULL_NAME(id, name) id,
    FULL_TABLE(FULL_NAME)
#undef FULL_NAME
        FULL_COUNT
};

struct full_mark {
    int64_t until_ms; /* monotonic; 0 = never yet */
    uint64_t refusals;
};

struct gateway;

void full_note(struct gateway *gw, enum full what, const char *workspace);
/* Of what the HTTP server refused since the last time; once a second. */
void full_watch(struct gateway *gw);
bool full_is(const struct gateway *gw, enum full what);
/* The member "full": the names of what is. */
void full_put(const struct gateway *gw, struct json_writer *w);
void full_expose(const struct gateway *gw, const struct exposition *e);

#endif
