/* SPDX-License-Identifier: MIT */
/*
 * filter - the system calls that a task may make; the one door to libseccomp.
 *
 * An allow list. What is known and refused answers EPERM, what is not listed at all ENOSYS (so that
 * a C library takes its older way), and calls of another architecture (32-bit, x32) kill the
 * process. Arguments are compared in their low 32 bits where the kernel takes only those (TIOCSTI
 * with a high bit set passed flatpak's filter, CVE-2019-10063).
 *
 * Errors: RC_CONFIG  libseccomp cannot build the filter here
 * Source: seccomp(2), libseccomp 2.5; Docker's default profile, cut down
 */
#ifndef GANTRY_EXECUTOR_SANDBOX_FILTER_H
#define GANTRY_EXECUTOR_SANDBOX_FILTER_H

#include "base/buf.h"
#include "base/rc.h"

#define SECCOMP_FILTER_MAX 65536 /* bytes of BPF */

/* Append the filter as BPF, as bwrap --seccomp reads it. Built once at start, written to a
 * descriptor of its own for each sandbox (bwrap reads it to the end). */
enum rc seccomp_build(struct buf *filter, struct err *err);

#endif
