/* SPDX-License-Identifier: MIT */
/*
 * db_connect - a connection is made, its statements prepared; broken, it is made anew.
 *
 * Connecting is asynchronous under one deadline, since libpq's own limit counts for each address anew.
 */
#include <poll.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "db/db_own.h"

#define RECONNECT_MS 2000 /* a program that serves others waits less */
#define RETRY_MS     1000

#define OPTIONS_ALWAYS  "-c timezone=UTC -c client_min_messages=warning"
#define OPTIONS_LIMITED OPTIONS_ALWAYS " -c statement_timeout="
#define LIMIT_MS        60000

static void
drop_notice(void *arg, const char *text)
{
    (void)arg;
    (void)text;
}

static enum rc
wait_connected(PGconn *conn, int64_t deadline_ms, struct err *err)
{
    for (;;) {
        PostgresPollingStatusType state = PQconnectPoll(conn);
        if (state == PGRES_POLLING_OK)
            return RC_OK;
        if (state == PGRES_POLLING_FAILED)
            return db_fail_connect(conn, err);
        struct pollfd fd = { .fd = PQsocket(conn),
                             .events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT };
        int64_t left_ms = deadline_ms - clock_mono_ms();
        if (left_ms <= 0)
            return err_set_of(err, SERVER_POSTGRESQL, RC_TEMP,
                              "the database does not answer in time");
        (void)poll(&fd, 1, (int)left_ms);
    }
}

void
db_disconnect(struct db *db)
{
    db->flushed_us = 0;
    if (db->conn)
        PQfinish(db->conn);
    db->conn = NULL;
    db->in_group = false;
    db->asked = false;
    db->stale = false;
    db->n_pending = 0;
}

static enum rc
start_connection(struct db *db, struct err *err)
{
    /* What comes before dbname can be overridden by the URL; what comes after cannot. */
    const char *keywords[] = { "options", "keepalives_idle", "tcp_user_timeout",
                               "dbname",  "client_encoding", "application_name",
                               NULL };
    char limited[sizeof(OPTIONS_LIMITED) + 24];
    snprintf(limited, sizeof(limited), OPTIONS_LIMITED "%lld",
             (long long)(db->limit_ms ? db->limit_ms : LIMIT_MS));
    const char *values[] = { db->n_statements ? limited : OPTIONS_ALWAYS,
                             "30",
                             "20000",
                             db->url,
                             "UTF8",
                             db->application,
                             NULL };
    db->conn = PQconnectStartParams(keywords, values, 1);
    if (!db->conn)
        return err_set(err, RC_TEMP, "no memory for a database connection");
    if (PQstatus(db->conn) == CONNECTION_BAD)
        return db_fail_connect(db->conn, err);
    (void)PQsetErrorVerbosity(db->conn, PQERRORS_VERBOSE);
    (void)PQsetNoticeProcessor(db->conn, drop_notice, NULL);
    return RC_OK;
}

static enum rc
push_prepare(struct db *db, const char *name, const char *text, struct err *err)
{
    if (!PQsendPrepare(db->conn, name, text, 0, NULL))
        return db_fail(db, name, NULL, err);
    db->pending[db->n_pending++] = (struct db_pending){ name, true };
    return RC_OK;
}

/* All statements in one round trip. */
static enum rc
prepare_all(struct db *db, struct err *err)
{
    static const struct db_statement OWN[] = {
        { DB_BEGIN, "BEGIN" },
        { DB_COMMIT, "COMMIT" },
        { DB_ROLLBACK, "ROLLBACK" },
        { DB_WORKSPACE, "SELECT set_config('gantry.workspace', $1, true)" },
    };
    enum rc rc = RC_OK;

    if (!PQenterPipelineMode(db->conn))
        return db_fail(db, "pipeline", NULL, err);
    for (size_t i = 0; i < ARRAY_LEN(OWN) && rc == RC_OK; i++)
        rc = push_prepare(db, OWN[i].name, OWN[i].text, err);
    for (size_t i = 0; i < db->n_statements && rc == RC_OK; i++)
        rc = push_prepare(db, db->statements[i].name, db->statements[i].text, err);
    if (rc != RC_OK)
        return rc;
    db->failed = (struct err){ .rc = RC_OK };
    db_collect(db, true);
    if (db->failed.rc == RC_OK)
        return RC_OK;
    return err_set_of(err, db->failed.server, db->failed.rc, "prepare %s", db->failed.text);
}

enum rc
db_connect(struct db *db, int64_t wait_ms, struct err *err)
{
    struct err why = { 0 };
    db->retry_at_ms = clock_mono_ms() + RETRY_MS;
    enum rc rc = start_connection(db, &why);
    if (rc == RC_OK)
        rc = wait_connected(db->conn, clock_mono_ms() + wait_ms, &why);
    /* What does not fit into the socket is sent while the answers are awaited (db_on_wait). */
    if (rc == RC_OK && PQsetnonblocking(db->conn, 1) != 0)
        rc = db_fail(db, "connect", NULL, &why);
    if (rc == RC_OK)
        rc = prepare_all(db, &why);
    if (rc == RC_OK)
        return RC_OK;
    db_disconnect(db);
    db->down = why;
    return err_copy(err, &why);
}

/* An idle connection has nothing to read, unless the server closed it. */
static bool
is_alive(struct db *db)
{
    if (!db->conn || PQstatus(db->conn) != CONNECTION_OK)
        return false;
    if (db->in_group)
        return true;
    if (db->stale)
        return false;
    struct pollfd fd = { .fd = PQsocket(db->conn), .events = POLLIN };
    if (poll(&fd, 1, 0) > 0 && !PQconsumeInput(db->conn))
        return false;
    return PQstatus(db->conn) == CONNECTION_OK;
}

enum rc
db_ready(struct db *db, struct err *err)
{
    if (is_alive(db))
        return RC_OK;
    db_disconnect(db);
    if (clock_mono_ms() < db->retry_at_ms)
        return db->down.rc != RC_OK
                   ? err_copy(err, &db->down)
                   : err_set_of(err, SERVER_POSTGRESQL, RC_TEMP, "the database is not connected");
    return db_connect(db, RECONNECT_MS, err);
}
