/* SPDX-License-Identifier: MIT */
/*
 * pool - the threads that search, and what waits for them.
 *
 * A thread takes requests of one workspace: those with short queries together, a long one alone. Short
 * ones pass long ones, at which one thread in four is at a time, whosesoever they are: they would take
 * the processors from everybody. Where there are fewer than four processors, that thread rests after each
 * long one, so that they take a quarter of the time of all. While a thread is at the short ones of a workspace, others leave the rest of
 * them for it, so that more go together, which is cheaper for each: unless there are enough for another,
 * or it takes long.
 * Workspaces take turns. One thread is kept from any single workspace, and one from those that have
 * to be read from the database first, so that neither slow queries nor a large workspace stop the
 * others. Only one thread reads a workspace.
 * The requests of one turn of the loop are offered to the threads at its end, and the answers of a thread
 * at the same time go back together: several messages are then read and written at once, here and in NATS.
 *
 * Errors:  RC_TEMP  no memory, no thread
 * Threads: pool_done(), pool_give_back(), pool_stopping(), pool_help() and pool_helped() from any, the others
 *          from the loop's thread
 */
#ifndef GANTRY_SEARCH_POOL_H
#define GANTRY_SEARCH_POOL_H

#include "search.h"

#define POOL_TAKE_MAX      8      /* requests that a thread takes at once */
#define POOL_ALONE_BYTES   512    /* a longer query is taken alone */
#define POOL_LONG_SHARE    4      /* one thread in so many answers such ones, but at least one */
#define POOL_REST_US       100000 /* at most, after each */
#define POOL_ENOUGH        8      /* for another thread */
#define POOL_LONG_US       20000
#define POOL_WAITING_MAX   4096 /* then: unavailable */
#define POOL_WAITING_SHARE 1024 /* of one workspace */

/* How long no long query is begun after one that took so long, so that they take their share of the time
 * of the processors that the threads can use; 0: one thread is no more than that. Pure. */
int64_t pool_rest_us(size_t threads, long processors, int64_t took_us);

enum rc pool_new(struct search *s, size_t threads, struct pool **out, struct err *err);
/* Waits for what the threads are at. What still waits is not answered. NULL allowed. */
void pool_free(struct pool *pool);

void pool_add(struct pool *pool, struct request *request);
/* Requests that have waited past their deadline are answered. */
void pool_expire(struct pool *pool);

/* For a struct collection_helper, context: the pool. An idle thread does it, if nothing else waits. */
bool pool_help(void *context, void (*fn)(void *arg), void *arg);
void pool_helped(void *context); /* after pool_help() was true */

/* The request is answered. It goes back to the loop's thread: at once if no searcher has it, else with
 * pool_give_back(). */
void pool_done(struct request *request);
void pool_give_back(struct searcher *searcher);
bool pool_stopping(struct pool *pool);

#endif
