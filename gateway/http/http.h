/* SPDX-License-Identifier: MIT */
/*
 * http - HTTP/1.1 on the program's loop: listeners, connections, requests, answers.
 *
 * It knows nothing of what is asked: whoever opens a listener gives a table of callbacks, which are
 * called in the order begin; head, unless the body is so short that it is simply read; body;
 * complete; free. One request of a connection is under way at a time. A body is wanted until
 * http_answer() was called; what comes after that is read and dropped within bounds.
 *
 * The body of an answer is there as a whole, or comes in pieces (stream_max): chunked, to a client of
 * HTTP/1.0 until the connection ends. A client that reads too slowly is cut off at that bound. A client
 * that ends its side of the connection wants no more of them.
 *
 * Bounds of connections: a number for all, where the one that has been idle for longest makes room
 * for a new one; a number for an address that is no trusted proxy; seconds for a head; a least rate
 * for bodies and for the reading of answers; a number of bytes for all answers that are not read yet,
 * where, of whoever has most of them, the one that has been leaving for longest is cut off.
 *
 * Why not a library: what libmicrohttpd 0.9.75 lets through (an empty name ends a head, NUL ends a
 * value) and what it answers by itself (two status lines, HTML) happens before it calls anybody.
 *
 * Threads: the loop's thread only
 * Source:  RFC 9110, RFC 9112; contract 4.1
 */
#ifndef GANTRY_GATEWAY_HTTP_HTTP_H
#define GANTRY_GATEWAY_HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/loop.h"
#include "base/rc.h"
#include "http/head.h"

struct http_server;
struct exchange; /* one request of a connection, as the door sees it */

#define HTTP_CLIENT_MAX         48 /* an address as text, with the NUL */
#define HTTP_ANSWER_HEADERS_MAX 8
#define HTTP_ANSWER_HEADER_TEXT 192

struct http_answer_header {
    const char *name; /* static */
    char value[HTTP_ANSWER_HEADER_TEXT];
};

struct http_answer {
    int status; /* 0 = none yet */
    struct buf body;
    const char *content_type; /* static; NULL = none */
    const char *cache;        /* Cache-Control, static; NULL = no-store */
    const char *policy;       /* Content-Security-Policy, static; NULL = none */
    struct http_answer_header headers[HTTP_ANSWER_HEADERS_MAX];
    size_t n_headers;
    const char *lines; /* finished header lines, borrowed until free; NULL = none */
    size_t
        stream_max; /* the body comes in pieces, of which so many bytes may wait; 0 = it is whole */
};

struct http_callbacks {
    /* A head is there, faulty or not; NULL: the connection ends. */
    void *(*begin)(void *arg, struct exchange *exchange);
    /* Before a body is read that is not short. */
    void (*head)(void *request);
    void (*body)(void *request, const char *data, size_t len);
    void (*complete)(void *request);
    /* Something that the request waits for still holds it: it may not be freed yet. */
    bool (*waits)(const void *request);
    void (*free)(void *request);
    /* The connection ended before the last piece of the answer. NULL: nobody wants to know. */
    void (*gone)(void *request);
};

struct http_options {
    const char *address; /* "127.0.0.1:8080", "[::1]:8080" */
    const char *trusted_proxies;
    unsigned max_connections;
    unsigned max_per_address; /* of one that is no trusted proxy; an IPv6 /64 is one */
    unsigned idle_seconds;    /* between requests, and without progress of an answer */
    unsigned head_seconds;
    unsigned body_seconds; /* in which a body begins to come; then HTTP_RATE_MIN */
    size_t short_body;     /* read before the head callback's checks */
    uint64_t max_unsent;   /* bytes of answers that wait for their readers, all together */
};

#define HTTP_RATE_MIN 4096 /* bytes a second: slower bodies and readers are cut off */

struct http_counts {
    uint64_t faults;  /* heads and chunked bodies that were refused */
    uint64_t crowded; /* connections closed: their address has too many */
    uint64_t evicted; /* idle connections closed to make room */
    uint64_t slow;    /* connections closed: too slow */
    uint64_t unread;  /* of these, answers cut off for others that are not read */
};

enum rc http_open(struct loop *loop, const struct http_options *options,
                  const struct http_callbacks *callbacks, void *arg, struct http_server **out,
                  struct err *err);
/* No new connections; answers say Connection: close. */
void http_quiesce(struct http_server *server);
/* No request may wait any more. */
void http_close(struct http_server *server);
unsigned http_connections(const struct http_server *server);
const struct http_counts *http_counts(const struct http_server *server);

/* A request that no connection brought, for one that a program makes itself: its head only, with
 * http_head() and http_header(). NULL: no memory. */
struct exchange *http_exchange_new(const char *head, size_t len);
void http_exchange_free(struct exchange *exchange);

/* --- of one request: valid from begin to free -------------------------------------------------- */

const struct http_head *http_head(const struct exchange *exchange);
/* A header of the request; NULL when absent. Several of one name: the first, and *count of them. */
const char *http_header(const struct exchange *exchange, const char *name, unsigned *count);
/* The client's address, from a trusted proxy the one that it names. */
void http_client(const struct exchange *exchange, char text[HTTP_CLIENT_MAX]);
/* A trusted proxy says that the client came over TLS. */
bool http_over_tls(const struct exchange *exchange);

/* Whose request it is, as a number: answers that nobody reads are cut off where most of them are. */
void http_belongs(struct exchange *exchange, uint8_t owner);

/* The body is wanted: from head, or later if the request waited since. */
void http_want_body(struct exchange *exchange);
/* The answer, from any callback or later, once; its body is taken. The answer lives until free. */
void http_answer(struct exchange *exchange, struct http_answer *answer);
/* A piece of the body, and its end; after http_answer(). Nothing, if the connection has ended. */
void http_stream_write(struct exchange *exchange, const char *data, size_t len);
void http_stream_end(struct exchange *exchange);

#endif
