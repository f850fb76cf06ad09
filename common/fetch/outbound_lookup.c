/* SPDX-License-Identifier: MIT */
/*
 * outbound_lookup - names are looked up on threads of their own, which a request can leave behind.
 *
 * The system's resolver returns when it likes: resolv.conf's timeouts times its servers times its search
 * list. A request waits for it only as long as it waits for a connection. The thread ends when the resolver
 * returns; there are at most LOOKUPS_MAX of them, LOOKUPS_SHARE for one share, so that names which nobody
 * resolves take no place from other shares. A request that finds them busy waits for a place, no longer than for
 * the name itself.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "fetch/outbound_own.h"

#define STEP_MS     50 /* between two looks at stop() */
#define STACK_BYTES (512u << 10)

/* Held by the options and by each thread; whoever lets go last frees it. */
struct outbound_lookups {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a lookup is done, or a place is free */
    unsigned holders;
    size_t running;
    struct lookup *items[OUTBOUND_LOOKUPS_MAX]; /* those that are running, in any order */
};

/* Held by the request until it is done; by the thread alone when it was left. */
struct lookup {
    struct outbound_lookups *all;
    outbound_resolve_fn *resolve;
    void *arg;
    char host[GUARD_HOST_MAX], share[OUTBOUND_SHARE_MAX];
    bool done, left;
    enum rc rc;
    struct err err;
    struct outbound_addresses found;
};

enum rc
outbound_lookups_new(struct outbound_lookups **out, struct err *err)
{
    struct outbound_lookups *all = calloc(1, sizeof(*all));
    pthread_condattr_t attr;
    if (!all)
        return err_set(err, RC_TEMP, "no memory for lookups");
    all->holders = 1;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&all->lock, NULL);
    (void)pthread_cond_init(&all->changed, &attr);
    (void)pthread_condattr_destroy(&attr);
    *out = all;
    return RC_OK;
}

/* With the lock held, which is released. */
static void
let_go(struct outbound_lookups *all)
{
    bool last = --all->holders == 0;
    (void)pthread_mutex_unlock(&all->lock);
    if (!last)
        return;
    (void)pthread_cond_destroy(&all->changed);
    (void)pthread_mutex_destroy(&all->lock);
    free(all);
}

void
outbound_lookups_free(struct outbound_lookups *all)
{
    if (!all)
        return;
    (void)pthread_mutex_lock(&all->lock);
    let_go(all);
}

/* With the lock held. */
static void
take_out(struct outbound_lookups *all, const struct lookup *lookup)
{
    for (size_t i = 0; i < all->running; i++) {
        if (all->items[i] == lookup) {
            all->items[i] = all->items[--all->running];
            return;
        }
    }
}

/* With the lock held: whether there is a place for one more. */
static bool
has_place(const struct lookup *lookup)
{
    const struct outbound_lookups *all = lookup->all;
    size_t of_share = 0;
    for (size_t i = 0; i < all->running && lookup->share[0]; i++)
        of_share += strcmp(all->items[i]->share, lookup->share) == 0;
    return all->running < OUTBOUND_LOOKUPS_MAX && of_share < OUTBOUND_LOOKUPS_SHARE;
}

static void *
run(void *arg)
{
    struct lookup *lookup = arg;
    struct outbound_lookups *all = lookup->all;
    lookup->rc = lookup->resolve(lookup->arg, lookup->host, &lookup->found, &lookup->err);
    (void)pthread_mutex_lock(&all->lock);
    take_out(all, lookup);
    if (lookup->left)
        free(lookup);
    else
        lookup->done = true;
    (void)pthread_cond_broadcast(&all->changed);
    let_go(all);
    return NULL;
}

/* With the lock held. */
static bool
start(struct lookup *lookup)
{
    pthread_attr_t attr;
    pthread_t thread;
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attr, STACK_BYTES);
    bool good = pthread_create(&thread, &attr, run, lookup) == 0;
    (void)pthread_attr_destroy(&attr);
    if (good) {
        lookup->all->items[lookup->all->running++] = lookup;
        lookup->all->holders++;
    }
    return good;
}

/* With the lock held. false: time is up, or stop() said so. */
static bool
wait_step(struct outbound_lookups *all, const struct outbound_request *request, int64_t end_ms)
{
    int64_t now_ms = clock_mono_ms();
    int64_t until_ms = end_ms < now_ms + STEP_MS ? end_ms : now_ms + STEP_MS;
    const struct timespec until = { .tv_sec = until_ms / 1000,
                                    .tv_nsec = (long)(until_ms % 1000) * 1000000 };
    if (now_ms >= end_ms || (request->stop && request->stop(request->arg)))
        return false;
    (void)pthread_cond_timedwait(&all->changed, &all->lock, &until);
    return true;
}

enum rc
outbound_lookup(const struct outbound_options *options, const struct outbound_request *request,
                const char *host, int64_t end_ms, struct outbound_addresses *out, struct err *err)
{
    struct outbound_lookups *all = options->lookups;
    struct lookup *lookup = calloc(1, sizeof(*lookup));
    bool in_time = true, started = false;
    if (!lookup)
        return err_set(err, RC_TEMP, "no memory for a lookup");
    *lookup = (struct lookup){ .all = all,
                               .resolve = options->resolve ? options->resolve : outbound_resolve,
                               .arg = options->resolve_arg };
    (void)snprintf(lookup->host, sizeof(lookup->host), "%s", host);
    (void)snprintf(lookup->share, sizeof(lookup->share), "%s",
                   request->share ? request->share : "");
    (void)pthread_mutex_lock(&all->lock);
    while (in_time && !has_place(lookup))
        in_time = wait_step(all, request, end_ms);
    started = in_time && start(lookup);
    while (started && in_time && !lookup->done)
        in_time = wait_step(all, request, end_ms);
    bool done = lookup->done;
    lookup->left = started && !done;
    (void)pthread_mutex_unlock(&all->lock);
    if (started && !done)
        return err_set(err, RC_LIMIT, "not resolved in time");
    enum rc rc = lookup->rc;
    if (!in_time && !done)
        rc = err_set(err, RC_LIMIT, "not resolved in time");
    else if (!done)
        rc = err_set(err, RC_TEMP, "no thread for a lookup");
    else if (rc == RC_OK)
        *out = lookup->found;
    else if (err)
        *err = lookup->err;
    free(lookup);
    return rc;
}
