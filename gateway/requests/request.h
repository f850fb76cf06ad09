/* SPDX-License-Identifier: MIT */
/*
 * request - one HTTP request on its way through the checks, and its answer.
 *
 * Theory of operation. A request passes the stages of the table in request.c, in that order and no
 * other. A stage goes on, waits (its continuation calls request_continue()), or answers; an answer
 * jumps to the closing stages (idempotency record, audit), then the connection is resumed and the
 * answer leaves. Exactly one continuation is under way for a waiting request, and MHD keeps a
 * suspended connection, so a request lives at least as long as what it waits for.
 *
 * Units:   *_ms milliseconds; *_us microseconds (monotonic)
 * Threads: the loop's thread only
 * Source:  contract 4.1 (order of checks)
 */
#ifndef GATEWAY_REQUEST_H
#define GATEWAY_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/id.h"
#include "base/loop.h"
#include "json/json.h"
#include "protocol/principal.h"
#include "requests/routes.h"
#include "validate/problem.h"

struct exchange; /* http.h: the connection's side */
struct gateway;
struct key;

#define CLIENT_TEXT_MAX    48
#define ANSWER_HEADERS_MAX 8
#define ANSWER_HEADER_TEXT 192
#define ANSWER_MAX         (8u << 20) /* bytes of an answer's body */
#define WAIT_MS_MAX        60000

struct answer_header {
    const char *name; /* static */
    char value[ANSWER_HEADER_TEXT];
};

struct answer {
    int status; /* 0 = none yet */
    struct buf body;
    const char *content_type;
    const char *code; /* problem code, static; NULL on success */
    struct answer_header headers[ANSWER_HEADERS_MAX];
    size_t n_headers;
};

#define IDEM_PLACE_MAX 200

/* Idempotency of this request (idem.c). */
struct idem {
    bool on;
    bool reserved;              /* we hold the lease and must record or release */
    bool replayed;              /* the answer is the record's */
    char hash[65];              /* SHA-256 of the client's key, for the audit */
    char body_hash[65];         /* keyed, of the body without client_request_id */
    char place[IDEM_PLACE_MAX]; /* the Redis key */
    int64_t attempt;
};

struct request {
    struct gateway *gw;        /* borrowed */
    struct exchange *exchange; /* borrowed */
    const struct route *route;
    struct route_match match;
    enum http_method method;
    bool method_known;
    bool head; /* HEAD: answered as GET */
    char *uri; /* owned; raw, with the query */
    size_t path_len;
    char request_id[REQUEST_ID_MAX];
    char client[CLIENT_TEXT_MAX]; /* the client's address */
    bool tls;                     /* behind a TLS proxy that is trusted */
    const struct key *key;        /* borrowed for the current stage only */
    struct principal actor;
    bool authenticated;
    bool key_tried;      /* the credentials were looked at */
    int64_t accepted_ms; /* wall */
    int64_t start_us;
    size_t body_max;
    struct buf body;      /* as the client sent it */
    size_t swallowed;     /* bytes read and dropped after an early answer */
    cJSON *doc;           /* owned; body with the parameters in it */
    struct buf payload;   /* what is published when it is not the body itself */
    bool rebuilt;         /* payload holds it */
    char id[ID_TEXT_MAX]; /* of the command */
    uint32_t wait_ms;
    bool respond_async;
    struct idem idem;
    struct answer answer;
    /* the machine */
    unsigned stage;
    bool waiting;  /* a continuation is under way */
    bool closing;  /* in the closing stages */
    bool ready;    /* the answer may leave */
    bool complete; /* the body was read to its end */
    bool counted_refusal;
    struct loop_timer *timer; /* owned; made when first needed */
    void (*on_timer)(struct request *r);
    char audit_id[ID_TEXT_MAX]; /* of its event, once that was announced; "" = not */
    bool sent;                  /* its command or query left: a worker may have seen it */
    bool settled;               /* a worker has it, and audits it */
    bool acked;                 /* its command is in JetStream: a worker settles and audits it */
    struct request *next_waiter, **prev_waiter; /* waiters.c */
    void *own;                                  /* of the route's function; freed with free() */
};

struct request *request_new(struct gateway *gw, struct exchange *exchange, const char *uri);
void request_free(struct request *r);

/* The calls of http.c, in this order: begin; head, unless the body is so short that the checks of
 * the head may come after it; body; complete. After head, body and complete: r->waiting, or r->ready,
 * or more of the body is wanted. */
void request_begin(struct request *r, size_t body_max);
void request_head(struct request *r);
/* false: the connection must be closed. */
bool request_body(struct request *r, const char *data, size_t len);
void request_complete(struct request *r);

/* The end of a wait. STEP_NEXT: the next stage; STEP_ANSWERED: to the closing stages. */
void request_continue(struct request *r, enum step step);

/* Call fn once after ms, unless stopped; one timer a request. */
void request_timer(struct request *r, uint32_t ms, void (*fn)(struct request *r));
void request_timer_stop(struct request *r);

/* What is published: the client's bytes, or the body rebuilt with the parameters. */
const char *request_payload(const struct request *r, size_t *len);
/* The name of the request for logs and audit: "POST /memory/forget"; never a real path. */
void request_action(const struct request *r, char text[96]);

#endif
