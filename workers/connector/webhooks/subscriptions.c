/* SPDX-License-Identifier: MIT */
/*
 * subscriptions - webhooks made, shown, changed, deleted; their secrets.
 *
 * A secret and its row are written in one transaction. The id of a webhook is that of the request that made
 * it, so a request that is repeated finds it, and gets the same answer.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "db/db.h"
#include "sql_connector.h"
#include "webhooks/sign.h"
#include "webhooks/webhooks.h"

#define ANSWER_MAX (1u << 20)
#define ARRAY_MAX  16384 /* bytes of events as an array */

enum column {
    COL_ID,
    COL_URL,
    COL_DESCRIPTION,
    COL_EVENTS,
    COL_ORDERED,
    COL_SIGNATURE,
    COL_PUBLIC_KEY,
    COL_PREVIOUS,
    COL_ENABLED,
    COL_REASON,
    COL_DELIVERED,
    COL_CREATED,
    COL_UPDATED,
    COL_PENDING,
    COL_ROTATED_BY
};

void
webhook_secret_name(const char *id, bool before, char name[SECRET_NAME_MAX])
{
    (void)snprintf(name, SECRET_NAME_MAX, "webhook:%.36s%s", id, before ? ":before" : "");
}

void
webhooks_settle(struct worker *w, struct call *call, enum rc rc, const struct err *err, int status,
                const struct buf *out)
{
    struct field_errors errors = { 0 };

    if (rc == RC_OK) {
        call_answer(call, status, out);
    } else if (rc == RC_NOTFOUND) {
        call_problem(call, PROBLEM_NOT_FOUND, NULL, err->text);
    } else if (rc == RC_INVALID) {
        field_errors_add(&errors, "url", "%s", err->text);
        call_problem(call, PROBLEM_INVALID_REQUEST, &errors, NULL);
    } else if (rc == RC_LIMIT) {
        call_problem(call, PROBLEM_INVALID_REQUEST, NULL, err->text);
    } else if (rc == RC_TEMP) {
        call_problem(call, PROBLEM_UNAVAILABLE, NULL, "PostgreSQL does not answer: ask again.");
    } else {
        call_problem(call, PROBLEM_INTERNAL, NULL, "The webhook cannot be stored or read.");
    }
    worker_finish(w, call);
}

static const char *
id_of(struct call *call)
{
    const char *id = json_string(call->body, "id");

    call->audit_target = arena_strdup(call->mem, id);
    return id;
}

static enum rc
none(struct err *err)
{
    return err_set(err, RC_NOTFOUND, "There is no webhook with this id.");
}

/* --- shown ------------------------------------------------------------------------------------------------ */

static void
put_time(struct json_writer *w, const char *name, const PGresult *rows, int row, int column)
{
    if (db_text(rows, row, column))
        json_put_time(w, name, db_int(rows, row, column, 0));
    else
        json_put_null(w, name);
}

static void
put_text(struct json_writer *w, const char *name, const PGresult *rows, int row, int column)
{
    if (db_text(rows, row, column))
        json_put_string(w, name, db_text(rows, row, column));
    else
        json_put_null(w, name);
}

/* The members of the open object. */
static void
put_row(struct json_writer *w, const PGresult *rows, int row)
{
    const char *events = db_text(rows, row, COL_EVENTS);

    put_text(w, "id", rows, row, COL_ID);
    put_text(w, "url", rows, row, COL_URL);
    put_text(w, "description", rows, row, COL_DESCRIPTION);
    json_put_raw(w, "events", events, strlen(events));
    json_put_bool(w, "ordered", db_bool(rows, row, COL_ORDERED));
    put_text(w, "signature", rows, row, COL_SIGNATURE);
    put_text(w, "public_key", rows, row, COL_PUBLIC_KEY);
    put_time(w, "previous_valid_until", rows, row, COL_PREVIOUS);
    json_put_bool(w, "enabled", db_bool(rows, row, COL_ENABLED));
    put_text(w, "disabled_reason", rows, row, COL_REASON);
    json_put_int(w, "pending", db_int(rows, row, COL_PENDING, 0));
    put_time(w, "delivered_at", rows, row, COL_DELIVERED);
    put_time(w, "created_at", rows, row, COL_CREATED);
    put_time(w, "updated_at", rows, row, COL_UPDATED);
}

/* One, or all with id NULL. */
static enum rc
read_rows(struct connector *c, const char *workspace, const char *id, PGresult **rows,
          struct err *err)
{
    struct db_params params = { 0 };

    db_param_text(&params, workspace);
    db_param_text(&params, id);
    return db_query(worker_db(c->w), workspace, SQL_CONNECTOR_WEBHOOK_LIST, &params, rows, err);
}

/* The webhook as an object, with its secret if it is to be shown. */
static enum rc
write_one(struct connector *c, const char *workspace, const char *id, bool with_secret,
          struct buf *out, struct err *err)
{
    AUTO(pgresult) PGresult *rows = NULL;
    struct vault_secret secret = { 0 };
    char name[SECRET_NAME_MAX];
    struct json_writer w;
    enum rc rc = read_rows(c, workspace, id, &rows, err);

    if (rc == RC_OK && PQntuples(rows) == 0)
        return none(err);
    webhook_secret_name(id, false, name);
    if (rc == RC_OK && with_secret)
        rc = vault_use(&c->vault, workspace, name, &secret, err);
    if (rc != RC_OK)
        return rc == RC_NOTFOUND ? RC_BUG : rc;
    buf_init(out, ANSWER_MAX);
    json_begin(&w, out);
    json_object(&w, NULL);
    put_row(&w, rows, 0);
    if (with_secret && !db_text(rows, 0, COL_PUBLIC_KEY)) /* a private key stays here */
        json_put_string(&w, "secret", buf_text(&secret.value));
    json_close(&w);
    vault_secret_fini(&secret);
    return json_end(&w);
}

void
webhooks_get_start(struct worker *w, struct call *call)
{
    AUTO(buf) struct buf out = { 0 };
    struct err err = { 0 };
    enum rc rc = write_one(worker_state(w), call->actor.workspace, id_of(call), false, &out, &err);

    webhooks_settle(w, call, rc, &err, 200, &out);
}

void
webhooks_list_start(struct worker *w, struct call *call)
{
    AUTO(pgresult) PGresult *rows = NULL;
    AUTO(buf) struct buf out = { 0 };
    struct json_writer writer;
    struct err err = { 0 };
    enum rc rc = read_rows(worker_state(w), call->actor.workspace, NULL, &rows, &err);

    buf_init(&out, ANSWER_MAX);
    json_begin(&writer, &out);
    json_object(&writer, NULL);
    json_array(&writer, "items");
    for (int row = 0; rc == RC_OK && row < PQntuples(rows); row++) {
        json_object(&writer, NULL);
        put_row(&writer, rows, row);
        json_close(&writer);
    }
    json_close(&writer);
    json_put_int(&writer, "count", rc == RC_OK ? PQntuples(rows) : 0);
    json_close(&writer);
    if (rc == RC_OK)
        rc = json_end(&writer);
    webhooks_settle(w, call, rc, &err, 200, &out);
}

/* --- made and changed ------------------------------------------------------------------------------------- */

/* As PostgreSQL reads an array: each in quotes. The schema has bounded them. */
static const char *
events_of(const cJSON *body, struct buf *out)
{
    const cJSON *events = json_member(body, "events");
    const cJSON *item;

    if (!events)
        return NULL;
    buf_init(out, ARRAY_MAX);
    buf_putc(out, '{');
    cJSON_ArrayForEach (item, events) {
        buf_puts(out, out->len > 1 ? ",\"" : "\"");
        for (const char *at = item->valuestring; *at; at++) {
            if (*at == '"' || *at == '\\')
                buf_putc(out, '\\');
            buf_putc(out, *at);
        }
        buf_putc(out, '"');
    }
    buf_putc(out, '}');
    return buf_text(out);
}

/* A URL that we speak, and a host that the workspace may reach: the same list as for its actions. */
static enum rc
check_url(struct connector *c, const char *workspace, const char *url, struct err *err)
{
    AUTO(pgresult) PGresult *rows = NULL;
    AUTO(json) cJSON *hosts = NULL;
    struct db_params params = { 0 };
    struct guard_url place;
    const cJSON *item;
    enum rc rc;

    if (!url)
        return RC_OK;
    if ((rc = guard_url_read(url, &place, err)) != RC_OK)
        return rc;
    rc = db_query(worker_db(c->w), workspace, SQL_CONNECTOR_WEBHOOK_HOSTS, &params, &rows, err);
    if (rc != RC_OK)
        return rc;
    const char *text = db_text(rows, 0, 0);
    if (text && json_read(text, strlen(text), &hosts, err) != RC_OK)
        return RC_BUG;
    cJSON_ArrayForEach (item, hosts) {
        if (cJSON_IsString(item) && guard_host_matches(item->valuestring, place.host, place.port))
            return RC_OK;
    }
    return err_set(
        err, RC_INVALID,
        "has the host %.100s (port %u), which this workspace may not reach: an operator adds it "
        "with gantry workspace egress",
        place.host, place.port);
}

enum rc
webhooks_commit(struct db *db, enum rc rc, size_t index, struct err *err)
{
    if (rc == RC_OK)
        rc = db_sync(db, err);
    if (rc == RC_OK && PQntuples(db_result(db, index)) == 0)
        rc = err_set(err, RC_NOTFOUND, "It does not exist any more.");
    if (rc == RC_OK)
        return db_commit(db, err);
    db_abort(db);
    return rc;
}

static enum rc
create(struct connector *c, const struct call *call, struct err *err)
{
    const char *workspace = call->actor.workspace;
    const char *signature = json_string(call->body, "signature");
    const char *description = json_string(call->body, "description");
    char name[SECRET_NAME_MAX], secret[SIGN_TEXT_MAX], public_key[SIGN_TEXT_MAX];
    AUTO(buf) struct buf sealed = { 0 };
    AUTO(buf) struct buf events = { 0 };
    struct db_params put, row = { 0 };
    struct db *db = worker_db(c->w);
    size_t index = 0;
    struct vault_place place = { .what = VAULT_SECRET, .workspace = workspace, .name = name };
    enum rc rc = vault_version(&c->vault, &place.version, err);

    if (rc != RC_OK)
        return rc;
    sign_new(signature && strcmp(signature, "ed25519") == 0, secret, public_key);
    webhook_secret_name(call->id, false, name);
    vault_params(&c->vault, &place, secret, &sealed, &put);
    crypto_wipe(secret, sizeof(secret));
    db_param_text(&row, workspace);
    db_param_text(&row, call->id);
    db_param_text(&row, json_string(call->body, "url"));
    db_param_text(&row, description ? description : "");
    db_param_text(&row, events_of(call->body, &events));
    db_param_bool(&row, json_bool(call->body, "ordered", false));
    db_param_text(&row, signature ? signature : "hmac");
    db_param_text(&row, public_key[0] ? public_key : NULL);
    db_param_int(&row, WEBHOOKS_MAX);
    if ((rc = db_begin(db, workspace, err)) != RC_OK)
        return rc;
    rc = db_send(db, SQL_CONNECTOR_WEBHOOK_CREATE, &row, &index, err);
    if (rc == RC_OK)
        rc = db_send(db, SQL_CONNECTOR_SECRET_PUT, &put, NULL, err);
    rc = webhooks_commit(db, rc, index, err);
    return rc == RC_NOTFOUND
               ? err_set(err, RC_LIMIT, "A workspace has at most %d webhooks: delete one.",
                         WEBHOOKS_MAX)
               : rc;
}

void
webhooks_create_start(struct worker *w, struct call *call)
{
    struct connector *c = worker_state(w);
    AUTO(pgresult) PGresult *rows = NULL;
    AUTO(buf) struct buf out = { 0 };
    struct err err = { 0 };
    const char *workspace = call->actor.workspace;
    enum rc rc = check_url(c, workspace, json_string(call->body, "url"), &err);

    call->audit_target = call->id;
    if (rc == RC_OK)
        rc = read_rows(c, workspace, call->id, &rows, &err);
    if (rc == RC_OK && PQntuples(rows) == 0)
        rc = create(c, call, &err);
    if (rc == RC_OK)
        rc = write_one(c, workspace, call->id, true, &out, &err);
    webhooks_settle(w, call, rc, &err, 201, &out);
    buf_wipe(&out);
}

static void
param_bool(struct db_params *params, const cJSON *body, const char *name)
{
    if (json_member(body, name))
        db_param_bool(params, json_bool(body, name, false));
    else
        db_param_null(params);
}

void
webhooks_change_start(struct worker *w, struct call *call)
{
    struct connector *c = worker_state(w);
    AUTO(pgresult) PGresult *rows = NULL;
    AUTO(buf) struct buf events = { 0 };
    AUTO(buf) struct buf out = { 0 };
    struct db_params params = { 0 };
    struct err err = { 0 };
    const char *workspace = call->actor.workspace;
    const char *id = id_of(call);
    enum rc rc = check_url(c, workspace, json_string(call->body, "url"), &err);

    db_param_text(&params, workspace);
    db_param_text(&params, id);
    db_param_text(&params, json_string(call->body, "url"));
    db_param_text(&params, json_string(call->body, "description"));
    db_param_text(&params, events_of(call->body, &events));
    param_bool(&params, call->body, "ordered");
    param_bool(&params, call->body, "enabled");
    if (rc == RC_OK)
        rc = db_query(worker_db(w), workspace, SQL_CONNECTOR_WEBHOOK_CHANGE, &params, &rows, &err);
    if (rc == RC_OK)
        rc = write_one(c, workspace, id, false, &out, &err);
    webhooks_settle(w, call, rc, &err, 200, &out);
}

void
webhooks_delete_start(struct worker *w, struct call *call)
{
    AUTO(pgresult) PGresult *rows = NULL;
    AUTO(buf) struct buf out = { 0 };
    struct db_params params = { 0 };
    struct err err = { 0 };
    enum rc rc;

    db_param_text(&params, call->actor.workspace);
    db_param_text(&params, id_of(call));
    rc = db_query(worker_db(w), call->actor.workspace, SQL_CONNECTOR_WEBHOOK_DELETE, &params, &rows,
                  &err);
    if (rc == RC_OK && PQntuples(rows) == 0)
        rc = none(&err);
    buf_init(&out, 16);
    buf_puts(&out, "{}");
    webhooks_settle(w, call, rc, &err, 204, &out);
}

/* --- another secret ----------------------------------------------------------------------------------------- */

/* now: the secret of now, which becomes the one before. */
static enum rc
rotate(struct connector *c, const struct call *call, const char *id, const char *now,
       struct err *err)
{
    const char *workspace = call->actor.workspace;
    char name[SECRET_NAME_MAX], name_before[SECRET_NAME_MAX];
    char secret[SIGN_TEXT_MAX], public_key[SIGN_TEXT_MAX];
    AUTO(buf) struct buf sealed = { 0 };
    AUTO(buf) struct buf sealed_before = { 0 };
    struct db_params put, put_before, row = { 0 };
    struct db *db = worker_db(c->w);
    size_t index = 0;
    struct vault_place place = { .what = VAULT_SECRET, .workspace = workspace, .name = name };
    enum rc rc = vault_version(&c->vault, &place.version, err);

    if (rc != RC_OK)
        return rc;
    sign_new(strncmp(now, "whsk_", 5) == 0, secret, public_key);
    webhook_secret_name(id, false, name);
    webhook_secret_name(id, true, name_before);
    vault_params(&c->vault, &place, secret, &sealed, &put);
    place.name = name_before;
    vault_params(&c->vault, &place, now, &sealed_before, &put_before);
    crypto_wipe(secret, sizeof(secret));
    db_param_text(&row, workspace);
    db_param_text(&row, id);
    db_param_text(&row, public_key[0] ? public_key : NULL);
    db_param_int(&row, json_int(call->body, "overlap_seconds", WEBHOOK_OVERLAP_S));
    db_param_text(&row, call->id);
    if ((rc = db_begin(db, workspace, err)) != RC_OK)
        return rc;
    rc = db_send(db, SQL_CONNECTOR_WEBHOOK_KEYED, &row, &index, err);
    if (rc == RC_OK)
        rc = db_send(db, SQL_CONNECTOR_SECRET_PUT, &put, NULL, err);
    if (rc == RC_OK)
        rc = db_send(db, SQL_CONNECTOR_SECRET_PUT, &put_before, NULL, err);
    return webhooks_commit(db, rc, index, err);
}

void
webhooks_rotate_start(struct worker *w, struct call *call)
{
    struct connector *c = worker_state(w);
    AUTO(pgresult) PGresult *rows = NULL;
    AUTO(buf) struct buf out = { 0 };
    struct vault_secret now = { 0 };
    struct err err = { 0 };
    char name[SECRET_NAME_MAX];
    const char *workspace = call->actor.workspace;
    const char *id = id_of(call);
    enum rc rc = read_rows(c, workspace, id, &rows, &err);
    const char *by = rc == RC_OK && PQntuples(rows) ? db_text(rows, 0, COL_ROTATED_BY) : NULL;

    if (rc == RC_OK && PQntuples(rows) == 0)
        rc = none(&err);
    webhook_secret_name(id, false, name);
    if (rc == RC_OK)
        rc = vault_use(&c->vault, workspace, name, &now, &err);
    if (rc == RC_OK && (!by || strcmp(by, call->id) != 0))
        rc = rotate(c, call, id, buf_text(&now.value), &err);
    vault_secret_fini(&now);
    if (rc == RC_OK)
        rc = write_one(c, workspace, id, true, &out, &err);
    webhooks_settle(w, call, rc, &err, 200, &out);
    buf_wipe(&out);
}
