/* SPDX-License-Identifier: MIT */
/*
 * confine - a program gives up, once and for all, what it does not need for its work.
 *
 * What is left is what a program of ours does when all is well: use the memory, files and sockets
 * that it has, connect to servers, make threads. A program that an attacker has taken over can still
 * talk to its servers with its own rights (docs/security.md has the table), but it cannot start
 * another program, read another process, change namespaces or reach the parts of the kernel where
 * most of its faults were.
 *
 * Calls:   exec, fork, ptrace and reading other processes end the process (SIGSYS); what only
 *          administrators and debuggers use gets EPERM; clone3 and io_uring get ENOSYS, so that the C
 *          library falls back to calls that a filter can judge.
 * Errors:  RC_CONFIG  the kernel or the account does not permit it: do not run
 * Threads: all of the process are confined, whichever calls; threads made later inherit it
 * Source:  seccomp(2), prctl(2), libseccomp
 */
#ifndef GANTRY_PROCESS_CONFINE_H
#define GANTRY_PROCESS_CONFINE_H

#include "base/rc.h"

enum confine_need {
    CONFINE_LISTEN = 1, /* accepts connections: the gateway */
    CONFINE_SPAWN = 2   /* starts sandboxes, which have a filter of their own: the executor */
};

/* First of all, before any secret is read: no core dumps, no debugger, nothing of ours in
 * /proc/PID/environ or mem for others of the same user, and no setuid program gives rights back. */
enum rc confine_memory(struct err *err);

/* A start as root goes on as the user nobody, without groups. Does nothing when not root. */
enum rc confine_drop_root(struct err *err);

/* The filter of system calls. needs: a set of enum confine_need. It cannot be taken back. */
enum rc confine_calls(unsigned needs, struct err *err);

#endif
