/* SPDX-License-Identifier: MIT */
/*
 * search - start, stop, and the loop's thread's part of a search.
 */
#include "search.h"

#include <malloc.h>
#include <stdatomic.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "pool.h"
#include "shelf.h"

static void
on_cached(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    struct request *r = arg;
    struct search *s = r->search;
    (void)err;
    r->have_half = querycache_found(&s->cache, rc, reply, r->half, r->half_len);
    if (s->pool) {
        pool_add(s->pool, r);
        return;
    }
    call_problem(r->call, PROBLEM_UNAVAILABLE, NULL, "The program ends: ask again.");
    worker_finish(s->worker, r->call);
}

/* A remote embedding that is known already is waited for. False: nothing is. */
static bool
look_in_cache(struct search *s, struct request *r)
{
    const struct querycache_entry entry = { r->call->actor.workspace, embed_model(s->embedder),
                                            r->query };
    size_t len = EMBED_HALF_BYTES(embed_dim(s->embedder));
    struct kv *kv = worker_kv(s->worker);
    if (r->mode == COLLECTION_TEXT || !embed_is_remote(s->embedder) ||
        !querycache_works(&s->cache, kv))
        return false;
    r->half = arena_alloc(r->call->mem, len);
    r->half_len = len;
    if (!r->half)
        return false;
    querycache_ask(&s->cache, kv, &entry, on_cached, r);
    return true;
}

void
search_memories(struct worker *w, struct call *call)
{
    struct search *s = worker_state(w);
    struct err err = { 0 };
    s->searches++;
    call->audit_target = json_string(call->body, "scope");
    struct request *r = request_read(s, call);
    if (!r) {
        (void)err_set(&err, RC_LIMIT, "no room for the request");
        call_fail(call, &err);
        worker_finish(w, call);
        return;
    }
    if (!look_in_cache(s, r))
        pool_add(s->pool, r);
}

const char *
search_failing(struct worker *w)
{
    const struct search *s = worker_state(w);
    return embed_failing(s->embedder) ? EMBED_SERVER : NULL;
}

static void
tell_that_it_works(struct search *s)
{
    bool failing = embed_failing(s->embedder);
    if (s->told_failing && !failing)
        log_info(EMBED_SERVER " works again");
    s->told_failing = failing;
}

void
search_tick(struct worker *w)
{
    struct search *s = worker_state(w);
    struct metrics *metrics = worker_metrics(w);
    struct shelf_numbers numbers = shelf_numbers(s->shelf);
    metrics->index_bytes = numbers.bytes;
    metrics->index_workspaces = numbers.workspaces;
    metrics->index_streamed = numbers.large;
    metrics->index_loads = numbers.loads;
    if (atomic_exchange(&s->late, 0) > 0)
        worker_full(w, BOUND_SEARCH_TIME, "");
    if (numbers.large > 0)
        worker_full(w, BOUND_INDEX, numbers.large_one);
    tell_that_it_works(s);
    if (s->pool)
        pool_expire(s->pool);
    if (rest_is_due(&s->rest, s->searches))
        (void)malloc_trim(0);
}

enum rc
search_start(struct worker *w, struct err *err)
{
    struct search *s = calloc(1, sizeof(*s));
    const struct search_conf *conf = worker_conf(w);
    if (!s)
        return err_set(err, RC_TEMP, "no memory");
    s->worker = w;
    worker_set_state(w, s);
    querycache_init(&s->cache, conf->embed.api_key);
    enum rc rc = shelf_new((size_t)conf->index_bytes, &s->shelf, err);
    if (rc == RC_OK)
        rc = embed_new(&conf->embed, &s->embedder, err);
    if (rc == RC_OK)
        embed_share(s->embedder, &s->watch);
    return rc;
}

enum rc
search_ready(struct worker *w, struct err *err)
{
    struct search *s = worker_state(w);
    const struct search_conf *conf = worker_conf(w);
    return pool_new(s, (size_t)conf->threads, &s->pool, err);
}

void
search_drained(struct worker *w)
{
    struct search *s = worker_state(w);
    pool_free(s->pool);
    s->pool = NULL;
}

void
search_stop(struct worker *w)
{
    struct search *s = worker_state(w);
    if (!s)
        return;
    pool_free(s->pool);
    shelf_free(s->shelf);
    embed_free(s->embedder);
    free(s);
}
