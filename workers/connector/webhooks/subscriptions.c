/* SPDX-License-Identifier: MIT */
/*
 * subscriptions - webhooks made, shown, changed, deleted; their secrets. The id of a webhook is that of the request
 * that made it.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "db/column.h"
#include "db/db.h"
#include "sql_connector.h"
#include "webhooks/sign.h"
#include "webhooks/store.h"
#include "webhooks/webhooks.h"

#define ARRAY_MAX 16384 /* bytes of events as an array */

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

/* The members of the open object; a private key stays here. */
static void
put_row(struct json_writer *w, const PGresult *rows, int row, const char *secret)
{
    const char *events = db_text(rows, row, COL_EVENTS);

    store_put_text(w, "id", rows, row, COL_ID);
    store_put_text(w, "url", rows, row, COL_URL);
    store_put_text(w, "description", rows, row, COL_DESCRIPTION);
    json_put_raw(w, "events", events, strlen(events));
    json_put_bool(w, "ordered", db_bool(rows, row, COL_ORDERED));
    store_put_text(w, "signature", rows, row, COL_SIGNATURE);
    store_put_text(w, "public_key", rows, row, COL_PUBLIC_KEY);
    store_put_time(w, "previous_valid_until", rows, row, COL_PREVIOUS);
    json_put_bool(w, "enabled", db_bool(rows, row, COL_ENABLED));
    store_put_text(w, "disabled_reason", rows, row, COL_REASON);
    json_put_int(w, "pending", db_int(rows, row, COL_PENDING, 0));
    store_put_time(w, "delivered_at", rows, row, COL_DELIVERED);
    store_put_time(w, "created_at", rows, row, COL_CREATED);
    store_put_time(w, "updated_at", rows, row, COL_UPDATED);
    if (secret && !db_text(rows, row, COL_PUBLIC_KEY))
        json_put_string(w, "secret", secret);
}

const struct store_kind WEBHOOKS = {
    .noun = WEBHOOK_NOUN,
    .list = SQL_CONNECTOR_WEBHOOK_LIST,
    .create = SQL_CONNECTOR_WEBHOOK_CREATE,
    .keyed = SQL_CONNECTOR_WEBHOOK_KEYED,
    .removed = SQL_CONNECTOR_WEBHOOK_DELETE,
    .most = WEBHOOKS_MAX,
    .put_row = put_row,
};

void
webhooks_get_start(struct worker *w, struct call *call)
{
    AUTO(buf) struct buf out = { 0 };
    struct err err = { 0 };
    enum rc rc = store_write(worker_state(w), &WEBHOOKS, call->actor.workspace, store_id(call),
                             false, &out, &err);

    store_settle(w, call, WEBHOOK_NOUN, rc, &err, 200, &out);
}

void
webhooks_list_start(struct worker *w, struct call *call)
{
    store_list_start(w, call, &WEBHOOKS);
}

void
webhooks_delete_start(struct worker *w, struct call *call)
{
    store_delete_start(w, call, &WEBHOOKS);
}

/* --- made and changed ------------------------------------------------------------------------------------- */

/* The schema has bounded them. */
static const char *
events_of(const cJSON *body, struct buf *out)
{
    const cJSON *events = json_member(body, "events");
    const cJSON *item;

    if (!events)
        return NULL;
    buf_init(out, ARRAY_MAX);
    literal_begin(out);
    cJSON_ArrayForEach (item, events)
        literal_text(out, item->valuestring);
    literal_end(out);
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

/* As store_settle(); RC_INVALID is check_url()'s. */
static void
settle(struct worker *w, struct call *call, enum rc rc, const struct err *err, int status,
       const struct buf *out)
{
    struct field_errors errors = { 0 };

    if (rc != RC_INVALID) {
        store_settle(w, call, WEBHOOK_NOUN, rc, err, status, out);
        return;
    }
    field_errors_add(&errors, "url", "%s", err->text);
    call_problem(call, PROBLEM_INVALID_REQUEST, &errors, NULL);
    worker_finish(w, call);
}

static enum rc
create(struct connector *c, const struct call *call, struct err *err)
{
    const char *signature = json_string(call->body, "signature");
    const char *description = json_string(call->body, "description");
    char secret[SIGN_TEXT_MAX], public_key[SIGN_TEXT_MAX];
    AUTO(buf) struct buf events = { 0 };
    struct db_params row = { 0 };
    const struct store_change change = {
        .workspace = call->actor.workspace, .id = call->id, .row = &row, .secret = secret
    };

    sign_new(signature && strcmp(signature, "ed25519") == 0, secret, public_key);
    db_param_text(&row, change.workspace);
    db_param_text(&row, change.id);
    db_param_text(&row, json_string(call->body, "url"));
    db_param_text(&row, description ? description : "");
    db_param_text(&row, events_of(call->body, &events));
    db_param_bool(&row, json_bool(call->body, "ordered", false));
    db_param_text(&row, signature ? signature : "hmac");
    db_param_text(&row, public_key[0] ? public_key : NULL);
    db_param_int(&row, WEBHOOKS_MAX);
    enum rc rc = store_create(c, &WEBHOOKS, &change, err);
    crypto_wipe(secret, sizeof(secret));
    return rc;
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
        rc = store_read(c, &WEBHOOKS, workspace, call->id, &rows, &err);
    if (rc == RC_OK && PQntuples(rows) == 0)
        rc = create(c, call, &err);
    if (rc == RC_OK)
        rc = store_write(c, &WEBHOOKS, workspace, call->id, true, &out, &err);
    settle(w, call, rc, &err, 201, &out);
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
    const char *id = store_id(call);
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
        rc = store_write(c, &WEBHOOKS, workspace, id, false, &out, &err);
    settle(w, call, rc, &err, 200, &out);
}

/* --- another secret ----------------------------------------------------------------------------------------- */

/* now: the secret of now, which becomes the one before. */
static enum rc
rotate(struct connector *c, const struct call *call, const char *id, const char *now,
       struct err *err)
{
    char secret[SIGN_TEXT_MAX], public_key[SIGN_TEXT_MAX];
    struct db_params row = { 0 };
    const struct store_change change = {
        .workspace = call->actor.workspace, .id = id, .row = &row, .secret = secret, .before = now
    };

    sign_new(strncmp(now, "whsk_", 5) == 0, secret, public_key);
    db_param_text(&row, change.workspace);
    db_param_text(&row, id);
    db_param_text(&row, public_key[0] ? public_key : NULL);
    db_param_int(&row, json_int(call->body, "overlap_seconds", STORE_OVERLAP_S));
    db_param_text(&row, call->id);
    enum rc rc = store_rotate(c, &WEBHOOKS, &change, err);
    crypto_wipe(secret, sizeof(secret));
    return rc;
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
    const char *id = store_id(call);
    enum rc rc = store_find(c, &WEBHOOKS, workspace, id, &rows, &err);
    const char *by = rc == RC_OK ? db_text(rows, 0, COL_ROTATED_BY) : NULL;

    store_secret_name(WEBHOOK_NOUN, id, false, name);
    if (rc == RC_OK)
        rc = vault_use(&c->vault, workspace, name, &now, &err);
    if (rc == RC_OK && (!by || strcmp(by, call->id) != 0))
        rc = rotate(c, call, id, buf_text(&now.value), &err);
    vault_secret_fini(&now);
    if (rc == RC_OK)
        rc = store_write(c, &WEBHOOKS, workspace, id, true, &out, &err);
    settle(w, call, rc, &err, 200, &out);
    buf_wipe(&out);
}
