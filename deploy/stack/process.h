/* SPDX-License-Identifier: MIT */
/*
 * process - one supervised process: started so that it outlives us, found again by its pid file.
 *
 * Shape:   pids/NAME.pid holds the pid; state/NAME.start "pid start-time boot-id", which tells the
 *          process from a later one with the same number. Both are written by the child itself
 *          before exec, so that at no moment a process runs that a new supervisor cannot find.
 * Errors:  -1 with errno set
 * Source:  pidfd_open(2), proc(5); the idea of one script per service is daemontools'
 */
#ifndef GANTRY_DEPLOY_STACK_PROCESS_H
#define GANTRY_DEPLOY_STACK_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#define SERVICE_NAME_MAX 32 /* bytes with the NUL */

/* Run services/NAME in a session of its own, with standard output and error appended to
 * log/NAME.log. The working directory is the stack's. Returns the pid. */
pid_t process_start(const char *name);

/* The pid of NAME when it still runs, with a pidfd in *pidfd; 0 when it does not. */
pid_t process_adopt(const char *name, int *pidfd);

/* A log that has grown too long becomes NAME.log.1, and begins anew while the process writes on. */
void process_turn_log(const char *name);

/* Whether the PostgreSQL of this pid was told to stop and waits for its clients to go. */
bool process_postgres_stops(pid_t pid);

/* Forget NAME's files. */
void process_forget(const char *name);

/* Write text to a file at once, by renaming. */
int process_write(const char *path, const char *text);

#endif
