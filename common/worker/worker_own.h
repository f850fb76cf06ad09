/* SPDX-License-Identifier: MIT */
/*
 * worker_own - what the files of the worker runtime share; programs do not include it.
 *
 * A delivery is a message that this process has taken and not yet settled (docs/states.md). Its
 * states are steps: settle.c has the table, and delivery_enter() is the only function that moves a
 * delivery from one to another.
 * Source: main.c has the theory of operation
 */
#ifndef GANTRY_WORKER_WORKER_OWN_H
#define GANTRY_WORKER_WORKER_OWN_H

#include <sys/queue.h>

#include "base/gcra.h"
#include "base/heap.h"
#include "base/log.h"
#include "bus/bus.h"
#include "process/fault.h"
#include "protocol/answer_list.h"
#include "protocol/command_list.h"
#include "protocol/metrics.h"
#include "trace/stages.h"
#include "worker.h"

#define WORKER_KEEPALIVE_MS   10000 /* until the server has told its ack_wait: a third of that */
#define WORKER_ACK_WAIT_MS    30000 /* = ack_wait in nats/consumers */
#define WORKER_CORE_QUEUE_MAX 8192u
#define WORKER_CORE_SHARE     2048u /* of these, for one workspace */
#define WORKER_BATCH_CAP      1024u
#define WORKER_GIVE_UP_MS     (24 * 3600 * 1000LL) /* waited between attempts, all in all */

/* Each is a step: DELIVERY_AUDITING and later ones await a confirmation, or a timer to try again. */
enum delivery_state {
    DELIVERY_ARRIVED,
    DELIVERY_QUEUED,
    DELIVERY_WITH_HANDLER,
    DELIVERY_OPENED,       /* a list: its commands are deliveries of their own, under way */
    DELIVERY_TAKING_APART, /* a list that came again: its commands are being published alone */
    DELIVERY_HELD,         /* waits for its next attempt */
    DELIVERY_ANSWERING,
    DELIVERY_AUDITING,
    DELIVERY_DEAD_LETTERING, /* on_dead, then the dead letter */
    DELIVERY_ACKING,
    DELIVERY_STATES
};

struct delivery {
    struct heap_node wake; /* first: the heap gives it back; HELD, or the next try of a step */
    struct call call;
    struct worker *w;
    TAILQ_ENTRY(delivery) link; /* in a queue */
    TAILQ_ENTRY(delivery) all;  /* of the worker's */
    struct delivery *peer;      /* the next of those that one confirmation stands for */
    enum delivery_state state;
    bool awaiting;       /* a confirmation is under way: no timer */
    struct bus_msg *msg; /* owned; of a list's command its list's */
    const char *claim, *msg_id, *trace_parent, *trace_state; /* headers; NULL = none */
    struct delivery *list; /* the list that this command came in; NULL = alone */
    unsigned place;        /* in that, from 1 */
    bool is_list, part_failed;
    bool part;   /* came alone out of a list that was taken apart */
    size_t left; /* of a list: its commands that are not settled, or not stored */
    const struct worker_route *route;
    struct consumer *consumer; /* NULL for core requests */
    struct arena mem;
    cJSON *doc; /* owned */
    unsigned attempts;
    int64_t waited_ms;
    unsigned tries;                 /* of the step at hand */
    int64_t arrived_us, settled_us; /* settled: when its acknowledgement was due; 0 = not yet */
    int64_t ready_us, handed_us, handled_us; /* to a handler, of the last attempt; 0 = not yet */
    int64_t audit_us;                        /* its event was first sent */
    uint64_t audit_span;
    bool acked_late;       /* its acknowledgement has waited once */
    const char *reason;    /* of a dead letter; in the arena or static */
    bool refused;          /* answered by the runtime; no handler has seen it */
    struct result refusal; /* what it was answered, for attempts after one that failed */
    bool answered;
    size_t answer_max;  /* of a core request: a larger answer is not sent; 0 = any */
    uint32_t answer_ms; /* nor one that comes later than this after its arrival; 0 = any */
    bool too_large;     /* it is not: its size is told instead, and the request comes again */
    bool unrecorded;    /* counted in its consumer: AUDIT did not take its event */
    char audit_id[ID_TEXT_MAX];
};

TAILQ_HEAD(delivery_list, delivery);

struct queue {
    struct delivery_list list;
    size_t count;
};

/* One workspace's core requests that wait for a handler. */
struct core_row {
    char workspace[WORKSPACE_TEXT_MAX];
    struct queue waiting; /* never empty */
    SLIST_ENTRY(core_row) link;
    TAILQ_ENTRY(core_row) ring;
};

SLIST_HEAD(core_rows, core_row);
TAILQ_HEAD(core_ring, core_row);

#define CORE_BUCKETS   256u
#define CORE_BATCH_MAX 64u

struct core {
    size_t count;          /* of all workspaces */
    struct core_ring ring; /* the first one's turn is next */
    struct core_rows buckets[CORE_BUCKETS];
    size_t batch[CMD_COUNT]; /* how many of a command may go to the handler together */
};

/* One workspace's consumer of the stream; nats/consumers has the templates. */
struct consumer {
    struct worker *w;
    struct bus_pull *pull;
    char workspace[WORKSPACE_TEXT_MAX]; /* "": shared by all */
    char name[WORKSPACE_TEXT_MAX + 32];
    struct queue fresh; /* delivered for the first time, not yet given to a handler */
    struct queue acks;  /* to be acknowledged in this turn */
    unsigned queued;    /* its deliveries that have not been given to a handler */
    size_t in_hand, held, unrecorded, arrived, wanted; /* arrived: since the last pull */
    size_t items, lists; /* commands that came in lists, beside in_hand; the lists that hold them */
    size_t bytes;        /* of what is in hand */
    int64_t arrived_ms;  /* the last one; 0 = none */
    bool seen;           /* in the listing under way */
    bool careful, is_due, is_active, in_ring;
    unsigned awaited; /* callbacks that will come */
    int64_t careful_until_ms, careful_seq, info_asked_ms;
    int64_t dead_room, dead_asked_ms; /* letters that fit before the oldest is lost; -1 = unknown */
    bool dead_asking;
    uint64_t dead_since; /* letters stored since that was asked */
    uint64_t dead_lost;  /* since the last event about it */
    int64_t dead_told_ms;
    TAILQ_ENTRY(consumer) all, due, ring, acking;
};

TAILQ_HEAD(consumer_list, consumer);

/* Answers of lists, of one workspace and family, that leave at the end of the turn. */
struct answers {
    struct buf text;
    size_t count; /* 0: text is not there */
    char subject[SUBJECT_MAX];
};

struct worker_common {
    char *nats_url, *database_url, *redis_url, *region;
    int log_level, log_format;
    struct actor_keys actor;
    char *tls_ca, *tls_cert, *tls_key;
    int64_t delivery_limit;
    int64_t rate_limit_per_minute; /* direct requests and commands of a workspace; 0 = off */
    bool allow_plaintext;
    struct trace_conf trace;
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
    bool look_again;         /* in the next turn, without waiting */
    enum server unavailable; /* the one that does not answer; SERVER_NONE = all do */
    int64_t healthy_checked_ms, ready_ms, stop_by_ms;
    struct delivery_list all;
    size_t in_hand, held; /* JetStream deliveries: all but those of lists, held */
    size_t items;         /* commands that came in lists */
    struct core core;
    struct queue suspects, audits;
    bool audits_due; /* some of these cannot wait */
    int64_t audits_sent_us;
    struct answers answers;
    size_t fresh;        /* deliveries in the queues of consumers */
    size_t hurried;      /* of these, the ones that somebody waits for */
    int64_t gather_us;   /* since when there are any */
    bool gathered_first; /* before the core requests that wait */
    unsigned last_queue;
    struct heap waiting; /* of deliveries, by wake */
    struct loop_timer *waker, *tick, *keepalive;
    int64_t kept_alive_ms, keepalive_ms;       /* the last time; how often: a third of ack_wait */
    struct consumer_list consumers, due, ring; /* all; to be looked at; with something in `fresh` */
    struct consumer_list acking;
    size_t n_acking;       /* deliveries whose acknowledgement leaves in this turn */
    struct delivery *late; /* the one whose acknowledgement waits; NULL = none */
    size_t n_active, n_careful;
    struct consumer *careful_turn; /* the careful consumer that may fetch; NULL = any of them */
    int64_t listed_ms;
    size_t list_offset;
    struct bus_sub *subs[CMD_COUNT];
    struct metrics metrics;
    struct tracer *tracer; /* owned */
    struct stages stages;
    struct series_set series; /* owned: stages of commands, and what the program records */
    struct bounds bounds;
    char full_whose[BOUND_COUNT]
                   [WORKSPACE_TEXT_MAX]; /* the last one that reached it; empty: of no one */
    bool tell_soon;                      /* with the next tick: something new is full */
    struct route_stats stats[CMD_COUNT];
    struct gcra_table *limits; /* of direct clients */
    struct call **batch;
    struct log_limits *log_limits; /* owned; made when first needed */
};

/* settings.c */
int worker_command_line(int argc, char **argv, const struct worker_spec *spec);
enum rc worker_conf_read(struct worker *w, struct err *err);

/* delivery.c: queues, and a delivery's life */
void queue_init(struct queue *queue);
void queue_push(struct queue *queue, struct delivery *delivery);
void queue_remove(struct queue *queue, struct delivery *delivery);
struct delivery *delivery_new(struct worker *w, struct consumer *consumer,
                              const struct bus_msg *msg);
struct delivery *delivery_new_item(struct delivery *list, const struct list_item *item,
                                   unsigned place);
void delivery_free(struct delivery *delivery);

/* core.c: core requests, by workspace */
void core_init(struct core *core);
void core_push(struct core *core, struct delivery *delivery);
struct delivery *core_first(const struct core *core); /* NULL: none waits */
/* Up to max that fit together, one of each workspace in turn. */
size_t core_take(struct core *core, struct call **batch, size_t max);
/* How long a handler took for so many. */
void core_took(struct core *core, enum command command, size_t count, int64_t us);
size_t core_waiting(const struct core *core, const char *workspace);

/* receive.c: from message to call */
void delivery_receive(struct worker *w, struct consumer *consumer, const struct bus_msg *msg);
void delivery_receive_item(struct delivery *list, const struct list_item *item, unsigned place);

/* list.c: several commands in one message */
enum rc list_check(struct delivery *list, struct err *err);
void list_open(struct delivery *list);
void list_take_apart(struct delivery *list);
void list_settled(struct delivery *list);

/* run.c: handing calls to handlers */
int worker_turn(void *arg);
void delivery_enqueue(struct delivery *delivery);

/* health.c */
bool worker_check_health(struct worker *w);
bool worker_only_kv_unavailable(const struct worker *w);
void delivery_refuse_unavailable(struct delivery *delivery); /* the answer names the server */

/* timers.c */
void delivery_wake_after(struct delivery *delivery, uint32_t delay_ms);
void worker_timers_start(struct worker *w);
void worker_wake_due(void *arg);
void worker_tick(void *arg);

/* settle.c: the table of steps */
void delivery_enter(struct delivery *delivery, enum delivery_state state);
void delivery_done(struct delivery *delivery); /* the step at hand: the table knows the next */
void delivery_step_later(struct delivery *delivery);
void delivery_step_again(struct delivery *delivery);
void delivery_hand_back(struct delivery *delivery);

/* acks.c */
void delivery_ack(struct delivery *delivery);
void worker_send_acks(struct worker *w);

/* answer.c */
void delivery_reply(struct delivery *delivery);        /* core */
void delivery_publish_done(struct delivery *delivery); /* JetStream */
void worker_send_answers(struct worker *w);            /* those of lists, at the end of a turn */

/* dead.c: dead letters */
void delivery_dead_letter(struct delivery *delivery, const char *reason);
void delivery_write_dead_letter(struct delivery *delivery);
void dead_letters_tick(struct worker *w);

/* audit.c: the request event of each */
void delivery_audit(struct delivery *delivery);
/* Returns how long in ms the next ones wait, or -1. */
int worker_send_audits(struct worker *w);

/* consumers.c: which there are, what the server says of them; fetch.c: asking for messages */
enum rc worker_listen(struct worker *w, struct err *err);
void worker_stop_listening(struct worker *w);
const char *worker_stream(const struct worker *w);
void worker_list_consumers(struct worker *w);
void consumer_pulled(void *arg, const struct bus_msg *msg);
void consumer_be_careful(struct consumer *consumer);
void consumer_ask_info(struct consumer *consumer);
void consumer_due(struct consumer *consumer);
void consumers_free(struct worker *w);
void worker_fetch(struct worker *w);

/* log_limits.c: false when lines of this kind and workspace were enough; the rest as a number */
bool worker_may_say(struct worker *w, const char *what, const char *workspace);
void worker_say_rest(struct worker *w, bool now);

/* traced.c: the trace of a delivery, and its stages */
void delivery_trace(struct delivery *delivery, bool trusted);
void delivery_ready(struct delivery *delivery); /* it may be handed to a handler from now on */
void delivery_record(struct delivery *delivery, enum stage stage, int64_t start_us, int64_t end_us);
void delivery_record_handled(struct delivery *delivery);
void delivery_record_all(struct delivery *delivery); /* it is settled */
void delivery_log(const struct delivery *delivery); /* … as lines for whoever follows a request */

/* full.c: for what is looked at again and again: once a second */
void worker_full_still(struct worker *w, enum bound bound, const char *workspace);

/* service.c: $SRV and metrics */
enum rc service_listen(struct worker *w, struct err *err);
void service_publish(struct worker *w);
void service_count(const struct delivery *delivery, uint64_t settle_us);

#endif
