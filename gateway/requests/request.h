/* SPDX-License-Identifier: MIT */
/*
 * request - one HTTP request on its way through the checks, and its answer.
 *
 * Theory of operation. A request passes the stages of the table in request.c, in that order and no
 * other. A stage goes on, waits (its continuation calls request_continue()), or answers; an answer
 * jumps to the closing stages (idempotency record, audit), then the answer leaves. Exactly one
 * continuation is under way for a waiting request, and the HTTP door frees none that waits, so a
 * request lives at least as long as what it waits for.
 *
 * Units:   *_ms milliseconds; *_us microseconds (monotonic)
 * Threads: the loop's thread only
 * Source:  contract 4.1 (order of checks)
 */
#ifndef GANTRY_GATEWAY_REQUESTS_REQUEST_H
#define GANTRY_GATEWAY_REQUESTS_REQUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/id.h"
#include "base/loop.h"
#include "bus/bus.h"
#include "effects/room.h"
#include "http/http.h"
#include "json/json.h"
#include "protocol/principal.h"
#include "requests/routes.h"
#include "tally.h"
#include "trace/stages.h"
#include "validate/problem.h"

struct gateway;
struct key;
struct policy_decision;

#define ANSWER_MAX  (8u << 20) /* bytes of an answer's body */
#define WAIT_MS_MAX 60000

#define IDEM_PLACE_MAX 200

enum idem_hold {
    IDEM_NONE,     /* no key, or its lease was given back */
    IDEM_RESERVED, /* we hold the lease and must record or release */
    IDEM_REPLAYED  /* the answer is the record's */
};

/* Idempotency of this request (idem.c). */
struct idem {
    enum idem_hold hold;
    char hash[65];              /* SHA-256 of the client's key, for the audit */
    char body_hash[65];         /* keyed, of the body without client_request_id */
    char place[IDEM_PLACE_MAX]; /* the Redis key */
    int64_t attempt;
};

/* Where what was asked for has got to: it decides who writes the audit event. */
enum effect {
    EFFECT_HERE,   /* nothing left the gateway, which writes the event */
    EFFECT_SENT,   /* a worker may have seen it: both write it under one id, the first counts */
    EFFECT_STORED, /* its command is in JetStream: a worker will execute it and write the event */
    EFFECT_SETTLED /* a worker has answered, and has written it */
};

struct request {
    struct gateway *gw;        /* borrowed */
    struct exchange *exchange; /* borrowed: the door's side */
    bool admin;                /* of the admin listener */
    bool preflight;            /* a browser's question before a request (cors.h): nobody's */
    const struct route *route;
    struct route_match match;
    enum http_method method;
    bool method_known;
    const char *uri; /* the exchange's; raw, with the query */
    size_t path_len;
    char request_id[REQUEST_ID_MAX];
    struct trace trace; /* its state is the exchange's */
    struct request_hop {
        int64_t start_us; /* 0 = not begun */
        uint64_t span;
    } hop, audit_hop;             /* to a worker; of its event to AUDIT */
    char client[HTTP_CLIENT_MAX]; /* the client's address */
    const struct key *key;        /* borrowed for the current stage only */
    struct principal actor;
    bool authenticated;
    struct tally_row *load; /* borrowed: its workspace's, which counts it; NULL = uncounted */
    size_t load_bytes;      /* of its body, counted there */
    bool key_tried;         /* the credentials were looked at */
    int64_t accepted_ms;    /* wall */
    int64_t start_us;
    size_t body_max;
    struct buf body;      /* as the client sent it */
    cJSON *doc;           /* owned; body with the parameters in it */
    struct buf payload;   /* what is published when it is not the body itself */
    bool rebuilt;         /* payload holds it */
    char id[ID_TEXT_MAX]; /* of the command */
    uint32_t wait_ms;
    bool respond_async;
    struct idem idem;
    struct http_answer answer;
    const struct policy_decision *decision; /* borrowed: its own or the route's; NULL = none */
    const char *code;                       /* the answer's problem code, static; NULL on success */
    const char *job_status; /* of an answer about one job: its state, static; NULL = none */
    /* the machine */
    unsigned stage;
    bool waiting;             /* a continuation is under way */
    bool closing;             /* in the closing stages */
    bool complete;            /* the body was read to its end */
    struct loop_timer *timer; /* owned; made when first needed */
    void (*on_timer)(struct request *r);
    char audit_id[ID_TEXT_MAX]; /* of its event, once that was announced; "" = not */
    enum effect effect;
    LIST_ENTRY(request) waiters; /* waiters.c, while waits is true */
    bool waits;
    void *own;      /* of the route's function; freed with free() */
    cJSON *own_doc; /* the same; owned */
    /* an answer in pieces: its head is on its way; the request is over, however it ends; may be NULL */
    void (*on_open)(struct request *r);
    void (*on_gone)(struct request *r);
    struct room_part room; /* for the answer to what it asks */
    struct request_ask {   /* forward_ask()'s */
        bool unrecorded, crowded, unasked;
        int64_t begun_us; /* monotonic */
        bus_reply_fn *fn;
        void *arg;
    } ask;
    unsigned held; /* how many things outlive the answer's head and still need this request */
    /* inner.c: made by another request, which it answers instead of a connection */
    struct request *outer; /* borrowed; NULL: it came over HTTP */
    void (*done)(void *arg, struct request *r);
    void *done_arg;
};

/* Its command's claim names it; that of a repeat names the first request. */
static inline bool
request_is_first(const struct request *r)
{
    return r->idem.hold != IDEM_REPLAYED && r->idem.attempt <= 1;
}

/* For inner.c. client: the address, as in struct request. NULL: no memory. */
struct request *request_new(struct gateway *gw, struct exchange *exchange, const char *client);
void request_run(struct request *r); /* from its stage on */
void request_free(void *r);

/* The callbacks of a listener; their arg is the gateway. */
extern const struct http_callbacks REQUEST_CALLBACKS;
extern const struct http_callbacks REQUEST_ADMIN_CALLBACKS; /* /metrics and /debug/status */

/* The end of a wait. STEP_NEXT: the next stage; STEP_ANSWERED: to the closing stages. */
void request_continue(struct request *r, enum step step);

/* Call fn once after ms, unless stopped; one timer a request. */
void request_timer(struct request *r, uint32_t ms, void (*fn)(struct request *r));
void request_timer_stop(struct request *r);

/* load.c: more of the body fits into the workspace's share; false: it is answered. */
bool load_body(struct request *r, size_t len);
enum step load_enter(struct request *r); /* counted from here on, or answered */
void load_body_gone(struct request *r);
void load_leave(struct request *r);

/* The fields of a line in the log that say whose request it is about. */
#define REQUEST_FIELDS(r)                                                                          \
    "trace_id", (r)->trace.id, "request_id", (r)->request_id, "workspace", (r)->actor.workspace,   \
        "route", (r)->route ? (r)->route->path : "other"

/* The payload that is published: the client's bytes, or the body rebuilt with the parameters. */
const char *request_payload(const struct request *r, size_t *len);
/* Make that body of the document, after a change to it; STEP_NEXT, or the answer why not. */
enum step request_rebuild(struct request *r);
/* The name of the request for logs and audit: "POST /memory/forget"; never a real path. */
void request_action(const struct request *r, char text[96]);

#endif
