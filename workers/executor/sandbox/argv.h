/* SPDX-License-Identifier: MIT */
/*
 * argv - struct sandbox -> bubblewrap's arguments and descriptors. Pure: this is the security policy.
 *
 * The options travel through --args on a sealed memfd, so that no process list shows them; on the
 * command line are only "--args N -- command". Descriptors have fixed numbers in bubblewrap:
 *
 *   0 1 2  the handler's standard streams: pipes
 *   3      the handler's result pipe: the one further descriptor that the handler inherits
 *   4      --json-status-fd     5  --args     6  --seccomp
 *   7 …    --file: ARGV_OWN_FILES of ours in /etc, then the task's files
 *
 * A sandbox contains: bin, lib, lib64, libexec, share and include of /usr, and /etc/alternatives, read-only;
 * the linker's cache, openssl.cnf, manpath.config, and of ours a passwd and a group file with one user, nsswitch.conf
 * and .curlrc; /task with the handler, an own /proc that cannot be written, five character devices, and
 * two bounded tmpfs, /tmp and /work. Nothing else of the host exists there.
 *
 * Source: bwrap(1) 0.8.0; architecture, decision 11; docs/tasks.md says why each option is there
 */
#ifndef GANTRY_EXECUTOR_SANDBOX_ARGV_H
#define GANTRY_EXECUTOR_SANDBOX_ARGV_H

#include <stddef.h>

#include "base/buf.h"
#include "base/rc.h"
#include "sandbox/policy.h"

#define ARGV_BWRAP "/usr/bin/bwrap"

enum argv_fd {
    ARGV_FD_RESULT = 3,
    ARGV_FD_STATUS = 4,
    ARGV_FD_ARGS = 5,
    ARGV_FD_SECCOMP = 6,
    ARGV_FD_FILES = 7,
};

#define ARGV_OPTIONS_MAX 8192 /* bytes of all options with their NULs */
#define ARGV_OWN_FILES   4
#define ARGV_WORDS_MAX   (4 + ACTION_COMMAND_MAX + 1)

struct argv_file {
    const char *data; /* borrowed: static or the action's */
    size_t len;
};

struct argv {
    const char *words[ARGV_WORDS_MAX]; /* NULL-terminated; borrowed: static or the action's */
    struct argv_file
        files[ARGV_OWN_FILES + ACTION_FILES_MAX]; /* file i is read from ARGV_FD_FILES + i */
    size_t n_files;
};

/* options receives the NUL-terminated words for --args. RC_LIMIT when they do not fit. */
enum rc argv_build(const struct sandbox *sandbox, struct buf *options, struct argv *out);

#endif
