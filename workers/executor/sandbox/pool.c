/* SPDX-License-Identifier: MIT */
#include "sandbox/pool.h"

#include <assert.h>
#include <string.h>

static struct pool_shelf *
find_shelf(struct pool *pool, const struct action *action)
{
    for (size_t i = 0; i < pool->n_shelves; i++) {
        if (pool->shelves[i].action == action)
            return &pool->shelves[i];
    }
    return NULL;
}

void
pool_init(struct pool *pool, const struct catalog *catalog)
{
    *pool = (struct pool){ 0 };
    for (size_t i = 0; i < catalog->n_actions; i++) {
        if (catalog->actions[i].warm > 0)
            pool->shelves[pool->n_shelves++].action = &catalog->actions[i];
    }
}

const struct action *
pool_wants(const struct pool *pool)
{
    const struct pool_shelf *emptiest = NULL;

    for (size_t i = 0; i < pool->n_shelves; i++) {
        const struct pool_shelf *shelf = &pool->shelves[i];

        if (shelf->n_ready >= shelf->action->warm)
            continue;
        if (!emptiest ||
            shelf->n_ready * emptiest->action->warm < emptiest->n_ready * shelf->action->warm)
            emptiest = shelf;
    }
    return emptiest ? emptiest->action : NULL;
}

bool
pool_low(const struct pool *pool, const struct action *action)
{
    for (size_t i = 0; i < pool->n_shelves; i++) {
        if (pool->shelves[i].action == action)
            return pool->shelves[i].n_ready * 2 < action->warm;
    }
    return false;
}

void
pool_put(struct pool *pool, const struct action *action, void *box)
{
    struct pool_shelf *shelf = find_shelf(pool, action);

    assert(shelf && shelf->n_ready < ACTION_WARM_MAX);
    shelf->ready[shelf->n_ready++] = box;
}

static void *
remove_at(struct pool_shelf *shelf, unsigned at)
{
    void *box = shelf->ready[at];

    shelf->n_ready--;
    memmove(&shelf->ready[at], &shelf->ready[at + 1],
            (shelf->n_ready - at) * sizeof(shelf->ready[0]));
    return box;
}

void *
pool_take(struct pool *pool, const struct action *action)
{
    struct pool_shelf *shelf = find_shelf(pool, action);

    return shelf && shelf->n_ready > 0 ? remove_at(shelf, 0) : NULL;
}

void
pool_drop(struct pool *pool, const struct action *action, const void *box)
{
    struct pool_shelf *shelf = find_shelf(pool, action);

    for (unsigned i = 0; shelf && i < shelf->n_ready; i++) {
        if (shelf->ready[i] == box) {
            (void)remove_at(shelf, i);
            return;
        }
    }
}

unsigned
pool_ready(const struct pool *pool)
{
    unsigned count = 0;

    for (size_t i = 0; i < pool->n_shelves; i++)
        count += pool->shelves[i].n_ready;
    return count;
}
