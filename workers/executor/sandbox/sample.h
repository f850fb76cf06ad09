/* SPDX-License-Identifier: MIT */
/*
 * sample - what a sandbox uses right now: its process tree and its tmpfs folders.
 *
 * The processes are listed from the sandbox's own /proc, reached through /proc/PID/root: a PID
 * namespace shows exactly its own processes, whatever forked, double-forked or lost its parent. The
 * executor may look there because it owns the sandbox's user namespace.
 *
 * Units:  bytes; memory is anonymous and shared resident memory summed over the processes (pages
 *         shared by two processes count twice: the safe side), plus blocks and inodes of the tmpfs
 *         and the most that its pairs of sockets can hold
 * Errors: RC_NOTFOUND  the sandbox is not set up yet, or gone
 */
#ifndef GANTRY_EXECUTOR_SANDBOX_SAMPLE_H
#define GANTRY_EXECUTOR_SANDBOX_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/rc.h"

struct sample {
    uint32_t processes; /* zombies included, the sandbox's first process (bwrap) not */
    uint64_t memory_bytes;
    uint64_t cpu_ms; /* of the living and of those that were waited for */
};

/* Listing stops after stop_after processes: more are over any limit. exact: the processor time of each
 * process in nanoseconds instead of ticks of 10 ms, at one more file a process (threads but the first
 * stay in ticks). */
enum rc sample_tree(pid_t init_pid, uint32_t stop_after, bool exact, struct sample *out);

/* Limit the number of processes (RLIMIT_NPROC, counted within the sandbox's user namespace) of a
 * sandbox that has not run anything of a task yet. */
void sample_limit_processes(pid_t init_pid, uint32_t processes);

#endif
