/* SPDX-License-Identifier: MIT */
/*
 * box - the life of one sandbox: started, fed its one task, watched, killed, wholly gone, reaped.
 *
 * Theory of operation. bwrap runs as two processes: the outer one, our child, and the first process
 * of the PID namespace ("init"), whose number bwrap tells on the status pipe. Killing init makes the
 * kernel kill everything in the namespace, and init counts as exited only when all of it is dead: so
 * "init's pidfd is readable" is the proof that nothing is left. A box is finished when the outer
 * process is reaped, init is gone, and the pipes are at their end.
 *
 *   WARM ──feed──▶ RUNNING ──handler exits, or a limit, or cancel──▶ (init killed) ──▶ finished
 *
 * Units:   *_ms milliseconds; monotonic times
 * Threads: one; no function here blocks
 */
#ifndef GANTRY_EXECUTOR_SANDBOX_BOX_H
#define GANTRY_EXECUTOR_SANDBOX_BOX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/rc.h"
#include "sandbox/cgroup.h"
#include "sandbox/janitor.h"
#include "sandbox/policy.h"
#include "sandbox/spawn.h"
#include "sandbox/verdict.h"

enum box_watch { BOX_OUTER, BOX_INIT, BOX_INPUT, BOX_OUTPUT, BOX_ERROR, BOX_RESULT, BOX_STATUS };
#define BOX_WATCHES 7

#define BOX_STATUS_MAX 4096 /* bytes of status documents */

struct box {
    struct sandbox sandbox;
    struct cgroup cgroup;
    pid_t pid;               /* outer bwrap; 0 once reaped */
    pid_t init_pid;          /* 0 = not known yet */
    int fds[BOX_WATCHES];    /* owned; -1 = closed */
    struct janitor *janitor; /* borrowed */
    int mounts;              /* owned: init's mount namespace, for the janitor; -1 = not held */
    struct buf input;        /* the task as JSON */
    size_t input_done;
    struct buf output, error, result, status; /* kept parts */
    uint64_t output_seen;                     /* stdout and stderr, kept or not */
    bool output_cut, result_cut;
    bool fed;
    bool init_gone;
    int64_t started_ms, fed_ms, ended_ms, killed_ms;
    struct facts facts;
};

/* Start a sandbox; on RC_OK *out is owned: box_free(). group_parent: -1 = no cgroups. */
enum rc box_start(struct spawner *spawner, struct janitor *janitor, const struct sandbox *sandbox,
                  int group_parent, uint64_t number, struct box **out, struct err *err);
void box_free(struct box *box);

/* Hand over the task; limits: the request's. RC_LIMIT: the input is too large. */
enum rc box_feed(struct box *box, const struct limits *limits, const char *input, size_t len);

/* A descriptor is ready. Closed descriptors become -1, and init's may become open. */
void box_event(struct box *box, enum box_watch which);

/* Check time and use against the limits; kills. Call every LIMIT_TICK_MS while it runs. */
void box_tick(struct box *box, int64_t now_ms);

/* Kill the whole tree; the first reason stays. */
void box_kill(struct box *box, enum outcome reason);

bool box_finished(const struct box *box);
/* Nothing was fed and it is ending already: a sandbox that cannot be used. */
bool box_broken(const struct box *box);

#endif
