/* SPDX-License-Identifier: MIT */
/*
 * cgroup - limits on a whole task by the kernel, where a delegated cgroup v2 folder is given.
 *
 * EXECUTOR_CGROUP names a folder of cgroup v2 that belongs to this user, holds no process, and whose
 * parent passes down the controllers memory and pids (systemd: Delegate=yes and a sub-group). Each
 * sandbox gets a child of it with memory.max, memory.swap.max, memory.oom.group and pids.max.
 *
 * Errors: RC_CONFIG  not such a folder: the text says what is missing · RC_TEMP  no group left
 * Source: kernel documentation, cgroup-v2
 */
#ifndef GANTRY_EXECUTOR_SANDBOX_CGROUP_H
#define GANTRY_EXECUTOR_SANDBOX_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rc.h"
#include "sandbox/limits.h"

struct cgroup {
    int parent; /* borrowed */
    int dir;    /* owned; -1 = no cgroups */
    int procs;  /* owned; cgroup.procs, for the sandbox to join */
    char name[32];
};

struct cgroup_facts {
    uint64_t memory_peak_bytes; /* 0 when unknown (before Linux 5.19) */
    uint64_t oom_kills;
    uint64_t forks_refused;
    uint64_t cpu_ms; /* 0 when unknown */
};

#define CGROUP_NONE ((struct cgroup){ .parent = -1, .dir = -1, .procs = -1 })

/* Check the folder and switch its controllers on; *fd is owned by the caller. */
enum rc cgroup_open(const char *path, int *fd, struct err *err);

enum rc cgroup_make(int parent, uint64_t number, const struct limits *limits, struct cgroup *out,
                    struct err *err);
void cgroup_read(const struct cgroup *group, struct cgroup_facts *out);
void cgroup_kill(const struct cgroup *group);
/* Close and remove; the group must be empty by then. */
void cgroup_remove(struct cgroup *group);

#endif
