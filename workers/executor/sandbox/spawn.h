/* SPDX-License-Identifier: MIT */
/*
 * spawn - starts a sandbox: its action's template, which is built before its first one, and bubblewrap
 * inside it.
 *
 * Threads: as launch.h
 * Errors:  RC_TEMP    no descriptors, memory or processes left
 *          RC_CONFIG  the template cannot be built here: the text is what bwrap says
 */
#ifndef GANTRY_EXECUTOR_SANDBOX_SPAWN_H
#define GANTRY_EXECUTOR_SANDBOX_SPAWN_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/rc.h"
#include "sandbox/policy.h"
#include "sandbox/strays.h"
#include "sandbox/template.h"

/* Everything that is the same for every sandbox of a process. */
struct spawner {
    const char *bwrap;         /* path; borrowed */
    struct buf filter;         /* owned; seccomp BPF */
    char name[STRAYS_TAG_MAX]; /* argv[0] of bwrap: whose sandbox it is */
    int nice;                  /* added to the task's niceness, so that the sampler gets its turn */
    struct template templates[CATALOG_ACTIONS_MAX]; /* owned; of the actions that had a sandbox */
    size_t n_templates;
};

struct spawned {
    pid_t pid; /* bwrap outside; our child */
    int pidfd;
    int input;  /* write end of 0; all four are non-blocking and close-on-exec */
    int output; /* read ends of 1, 2, 3 and of the status documents */
    int error;
    int result;
    int status;
};

enum rc spawner_init(struct spawner *spawner, const char *bwrap, struct err *err);
void spawner_fini(struct spawner *spawner);

/* cgroup_procs: descriptor of the cgroup.procs that the sandbox joins, or -1. */
enum rc spawn_sandbox(struct spawner *spawner, const struct sandbox *sandbox, int cgroup_procs,
                      struct spawned *out, struct err *err);

#endif
