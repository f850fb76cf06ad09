/* SPDX-License-Identifier: MIT */
/*
 * launch - starts one bubblewrap: pipes, fresh memfds, rlimits, namespaces to start in, vfork, exec.
 *
 * The caller's memory is never copied (vfork) and none of its descriptors is inherited but those of the
 * list `child`. The environment of bwrap itself is empty too: /proc/1/environ in the sandbox would show
 * it.
 *
 * bwrap is killed when this program ends, from its first instruction on: --die-with-parent comes only
 * after bwrap has read its options. What that leaves open, strays.h closes.
 *
 * Threads: call from the one thread that lives as long as the sandbox (the kernel's signal follows the
 *          spawning thread)
 * Errors:  RC_TEMP  no descriptors, memory or processes left
 */
#ifndef GANTRY_EXECUTOR_SANDBOX_LAUNCH_H
#define GANTRY_EXECUTOR_SANDBOX_LAUNCH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/rc.h"
#include "sandbox/argv.h"
#include "sandbox/limits.h"

#define LAUNCH_FDS_MAX   (ARGV_TEMPLATE_FD_FILES + ARGV_FILES_MAX)
#define LAUNCH_PIPES_MAX 5

struct launch {
    const char *bwrap;           /* path; borrowed */
    const char *name;            /* its argv[0]; borrowed */
    const struct limits *limits; /* borrowed; NULL = this program's */
    int users, mounts;           /* borrowed: namespaces to start in; -1 = this program's */
    int cgroup_procs;            /* borrowed: the cgroup to join; -1 = this program's */
    int nice;                    /* added to this program's niceness */

    int child[LAUNCH_FDS_MAX]; /* owned: by the number that each has in bwrap */
    size_t n_child;
    int ours[LAUNCH_PIPES_MAX]; /* owned: our ends of the pipes */
    size_t n_ours;
};

#define LAUNCH_NONE ((struct launch){ .users = -1, .mounts = -1, .cgroup_procs = -1 })

void launch_cleanup(struct launch *launch);

/* Descriptors are added in the order of their numbers in bwrap. */

/* Our end never blocks; bwrap's is an ordinary pipe. */
enum rc launch_pipe(struct launch *launch, int number, bool we_write, struct err *err);
/* A sealed memfd at offset 0: each start needs its own, since bwrap reads to the end. */
enum rc launch_data(struct launch *launch, int number, const void *data, size_t len,
                    struct err *err);
/* fd becomes the launch's. */
void launch_fd(struct launch *launch, int number, int fd);
/* Of the started bwrap alone are its ends. */
void launch_close_child(struct launch *launch);

/* In a child with one thread: only system calls. False: errno says why. */
bool launch_enter(int users, int mounts);

/* words: NULL-terminated, the first stands for the name. */
enum rc launch_start(const struct launch *launch, const char *const *words, pid_t *pid,
                     struct err *err);

#endif
