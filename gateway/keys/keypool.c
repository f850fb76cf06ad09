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
#include "base/fnv.h"

#define NICENESS      10
#define LOOK_AGAIN_MS 20
#define KEPT_BYTES    1048576

struct queue {
    STAILQ_HEAD(, keypool_check) checks;
    unsigned count;
};

struct queues {
    struct queue queues[KEYPOOL_QUEUES];
    unsigned next;
    unsigned waiting; /* checks in the queues */
};

struct keypool {
    struct loop *loop; /* borrowed */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct queues usual, suspects;
    bool suspect_in_work;
    int64_t suspects_after_ms; /* monotonic */
    bool stopping;
    pthread_t *threads; /* owned */
    unsigned n_threads;
};

static struct keypool_check *
take_from(struct queues *queues)
{
    for (unsigned i = 0; i < KEYPOOL_QUEUES; i++) {
        struct queue *queue = &queues->queues[(queues->next + i) % KEYPOOL_QUEUES];
        struct keypool_check *check = STAILQ_FIRST(&queue->checks);
        if (!check)
            continue;
        STAILQ_REMOVE_HEAD(&queue->checks, link);
        queue->count--;
        queues->waiting--;
        queues->next = (queues->next + i + 1) % KEYPOOL_QUEUES;
        return check;
    }
    return NULL;
}

static struct keypool_check *
take(struct keypool *pool)
{
    struct keypool_check *check = take_from(&pool->usual);
    if (check || pool->suspect_in_work || pool->suspects_after_ms > clock_mono_ms())
        return check;
    check = take_from(&pool->suspects);
    pool->suspect_in_work = check != NULL;
    return check;
}

/* Until a check comes or, while suspects wait, for a little. */
static void
wait_for_check(struct keypool *pool)
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
        struct keypool_check *check = take(pool);
        if (!check) {
            wait_for_check(pool);
            continue;
        }
        bool suspect = check->suspect;
        pthread_mutex_unlock(&pool->lock);
        check->result = crypto_password_verify(check->phc, check->secret, sizeof(check->secret));
        crypto_wipe(check->secret, sizeof(check->secret));
        loop_post(pool->loop, check->done, check);
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
    for (unsigned i = 0; i < KEYPOOL_QUEUES; i++) {
        STAILQ_INIT(&pool->usual.queues[i].checks);
        STAILQ_INIT(&pool->suspects.queues[i].checks);
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
    struct keypool_check *check;
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->n_threads; i++)
        pthread_join(pool->threads[i], NULL);
    while ((check = take_from(&pool->usual)) || (check = take_from(&pool->suspects))) {
        crypto_wipe(check->secret, sizeof(check->secret));
        check->result = RC_TEMP;
        check->done(check);
    }
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->wake);
    free(pool->threads);
    free(pool);
}

static unsigned
queue_of(const char *client)
{
    return client ? fnv32_text(client) % KEYPOOL_QUEUES : 0;
}

bool
keypool_add(struct keypool *pool, struct keypool_check *check, const char *client)
{
    struct queues *queues = check->suspect ? &pool->suspects : &pool->usual;
    struct queue *queue = &queues->queues[queue_of(client)];
    bool fits = false;
    check->pool = pool;
    pthread_mutex_lock(&pool->lock);
    if (!pool->stopping && queue->count < KEYPOOL_QUEUE_MAX &&
        queues->waiting < KEYPOOL_CHECKS_MAX) {
        STAILQ_INSERT_TAIL(&queue->checks, check, link);
        queue->count++;
        queues->waiting++;
        fits = true;
        pthread_cond_signal(&pool->wake);
    }
    pthread_mutex_unlock(&pool->lock);
    return fits;
}
