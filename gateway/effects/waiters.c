/* SPDX-License-Identifier: MIT */
#include "effects/waiters.h"

#include <stdlib.h>
#include <string.h>

#include "base/fnv.h"

#define BUCKETS 4096

struct waiters {
    LIST_HEAD(, request) buckets[BUCKETS];
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
    LIST_INSERT_HEAD(&waiters->buckets[bucket_of(r->id)], r, waiters);
    r->waits = true;
}

void
waiters_remove(struct request *r)
{
    if (r->waits)
        LIST_REMOVE(r, waiters);
    r->waits = false;
}

struct request *
waiters_find(const struct waiters *waiters, const char *workspace, const char *id)
{
    struct request *r;
    LIST_FOREACH (r, &waiters->buckets[bucket_of(id)], waiters)
        if (strcmp(r->id, id) == 0 && strcmp(r->actor.workspace, workspace) == 0)
            return r;
    return NULL;
}

void
waiters_each(struct waiters *waiters, void (*fn)(struct request *r))
{
    struct request *r;
    for (unsigned i = 0; i < BUCKETS; i++)
        LIST_FOREACH (r, &waiters->buckets[i], waiters)
            fn(r);
}
