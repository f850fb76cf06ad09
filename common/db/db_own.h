/* SPDX-License-Identifier: MIT */
/*
 * db_own - what the files of the PostgreSQL door share; nobody else includes it.
 */
#ifndef GANTRY_DB_DB_OWN_H
#define GANTRY_DB_DB_OWN_H

#include "db/db.h"

/* The statements of a transaction, prepared under names that no file can use. */
#define DB_BEGIN     "_begin"
#define DB_COMMIT    "_commit"
#define DB_ROLLBACK  "_rollback"
#define DB_WORKSPACE "_workspace"

/* A pipelined statement whose result is still to come. */
struct db_pending {
    const char *name; /* borrowed: for errors */
    bool internal;    /* its result is checked and dropped */
};

struct db {
    PGconn *conn;                          /* owned; NULL while there is none */
    char *url;                             /* owned; holds a password */
    char *application;                     /* owned */
    const struct db_statement *statements; /* borrowed: static */
    size_t n_statements;
    int64_t limit_ms;    /* of a statement; 0: as db_open() says */
    int64_t retry_at_ms; /* monotonic: no new connection before */
    struct err down;     /* why the last connection attempt failed */
    bool in_group;
    bool in_block;      /* the group's transaction is explicit */
    bool stale;         /* the prepared statements no longer fit: reconnect */
    struct err failed;  /* the first failure of the group; RC_OK while there is none */
    char broke[64];     /* the constraint of the last failure; "" where it had none */
    PGresult **results; /* owned, of the group so far */
    size_t n_results;
    size_t cap_results;
    struct db_pending *pending; /* owned; a queue that is always drained whole */
    size_t n_pending;
    size_t cap_pending;
    size_t n_sent;       /* statements of the group, for their indexes */
    db_wait_fn *wait_fn; /* NULL = block */
    void *wait_arg;
    bool waiting;                     /* in wait_fn: the connection is in use */
    int64_t flushed_us;               /* monotonic: something is under way since; 0 = nothing is */
    int64_t usage_start_us, usage_us; /* since db_usage_begin() */
    bool asked;                       /* between db_ask() and db_take() */
    bool sent;                        /* what was asked */
};

/* Translate the five characters of a SQLSTATE; "" is a lost connection. */
enum rc db_rc_from_sqlstate(const char *sqlstate);
/* Record the failure that result (may be NULL: the connection's) reports. */
enum rc db_fail(struct db *db, const char *statement, const PGresult *result, struct err *err);
/* The failure of a connection attempt; verbose error texts must be on. */
enum rc db_fail_connect(const PGconn *conn, struct err *err);

/* db_pipe.c. Queue one statement by name; remembers that its result is to come. */
enum rc db_push(struct db *db, const char *name, const struct db_params *params, bool internal,
                struct err *err);
/* Send what is queued and collect every pending result; the first failure is in db->failed. With
 * sync the pipeline ends with a Sync, else only with a flush. */
void db_collect(struct db *db, bool sync);
/* The parts of it: send, then collect. False: nothing could be sent. */
bool db_flush(struct db *db, bool sync);
void db_gather(struct db *db, bool sync, bool sent);
void db_fail_once(struct db *db, const char *statement, const PGresult *result);
void db_drop_results(struct db *db);

/* db_connect.c, on the pipeline. db_connect() waits up to wait_ms. */
enum rc db_connect(struct db *db, int64_t wait_ms, struct err *err);
void db_disconnect(struct db *db);

#endif
