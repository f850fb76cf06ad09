/* SPDX-License-Identifier: MIT */
/*
 * tasking - one command from its start to its settling: the steps that every program has which carries
 * out jobs. What carrying out means is the program's (struct tasking_kind).
 *
 * Steps:   job_start (Redis) and the allowlist with the policy (gateway) together -> kind->run -> one of the ends below
 *          -> job_finish (Redis) -> answer. tasking.c says more.
 * Threads: the loop's thread only
 * Source:  contract sections 4.3, 6 and 7; docs/states.md
 */
#ifndef GANTRY_TASKING_TASKING_H
#define GANTRY_TASKING_TASKING_H

#include <stdbool.h>
#include <sys/queue.h>

#include "policy/policy.h"
#include "protocol/jobs.h"
#include "tasking/allow.h"
#include "worker/worker.h"

struct tasking;
struct tasking_steps; /* tasking.c */

struct tasking_kind {
    /* Begin. Then exactly one of the ends below is called, now or later. */
    void (*run)(struct tasking *t);
    /* The job is cancelled while t->own is set: end it soon, by tasking_end() as cancelled if nothing
     * else is true. */
    void (*cancel)(struct tasking *t);
    /* The output object of a job that was cancelled before it ran. */
    enum rc (*cancelled)(struct buf *out);
    /* The name of its action as a metric's label, from the program's own catalog; NULL = it has none.
     * May be missing: then all are "other". */
    const char *(*label)(const struct tasking *t);
    /* What a policy may ask about its action: kind, hosts, risk. */
    void (*facts)(const struct tasking *t, struct policy_ask *ask);
    size_t output_max; /* bytes of an output object */
};

/* What the program's service holds. */
struct taskings {
    struct worker *w; /* borrowed */
    const struct tasking_kind *kind;
    void *program; /* for kind's functions */
    struct jobs jobs;
    struct allow *allow;
    LIST_HEAD(, tasking) list; /* owned; those under way */
    unsigned count;
};

struct tasking {
    LIST_ENTRY(tasking) link;
    struct taskings *all; /* borrowed */
    struct call *call;    /* borrowed: until it is settled */
    struct job_ref ref;
    bool cancelled;
    bool sent;                  /* an earlier delivery may have had its effect (jobs_send()) */
    bool mark_lost;             /* …or Redis has lost what it recorded */
    cJSON *egress;              /* owned: the hosts that the workspace may reach; NULL = none */
    void *own;                  /* kind's, while it is under way */
    struct field_errors errors; /* of a refusal */
    struct tasking_steps *steps;
};

/* on_ready and on_stop. The members w, kind, program and jobs are set before. */
enum rc taskings_open(struct taskings *all, struct err *err);
void taskings_close(struct taskings *all);

void tasking_start(struct taskings *all, struct call *call);
/* Whoever runs this job here ends it. */
void tasking_cancel(struct taskings *all, const char *workspace, const char *id);
/* The same of "<workspace> <id>", a message from whichever replica was asked to cancel (a bus_fn). */
void tasking_on_cancel(void *taskings, const struct bus_msg *msg);
/* The job's place in Redis, from a command's message. */
void tasking_ref(const struct call *call, struct job_ref *ref);

/* state.c: tell the gateways a state at once; the program's NATS user may publish gantry.sys.jobs.*.* */
void tasking_tell_state(struct taskings *all, const struct job_ref *ref, const char *status);

/* The ends. outcome is static or of the call's arena; "ok" is the one success, "cancelled" the state of
 * that name. output: the object, taken over. */
void tasking_end(struct tasking *t, const char *outcome, const struct job_usage *usage,
                 struct buf *output);
/* The command is answered with a problem (with t->errors): the job has failed before it ran. */
void tasking_refuse(struct tasking *t, enum problem_code code, const char *detail);
/* Another attempt later (RC_TEMP), or a dead letter (RC_BUG). */
void tasking_give_back(struct tasking *t, enum rc rc, const char *why);

#endif
