/* SPDX-License-Identifier: MIT */
/*
 * executor - what the service holds, for its files: service.c, running.c, requests.c.
 *
 * Threads: the loop's thread only
 */
#ifndef GANTRY_EXECUTOR_JOBS_EXECUTOR_H
#define GANTRY_EXECUTOR_JOBS_EXECUTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "process/conf.h"
#include "protocol/jobs.h"
#include "sandbox/manifest.h"
#include "sandbox/run.h"
#include "tasking/tasking.h"
#include "worker/worker.h"

struct settings {
    char *tasks_dir, *user, *cgroup;
    int64_t slots;
    bool pool;
    struct tasking_settings jobs;
};

struct executor {
    const struct settings *settings; /* borrowed */
    struct worker *w;                /* borrowed */
    struct catalog catalog;
    struct runner *runner;
    struct loop_watch *watch;
    struct taskings taskings;
};

extern const struct conf_table EXECUTOR_CONF;

/* service.c: hooks of the worker runtime */
enum rc executor_start(struct worker *w, struct err *err);
enum rc executor_ready(struct worker *w, struct err *err);
void executor_stop(struct worker *w);
unsigned executor_slots_free(struct worker *w);
enum rc executor_dead(struct worker *w, struct call *call, const char *reason, struct err *err);

/* running.c */
extern const struct tasking_kind EXECUTOR_KIND;
void executor_run_start(struct worker *w, struct call *call);

/* requests.c */
void jobs_cancel_start(struct worker *w, struct call *call);
void jobs_list_start(struct worker *w, struct call *call);
void jobs_get_start(struct worker *w, struct call *call);
void actions_list_start(struct worker *w, struct call *call);

#endif
