/* SPDX-License-Identifier: MIT */
/*
 * spawn - starts bubblewrap for one sandbox: pipes, fresh memfds, rlimits, vfork, exec.
 *
 * The caller's memory is never copied (vfork) and none of its descriptors is inherited but those
 * that argv.h numbers. The environment of bwrap itself is empty too: /proc/1/environ in the sandbox
 * would show it.
 *
 * bwrap is killed when this program ends, from its first instruction on: --die-with-parent comes only
 * after bwrap has read its options. What that leaves open, strays.h closes.
 *
 * Threads: call from the one thread that lives as long as the sandbox (the kernel's signal follows the
 *          spawning thread)
 * Errors:  RC_TEMP  no descriptors, memory or processes left · RC_CONFIG  bwrap cannot be executed
 */
#ifndef GANTRY_EXECUTOR_SANDBOX_SPAWN_H
#define GANTRY_EXECUTOR_SANDBOX_SPAWN_H

#include <sys/types.h>

#include "base/rc.h"
#include "sandbox/argv.h"
#include "sandbox/strays.h"

/* Everything that is the same for every sandbox of a process. */
struct spawner {
    const char *bwrap;         /* path; borrowed */
    struct buf filter;         /* owned; seccomp BPF */
    char name[STRAYS_TAG_MAX]; /* argv[0] of bwrap: whose sandbox it is */
    int nice;                  /* added to the task's niceness, so that the sampler gets its turn */
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
enum rc spawn_sandbox(const struct spawner *spawner, const struct sandbox *sandbox,
                      int cgroup_procs, struct spawned *out, struct err *err);

#endif
