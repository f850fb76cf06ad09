/* SPDX-License-Identifier: MIT */
#include "effects/waiters.h"

#include <stdlib.h>
#include <string.h>

#include "base/fnv.h"

#define BUCKETS 4096

struct waiters {
    struct request *buckets[BUCKETS];
};

enum rc
waiters_new(struct waiters **out, struct err *err)
{
    *out = calloc(1, sizeof(**out));
    return *out ? RC_OK : err_set(err, RC_TEMP, "no memory for the waiters");
}

void
waiters_free(struct waiters *waiters)
{
    free(waiters);
}

static unsigned
bucket_of(const char *id)
{
    uint32_t h = fnv32_text(id);
    return (h ^ h >> 16) % BUCKETS;
}

void
waiters_add(struct waiters *waiters, struct request *r)
{
    struct request **at = &waiters->buckets[bucket_of(r->id)];
    r->next_waiter = *at;
    r->prev_waiter = at;
    if (*at)
        (*at)->prev_waiter = &r->next_waiter;
    *at = r;
}

void
waiters_remove(struct request *r)
{
    if (!r->prev_waiter)
        return;
    *r->prev_waiter = r->next_waiter;
    if (r->next_waiter)
        r->next_waiter->prev_waiter = r->prev_waiter;
    r->next_waiter = NULL;
    r->prev_waiter = NULL;
}

struct request *
waiters_find(const struct waiters *waiters, const char *workspace, const char *id)
{
    for (struct request *r = waiters->buckets[bucket_of(id)]; r; r = r->next_waiter)
        if (strcmp(r->id, id) == 0 && strcmp(r->actor.workspace, workspace) == 0)
            return r;
    return NULL;
}
