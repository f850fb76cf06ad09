/* SPDX-License-Identifier: MIT */
/*
 * strays - sandboxes whose executor was killed while they were being set up.
 *
 * bwrap's processes end with the executor (spawn.h), but for a moment in between: when bwrap is killed
 * before the sandbox's first process has asked for the same, that one goes on, or waits for ever. So each
 * sandbox has its executor's tag as its name (argv[0]), and an executor that starts ends those whose
 * executor is gone.
 *
 * Shape:   "gantry-sandbox:SPACE:PID:START", the PID namespace, the process and its start time
 * Threads: any
 */
#ifndef GANTRY_EXECUTOR_SANDBOX_STRAYS_H
#define GANTRY_EXECUTOR_SANDBOX_STRAYS_H

#define STRAYS_TAG_MAX 96

/* This process's tag; without numbers, which nobody ends, if /proc cannot be read. */
void strays_tag(char tag[STRAYS_TAG_MAX]);

/* Kills the processes of this PID namespace whose executor is gone; returns how many. */
unsigned strays_end(void);

#endif
