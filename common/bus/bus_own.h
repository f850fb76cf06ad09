/* SPDX-License-Identifier: MIT */
/*
 * bus_own - what the files of the NATS door share; nobody else includes it.
 *
 * Shape:  replies come to <inbox>.j.<token> (PubAcks, double acks), <inbox>.p.<token> (pulls) and
 *         <inbox>.r<class>.<token> (requests); token = slot and generation in hexadecimal
 * Source: bus_link.c has the theory of operation
 */
#ifndef GANTRY_BUS_BUS_OWN_H
#define GANTRY_BUS_BUS_OWN_H

#include <nats/nats.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "base/heap.h"
#include "bus/bus.h"

#define BUS_SUBJECT_MAX 256 /* bytes with the NUL */
#define BUS_CLASSES_MAX 32
#define BUS_WASTE_MAX   512
#define BUS_WASTE_FEW   64          /* messages that may stay beyond a turn */
#define BUS_WASTE_BYTES (256 << 10) /* and the bytes in them */
#define BUS_REOPEN_MS   1000        /* between attempts after nats.c has given up */
#define BUS_PULL_SLOTS  1024        /* hash chains of pull consumers */

struct pending;

/* An answer that is awaited: bus_pending.c keeps the table, the file that waits says how it ends. Both functions
 * end the wait with pending_free() before they call anybody back: the callback may ask anew. */
struct pending_calls {
    void (*complete)(struct bus *bus, struct pending *pending, const struct bus_msg *msg);
    void (*fail)(struct bus *bus, struct pending *pending, const struct err *err);
};

TAILQ_HEAD(pending_list, pending);

struct pending {
    struct heap_node deadline; /* first: the heap gives it back */
    uint32_t slot, generation;
    const struct pending_calls *calls; /* NULL: the slot is free */
    bus_reply_fn *reply_fn;            /* of a request */
    bus_ack_fn *ack_fn;                /* of a publish or a settlement */
    void *arg;
    struct bus_pull *pull;
    unsigned wanted, got;       /* of a pull */
    struct pending_list *list;  /* the class's or the pull's, oldest first; NULL = in none */
    TAILQ_ENTRY(pending) place; /* in list, or among the free slots */
};

/* Requests to one service share a subscription. nats.c tells that nobody answers, but not whom: the
 * oldest of the class is as good as any, they had the same responders. */
struct reply_class {
    char key[BUS_SUBJECT_MAX];
    struct bus_sub *sub;
    struct pending_list waiting;
};

/* Where the messages of a subscription go. */
struct sub_calls {
    void (*deliver)(struct bus_sub *sub, struct bus_msg *msg);
    void (*no_responders)(struct bus_sub *sub); /* may be NULL */
    bus_fn *fn;                                 /* of bus_subscribe() */
    void *arg;
};

struct bus_sub {
    struct bus *bus;       /* borrowed */
    natsSubscription *sub; /* owned */
    char *subject, *queue; /* owned; for a connection made anew */
    struct sub_calls calls;
    bool dead;
    LIST_ENTRY(bus_sub) all;
};

struct bus_pull {
    struct bus *bus;
    char key[BUS_SUBJECT_MAX]; /* "STREAM.consumer", as in ack subjects */
    bus_fn *fn;
    void *arg;
    struct pending_list requests;
    int64_t refused_ms; /* monotonic, 0 = never */
    LIST_ENTRY(bus_pull) chain;
};

struct bus {
    struct loop *loop;
    struct bus_options options; /* its strings are owned copies */
    natsOptions *nats_options;
    natsConnection *nc;
    pthread_t thread;
    struct loop_watch *watch;
    int fd;      /* our duplicate of the socket, or -1 */
    int nats_fd; /* nats.c's own, while it expects us to close it; else -1 */
    atomic_bool want_write;
    bool connected, was_connected;
    bool closed;     /* by nats.c, for good: a new connection is made */
    unsigned closes; /* before the first connection */
    enum rc refused; /* RC_CONFIG: the server did not accept the credentials */
    bool opened;     /* bus_connect() is about to return */
    bool freeing, in_drain;
    struct loop_timer *expiry, *reopen;
    char inbox[96];
    LIST_HEAD(, bus_sub) subs;
    struct bus_sub *mux;    /* borrowed from subs: .j. PubAcks and confirmations */
    struct bus_sub *pulled; /* borrowed from subs: .p. answers to pull requests */
    bool some_dead;         /* subscriptions to free_ended */
    struct reply_class classes[BUS_CLASSES_MAX];
    size_t n_classes;
    struct pending **chunks; /* owned; of PENDING_CHUNK each */
    size_t n_chunks;
    struct pending_list free_slots;
    struct heap deadlines;
    LIST_HEAD(pull_chain, bus_pull) pulls[BUS_PULL_SLOTS];
    natsMsg *waste[BUS_WASTE_MAX]; /* to be destroyed at the end of a turn */
    size_t n_waste, waste_bytes;
};

/* A delivered message while its callback runs. */
struct delivery {
    struct bus *bus;
    struct bus_msg msg;
    natsMsg *nats; /* owned until kept */
    bool kept;
};

/* From the bottom to the top: a file calls those above it in this list, never those below it. */

/* bus_out.c: what leaves, and the rubbish that it leaves */
char *bus_copy_text(const char *text); /* NULL stays NULL; no memory ends the program */
enum rc rc_from_nats(natsStatus status, const char *what, struct err *err);
enum rc bus_need(const struct bus *bus, struct err *err);
enum rc bus_send(struct bus *bus, const struct bus_out *out, const char *reply, const char *msg_id,
                 struct err *err);
void bus_waste(struct bus *bus, natsMsg *msg);
void bus_waste_burn(struct bus *bus);
void bus_waste_turn(struct bus *bus); /* if there is much of it */

/* bus_pending.c: what is awaited. list may be NULL; pending_new() is RC_TEMP when too many wait. */
enum rc pending_new(struct bus *bus, const struct pending_calls *calls, struct pending_list *list,
                    uint32_t timeout_ms, struct pending **out, struct err *err);
struct pending *pending_find(struct bus *bus, const char *subject);
void pending_free(struct bus *bus, struct pending *pending);
void pending_reply(const struct bus *bus, const struct pending *pending, const char *where,
                   char subject[BUS_SUBJECT_MAX]);
void pending_expire(void *arg); /* a loop_fn; arg is the bus */
void pending_fail(struct bus *bus, struct pending *pending, enum server server, const char *why);
void pending_fail_all(struct bus *bus, const char *why);
void pending_fini(struct bus *bus);

/* bus_msg.c has messages, bus_sub.c subscriptions */
enum rc bus_sub_new(struct bus *bus, const char *subject, const char *queue,
                    const struct sub_calls *calls, struct bus_sub **out, struct err *err);
enum rc bus_sub_open(struct bus_sub *sub, struct err *err);
void bus_drain(struct bus *bus);
void bus_subs_free(struct bus *bus);

/* bus_request.c, bus_js.c (publishing and settling) and bus_pull.c await answers */
enum rc bus_js_listen(struct bus *bus, struct err *err);
enum rc bus_pull_listen(struct bus *bus, struct err *err);

/* bus_link.c: nats.c on the loop */
natsStatus bus_link_options(struct bus *bus, natsOptions *o);
int bus_link_turn(void *arg); /* the bus's prepare hook */
void bus_link_end(struct bus *bus);

/* bus_connect.c, on top, has the life of a connection. */

#endif
