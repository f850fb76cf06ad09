/* SPDX-License-Identifier: MIT */
#include "keys/keypool.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define NICENESS      10
#define LOOK_AGAIN_MS 20
#define KEPT_BYTES    1048576

struct lane {
    struct keypool_job *first, **last;
    unsigned count;
};

struct lanes {
    struct lane lanes[KEYPOOL_LANES];
    unsigned next;
    unsigned waiting; /* jobs in the lanes */
};

struct keypool {
    struct loop *loop; /* borrowed */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct lanes usual, suspects;
    bool suspect_in_work;
    int64_t suspects_after_ms; /* monotonic */
    bool stopping;
    pthread_t *threads; /* owned */
    unsigned n_threads;
};

static struct keypool_job *
take_from(struct lanes *lanes)
{
    for (unsigned i = 0; i < KEYPOOL_LANES; i++) {
        struct lane *lane = &lanes->lanes[(lanes->next + i) % KEYPOOL_LANES];
        struct keypool_job *job = lane->first;
        if (!job)
            continue;
        lane->first = job->next;
        if (!lane->first)
            lane->last = &lane->first;
        lane->count--;
        lanes->waiting--;
        lanes->next = (lanes->next + i + 1) % KEYPOOL_LANES;
        job->next = NULL;
        return job;
    }
    return NULL;
}

static struct keypool_job *
take(struct keypool *pool)
{
    struct keypool_job *job = take_from(&pool->usual);
    if (job || pool->suspect_in_work || pool->suspects_after_ms > clock_mono_ms())
        return job;
    job = take_from(&pool->suspects);
    pool->suspect_in_work = job != NULL;
    return job;
}

/* Until a job comes or, while suspects wait, for a little. */
static void
wait_for_job(struct keypool *pool)
{
    struct timespec until;
    if (!pool->suspects.waiting) {
        pthread_cond_wait(&pool->wake, &pool->lock);
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LOOK_AGAIN_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&pool->wake, &pool->lock, &until);
}

static void *
work(void *arg)
{
    struct keypool *pool = arg;
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS);
    pthread_mutex_lock(&pool->lock);
    while (!pool->stopping) {
        struct keypool_job *job = take(pool);
        if (!job) {
            wait_for_job(pool);
            continue;
        }
        bool suspect = job->suspect;
        pthread_mutex_unlock(&pool->lock);
        job->result = crypto_password_verify(job->phc, job->secret, sizeof(job->secret));
        crypto_wipe(job->secret, sizeof(job->secret));
        loop_post(pool->loop, job->done, job);
        pthread_mutex_lock(&pool->lock);
        if (suspect) {
            pool->suspect_in_work = false;
            pool->suspects_after_ms = clock_mono_ms() + KEYPOOL_PAUSE_MS;
        }
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
    /* A check takes 19 MiB; glibc learns from the first ones to keep as much in every thread. */
    (void)mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->wake, &attr);
    pthread_condattr_destroy(&attr);
    for (unsigned i = 0; i < KEYPOOL_LANES; i++) {
        pool->usual.lanes[i].last = &pool->usual.lanes[i].first;
        pool->suspects.lanes[i].last = &pool->suspects.lanes[i].first;
    }
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
    while ((job = take_from(&pool->usual)) || (job = take_from(&pool->suspects))) {
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
    struct lanes *lanes = job->suspect ? &pool->suspects : &pool->usual;
    struct lane *lane = &lanes->lanes[lane_of(client)];
    bool fits = false;
    job->next = NULL;
    job->pool = pool;
    pthread_mutex_lock(&pool->lock);
    if (!pool->stopping && lane->count < KEYPOOL_LANE_MAX && lanes->waiting < KEYPOOL_JOBS_MAX) {
        *lane->last = job;
        lane->last = &job->next;
        lane->count++;
        lanes->waiting++;
        fits = true;
        pthread_cond_signal(&pool->wake);
    }
    pthread_mutex_unlock(&pool->lock);
    return fits;
}
