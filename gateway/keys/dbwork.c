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
carry_out(struct dbworker *worker, struct dbwork *work)
{
    work->rc = RC_OK;
    if (!worker->db)
        work->rc = db_open(worker->url, "gantry-gateway", SQL_GATEWAY, SQL_GATEWAY_COUNT,
                           &worker->db, &work->err);
    if (work->rc == RC_OK)
        work->rc = db_ready(worker->db, &work->err);
    if (work->rc == RC_OK)
        work->rc = work->run(work, worker->db, &work->err);
}

static void *
work_off(void *arg)
{
    struct dbworker *worker = arg;
    pthread_mutex_lock(&worker->lock);
    for (;;) {
        struct dbwork *work = STAILQ_FIRST(&worker->queue);
        if (!work && worker->stopping)
            break;
        if (!work) {
            pthread_cond_wait(&worker->wake, &worker->lock);
            continue;
        }
        STAILQ_REMOVE_HEAD(&worker->queue, link);
        worker->count--;
        pthread_mutex_unlock(&worker->lock);
        carry_out(worker, work);
        loop_post(worker->loop, work->done, work);
        pthread_mutex_lock(&worker->lock);
    }
    pthread_mutex_unlock(&worker->lock);
    db_close(worker->db);
    return NULL;
}

enum rc
dbworker_open(struct loop *loop, const char *database_url, struct dbworker **out, struct err *err)
{
    struct dbworker *worker = calloc(1, sizeof(*worker));
    if (!worker)
        return err_set(err, RC_TEMP, "no memory for the database thread");
    worker->loop = loop;
    worker->url = database_url;
    STAILQ_INIT(&worker->queue);
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->wake, NULL);
    if (pthread_create(&worker->thread, NULL, work_off, worker) != 0) {
        free(worker);
        return err_set(err, RC_TEMP, "cannot start the database thread");
    }
    *out = worker;
    return RC_OK;
}

void
dbworker_close(struct dbworker *worker)
{
    if (!worker)
        return;
    pthread_mutex_lock(&worker->lock);
    worker->stopping = true;
    pthread_cond_signal(&worker->wake);
    pthread_mutex_unlock(&worker->lock);
    pthread_join(worker->thread, NULL);
    pthread_cond_destroy(&worker->wake);
    pthread_mutex_destroy(&worker->lock);
    free(worker);
}

bool
dbworker_add(struct dbworker *worker, struct dbwork *work)
{
    bool fits;
    pthread_mutex_lock(&worker->lock);
    fits = worker->count < DBWORK_MAX && !worker->stopping;
    if (fits) {
        STAILQ_INSERT_TAIL(&worker->queue, work, link);
        worker->count++;
        pthread_cond_signal(&worker->wake);
    }
    pthread_mutex_unlock(&worker->lock);
    return fits;
}
