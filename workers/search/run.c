/* SPDX-License-Identifier: MIT */
/*
 * run - what a thread does with requests of one workspace.
 */
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "pool.h"
#include "search.h"
#include "shelf.h"
#include "sql_search.h"
#include "sync.h"

#define HELP_ROWS 16384 /* from which two threads are quicker */
#define PAGE_MS   1000  /* what a statement may take at least */
#define TRIES     4     /* a row that is gone is looked for again in a newer index */

/* A request at work. */
struct lookup {
    struct found found;
    struct query query;
    bool has_query;
    struct collection_stats stats;
    struct collection_legs legs;
};

struct batch {
    struct searcher *t;
    struct lookup *lookups; /* owned */
    size_t n;
};

static void
end(struct lookup *lookup)
{
    struct request *r = lookup->found.request;
    lookup->found.request = NULL;
    pool_done(r);
}

static void
fail_rest(struct batch *batch, const struct err *err)
{
    for (size_t i = 0; i < batch->n; i++) {
        if (!batch->lookups[i].found.request)
            continue;
        call_fail(batch->lookups[i].found.request->call, err);
        end(&batch->lookups[i]);
    }
}

/* Also while a workspace is read: nobody waits for longer than the budget. */
static void
end_late(void *arg)
{
    struct batch *batch = arg;
    int64_t now_us = clock_mono_us();
    for (size_t i = 0; i < batch->n; i++) {
        struct request *r = batch->lookups[i].found.request;
        if (!r || r->deadline_us > now_us)
            continue;
        answer_timeout(r);
        end(&batch->lookups[i]);
    }
    pool_give_back(batch->t);
}

static bool
any_left(const struct batch *batch)
{
    for (size_t i = 0; i < batch->n; i++)
        if (batch->lookups[i].found.request)
            return true;
    return false;
}

/* --- the queries ------------------------------------------------------------------------------ */

/* No statement takes longer than a search may; a page of a workspace that is loaded is one, too. */
static enum rc
connect_once(struct searcher *t, struct err *err)
{
    const struct search_conf *conf = worker_conf(t->search->worker);
    if (t->db)
        return RC_OK;
    enum rc rc = worker_db_open(t->search->worker, &t->db, err);
    if (rc != RC_OK)
        return rc;
    return db_limit(t->db, conf->budget_ms > PAGE_MS ? conf->budget_ms : PAGE_MS, err);
}

/* The number is made by the first ingest with this model; until then nothing can be compared. */
static enum rc
know_model(struct searcher *t, struct err *err)
{
    AUTO(pgresult) PGresult *result = NULL;
    struct db_params p = { 0 };
    if (t->model != 0)
        return RC_OK;
    db_param_text(&p, embed_model(t->embedder));
    enum rc rc = db_query(t->db, NULL, SQL_SEARCH_MODEL, &p, &result, err);
    if (rc == RC_OK && PQntuples(result) > 0) {
        t->halfvec = (uint32_t)db_int(result, 0, 1, 0);
        t->model = db_int(result, 0, 0, 0);
    }
    return rc;
}

/* Without the embedding server: hybrid ones by their words, vector ones not at all. */
static void
go_without_vectors(struct batch *batch, struct request *const *asked, size_t count,
                   const struct err *err)
{
    for (size_t i = 0; i < batch->n; i++) {
        struct lookup *lookup = &batch->lookups[i];
        struct request *r = lookup->found.request;
        bool is_asked = false;
        for (size_t j = 0; j < count; j++)
            is_asked = is_asked || asked[j] == r;
        if (!is_asked)
            continue;
        r->vector = NULL;
        r->half = NULL;
        if (r->mode == COLLECTION_HYBRID) {
            r->known = 0;
            r->note = EMBED_SERVER " does not work: found by words alone";
        } else {
            call_fail(r->call, err);
            end(lookup);
        }
    }
}

/* Vectors of all requests that need one and had none in the cache, in one batch. */
static enum rc
embed_all(struct batch *batch, struct err *err)
{
    struct searcher *t = batch->t;
    struct embed_text texts[POOL_TAKE_MAX];
    struct request *asked[POOL_TAKE_MAX];
    size_t dim = embed_dim(t->embedder), count = 0;
    for (size_t i = 0; i < batch->n; i++) {
        struct request *r = batch->lookups[i].found.request;
        if (!r || r->mode == COLLECTION_TEXT)
            continue;
        if (r->mode == COLLECTION_HYBRID)
            r->known = 1 - (double)embed_unknown(t->embedder, r->query, r->query_len);
        r->vector = arena_calloc(r->call->mem, dim, sizeof(*r->vector));
        if (!r->half)
            r->half = arena_alloc(r->call->mem, EMBED_HALF_BYTES(dim));
        if (!r->vector || !r->half)
            return err_set(err, RC_LIMIT, "no room for a vector");
        if (r->have_half && embed_from_half(r->half, r->half_len, r->vector, dim) == dim)
            continue;
        asked[count] = r;
        texts[count++] = (struct embed_text){ r->query, r->query_len };
    }
    AUTO(free) float *vectors = calloc(count * dim + 1, sizeof(*vectors));
    if (!vectors)
        return err_set(err, RC_TEMP, "no memory for vectors");
    bool knew = embed_failing(t->embedder);
    enum rc rc = count ? embed_batch(t->embedder, texts, count, vectors, err) : RC_OK;
    if (rc != RC_OK && embed_is_remote(t->embedder)) {
        if (!knew)
            log_fields(LOG_ERROR, "searches use words only", "reason", err->text, NULL);
        go_without_vectors(batch, asked, count, err);
        return RC_OK;
    }
    for (size_t i = 0; rc == RC_OK && i < count; i++) {
        struct request *r = asked[i];
        memcpy(r->vector, vectors + i * dim, dim * sizeof(*vectors));
        r->half_len = EMBED_HALF_BYTES(dim);
        r->put_half = embed_is_remote(t->embedder);
        (void)embed_to_half(r->vector, dim, r->half);
    }
    return rc;
}

/* A vector of zeros has no direction: nothing can be compared with it. */
static void
drop_zeros(struct batch *batch)
{
    size_t dim = embed_dim(batch->t->embedder);
    for (size_t i = 0; i < batch->n; i++) {
        struct request *r = batch->lookups[i].found.request;
        AUTO(free) uint8_t *half = NULL;
        if (!r || !r->vector)
            continue;
        half = calloc(1, EMBED_HALF_BYTES(dim));
        if (half && !embed_to_half(r->vector, dim, half)) {
            r->vector = NULL;
            r->half = NULL;
            r->put_half = false;
        }
    }
}

static enum rc
parse_all(struct batch *batch, struct err *err)
{
    for (size_t i = 0; i < batch->n; i++) {
        struct lookup *lookup = &batch->lookups[i];
        const struct request *r = lookup->found.request;
        if (!r || r->mode == COLLECTION_VECTOR)
            continue;
        if (query_parse(r->query, r->query_len, &lookup->query) != RC_OK)
            return err_set(err, RC_TEMP, "no memory for a query");
        lookup->has_query = true;
    }
    return RC_OK;
}

static enum rc
prepare(struct batch *batch, struct err *err)
{
    enum rc rc = connect_once(batch->t, err);
    if (rc == RC_OK)
        rc = know_model(batch->t, err);
    if (rc == RC_OK)
        rc = embed_all(batch, err);
    if (rc != RC_OK)
        return rc;
    drop_zeros(batch);
    return parse_all(batch, err);
}

/* --- finding ---------------------------------------------------------------------------------- */

static struct collection_search
search_of(const struct lookup *lookup)
{
    const struct request *r = lookup->found.request;
    return (struct collection_search){
        .mode = r->mode,
        .k = (size_t)r->k,
        .query = lookup->has_query ? &lookup->query : NULL,
        .stats = lookup->has_query ? &lookup->stats : NULL,
        .vector = r->vector,
        .filter = { .scope = r->scope,
                    .source = r->source,
                    .tags = r->tags,
                    .tag_count = r->tag_count,
                    .has_since = r->since_ms >= 0,
                    .has_until = r->until_ms >= 0,
                    .since_ms = r->since_ms,
                    .until_ms = r->until_ms,
                    .now_ms = clock_wall_ms() },
        .deadline_us = r->deadline_us,
    };
}

/* Late ones are answered, without disturbing the others. */
static enum rc
count_terms(void *arg, const struct collection *c, struct err *err)
{
    struct batch *batch = arg;
    end_late(batch);
    for (size_t i = 0; i < batch->n; i++) {
        struct lookup *lookup = &batch->lookups[i];
        if (!lookup->found.request || !lookup->has_query)
            continue;
        enum rc rc = collection_count_terms(c, &lookup->query, &lookup->stats, err);
        if (rc != RC_OK)
            return rc;
    }
    return any_left(batch) ? RC_OK : RC_LIMIT;
}

static enum rc
find(void *arg, const struct collection *c, struct err *err)
{
    struct batch *batch = arg;
    struct collection_search searches[POOL_TAKE_MAX];
    struct collection_asked asked[POOL_TAKE_MAX];
    struct lookup *lookups[POOL_TAKE_MAX];
    const struct collection_helper helper = { pool_help, pool_helped, batch->t->search->pool,
                                              HELP_ROWS };
    size_t n = 0;
    end_late(batch);
    for (size_t i = 0; i < batch->n; i++) {
        struct lookup *lookup = &batch->lookups[i];
        if (!lookup->found.request)
            continue;
        searches[n] = search_of(lookup);
        asked[n] = (struct collection_asked){ &searches[n], &lookup->legs, false };
        lookups[n++] = lookup;
    }
    enum rc rc = collection_find_all(c, asked, n, &helper, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        if (!asked[i].late)
            continue;
        answer_timeout(lookups[i]->found.request);
        end(lookups[i]);
    }
    if (rc != RC_OK)
        return rc;
    return any_left(batch) ? RC_OK : RC_LIMIT;
}

static void
forget_results(struct batch *batch)
{
    for (size_t i = 0; i < batch->n; i++) {
        collection_stats_fini(&batch->lookups[i].stats);
        batch->lookups[i].stats = (struct collection_stats){ 0 };
        batch->lookups[i].legs.text_count = 0;
        batch->lookups[i].legs.vector_count = 0;
        batch->lookups[i].legs.whole_count = 0;
    }
}

/* *found: false: the index has been taken away meanwhile. */
static enum rc
find_in_entry(struct batch *batch, struct shelf_entry *entry, bool *found, struct err *err)
{
    (void)pthread_rwlock_rdlock(&entry->lock);
    const struct collection *c = entry->collection;
    *found = c != NULL;
    enum rc rc = c ? count_terms(batch, c, err) : RC_OK;
    if (rc == RC_OK && c)
        rc = find(batch, c, err);
    (void)pthread_rwlock_unlock(&entry->lock);
    return rc;
}

static enum rc
find_in_slices(struct batch *batch, const char *workspace, struct err *err)
{
    bool words = false;
    for (size_t i = 0; i < batch->n; i++)
        words = words || batch->lookups[i].has_query;
    enum rc rc = words ? sync_slices(batch->t, workspace, count_terms, batch, err) : RC_OK;
    return rc == RC_OK ? sync_slices(batch->t, workspace, find, batch, err) : rc;
}

/* A vector search is ranked when the exact cosines are known. */
static void
rank_all(struct batch *batch)
{
    for (size_t i = 0; i < batch->n; i++) {
        struct lookup *lookup = &batch->lookups[i];
        const struct request *r = lookup->found.request;
        if (!r)
            continue;
        lookup->found.n =
            collection_union(r->mode, (size_t)r->k, &lookup->legs, lookup->found.hits);
        const struct collection_ranking ranking = { .mode = r->mode,
                                                    .k = (size_t)r->k,
                                                    .text_weight = collection_text_weight(r->known),
                                                    .has_min_score = r->has_min_score,
                                                    .min_score = r->min_score };
        if (r->mode != COLLECTION_VECTOR)
            lookup->found.n = collection_rank(&ranking, lookup->found.hits, lookup->found.n);
    }
}

static enum rc
answer_found(struct batch *batch, bool last, const char *version, struct err *err)
{
    struct found *found[POOL_TAKE_MAX];
    for (size_t i = 0; i < batch->n; i++)
        found[i] = &batch->lookups[i].found;
    return answer_all(batch->t, found, batch->n, last, version, err);
}

static enum rc
try_once(struct batch *batch, struct shelf_entry *entry, bool last, struct err *err)
{
    bool streamed = false, found = true;
    enum rc rc = sync_entry(batch->t, entry, end_late, batch, &streamed, err);
    if (rc != RC_OK || !any_left(batch))
        return rc;
    forget_results(batch);
    rc = streamed ? find_in_slices(batch, entry->workspace, err)
                  : find_in_entry(batch, entry, &found, err);
    if (rc == RC_LIMIT && !any_left(batch))
        return RC_OK;
    if (rc != RC_OK || !found)
        return rc;
    rank_all(batch);
    return answer_found(batch, last, NULL, err);
}

/* Most workspaces change seldom: searches first, and asks with the items whether that was right. */
static enum rc
try_guess(struct batch *batch, struct shelf_entry *entry, struct err *err)
{
    char version[SHELF_VERSION_TEXT_MAX];
    if (!sync_guess(batch->t, entry, version))
        return RC_OK;
    enum rc rc = count_terms(batch, entry->collection, err);
    if (rc == RC_OK)
        rc = find(batch, entry->collection, err);
    (void)pthread_rwlock_unlock(&entry->lock);
    if (rc == RC_LIMIT && !any_left(batch))
        return RC_OK;
    if (rc != RC_OK)
        return rc;
    rank_all(batch);
    return answer_found(batch, false, version, err);
}

void
searcher_run(struct searcher *t, struct request **requests, size_t n)
{
    struct err err = { 0 };
    char workspace[WORKSPACE_TEXT_MAX];
    struct batch batch = { .t = t, .lookups = calloc(n, sizeof(*batch.lookups)), .n = n };
    if (!batch.lookups) {
        (void)err_set(&err, RC_TEMP, "no memory for searches");
        for (size_t i = 0; i < n; i++) {
            call_fail(requests[i]->call, &err);
            pool_done(requests[i]);
        }
        return;
    }
    memcpy(workspace, requests[0]->call->actor.workspace, sizeof(workspace));
    for (size_t i = 0; i < n; i++)
        batch.lookups[i].found.request = requests[i];
    for (size_t i = 0; i < n; i++)
        requests[i]->by = t;
    if (t->db)
        db_usage_begin(t->db);
    end_late(&batch);
    enum rc rc = any_left(&batch) ? prepare(&batch, &err) : RC_OK;
    struct shelf_entry *entry = rc == RC_OK ? shelf_take(t->search->shelf, workspace) : NULL;
    if (rc == RC_OK && !entry)
        rc = err_set(&err, RC_TEMP, "no memory for an index");
    if (rc == RC_OK)
        rc = try_guess(&batch, entry, &err);
    for (unsigned i = 0; rc == RC_OK && i < TRIES && any_left(&batch); i++)
        rc = try_once(&batch, entry, i + 1 == TRIES, &err);
    if (rc == RC_OK && any_left(&batch))
        (void)err_set(&err, RC_TEMP, "the workspace's index was replaced too often");
    end_late(&batch);
    fail_rest(&batch, &err);
    pool_give_back(t);
    if (entry)
        shelf_give(t->search->shelf, entry);
    for (size_t i = 0; i < n; i++) {
        query_free(&batch.lookups[i].query);
        collection_stats_fini(&batch.lookups[i].stats);
    }
    free(batch.lookups);
}
