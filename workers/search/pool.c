/* SPDX-License-Identifier: MIT */
/*
 * pool - two queues for each workspace that something waits for, of short queries and of long ones, in a
 * ring.
 */
#include "pool.h"

#include <pthread.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "shelf.h"

TAILQ_HEAD(request_list, request);

struct queue {
    TAILQ_ENTRY(queue) link;
    char workspace[WORKSPACE_TEXT_MAX];
    bool is_long;
    struct request_list requests; /* borrowed; oldest first */
    size_t waiting;
    size_t active;    /* threads that are at it */
    int64_t since_us; /* the last of them began; monotonic */
    size_t reading;   /* of these, threads that were let in to read the workspace first: 0 or 1 */
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
    TAILQ_HEAD(, queue) ring;         /* owned; whose turn is next comes first */
    size_t waiting, reading, at_long; /* at_long: threads with long queries */
    int64_t rest_us;                  /* until then no long query is begun; monotonic */
    bool stopping, added;             /* added: since the threads were told; of the loop's thread */
    size_t n, idle;
    long processors;
    struct thread *threads; /* owned */
    struct {
        enum { HELP_NONE, HELP_WANTED, HELP_UNDER_WAY, HELP_DONE } state;
        void (*fn)(void *arg);
        void *arg;
    } help; /* one at a time */
    pthread_cond_t helped;
};

static struct queue *
find(struct pool *pool, const char *workspace, bool is_long)
{
    struct queue *queue;
    TAILQ_FOREACH (queue, &pool->ring, link) {
        if (queue->is_long == is_long && strcmp(queue->workspace, workspace) == 0)
            return queue;
    }
    return NULL;
}

/* Until when are the next requests left: for the thread that is there already, or because long ones rest? */
static int64_t
closed_until(const struct pool *pool, const struct queue *queue)
{
    if (queue->is_long)
        return pool->rest_us;
    return queue->active > 0 && queue->waiting < POOL_ENOUGH ? queue->since_us + POOL_LONG_US : 0;
}

/* May one more thread go there now? *reads: the workspace has to be read first; *again_us: if not, when to
 * look again, where that is known. */
static bool
is_open(struct pool *pool, const struct queue *queue, bool *reads, int64_t *again_us)
{
    size_t most = pool->n > 1 ? pool->n - 1 : 1;
    *reads = false;
    size_t longs = pool->n > POOL_LONG_SHARE ? pool->n / POOL_LONG_SHARE : 1;
    if (TAILQ_EMPTY(&queue->requests) || (queue->is_long && pool->at_long >= longs))
        return false;
    const struct queue *other = find(pool, queue->workspace, !queue->is_long);
    size_t active = queue->active + (other ? other->active : 0);
    if (active >= most || queue->reading > 0 || (other && other->reading > 0))
        return false;
    int64_t until_us = closed_until(pool, queue);
    if (clock_mono_us() < until_us) {
        *again_us = until_us < *again_us ? until_us : *again_us;
        return false;
    }
    *reads = !shelf_ready(pool->search->shelf, queue->workspace);
    return !*reads || (active == 0 && pool->reading < most);
}

static size_t
take(struct pool *pool, struct queue *queue, struct request *batch[POOL_TAKE_MAX])
{
    size_t n = 0;
    struct request *r;
    size_t most = queue->is_long ? 1 : POOL_TAKE_MAX;
    while (n < most && (r = TAILQ_FIRST(&queue->requests)) != NULL) {
        TAILQ_REMOVE(&queue->requests, r, link);
        batch[n++] = r;
    }
    pool->waiting -= n;
    queue->waiting -= n;
    return n;
}

/* One thread is more than the share of long queries where there are few processors. */
int64_t
pool_rest_us(size_t threads, long processors, int64_t took_us)
{
    int64_t able = (int64_t)threads;
    if (able > processors)
        able = processors;
    if (able >= POOL_LONG_SHARE)
        return 0;
    int64_t rest_us = took_us * (POOL_LONG_SHARE - able) / able;
    return rest_us < POOL_REST_US ? rest_us : POOL_REST_US;
}

/* The work of a thread; the lock is held but while it searches. */
static void
work(struct thread *thread, struct queue *queue, bool reads)
{
    struct pool *pool = thread->pool;
    struct request *batch[POOL_TAKE_MAX];
    size_t n = take(pool, queue, batch);
    TAILQ_REMOVE(&pool->ring, queue, link);
    TAILQ_INSERT_TAIL(&pool->ring, queue, link);
    queue->active++;
    int64_t since_us = queue->since_us = clock_mono_us();
    pool->at_long += queue->is_long;
    queue->reading += reads;
    pool->reading += reads;
    if (pool->waiting > 0)
        (void)pthread_cond_signal(&pool->work);
    (void)pthread_mutex_unlock(&pool->lock);
    searcher_run(&thread->searcher, batch, n);
    (void)pthread_mutex_lock(&pool->lock);
    queue->active--;
    bool was_long = queue->is_long;
    if (was_long) {
        int64_t now_us = clock_mono_us();
        pool->rest_us = now_us + pool_rest_us(pool->n, pool->processors, now_us - since_us);
    }
    pool->at_long -= was_long;
    queue->reading -= reads;
    pool->reading -= reads;
    if (queue->active == 0 && TAILQ_EMPTY(&queue->requests)) {
        TAILQ_REMOVE(&pool->ring, queue, link);
        free(queue);
    }
    if (reads || was_long) /* others may wait for just that */
        (void)pthread_cond_broadcast(&pool->work);
}

/* An embedding server that fails is asked now and then by whoever comes along. */
static void
wait_for_work(struct thread *thread, int64_t again_us)
{
    struct pool *pool = thread->pool;
    if (again_us == INT64_MAX && !embed_failing(thread->searcher.embedder)) {
        (void)pthread_cond_wait(&pool->work, &pool->lock);
        return;
    }
    int64_t probe_us = clock_mono_us() + 1000000;
    int64_t until_us = again_us < probe_us ? again_us : probe_us;
    const struct timespec until = { until_us / 1000000, until_us % 1000000 * 1000 };
    (void)pthread_cond_clockwait(&pool->work, &pool->lock, CLOCK_MONOTONIC, &until);
}

/* Nothing to do, or nothing yet. */
static void
idle(struct thread *thread, int64_t again_us)
{
    thread->pool->idle++;
    wait_for_work(thread, again_us);
    thread->pool->idle--;
}

/* --- a search by two threads ------------------------------------------------------------------- */

bool
pool_help(void *context, void (*fn)(void *arg), void *arg)
{
    struct pool *pool = context;
    (void)pthread_mutex_lock(&pool->lock);
    bool starts = pool->idle > 0 && pool->waiting == 0 && pool->help.state == HELP_NONE;
    if (starts) {
        pool->help.state = HELP_WANTED;
        pool->help.fn = fn;
        pool->help.arg = arg;
        (void)pthread_cond_signal(&pool->work);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return starts;
}

/* What nobody has begun is not needed any more. */
void
pool_helped(void *context)
{
    struct pool *pool = context;
    (void)pthread_mutex_lock(&pool->lock);
    while (pool->help.state == HELP_UNDER_WAY)
        (void)pthread_cond_wait(&pool->helped, &pool->lock);
    pool->help.state = HELP_NONE;
    (void)pthread_mutex_unlock(&pool->lock);
}

static void
help(struct pool *pool)
{
    if (pool->help.state != HELP_WANTED)
        return;
    pool->help.state = HELP_UNDER_WAY;
    (void)pthread_mutex_unlock(&pool->lock);
    pool->help.fn(pool->help.arg);
    (void)pthread_mutex_lock(&pool->lock);
    pool->help.state = HELP_DONE;
    (void)pthread_cond_signal(&pool->helped);
}

/* ----------------------------------------------------------------------------------------------- */

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
        bool reads = false;
        int64_t again_us = INT64_MAX;
        help(pool);
        probe(thread);
        struct queue *queue = TAILQ_FIRST(&pool->ring);
        while (queue && !is_open(pool, queue, &reads, &again_us))
            queue = TAILQ_NEXT(queue, link);
        if (queue)
            work(thread, queue, reads);
        else if (pool->help.state != HELP_WANTED)
            idle(thread, again_us);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    db_close(thread->searcher.db);
    return NULL;
}

/* At the end of a turn. Who is told tells the next one while there is more. */
static int
tell_threads(void *arg)
{
    struct pool *pool = arg;
    if (!pool->added)
        return -1;
    pool->added = false;
    (void)pthread_mutex_lock(&pool->lock);
    (void)pthread_cond_signal(&pool->work);
    (void)pthread_mutex_unlock(&pool->lock);
    return -1;
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
    pool->processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (pool->processors < 1)
        pool->processors = 1;
    TAILQ_INIT(&pool->ring);
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_cond_init(&pool->work, NULL);
    (void)pthread_cond_init(&pool->helped, NULL);
    pool->threads = calloc(threads, sizeof(*pool->threads));
    if (!pool->threads)
        return err_set(err, RC_TEMP, "no memory");
    for (; pool->n < threads; pool->n++) {
        struct thread *thread = &pool->threads[pool->n];
        *thread = (struct thread){ .pool = pool, .searcher = { .search = s } };
        STAILQ_INIT(&thread->searcher.done);
        enum rc rc = embed_new(&conf->embed, &thread->searcher.embedder, err);
        if (rc != RC_OK)
            return rc;
        embed_share(thread->searcher.embedder, &s->watch);
        embed_patience(thread->searcher.embedder, (uint32_t)conf->budget_ms / 2);
    }
    for (size_t i = 0; i < threads; i++) {
        if (pthread_create(&pool->threads[i].id, NULL, run, &pool->threads[i]) != 0)
            return err_set(err, RC_TEMP, "cannot start a thread");
        pool->threads[i].started = true;
    }
    loop_prepare(worker_loop(s->worker), LOOP_RANK_WRITE, tell_threads, pool);
    return RC_OK;
}

void
pool_free(struct pool *pool)
{
    if (!pool)
        return;
    loop_unprepare(worker_loop(pool->search->worker), tell_threads, pool);
    (void)pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    (void)pthread_cond_broadcast(&pool->work);
    (void)pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->n; i++)
        if (pool->threads[i].started)
            (void)pthread_join(pool->threads[i].id, NULL);
    for (size_t i = 0; i < pool->n; i++)
        embed_free(pool->threads[i].searcher.embedder);
    struct queue *queue;
    while ((queue = TAILQ_FIRST(&pool->ring)) != NULL) {
        TAILQ_REMOVE(&pool->ring, queue, link);
        free(queue);
    }
    (void)pthread_mutex_destroy(&pool->lock);
    (void)pthread_cond_destroy(&pool->work);
    (void)pthread_cond_destroy(&pool->helped);
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
    bool is_long = request->query_len > POOL_ALONE_BYTES;
    struct queue *queue = find(pool, workspace, is_long);
    const struct queue *other = find(pool, workspace, !is_long);
    size_t waiting = (queue ? queue->waiting : 0) + (other ? other->waiting : 0);
    if (pool->waiting >= POOL_WAITING_MAX || waiting >= POOL_WAITING_SHARE)
        return false;
    if (!queue) {
        queue = calloc(1, sizeof(*queue));
        if (!queue)
            return false;
        memcpy(queue->workspace, workspace, strlen(workspace) + 1);
        queue->is_long = is_long;
        TAILQ_INIT(&queue->requests);
        TAILQ_INSERT_TAIL(&pool->ring, queue, link);
    }
    TAILQ_INSERT_TAIL(&queue->requests, request, link);
    pool->waiting++;
    queue->waiting++;
    /* The first one wakes who will look again. */
    if (queue->waiting == 1 || clock_mono_us() >= closed_until(pool, queue))
        pool->added = true;
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

/* Moves what is late to `late`; the queues stay in order. */
static void
take_late(struct pool *pool, int64_t now_us, struct request_list *late)
{
    struct queue *queue;
    TAILQ_FOREACH (queue, &pool->ring, link) {
        struct request *next;
        for (struct request *r = TAILQ_FIRST(&queue->requests); r; r = next) {
            next = TAILQ_NEXT(r, link);
            if (r->deadline_us > now_us)
                continue;
            TAILQ_REMOVE(&queue->requests, r, link);
            TAILQ_INSERT_TAIL(late, r, link);
            pool->waiting--;
            queue->waiting--;
        }
    }
}

void
pool_expire(struct pool *pool)
{
    struct request_list late = TAILQ_HEAD_INITIALIZER(late);
    struct request *r;
    (void)pthread_mutex_lock(&pool->lock);
    take_late(pool, clock_mono_us(), &late);
    (void)pthread_mutex_unlock(&pool->lock);
    while ((r = TAILQ_FIRST(&late)) != NULL) {
        TAILQ_REMOVE(&late, r, link);
        answer_timeout(r);
        worker_finish(pool->search->worker, r->call);
    }
}

/* On the loop's thread again. */
static void
finish(struct request *r)
{
    struct search *s = r->search;
    const struct querycache_entry entry = { r->call->actor.workspace, embed_model(s->embedder),
                                            r->query };
    if (r->put_half)
        querycache_put(&s->cache, worker_kv(s->worker), &entry, r->half, r->half_len);
    worker_finish(s->worker, r->call);
}

/* The first of some. */
static void
finish_all(void *arg)
{
    struct request *r = arg, *next;
    for (; r; r = next) {
        next = STAILQ_NEXT(r, done);
        finish(r);
    }
}

void
pool_done(struct request *request)
{
    struct call *call = request->call;
    if (request->by && request->by->db)
        call->database_us = db_usage(request->by->db, &call->database_start_us);
    if (request->by) {
        STAILQ_INSERT_TAIL(&request->by->done, request, done);
        return;
    }
    STAILQ_NEXT(request, done) = NULL;
    loop_post(worker_loop(request->search->worker), finish_all, request);
}

void
pool_give_back(struct searcher *searcher)
{
    struct request *first = STAILQ_FIRST(&searcher->done);
    STAILQ_INIT(&searcher->done);
    if (first)
        loop_post(worker_loop(searcher->search->worker), finish_all, first);
}
