/* SPDX-License-Identifier: MIT */
/*
 * http_own - what the files of the HTTP door share; nobody else includes it.
 *
 * http.c accepts and watches the time, room.c chooses who makes room for others, http_conn.c leads a
 * connection through its states, http_read.c reads what comes, http_write.c writes answers.
 *
 * Source: gateway/http/http.h
 */
#ifndef GANTRY_GATEWAY_HTTP_HTTP_OWN_H
#define GANTRY_GATEWAY_HTTP_HTTP_OWN_H

#include <sys/queue.h>

#include "http/chunks.h"
#include "http/http.h"
#include "http/netaddr.h"

enum conn_state {
    CONN_HEAD,   /* idle, or its head is coming */
    CONN_HELD,   /* the head is being judged; the body waits */
    CONN_BODY,   /* the body is coming */
    CONN_BUSY,   /* all was read; no answer yet */
    CONN_WRITE,  /* the answer is leaving */
    CONN_STREAM, /* … and is not complete yet */
    CONN_LINGER, /* it left; what still comes is dropped until the client ends too */
    CONN_DEAD    /* to be freed once its request waits for nothing */
};

struct exchange {
    struct conn *conn;
    void *request; /* the callbacks' */
    struct http_answer *answer;
    uint64_t arrived; /* bytes of the body so far */
    struct http_chunks chunks;
    bool wanted; /* http_want_body() */
    bool closes; /* the connection ends behind the answer */
    bool cut;    /* … and more of the body may come */
    bool ended;  /* the last piece of the answer is there */
    bool spilt;  /* … more pieces than may wait */
    struct http_head head;
    char text[]; /* of the head */
};

TAILQ_HEAD(conn_list, conn);

/* An address with connections. */
struct place {
    LIST_ENTRY(place) link;
    uint8_t address[16];
    unsigned count;
    struct conn_list conns; /* the oldest first */
};
LIST_HEAD(place_list, place);

struct conn {
    struct http_server *server;
    struct loop_watch *watch;
    int fd;
    enum conn_state state;
    uint8_t address[16];
    struct place *place; /* NULL: a trusted proxy */
    TAILQ_ENTRY(conn) all, idle, neighbour, turn, unsent;
    bool queued;    /* in server->due */
    bool driven;    /* conn_drive() is at work */
    bool in_idle;   /* in server->idle */
    bool in_unsent; /* in server->unsent */
    bool served;    /* had a request: it is kept for the next */
    bool begun;     /* whose head has begun to come */
    bool skipped;   /* an empty line before the head */
    bool paused;    /* bytes wait that are not wanted now */
    bool eof;
    int64_t since_ms; /* in this state; of a kept connection: of its head's first byte */
    uint64_t moved;   /* bytes of the body or the answer since then */
    const char *in;   /* what is read and not used: in own, or in the server's scratch */
    size_t in_len;
    char *own; /* owned */
    size_t own_cap;
    size_t line;                 /* http_head_find()'s */
    struct exchange *x;          /* owned */
    struct buf out;              /* the answer's head */
    struct buf body;             /* its body */
    size_t sent;                 /* of both */
    size_t unsent_size;          /* as it is counted in server->unsent_bytes */
    uint8_t owner, unsent_owner; /* http_belongs(); as it is counted in server->unsent_of */
};

#define PLACES        1024 /* buckets */
#define SCRATCH_BYTES 65536

struct http_server {
    struct loop *loop;
    struct http_options options;
    struct http_callbacks callbacks;
    void *arg;
    struct netaddr_nets proxies;
    struct loop_watch *watch;
    struct loop_timer *sweep;
    int fd;    /* listening; -1 when quiet */
    bool full; /* connections wait in the listen queue */
    struct conn_list all, due;
    struct conn_list idle;   /* the longest idle first */
    struct conn_list unsent; /* whose answers wait for their readers, the oldest first */
    uint64_t unsent_bytes;   /* of their bodies */
    uint64_t unsent_of[256]; /* … by owner */
    unsigned n_conns;
    struct http_counts counts;
    struct place_list places[PLACES];
    uint64_t seed;
    int64_t date_s;    /* what date says */
    int64_t warned_ms; /* of descriptors */
    char date[32];
    char scratch[SCRATCH_BYTES];
};

/* http.c */
void conn_end(struct conn *conn); /* close it; it goes when its request waits for nothing */

/* room.c */
void conn_set_idle(struct conn *conn, bool idle);
/* Its answer does not leave at once, or has left. */
void conn_set_unsent(struct conn *conn, bool unsent);
bool room_make(struct http_server *server); /* an idle connection has ended */
/* False: its address has too many, all of them busy, or there is no memory. */
bool place_enter(struct conn *conn);
void place_leave(struct conn *conn);

/* http_conn.c */
enum rc conn_start(struct conn *conn, struct err *err);
void conn_drive(struct conn *conn);
void conn_queue(struct conn *conn);
void conn_free_exchange(struct conn *conn);
/* The answer leaves without the rest of the body; the connection ends behind it. */
void conn_cut_body(struct conn *conn);

/* http_read.c */
bool read_wanted(const struct conn *conn); /* its state has a use for more bytes */
void read_some(struct conn *conn);
void read_eat(struct conn *conn, size_t len); /* so many bytes of conn->in are used */
/* Moves the bytes that are left over out of the scratch, which the next connection uses. */
void read_keep(struct conn *conn);
/* Bytes have come that were not read yet. */
bool conn_has_unread(const struct conn *conn);

/* http_write.c */
enum write_step { WRITE_DONE, WRITE_AGAIN, WRITE_FAILED };
/* Make the answer's bytes; false: out of memory. */
bool write_begin(struct conn *conn);
enum write_step write_some(struct conn *conn);
/* Of an answer in pieces: the bytes that wait, one more piece, its end; what was sent goes. */
size_t write_waiting(const struct conn *conn);
void write_piece(struct conn *conn, const char *data, size_t len);
void write_last(struct conn *conn);
void write_compact(struct conn *conn);
bool write_continue(struct conn *conn); /* 100; false: the stream is broken */

#endif
