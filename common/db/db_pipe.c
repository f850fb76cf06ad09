/* SPDX-License-Identifier: MIT */
/*
 * db_pipe - the pipeline of a connection: statements pushed, results awaited, collected and dropped.
 *
 * libpq reads while it cannot write, so a long pipeline cannot block against the server.
 */
#include <poll.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "db/db_own.h"

void
pgresult_cleanup(PGresult **result)
{
    PQclear(*result);
}

void
db_drop_results(struct db *db)
{
    for (size_t i = 0; i < db->n_results; i++)
        PQclear(db->results[i]);
    db->n_results = 0;
}

/* Grow by doubling; the caller's memory stays as it was on failure. */
static void *
grown(void *memory, size_t used, size_t *cap, size_t size)
{
    if (used < *cap)
        return memory;
    size_t wanted = *cap ? *cap * 2 : 64;
    void *more = reallocarray(memory, wanted, size);
    if (more)
        *cap = wanted;
    return more;
}

enum rc
db_push(struct db *db, const char *name, const struct db_params *params, bool internal,
        struct err *err)
{
    struct db_pending *more =
        grown(db->pending, db->n_pending, &db->cap_pending, sizeof(*db->pending));
    if (!more)
        return err_set(err, RC_TEMP, "no memory for a statement");
    db->pending = more;
    int n = params ? params->count : 0;
    if (!PQsendQueryPrepared(db->conn, name, n, params ? params->values : NULL,
                             params ? params->lengths : NULL, params ? params->formats : NULL,
                             params && params->binary))
        return db_fail(db, name, NULL, err);
    db->pending[db->n_pending++] = (struct db_pending){ name, internal };
    return RC_OK;
}

void
db_fail_once(struct db *db, const char *statement, const PGresult *result)
{
    if (db->failed.rc == RC_OK)
        (void)db_fail(db, statement, result, &db->failed);
}

static void
keep_result(struct db *db, PGresult *result)
{
    PGresult **more = grown(db->results, db->n_results, &db->cap_results, sizeof(*db->results));
    if (!more) {
        PQclear(result);
        if (db->failed.rc == RC_OK)
            (void)err_set(&db->failed, RC_TEMP, "no memory for a result");
        return;
    }
    db->results = more;
    db->results[db->n_results++] = result;
}

/* PQgetResult() sends the rest and waits by itself; with a hook the time is spent better. */
static void
await_result(struct db *db)
{
    while (db->wait_fn && PQstatus(db->conn) == CONNECTION_OK && PQisBusy(db->conn)) {
        int unsent = PQflush(db->conn);
        struct pollfd fd = { .fd = PQsocket(db->conn),
                             .events = (short)(POLLIN | (unsent ? POLLOUT : 0)) };
        if (unsent < 0)
            return;
        if (poll(&fd, 1, 0) > 0) {
            if ((fd.revents & ~POLLOUT) && !PQconsumeInput(db->conn))
                return;
            continue;
        }
        db->waiting = true;
        db->wait_fn(db->wait_arg, fd.fd, unsent);
        db->waiting = false;
    }
}

/* The result of one statement, and the NULL that libpq puts after it. False: nothing more comes. */
static bool
collect_one(struct db *db, const struct db_pending *pending)
{
    await_result(db);
    PGresult *result = PQgetResult(db->conn);
    if (!result) {
        db_fail_once(db, pending->name, NULL);
        return false;
    }
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_PIPELINE_ABORTED)
        db_fail_once(db, pending->name, result);
    if (pending->internal)
        PQclear(result);
    else
        keep_result(db, result);
    if (PQstatus(db->conn) == CONNECTION_BAD)
        return false;
    PGresult *rest = PQgetResult(db->conn);
    PQclear(rest);
    return rest == NULL;
}

bool
db_flush(struct db *db, bool sync)
{
    if (!db->flushed_us)
        db->flushed_us = clock_mono_us();
    int queued = sync ? PQpipelineSync(db->conn) : PQsendFlushRequest(db->conn);
    bool sent = queued == 1 && PQflush(db->conn) >= 0; /* 1: await_result() sends the rest */
    if (!sent)
        db_fail_once(db, "send", NULL);
    return sent;
}

static void
gather(struct db *db, bool sync, bool more)
{
    for (size_t i = 0; i < db->n_pending && more; i++)
        more = collect_one(db, &db->pending[i]);
    db->n_pending = 0;
    if (!sync)
        return;
    /* An error of the Sync itself (an implicit transaction that cannot commit) comes before it. */
    for (int i = 0; more && i < 4 && PQstatus(db->conn) == CONNECTION_OK; i++) {
        await_result(db);
        AUTO(pgresult) PGresult *result = PQgetResult(db->conn);
        if (result && PQresultStatus(result) == PGRES_PIPELINE_SYNC)
            return;
        if (result && PQresultStatus(result) == PGRES_FATAL_ERROR)
            db_fail_once(db, "commit", result);
    }
    db->stale = true; /* out of step: the next use makes a new connection */
    db_fail_once(db, "sync", NULL);
}

void
db_gather(struct db *db, bool sync, bool sent)
{
    gather(db, sync, sent);
    if (!db->flushed_us)
        return;
    if (db->usage_us == 0)
        db->usage_start_us = db->flushed_us;
    db->usage_us += clock_mono_us() - db->flushed_us;
    db->flushed_us = 0;
}

void
db_usage_begin(struct db *db)
{
    db->usage_us = 0;
}

int64_t
db_usage(const struct db *db, int64_t *start_us)
{
    *start_us = db->usage_start_us;
    return db->usage_us;
}

void
db_collect(struct db *db, bool sync)
{
    db_gather(db, sync, db_flush(db, sync));
}
