/* SPDX-License-Identifier: MIT */
/*
 * db_group - transactions as one pipeline, and single statements.
 *
 * Everything between two Syncs is one transaction, without BEGIN and COMMIT, which would cost the server
 * and us two statements more for each group; a flush in between does not end it. After an error
 * PostgreSQL rolls back and skips everything up to the next Sync. A script ends such a transaction, so a
 * group that has one gets a BEGIN before it: its transaction is explicit from there on, and stays in its
 * failed state after an error. db_commit() and db_abort() therefore always end with a Sync, and roll back
 * in a second round trip if a transaction is still open then.
 */
#include "base/cleanup.h"
#include "db/db.h"
#include "db/db_own.h"

static void
begin_collecting(struct db *db)
{
    db_drop_results(db);
    db->n_pending = 0;
    db->n_sent = 0;
    db->failed = (struct err){ .rc = RC_OK };
}

static enum rc
push_workspace(struct db *db, const char *workspace, struct err *err)
{
    struct db_params params = { .count = 0 };
    db_param_text(&params, workspace);
    return db_push(db, DB_WORKSPACE, &params, true, err);
}

enum rc
db_ask(struct db *db, const char *workspace, unsigned statement, const struct db_params *params,
       struct err *err)
{
    if (db->in_group || db->waiting || db->asked)
        return err_set(err, RC_BUG, "a single statement inside a group");
    if (statement >= db->n_statements)
        return err_set(err, RC_BUG, "no statement of number %u", statement);
    enum rc rc = db_ready(db, err);
    if (rc != RC_OK)
        return rc;
    begin_collecting(db);
    if (workspace)
        rc = push_workspace(db, workspace, err);
    if (rc == RC_OK)
        rc = db_push(db, db->statements[statement].name, params, false, err);
    if (rc != RC_OK)
        return rc;
    db->sent = db_flush(db, true);
    db->asked = true;
    return RC_OK;
}

void
db_drain(struct db *db)
{
    if (db->asked)
        (void)PQconsumeInput(db->conn); /* a connection that broke shows at db_take() */
}

enum rc
db_take(struct db *db, PGresult **out, struct err *err)
{
    if (!db->asked)
        return err_set(err, RC_BUG, "no statement was asked");
    db->asked = false;
    db_gather(db, true, db->sent);
    if (db->failed.rc != RC_OK)
        return err_copy(err, &db->failed);
    if (out) {
        *out = db->results[0];
        db->n_results = 0;
    }
    return RC_OK;
}

enum rc
db_query(struct db *db, const char *workspace, unsigned statement, const struct db_params *params,
         PGresult **out, struct err *err)
{
    enum rc rc = db_ask(db, workspace, statement, params, err);
    return rc == RC_OK ? db_take(db, out, err) : rc;
}

enum rc
db_begin(struct db *db, const char *workspace, struct err *err)
{
    if (db->in_group || db->waiting || db->asked)
        return err_set(err, RC_BUG, "a group inside a group");
    enum rc rc = db_ready(db, err);
    if (rc != RC_OK)
        return rc;
    begin_collecting(db);
    db->in_group = true;
    db->in_block = false;
    if (workspace)
        rc = push_workspace(db, workspace, err);
    if (rc != RC_OK)
        db_abort(db);
    return rc;
}

enum rc
db_send(struct db *db, unsigned statement, const struct db_params *params, size_t *index,
        struct err *err)
{
    if (!db->in_group || statement >= db->n_statements)
        return err_set(err, RC_BUG, "statement %u outside a group", statement);
    enum rc rc = db_push(db, db->statements[statement].name, params, false, err);
    if (rc != RC_OK)
        return rc;
    if (index)
        *index = db->n_sent;
    db->n_sent++;
    return RC_OK;
}

enum rc
db_sync(struct db *db, struct err *err)
{
    if (!db->in_group)
        return err_set(err, RC_BUG, "no group to collect");
    db_collect(db, false);
    return db->failed.rc == RC_OK ? RC_OK : err_copy(err, &db->failed);
}

/* End the transaction that may still be open; a connection that cannot is given up. */
static void
roll_back(struct db *db)
{
    struct err failed = db->failed;
    for (int i = 0; i < 2; i++) {
        if (!db->conn || PQstatus(db->conn) != CONNECTION_OK ||
            PQtransactionStatus(db->conn) == PQTRANS_IDLE)
            break;
        if (db_push(db, DB_ROLLBACK, NULL, true, NULL) != RC_OK)
            break;
        db_collect(db, true);
    }
    if (db->conn && PQtransactionStatus(db->conn) != PQTRANS_IDLE)
        db->stale = true;
    db->failed = failed;
}

enum rc
db_commit(struct db *db, struct err *err)
{
    if (!db->in_group)
        return err_set(err, RC_BUG, "no group to commit");
    enum rc rc = db->in_block ? db_push(db, DB_COMMIT, NULL, true, &db->failed) : RC_OK;
    if (rc == RC_OK)
        db_collect(db, true);
    db->in_group = false;
    if (db->failed.rc == RC_OK)
        return RC_OK;
    roll_back(db);
    db_drop_results(db);
    return err_copy(err, &db->failed);
}

void
db_abort(struct db *db)
{
    if (!db->in_group)
        return;
    db->in_group = false;
    /* Whatever is on the way is collected first: after an error only a Sync ends the skipping. ROLLBACK
     * alone would roll back too, with a warning in the server's log. A connection that takes neither is
     * given up: its transaction has no BEGIN, so libpq may not know of it, and the next Sync would commit
     * it. */
    if (db->conn && PQstatus(db->conn) == CONNECTION_OK &&
        (db->in_block || db_push(db, DB_BEGIN, NULL, true, NULL) == RC_OK) &&
        db_push(db, DB_ROLLBACK, NULL, true, NULL) == RC_OK)
        db_collect(db, true);
    else
        db->stale = true;
    roll_back(db);
    db_drop_results(db);
}

const PGresult *
db_result(const struct db *db, size_t index)
{
    return index < db->n_results ? db->results[index] : NULL;
}

/* From here on the group's transaction is not ended by what ends a pipeline. */
static enum rc
enter_block(struct db *db, struct err *err)
{
    enum rc rc = db->in_block ? RC_OK : db_push(db, DB_BEGIN, NULL, true, err);
    if (rc != RC_OK)
        return rc;
    db->in_block = true;
    return db_sync(db, err);
}

/* The simple protocol runs many statements of one text, which the pipeline cannot. */
enum rc
db_script(struct db *db, const char *sql, struct err *err)
{
    enum rc rc = db_ready(db, err);
    if (rc != RC_OK)
        return rc;
    if (db->in_group)
        rc = enter_block(db, err);
    else
        begin_collecting(db);
    if (rc != RC_OK)
        return rc;
    if (!PQexitPipelineMode(db->conn))
        return db_fail(db, "script", NULL, err);
    AUTO(pgresult) PGresult *result = PQexec(db->conn, sql);
    ExecStatusType status = PQresultStatus(result);
    const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY) {
        db_fail_once(db, "script", result);
        rc = err_set_of(err, db->failed.server, db->failed.rc, "%s%s%s", db->failed.text,
                        position ? ", at character " : "", position ? position : "");
    }
    if (PQstatus(db->conn) == CONNECTION_OK && !PQenterPipelineMode(db->conn))
        db->stale = true;
    return rc;
}
