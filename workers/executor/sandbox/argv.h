/* SPDX-License-Identifier: MIT */
/*
 * argv - what a sandbox is -> bubblewrap's arguments and descriptors. Pure: this is the security policy.
 *
 * There are two lists: of the template, which holds what all sandboxes of an action have in common and is
 * built once (template.h), and of a sandbox, which binds the template, read-only, and adds what is its own.
 *
 * The options travel through --args on a sealed memfd, so that no process list shows them; on the
 * command line are only "--args N -- command". Descriptors have fixed numbers in bubblewrap:
 *
 *              of a sandbox                               of a template
 *   0 1 2      the handler's standard streams: pipes      pipes
 *   3          the handler's result pipe: the one         --json-status-fd
 *              further descriptor that it inherits
 *   4          --json-status-fd                           --args
 *   5          --args                                     --file: copies of host files, files of ours in
 *   6          --seccomp                                  /etc, and the action's: 5, 6, …
 *
 * A sandbox contains: bin, lib, lib64, libexec, share and include of /usr, and /etc/alternatives, read-only;
 * copies of the linker's cache, openssl.cnf, manpath.config, mime.types, protocols and services; of ours a
 * passwd and a group file with one user, nsswitch.conf and .curlrc; /task with the handler, an own /proc
 * that cannot be written, four character devices, and two bounded tmpfs, /tmp and /work. Nothing else of
 * the host exists there.
 *
 * Source: bwrap(1) 0.8.0; architecture, decision 11; docs/tasks.md says why each option is there
 */
#ifndef GANTRY_EXECUTOR_SANDBOX_ARGV_H
#define GANTRY_EXECUTOR_SANDBOX_ARGV_H

#include <stddef.h>

#include "base/buf.h"
#include "base/rc.h"
#include "sandbox/policy.h"

#define ARGV_BWRAP   "/usr/bin/bwrap"
#define ARGV_ROOT    "/sandbox" /* the root of a sandbox in its template */
#define ARGV_DEVICES "/devices" /* its /dev there */

enum argv_fd {
    ARGV_FD_RESULT = 3,
    ARGV_FD_STATUS = 4,
    ARGV_FD_ARGS = 5,
    ARGV_FD_SECCOMP = 6,
    ARGV_FD_COUNT,
};

enum argv_template_fd {
    ARGV_TEMPLATE_FD_STATUS = 3,
    ARGV_TEMPLATE_FD_ARGS = 4,
    ARGV_TEMPLATE_FD_FILES = 5,
};

#define ARGV_OPTIONS_MAX 8192 /* bytes of all options with their NULs */
#define ARGV_WORDS_MAX   (4 + ACTION_COMMAND_MAX + 1)

/* Files of the host that a template has a copy of, if they are there. */
#define ARGV_COPIED_COUNT 6
extern const struct argv_copied {
    const char *from, *to;
} ARGV_COPIED[ARGV_COPIED_COUNT];

#define ARGV_OWN_FILES 4
#define ARGV_FILES_MAX (ARGV_COPIED_COUNT + ARGV_OWN_FILES + ACTION_FILES_MAX)

/* A file of the host, or data. All borrowed: static or the action's. */
struct argv_file {
    const char *path, *data;
    size_t len; /* of data */
};

struct argv {
    const char *words[ARGV_WORDS_MAX];      /* NULL-terminated; borrowed: static or the action's */
    struct argv_file files[ARGV_FILES_MAX]; /* file i is read from ARGV_TEMPLATE_FD_FILES + i */
    size_t n_files;
};

/* Of both: options receives the NUL-terminated words for --args. RC_LIMIT when they do not fit. */

/* there: the bits of the ARGV_COPIED that exist. */
enum rc argv_build_template(const struct action *action, unsigned there, struct buf *options,
                            struct argv *out);
enum rc argv_build(const struct sandbox *sandbox, struct buf *options, struct argv *out);

#endif
