/* SPDX-License-Identifier: MIT */
/*
 * template - the part that all sandboxes of an action have in common, built once.
 *
 * Theory of operation. Mounting is what costs most in the start of a sandbox, and what a task sees of
 * the host is the same for each: programs, libraries, /etc, /dev, and /task. So one bwrap builds it, in a
 * user and a mount namespace of its own, below ARGV_ROOT; this program opens the two namespaces and ends
 * that bwrap. The bwrap of a sandbox starts inside them, where two recursive binds, of ARGV_ROOT and of
 * ARGV_DEVICES, take all of it: the kernel copies the mounts with their flags, and they cannot be changed from there, because
 * the sandbox's user namespace lies below the template's.
 *
 * Nothing of it is in a folder of the host, and it belongs to nobody but the descriptors: however this
 * program ends, the kernel takes the template away, and other executors never meet it.
 *
 * What is copied (ARGV_COPIED) or bound is that of the moment it was built: the folders of /usr go on
 * showing what the host has in them, but a mount over or below one of them is seen after a restart only.
 * For that the mounts of the template become private, and then all are looked at (mounts.h): what the host
 * mounted while bwrap was building may be there with the host's flags, and such a template is not used.
 *
 * Threads: as launch.h
 * Errors:  RC_CONFIG  bwrap cannot build it: the text is what bwrap says; its mounts cannot become private
 *          RC_TEMP    no descriptors, memory or processes left; bwrap hangs; a mount that may not be there
 */
#ifndef GANTRY_EXECUTOR_SANDBOX_TEMPLATE_H
#define GANTRY_EXECUTOR_SANDBOX_TEMPLATE_H

#include "base/rc.h"
#include "sandbox/manifest.h"

#define TEMPLATE_WAIT_MS    5000    /* a bound against hanging, of all waiting together */
#define TEMPLATE_COPY_BYTES 4194304 /* of one file of the host */

struct template
{
    const struct action *action; /* borrowed */
    int users, mounts;           /* owned: its namespaces */
};

/* Waits until bwrap has built it: milliseconds. name: bwrap's argv[0]. */
enum rc template_make(const char *bwrap, const char *name, const struct action *action,
                      struct template *out, struct err *err);
void template_fini(struct template *template);

#endif
