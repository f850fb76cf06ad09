/* SPDX-License-Identifier: MIT */
/*
 * db_error - what PostgreSQL's errors mean to a caller.
 */
#include <stdio.h>
#include <string.h>

#include "db/db_own.h"

#define CLASS(a, b) ((unsigned)(a) << 8 | (unsigned)(b))
#define STATE(a, b, c, d, e)                                                                       \
    ((uint64_t)CLASS(a, b) << 24 | (uint64_t)CLASS(c, d) << 8 | (uint64_t)(e))
#define TEXT_KEPT 300 /* bytes of the server's sentence */

/* A state that reacts otherwise than its class. RC_COUNT: it does not. */
static enum rc
rc_from_state(const char *s)
{
    switch (STATE(s[0], s[1], s[2], s[3], s[4])) {
    case STATE('2', '3', '5', '0', '5'): /* unique_violation */
    case STATE('2', '3', 'P', '0', '1'): /* exclusion_violation */
        return RC_CONFLICT;
    case STATE('P', '0', '0', '0', '2'): /* no_data_found, raised by a function */
        return RC_NOTFOUND;
    case STATE('2', '5', '0', '0', '6'): /* read_only_sql_transaction: a failover under way */
    case STATE('2', '6', '0', '0',
               '0'): /* invalid_sql_statement_name: prepared on another server */
    case STATE('0', 'A', '0', '0', '0'): /* a cached plan after a migration: prepared again */
    case STATE('5', '5', 'P', '0', '3'): /* lock_not_available */
    case STATE('5', '5', '0', '0', '6'): /* object_in_use */
        return RC_TEMP;
    case STATE('4', '2', '5', '0', '1'): /* insufficient_privilege */
    case STATE('4', '2', 'P', '0', '1'): /* undefined_table */
    case STATE('4', '2', '7', '0', '3'): /* undefined_column */
    case STATE('4', '2', '7', '0', '4'): /* undefined_object */
    case STATE('4', '2', '8', '8', '3'): /* undefined_function */
        return RC_CONFIG;
    default:
        return RC_COUNT;
    }
}

enum rc
db_rc_from_sqlstate(const char *sqlstate)
{
    if (!sqlstate || strlen(sqlstate) != 5)
        return RC_TEMP;
    enum rc rc = rc_from_state(sqlstate);
    if (rc != RC_COUNT)
        return rc;
    switch (CLASS(sqlstate[0], sqlstate[1])) {
    case CLASS('0', '8'): /* connection exception */
    case CLASS('4', '0'): /* transaction rollback: deadlock, serialization */
    case CLASS('5', '3'): /* insufficient resources: disk full, too many connections */
    case CLASS('5', '7'): /* operator intervention: shutdown, starting up, cancelled */
    case CLASS('5', '8'): /* system error: input and output */
    case CLASS('X', 'X'): /* internal error: what a full disk breaks inside the server */
        return RC_TEMP;
    case CLASS('2', '8'): /* invalid authorization */
    case CLASS('3', 'D'): /* no such database */
    case CLASS('3', 'F'): /* no such schema */
        return RC_CONFIG;
    default:
        return RC_BUG;
    }
}

/* Data exceptions and broken constraints quote the value in their sentence. */
static bool
quotes_values(const char *sqlstate)
{
    return strncmp(sqlstate, "22", 2) == 0 || strncmp(sqlstate, "23", 2) == 0;
}

static int
line_length(const char *text)
{
    size_t len = strcspn(text, "\r\n");
    return (int)(len < TEXT_KEPT ? len : TEXT_KEPT);
}

enum rc
db_fail(struct db *db, const char *statement, const PGresult *result, struct err *err)
{
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *text = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    db->broke[0] = '\0';
    if (!state || !text) {
        const char *lost = PQerrorMessage(db->conn);
        return err_set_of(err, SERVER_POSTGRESQL, RC_TEMP,
                          "%s: the connection to the database is lost: %.*s", statement,
                          line_length(lost), lost);
    }
    enum rc rc = db_rc_from_sqlstate(state);
    const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
    (void)snprintf(db->broke, sizeof(db->broke), "%s", constraint ? constraint : "");
    /* Plans that no longer fit are prepared anew by a new connection. */
    if (strcmp(state, "26000") == 0 || strcmp(state, "0A000") == 0)
        db->stale = true;
    if (!quotes_values(state))
        return err_set_of(err, SERVER_POSTGRESQL, rc, "%s: %.*s (SQLSTATE %s)", statement,
                          line_length(text), text, state);
    return err_set_of(err, SERVER_POSTGRESQL, rc, "%s: a value does not fit%s%s (SQLSTATE %s)",
                      statement, constraint ? ", constraint " : "", constraint ? constraint : "",
                      state);
}

bool
db_broke(const struct db *db, const char *constraint)
{
    return strcmp(db->broke, constraint) == 0;
}

/* libpq has no SQLSTATE for a failed connection, but its verbose text has: "FATAL:  28P01: …". */
enum rc
db_fail_connect(const PGconn *conn, struct err *err)
{
    char state[6] = "";
    const char *text = PQerrorMessage(conn);
    const char *fatal = strstr(text, ":  ");
    if (fatal && strlen(fatal) > 9 && fatal[8] == ':' &&
        strspn(fatal + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5) {
        memcpy(state, fatal + 3, 5);
        const char *after = fatal + 10;
        return err_set_of(err, SERVER_POSTGRESQL, db_rc_from_sqlstate(state),
                          "cannot connect to the database: %.*s (SQLSTATE %s)", line_length(after),
                          after, state);
    }
    return err_set_of(err, SERVER_POSTGRESQL, RC_TEMP, "cannot connect to the database: %.*s",
                      line_length(text), text);
}
