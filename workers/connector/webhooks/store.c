/* SPDX-License-Identifier: MIT */
#include "webhooks/store.h"

#include <stdio.h>

#include "base/cleanup.h"
#include "sql_connector.h"

#define ANSWER_MAX (1u << 20)
#define WHY_MAX    96

/* --- answers ------------------------------------------------------------------------------------------------ */

void
store_settle(struct worker *w, struct call *call, const char *noun, enum rc rc,
             const struct err *err, int status, const struct buf *out)
{
    char why[WHY_MAX];

    if (rc == RC_OK) {
        call_answer(call, status, out);
    } else if (rc == RC_NOTFOUND) {
        call_problem(call, PROBLEM_NOT_FOUND, NULL, err->text);
    } else if (rc == RC_LIMIT) {
        call_problem(call, PROBLEM_INVALID_REQUEST, NULL, err->text);
    } else if (rc == RC_TEMP) {
        call_problem(call, PROBLEM_UNAVAILABLE, NULL,
                     "PostgreSQL is unavailable: send the request again.");
    } else {
        (void)snprintf(why, sizeof(why), "The %s cannot be stored or read.", noun);
        call_problem(call, PROBLEM_INTERNAL, NULL, why);
    }
    worker_finish(w, call);
}

const char *
store_id(struct call *call)
{
    const char *id = json_string(call->body, "id");

    call->audit_target = arena_strdup(call->mem, id);
    return id;
}

void
store_secret_name(const char *noun, const char *id, bool before, char name[SECRET_NAME_MAX])
{
    (void)snprintf(name, SECRET_NAME_MAX, "%.8s:%.36s%s", noun, id, before ? ":before" : "");
}

void
store_put_time(struct json_writer *w, const char *name, const PGresult *rows, int row, int column)
{
    json_put_time_or_null(w, name, db_int(rows, row, column, 0));
}

void
store_put_text(struct json_writer *w, const char *name, const PGresult *rows, int row, int column)
{
    if (db_text(rows, row, column))
        json_put_string(w, name, db_text(rows, row, column));
    else
        json_put_null(w, name);
}

/* --- read --------------------------------------------------------------------------------------------------- */

enum rc
store_read(struct connector *c, const struct store_kind *kind, const char *workspace,
           const char *id, PGresult **rows, struct err *err)
{
    struct db_params params = { 0 };

    db_param_text(&params, workspace);
    db_param_text(&params, id);
    return db_query(worker_db(c->w), workspace, kind->list, &params, rows, err);
}

static enum rc
none(const struct store_kind *kind, struct err *err)
{
    return err_set(err, RC_NOTFOUND, "This workspace has no %s with this id: GET /%ss lists them.",
                   kind->noun, kind->noun);
}

enum rc
store_find(struct connector *c, const struct store_kind *kind, const char *workspace,
           const char *id, PGresult **rows, struct err *err)
{
    enum rc rc = store_read(c, kind, workspace, id, rows, err);

    return rc == RC_OK && PQntuples(*rows) == 0 ? none(kind, err) : rc;
}

enum rc
store_write(struct connector *c, const struct store_kind *kind, const char *workspace,
            const char *id, bool with_secret, struct buf *out, struct err *err)
{
    AUTO(pgresult) PGresult *rows = NULL;
    struct vault_secret secret = { 0 };
    char name[SECRET_NAME_MAX];
    struct json_writer w;
    enum rc rc = store_find(c, kind, workspace, id, &rows, err);

    if (rc != RC_OK)
        return rc;
    store_secret_name(kind->noun, id, false, name);
    if (with_secret && (rc = vault_use(&c->vault, workspace, name, &secret, err)) != RC_OK)
        return rc == RC_NOTFOUND ? RC_BUG : rc;
    buf_init(out, ANSWER_MAX);
    json_begin(&w, out);
    json_object(&w, NULL);
    kind->put_row(&w, rows, 0, with_secret ? buf_text(&secret.value) : NULL);
    json_close(&w);
    vault_secret_fini(&secret);
    return json_end(&w);
}

void
store_list_start(struct worker *w, struct call *call, const struct store_kind *kind)
{
    AUTO(pgresult) PGresult *rows = NULL;
    AUTO(buf) struct buf out = { 0 };
    struct json_writer writer;
    struct err err = { 0 };
    enum rc rc = store_read(worker_state(w), kind, call->actor.workspace, NULL, &rows, &err);
    int n = rc == RC_OK ? PQntuples(rows) : 0;

    buf_init(&out, ANSWER_MAX);
    json_begin(&writer, &out);
    json_object(&writer, NULL);
    json_array(&writer, "items");
    for (int row = 0; row < n; row++) {
        json_object(&writer, NULL);
        kind->put_row(&writer, rows, row, NULL);
        json_close(&writer);
    }
    json_close(&writer);
    json_put_int(&writer, "count", n);
    json_close(&writer);
    if (rc == RC_OK)
        rc = json_end(&writer);
    store_settle(w, call, kind->noun, rc, &err, 200, &out);
}

/* --- written ------------------------------------------------------------------------------------------------ */

void
store_delete_start(struct worker *w, struct call *call, const struct store_kind *kind)
{
    AUTO(pgresult) PGresult *rows = NULL;
    AUTO(buf) struct buf out = { 0 };
    struct db_params params = { 0 };
    struct err err = { 0 };

    db_param_text(&params, call->actor.workspace);
    db_param_text(&params, store_id(call));
    enum rc rc = db_query(worker_db(w), call->actor.workspace, kind->removed, &params, &rows, &err);
    if (rc == RC_OK && PQntuples(rows) == 0)
        rc = none(kind, &err);
    buf_init(&out, 16);
    buf_puts(&out, "{}");
    store_settle(w, call, kind->noun, rc, &err, 204, &out);
}

/* RC_NOTFOUND: the statement gave no row, and nothing was written. */
static enum rc
write_all(struct connector *c, const struct store_kind *kind, unsigned statement,
          const struct store_change *change, struct err *err)
{
    struct db *db = worker_db(c->w);
    char name[SECRET_NAME_MAX], name_before[SECRET_NAME_MAX];
    AUTO(buf) struct buf sealed = { 0 };
    AUTO(buf) struct buf sealed_before = { 0 };
    struct vault_place place = { .what = VAULT_SECRET, .workspace = change->workspace };
    struct db_params put, put_before;
    size_t index = 0;
    enum rc rc = vault_version(&c->vault, &place.version, err);

    if (rc != RC_OK)
        return rc;
    store_secret_name(kind->noun, change->id, false, name);
    store_secret_name(kind->noun, change->id, true, name_before);
    place.name = name;
    vault_params(&c->vault, &place, change->secret, &sealed, &put);
    place.name = name_before;
    if (change->before)
        vault_params(&c->vault, &place, change->before, &sealed_before, &put_before);
    if ((rc = db_begin(db, change->workspace, err)) != RC_OK)
        return rc;
    rc = db_send(db, statement, change->row, &index, err);
    if (rc == RC_OK)
        rc = db_send(db, SQL_CONNECTOR_SECRET_PUT, &put, NULL, err);
    if (rc == RC_OK && change->before)
        rc = db_send(db, SQL_CONNECTOR_SECRET_PUT, &put_before, NULL, err);
    if (rc == RC_OK)
        rc = db_sync(db, err);
    if (rc == RC_OK && PQntuples(db_result(db, index)) == 0)
        rc = RC_NOTFOUND;
    if (rc == RC_OK)
        return db_commit(db, err);
    db_abort(db);
    return rc;
}

enum rc
store_create(struct connector *c, const struct store_kind *kind, const struct store_change *change,
             struct err *err)
{
    enum rc rc = write_all(c, kind, kind->create, change, err);

    return rc == RC_NOTFOUND ? err_set(err, RC_LIMIT, "A workspace has at most %d %ss: delete one.",
                                       kind->most, kind->noun)
                             : rc;
}

enum rc
store_rotate(struct connector *c, const struct store_kind *kind, const struct store_change *change,
             struct err *err)
{
    enum rc rc = write_all(c, kind, kind->keyed, change, err);

    return rc == RC_NOTFOUND ? none(kind, err) : rc;
}
