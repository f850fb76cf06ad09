/* SPDX-License-Identifier: MIT */
/*
 * tasking_own - what the files of a job's steps share.
 *
 * tasking.c has the steps in their order, permission.c whether the job may run, taskings.c what a program
 * calls for all of its jobs: opening, closing, cancelling.
 *
 * Threads: the loop's thread only
 */
#ifndef GANTRY_TASKING_TASKING_OWN_H
#define GANTRY_TASKING_TASKING_OWN_H

#include "base/buf.h"
#include "base/loop.h"
#include "tasking/tasking.h"

enum permission {
    PERMISSION_ASKED, /* the gateway has not answered yet */
    PERMISSION_ALLOWED,
    PERMISSION_DENIED,  /* by the allowlist */
    PERMISSION_HELD,    /* by the policy: it must be approved */
    PERMISSION_REFUSED, /* by the policy */
    PERMISSION_UNKNOWN, /* the gateway could not be asked */
};

struct tasking_steps {
    bool started;               /* the job is ours */
    enum permission permission; /* PERMISSION_UNKNOWN: error says why */
    struct policy_decision decision;
    struct question *question;  /* while the gateway is asked */
    int64_t start_us, asked_us; /* monotonic; asked: Redis, last */
    struct loop_timer *again;
    /* How it ended. */
    const char *status, *outcome; /* static, or of the call's arena; outcome: of a job that ran */
    struct job_usage usage;
    struct buf output; /* of a job that ran, or was cancelled; or a whole answer of version 1 */
    bool whole;
    int http;
    enum problem_code code; /* PROBLEM_COUNT: it was no refusal */
    char error[JOBS_ERROR_MAX];
};

/* tasking.c */
/* The job's place in Redis, from a command's message. */
void tasking_ref(const struct call *call, struct job_ref *ref);
/* Free it; its call is settled elsewhere, or never (the program ends). */
void tasking_drop(struct tasking *t);

/* permission.c */
/* The verdict of the gateway's lists and of the policy in them. t keeps the decision, and the hosts and the policy
 * that its kind needs. */
enum permission permission_judge(struct tasking *t, const cJSON *lists);
/* Why the policy has not allowed it, for the caller. */
void permission_explain(const struct tasking *t, char detail[JOBS_ERROR_MAX]);
/* The policy's decision, for the request event. */
void permission_record(struct tasking *t);

#endif
