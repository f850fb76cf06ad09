/* SPDX-License-Identifier: MIT */
/*
 * worker - the runtime that every worker program shares; a handler turns validated calls into results.
 *
 * The runtime reads the configuration, connects (and reconnects), takes JetStream commands and core
 * requests in batches, checks subject, claim and body, calls the handler, and settles each call by
 * its result, in this order (architecture, decision 9):
 *     command: effect durable (the handler's return) -> .done event -> `request` audit event
 *              acknowledged by AUDIT -> ack confirmed by the server
 *     request: effect durable -> `request` audit event acknowledged by AUDIT -> reply
 * A crash in between redelivers; handlers are idempotent by (workspace, command id). While AUDIT does
 * not take a workspace's events, nothing new of it is fetched or handled.
 *
 * Verdict of a call, from result.rc by RC_TABLE:
 *     VERDICT_DONE    answered and acknowledged, 2xx and 4xx alike
 *     VERDICT_RETRY   handled again with growing delay; nothing is answered
 *     VERDICT_REJECT  to DEAD with reason and delivery count, then terminated
 * RETRY keeps the message in this process, unacknowledged and kept alive, so that only crashes and
 * restarts count as deliveries; a message delivered more than DELIVERY_LIMIT times is a dead letter
 * before the handler sees it. A redelivered message is handled alone. While a dependency is down
 * nothing is fetched. (docs/states.md)
 *
 * Handlers see calls, memory and services; never a NATS type, never an ack, never a loop.
 * Source: Postfix's skeleton servers; contract sections 2, 5, 7
 */
#ifndef GANTRY_WORKER_WORKER_H
#define GANTRY_WORKER_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/loop.h"
#include "db/db.h"
#include "json/json.h"
#include "kv/kv.h"
#include "process/conf.h"
#include "protocol/actor.h"
#include "protocol/command.h"
#include "protocol/metrics.h"
#include "trace/context.h"
#include "validate/problem.h"

#define WORKER_DRAIN_MS 25000
struct worker;

/* The result of a call, by its handler. Set it with the functions below; the body lives in the arena. */
struct result {
    enum rc rc;       /* the verdict; RC_OK for any answer, good or bad */
    int status;       /* HTTP status that a waiting caller gets; 0 = none was given */
    const char *body; /* JSON of the answer, without request_id */
    size_t body_len;
    enum problem_code code; /* of an error answer; PROBLEM_COUNT for success */
    const char *job_status; /* of a success that is about one job: its state, static; NULL = none */
    struct err err;         /* for RETRY and REJECT: why */
};

struct call {
    enum command command;
    char id[ID_TEXT_MAX];   /* the command's id: names its one recorded effect */
    struct principal actor; /* workspace always; key and role when known */
    bool direct;            /* from a NATS client, without a claim of the gateway */
    char request_id[REQUEST_ID_MAX];
    char idem_hash[65];
    char approval[ACTOR_APPROVAL_MAX]; /* actor.h; "" = it was not approved */
    int64_t accepted_ms;               /* signed accept time, or the server's receive time */
    int64_t stream_ns;                 /* JetStream receive time; 0 for core requests */
    uint64_t deliveries;               /* 1 for the first; the fencing token */
    const char *payload;
    size_t payload_len;
    const cJSON *body;    /* validated against the command's schema; borrowed */
    struct result result; /* filled in by the handler */
    /* For the audit event; the handler may refine them (arena or static memory). */
    const char *audit_target;    /* e.g. a memory's id; NULL = none */
    const char *audit_decision;  /* NULL = "allowed", or "denied" for 403 */
    const char *params_sha256;   /* audit_digest_json(); the audit worker turns it into an HMAC */
    const char *params_prefix64; /* actions only: audit_params_prefix() */
    const char *audit_policy;    /* actions only: the decision, a JSON object; NULL = none */
    const char *audit_error;     /* of a success with a bad outcome (a task's); NULL = none */
    const char *program;         /* CMD_AUDIT_REQUEST: the last token of the subject; else NULL */
    struct trace trace;          /* that it belongs to */
    /* Of its handling, for STAGE_DATABASE: what the program's own threads and requests to Redis took. The
     * runtime fills in what worker_db() took in a handler. */
    int64_t database_start_us, database_us;
    struct arena *mem; /* lives until the call is settled */
    void *own;         /* the runtime's */
};

/* All calls of one batch have the same command; workspaces may differ. One result per call. */
typedef void worker_handle_fn(struct worker *w, struct call **calls, size_t n);
/* For work that goes on after the handler has returned (the executor): the call is kept until worker_finish(). */
typedef void worker_start_fn(struct worker *w, struct call *call);

struct worker_route {
    enum command command;
    worker_handle_fn *handle;
    worker_start_fn *start; /* instead of handle */
    bool without_kv;        /* a core request that is answered also while Redis is unavailable */
    bool gathered;          /* nobody waits for it: a batch of these may wait for more (run.c) */
};

struct worker_spec {
    const char *name;        /* "ingest": program, consumer and queue group */
    const char *description; /* for $SRV.INFO and --help */
    const struct worker_route *routes;
    size_t n_routes;
    const struct conf_table *conf;         /* the program's own variables; NULL = none */
    const struct conf_table *conf_too;     /* a second table of the same struct; NULL = none */
    size_t conf_size;                      /* of its struct */
    const struct db_statement *statements; /* NULL = no PostgreSQL */
    size_t n_statements;
    const struct kv_script *scripts;
    size_t n_scripts;
    bool uses_kv;     /* Redis */
    bool kv_optional; /* Redis down does not stop fetching */
    /* The handlers of JetStream commands record their own `request` events with the effect; the
     * runtime publishes those of calls that it refuses itself and hands to no handler. */
    bool audits_itself;
    /* The loop turns while a handler waits for PostgreSQL: no timer or callback may use it then. */
    bool turns_meanwhile;
    bool spawns;        /* starts sandboxes: exec stays possible (confine.h) */
    unsigned batch_max; /* messages in one batch; default 64 */
    size_t mem_max;     /* bytes of arena per batch; default 64 MiB */
    /* Free slots are handed round-robin to the workspaces: each is asked for one message at a time.
     * NULL = in batches. (All have one durable consumer per workspace, <program>_<workspace>.) */
    unsigned (*slots_free)(struct worker *w);
    /* JetStream calls that the runtime has refused (422, 403, 429; malformed ones, which become dead
     * letters next, 400, 401; the answer is in their results), in batches, and each workspace in its
     * turn: record them, so that their publisher can ask what became of them. id "": it has none. A result
     * may become RC_TEMP by call_fail(): later. NULL = they are answered and audited only. */
    worker_handle_fn *refused;
    /* Hooks, all optional. on_start: nothing connected yet. on_tick: each second. */
    enum rc (*on_start)(struct worker *w, struct err *err);
    enum rc (*on_ready)(struct worker *w, struct err *err);
    void (*on_tick)(struct worker *w);
    /* A server that only the program knows and that does not work now (its name), or NULL. What fails for
     * now meanwhile is tried for as long as that lasts. */
    const char *(*failing)(struct worker *w);
    /* The time to drain is over: from now on no thread of the program may use a call. */
    void (*on_drained)(struct worker *w);
    void (*on_stop)(struct worker *w);
    /* A JetStream call becomes a dead letter: record it. May be called again. RC_TEMP: later. */
    enum rc (*on_dead)(struct worker *w, struct call *call, const char *reason, struct err *err);
    /* Extra command line words: returns an exit code, or -1 for "not mine". */
    int (*command_line)(int argc, char **argv, const struct worker_spec *spec);
    const char *command_line_help; /* lines of --help about them, or NULL */
};

/* Fields for log_fields() that say whose call a line is about. */
#define CALL_FIELDS(call)                                                                          \
    "trace_id", (call)->trace.id, "request_id", (call)->request_id, "workspace",                   \
        (call)->actor.workspace, "route", command_info((call)->command)->tail, "id", (call)->id

int worker_main(int argc, char **argv, const struct worker_spec *spec);
/* Services for handlers and hooks. */
const void *worker_conf(const struct worker *w);
void *worker_state(const struct worker *w); /* the program's own, set in on_start */
void worker_set_state(struct worker *w, void *state);
struct db *worker_db(struct worker *w);
/* One more connection with the same statements, for a thread of the program. */
enum rc worker_db_open(struct worker *w, struct db **out, struct err *err);
/* Something was refused, or waits, because this is full: for /readyz, the metrics and the log. */
void worker_full(struct worker *w, enum bound bound, const char *workspace);
struct metrics *worker_metrics(struct worker *w); /* of the loop's thread */
struct series_set *worker_series(struct worker *w);
struct kv *worker_kv(struct worker *w);
struct loop *worker_loop(struct worker *w);
const char *worker_region(const struct worker *w); /* REGION; "" when unset */
struct bus *worker_bus(struct worker *w);
/* Long handlers: call at least every 10 s; sends "in progress" for all unsettled messages. */
void worker_keepalive(struct worker *w);
void worker_finish(struct worker *w, struct call *call); /* settles what a start function kept */
/* SIGTERM has come: nothing new is fetched, what was started has WORKER_DRAIN_MS to end. */
bool worker_draining(const struct worker *w);

/* Answers. body: finished JSON in out (copied into the call's arena). */
void call_answer(struct call *call, int status, const struct buf *body);
void call_problem(struct call *call, enum problem_code code, const struct field_errors *errors,
                  const char *detail);
/* Something of ours failed: RETRY or REJECT by rc, never an answer. */
void call_fail(struct call *call, const struct err *err);

#endif
