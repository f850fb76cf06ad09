/* SPDX-License-Identifier: MIT */
/*
 * pool - a queue for each workspace that something waits for, in a ring.
 */
#include "pool.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "shelf.h"

struct queue {
    struct queue *next;
    char workspace[WORKSPACE_TEXT_MAX];
    struct request *first, *last;
    size_t waiting;
    size_t active;          /* threads that are at it */
    size_t shorts;          /* of these, threads with short queries */
    int64_t short_since_us; /* the last of them began; monotonic */
    size_t reading; /* of these, threads that were let in to read the workspace first: 0 or 1 */
};

struct thread {
    struct pool *pool;
    struct searcher searcher;
    pthread_t id;
    bool started;
};

struct pool {
    struct search *search;
    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t work;
    struct queue *first; /* owned; whose turn is next */
    size_t waiting, reading;
    bool stopping;
    size_t n;
    struct thread *threads; /* owned */
};

static struct queue *
find(struct pool *pool, const char *workspace)
{
    struct queue *queue = pool->first;
    while (queue && strcmp(queue->workspace, workspace) != 0)
        queue = queue->next;
    return queue;
}

/* To the end of the ring. */
static void
append(struct pool *pool, struct queue *queue)
{
    struct queue **at = &pool->first;
    while (*at)
        at = &(*at)->next;
    queue->next = NULL;
    *at = queue;
}

static void
unlink_queue(struct pool *pool, struct queue *queue)
{
    struct queue **at = &pool->first;
    while (*at != queue)
        at = &(*at)->next;
    *at = queue->next;
}

static bool
is_long(const struct request *request)
{
    return request->query_len > POOL_ALONE_BYTES;
}

/* Are the next requests left for the thread that is there already? */
static bool
can_wait(const struct queue *queue)
{
    return queue->shorts > 0 && queue->waiting < POOL_ENOUGH && !is_long(queue->first) &&
           clock_mono_us() < queue->short_since_us + POOL_LONG_US;
}

/* May one more thread go there now? *reads: the workspace has to be read first; *later: perhaps soon. */
static bool
is_open(struct pool *pool, const struct queue *queue, bool *reads, bool *later)
{
    size_t most = pool->n > 1 ? pool->n - 1 : 1;
    *reads = false;
    if (!queue->first || queue->active >= most || queue->reading > 0)
        return false;
    if (can_wait(queue)) {
        *later = true;
        return false;
    }
    *reads = !shelf_ready(pool->search->shelf, queue->workspace);
    return !*reads || (queue->active == 0 && pool->reading < most);
}

static size_t
take(struct pool *pool, struct queue *queue, struct request *batch[POOL_TAKE_MAX])
{
    size_t n = 0;
    while (queue->first && n < POOL_TAKE_MAX) {
        struct request *r = queue->first;
        bool alone = is_long(r);
        if (alone && n > 0)
            break;
        queue->first = r->next;
        batch[n++] = r;
        if (alone)
            break;
    }
    if (!queue->first)
        queue->last = NULL;
    pool->waiting -= n;
    queue->waiting -= n;
    return n;
}

/* The work of a thread; the lock is held but while it searches. */
static void
work(struct thread *thread, struct queue *queue, bool reads)
{
    struct pool *pool = thread->pool;
    struct request *batch[POOL_TAKE_MAX];
    bool brief = !is_long(queue->first);
    size_t n = take(pool, queue, batch);
    unlink_queue(pool, queue);
    append(pool, queue);
    queue->active++;
    queue->shorts += brief;
    queue->short_since_us = brief ? clock_mono_us() : queue->short_since_us;
    queue->reading += reads;
    pool->reading += reads;
    if (queue->first)
        (void)pthread_cond_signal(&pool->work);
    (void)pthread_mutex_unlock(&pool->lock);
    searcher_run(&thread->searcher, batch, n);
    (void)pthread_mutex_lock(&pool->lock);
    queue->active--;
    queue->shorts -= brief;
    queue->reading -= reads;
    pool->reading -= reads;
    if (queue->active == 0 && !queue->first) {
        unlink_queue(pool, queue);
        free(queue);
    }
    if (reads) /* others may wait for just that */
        (void)pthread_cond_broadcast(&pool->work);
}

/* Nothing to do, or nothing yet. An embedding server that fails is asked now and then by whoever comes
 * along. */
static void
idle(struct thread *thread, bool later)
{
    struct pool *pool = thread->pool;
    if (!later && !embed_failing(thread->searcher.embedder)) {
        (void)pthread_cond_wait(&pool->work, &pool->lock);
        return;
    }
    int64_t until_us = clock_mono_us() + (later ? POOL_LONG_US : 1000000);
    const struct timespec until = { until_us / 1000000, until_us % 1000000 * 1000 };
    (void)pthread_cond_clockwait(&pool->work, &pool->lock, CLOCK_MONOTONIC, &until);
}

static void
probe(struct thread *thread)
{
    if (!embed_failing(thread->searcher.embedder))
        return;
    (void)pthread_mutex_unlock(&thread->pool->lock);
    embed_probe(thread->searcher.embedder);
    (void)pthread_mutex_lock(&thread->pool->lock);
}

static void *
run(void *arg)
{
    struct thread *thread = arg;
    struct pool *pool = thread->pool;
    (void)pthread_mutex_lock(&pool->lock);
    while (!pool->stopping) {
        bool reads = false, later = false;
        probe(thread);
        struct queue *queue = pool->first;
        while (queue && !is_open(pool, queue, &reads, &later))
            queue = queue->next;
        if (queue)
            work(thread, queue, reads);
        else
            idle(thread, later);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    db_close(thread->searcher.db);
    return NULL;
}

enum rc
pool_new(struct search *s, size_t threads, struct pool **out, struct err *err)
{
    struct pool *pool = calloc(1, sizeof(*pool));
    const struct search_conf *conf = worker_conf(s->worker);
    if (!pool)
        return err_set(err, RC_TEMP, "no memory");
    *out = pool; /* whatever was begun, pool_free() ends */
    pool->search = s;
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_cond_init(&pool->work, NULL);
    pool->threads = calloc(threads, sizeof(*pool->threads));
    if (!pool->threads)
        return err_set(err, RC_TEMP, "no memory");
    for (; pool->n < threads; pool->n++) {
        struct thread *thread = &pool->threads[pool->n];
        *thread = (struct thread){ .pool = pool, .searcher = { .search = s } };
        enum rc rc = embed_new(&conf->embed, &thread->searcher.embedder, err);
        if (rc != RC_OK)
            return rc;
        embed_share(thread->searcher.embedder, &s->watch);
        embed_patience(thread->searcher.embedder, (uint32_t)conf->budget_ms / 2);
    }
    for (size_t i = 0; i < threads; i++) {
        if (pthread_create(&pool->threads[i].id, NULL, run, &pool->threads[i]) != 0)
            return err_set(err, RC_TEMP, "no thread can be made");
        pool->threads[i].started = true;
    }
    return RC_OK;
}

void
pool_free(struct pool *pool)
{
    if (!pool)
        return;
    (void)pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    (void)pthread_cond_broadcast(&pool->work);
    (void)pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->n; i++)
        if (pool->threads[i].started)
            (void)pthread_join(pool->threads[i].id, NULL);
    for (size_t i = 0; i < pool->n; i++)
        embed_free(pool->threads[i].searcher.embedder);
    while (pool->first) {
        struct queue *queue = pool->first;
        pool->first = queue->next;
        free(queue);
    }
    (void)pthread_mutex_destroy(&pool->lock);
    (void)pthread_cond_destroy(&pool->work);
    free(pool->threads);
    free(pool);
}

bool
pool_stopping(struct pool *pool)
{
    (void)pthread_mutex_lock(&pool->lock);
    bool stopping = pool->stopping;
    (void)pthread_mutex_unlock(&pool->lock);
    return stopping;
}

static bool
add(struct pool *pool, struct request *request)
{
    const char *workspace = request->call->actor.workspace;
    struct queue *queue = find(pool, workspace);
    if (pool->waiting >= POOL_WAITING_MAX || (queue && queue->waiting >= POOL_WAITING_SHARE))
        return false;
    if (!queue) {
        queue = calloc(1, sizeof(*queue));
        if (!queue)
            return false;
        memcpy(queue->workspace, workspace, strlen(workspace) + 1);
        append(pool, queue);
    }
    request->next = NULL;
    if (queue->last)
        queue->last->next = request;
    else
        queue->first = request;
    queue->last = request;
    pool->waiting++;
    queue->waiting++;
    if (queue->waiting == 1 || !can_wait(queue)) /* the first one wakes who will look again */
        (void)pthread_cond_signal(&pool->work);
    return true;
}

void
pool_add(struct pool *pool, struct request *request)
{
    (void)pthread_mutex_lock(&pool->lock);
    bool added = add(pool, request);
    (void)pthread_mutex_unlock(&pool->lock);
    if (added)
        return;
    worker_full(pool->search->worker, BOUND_SEARCHES, request->call->actor.workspace);
    call_problem(
        request->call, PROBLEM_UNAVAILABLE, NULL,
        "The workspace, or all of them, have too many searches waiting already: ask again.");
    worker_finish(pool->search->worker, request->call);
}

/* Takes out what is late; the queues stay in order. */
static struct request *
take_late(struct pool *pool, int64_t now_us)
{
    struct request *late = NULL;
    for (struct queue *queue = pool->first; queue; queue = queue->next) {
        struct request **at = &queue->first, *last = NULL;
        while (*at) {
            struct request *r = *at;
            if (r->deadline_us > now_us) {
                last = r;
                at = &r->next;
                continue;
            }
            *at = r->next;
            r->next = late;
            late = r;
            pool->waiting--;
            queue->waiting--;
        }
        queue->last = last;
    }
    return late;
}

void
pool_expire(struct pool *pool)
{
    (void)pthread_mutex_lock(&pool->lock);
    struct request *late = take_late(pool, clock_mono_us());
    (void)pthread_mutex_unlock(&pool->lock);
    while (late) {
        struct request *r = late;
        late = r->next;
        answer_timeout(r);
        worker_finish(pool->search->worker, r->call);
    }
}

/* On the loop's thread again. */
static void
finish(void *arg)
{
    struct request *r = arg;
    struct search *s = r->search;
    const struct querycache_entry entry = { r->call->actor.workspace, embed_model(s->embedder),
                                            r->query };
    if (r->put_half)
        querycache_put(&s->cache, worker_kv(s->worker), &entry, r->half, r->half_len);
    worker_finish(s->worker, r->call);
}

void
pool_done(struct request *request)
{
    struct call *call = request->call;
    if (request->by && request->by->db)
        call->database_us = db_usage(request->by->db, &call->database_start_us);
    loop_post(worker_loop(request->search->worker), finish, request);
}
