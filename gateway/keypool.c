/* SPDX-License-Identifier: MIT */
#include "keypool.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"

#define NICENESS      10
#define LOOK_AGAIN_MS 20

struct lane {
    struct keypool_job *first, **last;
    unsigned count;
    int64_t rests_until_ms; /* monotonic */
};

struct keypool {
    struct loop *loop; /* borrowed */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct lane lanes[KEYPOOL_LANES];
    unsigned next_lane;
    unsigned waiting; /* jobs in the lanes */
    bool stopping;
    pthread_t *threads; /* owned */
    unsigned n_threads;
};

/* The next job of a lane that does not rest; NULL when there is none. */
static struct keypool_job *
take(struct keypool *pool, int64_t now_ms)
{
    for (unsigned i = 0; i < KEYPOOL_LANES; i++) {
        struct lane *lane = &pool->lanes[(pool->next_lane + i) % KEYPOOL_LANES];
        struct keypool_job *job = lane->first;
        if (!job || lane->rests_until_ms > now_ms)
            continue;
        lane->first = job->next;
        if (!lane->first)
            lane->last = &lane->first;
        lane->count--;
        pool->waiting--;
        pool->next_lane = (pool->next_lane + i + 1) % KEYPOOL_LANES;
        job->next = NULL;
        return job;
    }
    return NULL;
}

/* Until a job comes, or, while jobs wait in lanes that rest, for a while. */
static void
wait_for_job(struct keypool *pool)
{
    struct timespec until;
    if (!pool->waiting) {
        pthread_cond_wait(&pool->wake, &pool->lock);
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LOOK_AGAIN_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&pool->wake, &pool->lock, &until);
}

static void
rest(struct lane *lane, int64_t took_ms)
{
    int64_t rest_ms = took_ms * KEYPOOL_REST;
    lane->rests_until_ms =
        clock_mono_ms() + (rest_ms > KEYPOOL_REST_MS ? rest_ms : KEYPOOL_REST_MS);
}

static void *
work(void *arg)
{
    struct keypool *pool = arg;
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS);
    pthread_mutex_lock(&pool->lock);
    while (!pool->stopping) {
        int64_t start_ms = clock_mono_ms();
        struct keypool_job *job = take(pool, start_ms);
        if (!job) {
            wait_for_job(pool);
            continue;
        }
        pthread_mutex_unlock(&pool->lock);
        struct lane *lane = &pool->lanes[job->lane];
        enum rc rc = crypto_password_verify(job->phc, job->secret, sizeof(job->secret));
        job->result = rc;
        crypto_wipe(job->secret, sizeof(job->secret));
        loop_post(pool->loop, job->done, job);
        pthread_mutex_lock(&pool->lock);
        if (rc == RC_DENIED)
            rest(lane, clock_mono_ms() - start_ms);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

enum rc
keypool_open(struct loop *loop, unsigned threads, struct keypool **out, struct err *err)
{
    struct keypool *pool = calloc(1, sizeof(*pool));
    pthread_condattr_t attr;
    if (!pool || !(pool->threads = calloc(threads, sizeof(pthread_t)))) {
        free(pool);
        return err_set(err, RC_TEMP, "no memory for the key pool");
    }
    pool->loop = loop;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->wake, &attr);
    pthread_condattr_destroy(&attr);
    for (unsigned i = 0; i < KEYPOOL_LANES; i++)
        pool->lanes[i].last = &pool->lanes[i].first;
    for (; pool->n_threads < threads; pool->n_threads++)
        if (pthread_create(&pool->threads[pool->n_threads], NULL, work, pool) != 0)
            break;
    if (pool->n_threads < threads) {
        keypool_close(pool);
        return err_set(err, RC_TEMP, "cannot start the key pool's threads");
    }
    *out = pool;
    return RC_OK;
}

void
keypool_close(struct keypool *pool)
{
    struct keypool_job *job;
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->n_threads; i++)
        pthread_join(pool->threads[i], NULL);
    while ((job = take(pool, INT64_MAX)) != NULL) {
        crypto_wipe(job->secret, sizeof(job->secret));
        job->result = RC_TEMP;
        job->done(job);
    }
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->wake);
    free(pool->threads);
    free(pool);
}

static unsigned
lane_of(const char *client)
{
    unsigned h = 5381;
    for (const char *c = client; c && *c; c++)
        h = h * 33 + (unsigned char)*c;
    return h % KEYPOOL_LANES;
}

bool
keypool_add(struct keypool *pool, struct keypool_job *job, const char *client)
{
    bool fits = false;
    job->lane = lane_of(client);
    struct lane *lane = &pool->lanes[job->lane];
    job->next = NULL;
    job->pool = pool;
    pthread_mutex_lock(&pool->lock);
    if (!pool->stopping && lane->count < KEYPOOL_LANE_MAX && pool->waiting < KEYPOOL_JOBS_MAX) {
        *lane->last = job;
        lane->last = &job->next;
        lane->count++;
        pool->waiting++;
        fits = true;
        pthread_cond_signal(&pool->wake);
    }
    pthread_mutex_unlock(&pool->lock);
    return fits;
}
