/* SPDX-License-Identifier: MIT */
/*
 * services - what handlers and hooks may ask of the runtime.
 */
#include "worker_own.h"

const void *
worker_conf(const struct worker *w)
{
    return w->conf;
}

void *
worker_state(const struct worker *w)
{
    return w->state;
}

void
worker_set_state(struct worker *w, void *state)
{
    w->state = state;
}

struct db *
worker_db(struct worker *w)
{
    return w->db;
}

struct metrics *
worker_metrics(struct worker *w)
{
    return &w->metrics;
}

struct series_set *
worker_series(struct worker *w)
{
    return &w->series;
}

struct kv *
worker_kv(struct worker *w)
{
    return w->kv;
}

struct loop *
worker_loop(struct worker *w)
{
    return w->loop;
}

struct bus *
worker_bus(struct worker *w)
{
    return w->bus;
}

const char *
worker_region(const struct worker *w)
{
    return w->common.region ? w->common.region : "";
}

bool
worker_draining(const struct worker *w)
{
    return w->stopping;
}
