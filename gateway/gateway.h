/* SPDX-License-Identifier: MIT */
/*
 * gateway - what the whole program holds: connections, caches, counters.
 *
 * Threads: the loop's thread only; the key pool's threads see nothing of it (keys.h)
 */
#ifndef GANTRY_GATEWAY_GATEWAY_H
#define GANTRY_GATEWAY_GATEWAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/loop.h"
#include "bus/bus.h"
#include "crypto/crypto.h"
#include "full.h"
#include "http/http.h"
#include "kv/kv.h"
#include "protocol/command.h"
#include "protocol/jobs.h"
#include "protocol/metrics.h"
#include "scripts.h"
#include "settings.h"
#include "trace/stages.h"

struct keys;
struct gcra_table;
struct waiters;
struct lists;
struct http_server;
struct allowlist;
struct dbworker;
struct uses;
struct audit;
struct direct;
struct fleet;
struct shares;
struct tally;
struct room;
struct traffic;
struct events;
struct streams;
struct served;
struct mcp;
struct cors;
struct outbox;
struct waiting;

/* clang-format off */
#define COUNTER_TABLE(X)                                                                       \
    X(unauthorized_total,   "requests without a valid key")                                    \
    X(rate_limited_total,   "requests answered 429")                                           \
    X(rate_local_total,     "requests limited by the local limiter because Redis was unavailable")    \
    X(share_refused_total,  "requests refused because their workspace's share of Redis was used up")\
    X(published_total,      "commands acknowledged by JetStream")                              \
    X(publish_failed_total, "commands that JetStream did not acknowledge in time")             \
    X(accepted_total,       "commands answered 202 because the wait ran out or was not wanted")\
    X(replayed_total,       "requests answered from the idempotency record")                   \
    X(approvals_asked_total, "actions that were held until somebody approves them")             \
    X(approvals_approved_total, "actions that were approved here")                             \
    X(approvals_denied_total, "actions that were not approved, decided here")                  \
    X(memory_refused_total, "requests refused because too many bodies were in memory")         \
    X(nats_logins_total,    "NATS logins with a valid key")                                    \
    X(nats_logins_refused_total, "NATS logins without a valid key")                            \
    X(nats_logins_failed_total,  "NATS logins that could not be decided")                      \
    X(nats_crowded_total, "NATS logins refused and connections ended beyond a workspace's share")\
    X(nats_kicks_total,     "NATS connections ended because their key was revoked or changed")
/* clang-format on */

/* Told by /debug/status; /metrics has http_requests_total instead. */
#define ANSWER_TABLE(X)                                                                            \
    X(requests_total, "requests that reached a route's checks")                                    \
    X(answers_2xx_total, "answers with a status of 200 to 299")                                    \
    X(answers_4xx_total, "answers with a status of 400 to 499")                                    \
    X(answers_5xx_total, "answers with a status of 500 to 599")

struct counters {
#define COUNTER_MEMBER(name, help) uint64_t name;
    ANSWER_TABLE(COUNTER_MEMBER)
    COUNTER_TABLE(COUNTER_MEMBER)
#undef COUNTER_MEMBER
};

struct gateway {
    const struct settings *settings; /* borrowed */
    struct loop *loop;
    struct bus *bus;
    struct kv *kv;
    struct keys *keys;
    struct gcra_table *limiter;
    unsigned hooks_asked; /* requests to hooks that gantry-connector is asked about */
    struct waiters *waiters;
    struct lists *lists; /* of commands that leave in this turn */
    struct allowlist *allowlist;
    struct connectors *connectors; /* NULL: there is no gantry-connector */
    struct dbworker *dbworker;
    struct uses *uses;
    struct audit *audit;
    struct direct *direct; /* NULL: off */
    struct fleet *fleet;   /* of workers */
    struct shares *shares;
    struct tally *tally;     /* of requests under way */
    struct room *room;       /* for answers under way */
    struct traffic *traffic; /* of each workspace's requests, for its overview */
    struct events *events;
    struct served *served; /* of each route */
    struct streams *streams;
    char instance[METRICS_NAME_MAX]; /* of this process, as the metrics name it */
    struct series_set series;        /* owned: stages of commands */
    struct tracer *tracer;           /* owned */
    struct stages stages;
    struct mcp *mcp;
    struct cors *cors;
    struct outbox *outbox;   /* of approvals */
    struct waiting *waiting; /* how many of them wait */
    struct full_mark full[FULL_COUNT];
    struct http_counts http_seen; /* full_watch() */
    struct http_server *http;
    struct http_server *admin;
    uint8_t actor_keys[CMD_COUNT][CRYPTO_KEY_LEN]; /* claims.h */
    uint8_t idem_key[CRYPTO_KEY_LEN];              /* keyed hashes of idempotency keys and bodies */
    uint8_t cursor_key[CRYPTO_KEY_LEN];            /* MACs of cursors */
    struct jobs jobs;
    int64_t room_asked_ms;          /* Redis' memory: when it was last asked for, monotonic */
    bool room_short;                /* 80 % of it are used: no new jobs */
    struct loop_timer *redis_timer; /* owned; asks whether Redis takes writes */
    bool redis_refuses;             /* the last write was refused: full, or its disk is */
    struct counters count;
    uint64_t buffered_bytes; /* bodies in memory */
    unsigned in_flight;      /* requests that are not finished */
    unsigned max_connections;
    bool draining;
    struct buf openapi; /* the document, made at the start */
    struct buf docs;    /* the page made of it */
    int64_t started_ms; /* wall */
};

#endif
