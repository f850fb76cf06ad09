/* SPDX-License-Identifier: MIT */
/*
 * worker_own - what the files of the worker runtime share; programs do not include it.
 *
 * A delivery is a message that this process has taken and not yet settled (docs/states.md).
 * Source: worker.c has the theory of operation
 */
#ifndef GANTRY_WORKER_OWN_H
#define GANTRY_WORKER_OWN_H

#include "base/gcra.h"
#include "base/heap.h"
#include "bus/bus.h"
#include "process/fault.h"
#include "protocol/metrics.h"
#include "worker.h"

#define WORKER_KEEPALIVE_MS   10000 /* until the server has told its ack_wait: a third of that */
#define WORKER_ACK_WAIT_MS    30000 /* = ack_wait in nats/consumers */
#define WORKER_PULL_MS        5000u
#define WORKER_HELD_MAX       256u /* deliveries that wait for another attempt; then nothing is fetched */
#define WORKER_GIVE_UP_MS     (24 * 3600 * 1000LL) /* waited between attempts, all in all */
#define WORKER_DEAD_FULL_MS   300000u
#define WORKER_CORE_QUEUE_MAX 8192u
#define WORKER_BATCH_CAP      1024u

/* Where a delivery is; the last three are steps of settling, each awaits a confirmation or a timer. */
enum delivery_state {
    DELIVERY_QUEUED,
    DELIVERY_WITH_HANDLER, /* a start function has it */
    DELIVERY_HELD,         /* waits for its next attempt */
    DELIVERY_AUDITING,
    DELIVERY_DEAD_LETTERING, /* on_dead, then the dead letter */
    DELIVERY_ACKING
};

struct delivery {
    struct heap_node wake; /* first: the heap gives it back; HELD, or the next try of a step */
    struct call call;
    struct worker *w;
    struct delivery *next, *prev;         /* in a queue */
    struct delivery *all_next, *all_prev; /* all of the worker's */
    enum delivery_state state;
    bool awaiting;       /* a confirmation is under way: no timer */
    struct bus_msg *msg; /* owned */
    const struct worker_route *route;
    struct consumer *consumer; /* NULL for core requests */
    struct arena mem;
    cJSON *doc; /* owned */
    unsigned attempts;
    int64_t waited_ms;
    unsigned tries; /* of the step at hand */
    int64_t arrived_us;
    const char *reason; /* of a dead letter; in the arena or static */
    bool refused;       /* answered by the runtime, the handler never saw it */
    char audit_id[ID_TEXT_MAX];
};

struct queue {
    struct delivery *first, *last;
    size_t count;
};

struct consumer { /* a pull consumer of the stream */
    struct worker *w;
    struct bus_pull *pull;
    char workspace[WORKSPACE_TEXT_MAX]; /* "" for the one shared consumer */
    char name[WORKSPACE_TEXT_MAX + 32];
    unsigned queued;   /* its deliveries that have not been given to a handler */
    struct queue acks; /* to be acknowledged in this turn */
    bool seen;         /* in the listing under way */
    struct consumer *next;
};

struct worker_common {
    char *nats_url, *database_url, *redis_url, *region;
    int log_level, log_format;
    uint8_t actor_public_key[CRYPTO_PUBLIC_LEN];
    char *tls_ca, *tls_cert, *tls_key;
    int64_t delivery_limit;
    int64_t rate_limit_per_minute; /* direct core requests of a workspace; 0 = off */
    bool allow_plaintext;
};

struct worker {
    const struct worker_spec *spec;
    struct worker_common common;
    void *conf, *state; /* the program's own struct, owned; what its hooks keep */
    struct loop *loop;
    struct bus *bus;
    struct db *db;
    struct kv *kv;
    char instance[METRICS_NAME_MAX];
    bool ready, stopping, in_turn, in_handler, tick_due, healthy, listing;
    const char *away; /* the server that is not there; NULL = all are */
    int64_t healthy_checked_ms, ready_ms, stop_by_ms;
    struct delivery *all;
    size_t in_hand, held, arrived,
        wanted; /* deliveries: all, held, since the last pull; asked for */
    struct queue core, fresh, suspects, audits;
    unsigned last_queue;
    struct heap waiting; /* of deliveries, by wake */
    struct loop_timer *waker, *tick, *keepalive;
    int64_t kept_alive_ms, keepalive_ms; /* the last time; how often: a third of ack_wait */
    struct consumer *consumers;
    int64_t listed_ms, careful_until_ms, careful_seq, info_asked_ms;
    size_t list_offset;
    struct bus_sub *subs[CMD_COUNT];
    struct metrics metrics;
    struct route_stats stats[CMD_COUNT];
    struct gcra_table *limits; /* of direct core requests */
    struct call **batch;
    struct log_limits *log_limits; /* owned; made when first needed */
};

/* worker_conf.c */
int worker_command_line(int argc, char **argv, const struct worker_spec *spec);
enum rc worker_conf_read(struct worker *w, struct err *err);
/* worker_delivery.c: from message to call */
void delivery_receive(struct worker *w, struct consumer *consumer, const struct bus_msg *msg);
void delivery_free(struct delivery *delivery);
void delivery_wake_after(struct delivery *delivery, uint32_t delay_ms);
void queue_push(struct queue *queue, struct delivery *delivery);
void queue_remove(struct queue *queue, struct delivery *delivery);
/* worker_run.c: handing calls to handlers */
int worker_turn(void *arg);
void worker_wake_due(void *arg);
void worker_tick(void *arg); /* worker.c */
bool worker_check_health(struct worker *w);
void delivery_refuse_unavailable(struct delivery *delivery); /* names what is away */
/* worker_settle.c: what becomes of them */
void delivery_settle(struct delivery *delivery);
void delivery_dead_letter(struct delivery *delivery, const char *reason);
void delivery_step(struct delivery *delivery);
void delivery_step_later(struct delivery *delivery);
void delivery_audited(struct delivery *delivery, enum rc rc, const struct err *err);
void delivery_hand_back(struct delivery *delivery, uint32_t delay_ms);
void worker_send_acks(struct worker *w);
/* worker_audit.c: the request event of each */
void delivery_audit(struct delivery *delivery);
void worker_send_audits(struct worker *w);
/* worker_fetch.c: consumers and subscriptions */
enum rc worker_listen(struct worker *w, struct err *err);
void worker_fetch(struct worker *w);
void worker_stop_listening(struct worker *w);
void worker_careful(struct worker *w);
/* worker_log.c: false when a workspace's like was logged often enough; the rest as a number */
bool worker_may_say(struct worker *w, const char *what, const char *workspace);
void worker_say_rest(struct worker *w, bool now);
/* service.c: $SRV and metrics */
enum rc service_listen(struct worker *w, struct err *err);
void service_publish(struct worker *w);
void service_count(const struct delivery *delivery, uint64_t settle_us);

#endif
