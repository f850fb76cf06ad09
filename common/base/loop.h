/* SPDX-License-Identifier: MIT */
/*
 * loop - the one event loop of a program: descriptors, timers, and work posted by other threads.
 *
 * A turn: run the prepare hooks, wait for descriptors (never endlessly, see LOOP_WAIT_MAX_MS), run
 * posted work, run due timers. Callbacks run on the loop's thread and must not block.
 *
 * Units:   *_ms are milliseconds, durations
 * Threads: loop_post() and loop_stop() from any; everything else from the loop's thread only
 * Source:  epoll(7), eventfd(2), timerfd is not needed (timers set the wait)
 */
#ifndef GANTRY_BASE_LOOP_H
#define GANTRY_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rc.h"

#define LOOP_WAIT_MAX_MS 250

struct loop;
struct loop_watch;
struct loop_timer;

enum loop_event { LOOP_READ = 1, LOOP_WRITE = 2 };

typedef void loop_watch_fn(void *arg, unsigned events); /* error and hang-up come as both */
typedef void loop_fn(void *arg);
/* Runs before each wait; returns the longest it wants to wait in ms, or -1 for no opinion. Hooks run
 * in the order of their ranks, so that what one leaves is taken by the next in the same turn. Hooks of
 * one rank must not depend on each other. */
typedef int loop_prepare_fn(void *arg);
enum loop_rank {
    LOOP_RANK_SETTLE,  /* ends what requests wait for: the gateway's keys */
    LOOP_RANK_WORK,    /* does the work that is due: connections of HTTP, deliveries of a worker */
    LOOP_RANK_COLLECT, /* puts together what that left: the gateway's commands */
    LOOP_RANK_WRITE,   /* writes what was left to be sent: the bus */
    LOOP_RANKS
};

enum rc loop_new(struct loop **out, struct err *err);
void loop_free(struct loop *loop);

/* One turn, waiting at most max_wait_ms; loop_run() turns until loop_stop(). */
void loop_turn(struct loop *loop, int max_wait_ms);
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
bool loop_stopping(const struct loop *loop);

/* The loop never owns fd. events = 0 keeps the watch but waits for nothing. */
enum rc loop_watch_new(struct loop *loop, int fd, unsigned events, loop_watch_fn *fn, void *arg,
                       struct loop_watch **out, struct err *err);
void loop_watch_set(struct loop_watch *watch, unsigned events);
void loop_watch_free(struct loop_watch *watch); /* safe inside any callback; NULL allowed */

/* A timer is armed by loop_timer_set(); every_ms 0 = once. */
struct loop_timer *loop_timer_new(struct loop *loop, loop_fn *fn, void *arg);
void loop_timer_set(struct loop_timer *timer, uint32_t after_ms, uint32_t every_ms);
void loop_timer_stop(struct loop_timer *timer);
void loop_timer_free(struct loop_timer *timer);

void loop_prepare(struct loop *loop, enum loop_rank rank, loop_prepare_fn *fn, void *arg);
void loop_unprepare(struct loop *loop, loop_prepare_fn *fn, const void *arg);

/* Run fn(arg) on the loop's thread soon; wakes the loop once for many posts. Order is kept. */
void loop_post(struct loop *loop, loop_fn *fn, void *arg);

/* SIGTERM and SIGINT become a call of fn on the loop (signalfd); call before making threads. */
enum rc loop_on_terminate(struct loop *loop, loop_fn *fn, void *arg, struct err *err);

#endif
