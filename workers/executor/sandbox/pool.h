/* SPDX-License-Identifier: MIT */
/*
 * pool - which sandboxes stand ready, by action. It owns nothing but the lists.
 */
#ifndef GANTRY_EXECUTOR_SANDBOX_POOL_H
#define GANTRY_EXECUTOR_SANDBOX_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "sandbox/manifest.h"

struct pool_shelf {
    const struct action *action;  /* borrowed */
    void *ready[ACTION_WARM_MAX]; /* borrowed; oldest first */
    unsigned n_ready;
};

struct pool {
    struct pool_shelf shelves[CATALOG_ACTIONS_MAX];
    size_t n_shelves;
};

void pool_init(struct pool *pool, const struct catalog *catalog);

/* The action whose shelf lacks most, in parts of its size; NULL when all are full. */
const struct action *pool_wants(const struct pool *pool);
/* Less than half of what should stand ready of that action does. */
bool pool_low(const struct pool *pool, const struct action *action);
void pool_put(struct pool *pool, const struct action *action, void *box);
/* The oldest one of the action, which leaves the pool; NULL when none stands ready. */
void *pool_take(struct pool *pool, const struct action *action);
/* It died while waiting. */
void pool_drop(struct pool *pool, const struct action *action, const void *box);
unsigned pool_ready(const struct pool *pool);

#endif
