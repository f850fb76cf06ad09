/* SPDX-License-Identifier: MIT */
/*
 * db - connections to PostgreSQL, and the statements prepared on them.
 *
 * A connection stays in libpq's pipeline mode. db_pipe.c is under everything else, db_connect.c under
 * this file and db_group.c.
 */
#include "db/db.h"

#include <string.h>

#include "base/cleanup.h"
#include "crypto/crypto.h"
#include "db/db_own.h"

#define CONNECT_MS 5000

/* libpq quotes the part of a URL that it does not understand, which may hold the password. */
static enum rc
check_url(const char *url, struct err *err)
{
    char *message = NULL;
    PQconninfoOption *options = PQconninfoParse(url, &message);
    if (message)
        PQfreemem(message);
    if (!options)
        return err_set(err, RC_CONFIG, "the database URL is malformed");
    PQconninfoFree(options);
    return RC_OK;
}

enum rc
db_open(const char *url, const char *application, const struct db_statement *statements,
        size_t count, struct db **out, struct err *err)
{
    AUTO(db) struct db *db = calloc(1, sizeof(*db));
    if (!db)
        return err_set(err, RC_TEMP, "no memory for a database connection");
    if (check_url(url, err) != RC_OK)
        return RC_CONFIG;
    db->statements = statements;
    db->n_statements = count;
    db->url = strdup(url);
    db->application = strdup(application);
    /* Room for every statement's preparation and for a good group; grows when needed. */
    db->cap_pending = count + 64;
    db->pending = calloc(db->cap_pending, sizeof(*db->pending));
    if (!db->url || !db->application || !db->pending)
        return err_set(err, RC_TEMP, "no memory for a database connection");
    enum rc rc = db_connect(db, CONNECT_MS, err);
    if (rc != RC_OK)
        return rc;
    *out = TAKE(db);
    return RC_OK;
}

enum rc
db_limit(struct db *db, int64_t statement_ms, struct err *err)
{
    db->limit_ms = statement_ms;
    db_disconnect(db);
    return db_connect(db, CONNECT_MS, err);
}

void
db_close(struct db *db)
{
    if (!db)
        return;
    db_disconnect(db);
    db_drop_results(db);
    free(db->results);
    free(db->pending);
    free(db->application);
    if (db->url)
        crypto_wipe(db->url, strlen(db->url));
    free(db->url);
    free(db);
}

void
db_on_wait(struct db *db, db_wait_fn *fn, void *arg)
{
    db->wait_fn = fn;
    db->wait_arg = arg;
}

void
db_cleanup(struct db **db)
{
    db_close(*db);
}
