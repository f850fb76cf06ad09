/* SPDX-License-Identifier: MIT */
#include "keys/dbwork.h"

#include <pthread.h>
#include <stdlib.h>

#include "sql_gateway.h"

struct dbworker {
    struct loop *loop; /* borrowed */
    const char *url;   /* borrowed */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    STAILQ_HEAD(, dbwork) queue;
    unsigned count;
    bool stopping;
    struct db *db; /* the thread's */
};

static void
carry_out(struct dbworker *jobs, struct dbwork *job)
{
    job->rc = RC_OK;
    if (!jobs->db)
        job->rc = db_open(jobs->url, "gantry-gateway", SQL_GATEWAY, SQL_GATEWAY_COUNT, &jobs->db,
                          &job->err);
    if (job->rc == RC_OK)
        job->rc = db_ready(jobs->db, &job->err);
    if (job->rc == RC_OK)
        job->rc = job->run(job, jobs->db, &job->err);
}

static void *
work(void *arg)
{
    struct dbworker *jobs = arg;
    pthread_mutex_lock(&jobs->lock);
    for (;;) {
        struct dbwork *job = STAILQ_FIRST(&jobs->queue);
        if (!job && jobs->stopping)
            break;
        if (!job) {
            pthread_cond_wait(&jobs->wake, &jobs->lock);
            continue;
        }
        STAILQ_REMOVE_HEAD(&jobs->queue, link);
        jobs->count--;
        pthread_mutex_unlock(&jobs->lock);
        carry_out(jobs, job);
        loop_post(jobs->loop, job->done, job);
        pthread_mutex_lock(&jobs->lock);
    }
    pthread_mutex_unlock(&jobs->lock);
    db_close(jobs->db);
    return NULL;
}

enum rc
dbworker_open(struct loop *loop, const char *database_url, struct dbworker **out, struct err *err)
{
    struct dbworker *jobs = calloc(1, sizeof(*jobs));
    if (!jobs)
        return err_set(err, RC_TEMP, "no memory for the database thread");
    jobs->loop = loop;
    jobs->url = database_url;
    STAILQ_INIT(&jobs->queue);
    pthread_mutex_init(&jobs->lock, NULL);
    pthread_cond_init(&jobs->wake, NULL);
    if (pthread_create(&jobs->thread, NULL, work, jobs) != 0) {
        free(jobs);
        return err_set(err, RC_TEMP, "cannot start the database thread");
    }
    *out = jobs;
    return RC_OK;
}

void
dbworker_close(struct dbworker *jobs)
{
    if (!jobs)
        return;
    pthread_mutex_lock(&jobs->lock);
    jobs->stopping = true;
    pthread_cond_signal(&jobs->wake);
    pthread_mutex_unlock(&jobs->lock);
    pthread_join(jobs->thread, NULL);
    pthread_cond_destroy(&jobs->wake);
    pthread_mutex_destroy(&jobs->lock);
    free(jobs);
}

bool
dbworker_add(struct dbworker *jobs, struct dbwork *job)
{
    bool fits;
    pthread_mutex_lock(&jobs->lock);
    fits = jobs->count < DBJOBS_MAX && !jobs->stopping;
    if (fits) {
        STAILQ_INSERT_TAIL(&jobs->queue, job, link);
        jobs->count++;
        pthread_cond_signal(&jobs->wake);
    }
    pthread_mutex_unlock(&jobs->lock);
    return fits;
}
