/* SPDX-License-Identifier: MIT */
/*
 * db - the one door to PostgreSQL: named prepared statements, pipelined, one workspace per group.
 *
 * Statements come from sql/statements/<program>.sql and are all prepared when connecting, so that a
 * schema that does not fit stops the program at once. SQL text exists nowhere in C.
 *
 * A group is one transaction in one pipeline: db_begin() sets gantry.workspace, db_send() queues
 * statements, db_commit() ends the pipeline, and with it the transaction, and collects every result.
 * Row-level security then confines the group to that workspace.
 *
 * Errors:  RC_TEMP  connection lost, server starting or stopping, deadlock, serialization, disk full,
 *          an internal error of the server
 *          RC_CONFLICT unique violation · RC_CONFIG permission denied, wrong password, unknown table
 *          RC_NOTFOUND a function raised no_data_found
 *          RC_BUG   anything else (a statement that does not fit its table)
 *          Values never show up in err: not the server's detail, nor its sentence about bad data
 * Threads: one connection belongs to one thread
 * Source:  libpq pipeline mode; SQLSTATE classes of the PostgreSQL manual, appendix A
 */
#ifndef GANTRY_DB_DB_H
#define GANTRY_DB_DB_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rc.h"

struct db;

struct db_statement {
    const char *name;
    const char *text;
};

#define DB_PARAMS_MAX 24

/* Positional parameters; values are borrowed until the group is committed. */
struct db_params {
    int count;
    const char *values[DB_PARAMS_MAX];
    int lengths[DB_PARAMS_MAX];
    int formats[DB_PARAMS_MAX];   /* 0 text, 1 binary */
    char text[DB_PARAMS_MAX][32]; /* room for numbers */
    bool binary;                  /* the result comes in binary form */
};

void db_param_null(struct db_params *p);
void db_param_text(struct db_params *p, const char *text); /* NULL = SQL NULL */
void db_param_int(struct db_params *p, int64_t value);
void db_param_bool(struct db_params *p, bool value);
void db_param_number(struct db_params *p, double value);
void db_param_time(struct db_params *p, int64_t wall_ms); /* as bigint milliseconds */
void db_param_bytes(struct db_params *p, const void *bytes, size_t len); /* binary */

/* Connects (waiting up to 5 s) and prepares all statements. RC_TEMP: try again later. The URL may
 * carry options of its own; a password in it never shows up in err. Each statement is cancelled
 * after 60 s, unless there are none (then the connection is for scripts, without a limit). */
enum rc db_open(const char *url, const char *application, const struct db_statement *statements,
                size_t count, struct db **out, struct err *err);
/* Another limit than 60 s for each statement, from now on: connects anew. */
enum rc db_limit(struct db *db, int64_t statement_ms, struct err *err);
void db_close(struct db *db);
void db_cleanup(struct db **db);
/* Reconnects if the connection is broken, at most once a second; RC_TEMP while it is. Costs one
 * poll(2) when all is well. db_query() and db_begin() call it themselves. */
enum rc db_ready(struct db *db, struct err *err);
/* While a result is awaited, fn() is called until fd is readable, or writable where there is more to
 * send, instead of blocking: the caller does something else meanwhile, but nothing with this
 * connection. NULL = block. */
typedef void db_wait_fn(void *arg, int fd, bool or_writable);
void db_on_wait(struct db *db, db_wait_fn *fn, void *arg);

/* How long was waited for the server, in microseconds, and since when the first time (monotonic). */
void db_usage_begin(struct db *db);
int64_t db_usage(const struct db *db, int64_t *start_us);

void pgresult_cleanup(PGresult **result); /* AUTO(pgresult) PGresult *r = NULL */

/* One statement outside a group. workspace NULL = none set. *out is owned by the caller. */
enum rc db_query(struct db *db, const char *workspace, unsigned statement,
                 const struct db_params *params, PGresult **out, struct err *err);

/* The same in two halves: the caller works between them while the server does, and calls db_drain()
 * now and then so that the server need not wait for room. Nothing else is sent in between, and every
 * db_ask() that succeeded is followed by db_take(). */
enum rc db_ask(struct db *db, const char *workspace, unsigned statement,
               const struct db_params *params, struct err *err);
void db_drain(struct db *db);
enum rc db_take(struct db *db, PGresult **out, struct err *err);

/* A group. db_send() returns the index of its result. After db_commit() the results are read with
 * db_result(); they live until the next db_begin(). On any failure the transaction is rolled back
 * as a whole, and err is about the first statement that failed. */
enum rc db_begin(struct db *db, const char *workspace /* NULL = none set */, struct err *err);
enum rc db_send(struct db *db, unsigned statement, const struct db_params *params, size_t *index,
                struct err *err);
enum rc db_commit(struct db *db, struct err *err);
/* Inside a group: flush what was sent and collect its results so far, without ending the
 * transaction (for statements that depend on earlier results). */
enum rc db_sync(struct db *db, struct err *err);
void db_abort(struct db *db);
const PGresult *db_result(const struct db *db, size_t index);
/* Whether the last failure was that constraint's, or unique index's. RC_CONFLICT alone does not say what
 * was there already. */
bool db_broke(const struct db *db, const char *constraint);

/* Columns of a result, by position. Text format. */
const char *db_text(const PGresult *result, int row, int column); /* NULL for SQL NULL */
int64_t db_int(const PGresult *result, int row, int column, int64_t fallback);
bool db_bool(const PGresult *result, int row, int column);
double db_number(const PGresult *result, int row, int column, double fallback);
/* bytea in text format (\x…) decoded into malloc()ed memory. */
enum rc db_bytes(const PGresult *result, int row, int column, uint8_t **bytes, size_t *len,
                 struct err *err);

/* Binary form. Integers of 2, 4 or 8 bytes, times in microseconds since 2000; else the bytes, with a
 * NUL behind them that does not count. NULL for SQL NULL. */
int64_t db_binary_int(const PGresult *result, int row, int column, int64_t fallback);
const uint8_t *db_binary(const PGresult *result, int row, int column, size_t *len);

/* A script without parameters, for migrations; the text comes from a file. Outside a group it is a
 * transaction of its own; inside one (db_begin first) it belongs to it. */
enum rc db_script(struct db *db, const char *sql, struct err *err);

/* The form in which the server stores a password (SCRAM-SHA-256), so that the password itself is never sent.
 * *out is malloc()ed. */
enum rc db_password_verifier(struct db *db, const char *role, const char *password, char **out,
                             struct err *err);

#endif
