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
#include <stddef.h>
#include <sys/queue.h>

#include "policy/policy.h"
#include "process/conf.h"
#include "protocol/jobs.h"
#include "tasking/allow.h"
#include "worker/worker.h"

#define TASKING_CANCEL_SUBJECT "gantry.sys.executor.cancel" /* "<workspace> <id>", to all of them */

struct tasking;
struct tasking_steps; /* tasking_own.h */

/* Settings that every such program has: a member of its struct, and rows of its table. */
struct tasking_settings {
    uint8_t data_key[CRYPTO_KEY_LEN];
    int64_t job_retention_days, redis_share_bytes;
};
/* clang-format off */
#define TASKING_CONF(settings_type, member)                                                        \
    { .name = "DATA_KEY", .type = CONF_KEY32, .offset = offsetof(settings_type, member.data_key),  \
      .help = "encrypts job results and preview parameters in Redis" },                            \
    { .name = "JOB_RETENTION_DAYS", .type = CONF_INT,                                              \
      .offset = offsetof(settings_type, member.job_retention_days), .default_text = "7", .min = 1, \
      .max = 365, .help = "how long an ended job is kept" },                                       \
    { .name = "REDIS_SHARE_BYTES", .type = CONF_INT,                                               \
      .offset = offsetof(settings_type, member.redis_share_bytes), .default_text = "134217728",    \
      .min = 1048576, .max = 1099511627776,                                                        \
      .help = "Redis memory for one workspace's previews and job results; beyond it, 503" }
/* clang-format on */

struct tasking_kind {
    enum command command; /* that it executes */
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
    bool keeps_policy; /* tasking.policy is wanted: the run asks it again */
    size_t output_max; /* bytes of an output object */
};

/* A program's jobs under way, held by its service. */
struct taskings {
    struct worker *w; /* borrowed */
    const struct tasking_kind *kind;
    void *program; /* for kind's functions */
    struct jobs jobs;
    struct allow *allow;
    struct bus_sub *cancels;
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
    cJSON *policy;              /* owned: what judged it, {"version","document"}; NULL = none */
    void *own;                  /* kind's, while it is under way */
    struct field_errors errors; /* of a refusal */
    struct tasking_steps *steps;
};

/* on_ready and on_stop. The members w, kind, program and jobs.marks are set before. */
enum rc taskings_open(struct taskings *all, const struct tasking_settings *settings,
                      struct err *err);
void taskings_close(struct taskings *all);
/* slots_free, of so many. */
unsigned taskings_free_of(const struct taskings *all, int64_t slots);
/* on_dead: its job ends as dead, and listeners hear of it. */
enum rc taskings_dead(struct taskings *all, const struct call *call, const char *reason,
                      struct err *err);

void tasking_start(struct taskings *all, struct call *call);
/* Ends this job if this process runs it. */
void tasking_cancel(struct taskings *all, const char *workspace, const char *id);
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
