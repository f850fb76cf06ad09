/* SPDX-License-Identifier: MIT */
/*
 * deliveries - what was and will be delivered, listed; sent again; a test.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "db/db.h"
#include "sql_connector.h"
#include "webhooks/store.h"
#include "webhooks/webhooks.h"

#define PAGE_MAX   (4u << 20)
#define PAGE_USUAL 20
#define BODY_MAX   1024

static void
put_row(struct json_writer *w, const PGresult *rows, int row)
{
    const char *body = db_text(rows, row, 10);

    json_object(w, NULL);
    json_put_string(w, "id", db_text(rows, row, 1));
    json_put_string(w, "type", db_text(rows, row, 2));
    json_put_string(w, "state", db_text(rows, row, 3));
    json_put_int(w, "attempts", db_int(rows, row, 4, 0));
    if (db_text(rows, row, 5))
        json_put_int(w, "http_status", db_int(rows, row, 5, 0));
    else
        json_put_null(w, "http_status");
    store_put_text(w, "error", rows, row, 6);
    store_put_time(w, "created_at", rows, row, 7);
    store_put_time(w, "next_at", rows, row, 8);
    store_put_time(w, "ended_at", rows, row, 9);
    json_put_raw(w, "payload", body, strlen(body));
    json_close(w);
}

/* Whether there is such a webhook in the workspace. */
static enum rc
check_webhook(struct worker *w, struct call *call, struct err *err)
{
    AUTO(pgresult) PGresult *rows = NULL;

    return store_find(worker_state(w), &WEBHOOKS, call->actor.workspace, store_id(call), &rows,
                      err);
}

static enum rc
read_page(struct worker *w, const struct call *call, int64_t limit, PGresult **rows,
          struct err *err)
{
    struct db_params params = { 0 };

    db_param_text(&params, call->actor.workspace);
    db_param_text(&params, json_string(call->body, "id"));
    db_param_text(&params, json_string(call->body, "state"));
    db_param_text(&params, json_string(call->body, "cursor"));
    db_param_int(&params, limit + 1); /* whether there is a next page */
    return db_query(worker_db(w), call->actor.workspace, SQL_CONNECTOR_WEBHOOK_DELIVERIES, &params,
                    rows, err);
}

void
webhooks_deliveries_start(struct worker *w, struct call *call)
{
    AUTO(pgresult) PGresult *rows = NULL;
    AUTO(buf) struct buf out = { 0 };
    struct json_writer writer;
    struct err err = { 0 };
    int64_t limit = json_int(call->body, "limit", PAGE_USUAL);
    int n = 0;
    enum rc rc = check_webhook(w, call, &err);

    if (rc == RC_OK)
        rc = read_page(w, call, limit, &rows, &err);
    if (rc == RC_OK)
        n = PQntuples(rows) > limit ? (int)limit : PQntuples(rows);
    buf_init(&out, PAGE_MAX);
    json_begin(&writer, &out);
    json_object(&writer, NULL);
    json_array(&writer, "items");
    for (int row = 0; row < n; row++)
        put_row(&writer, rows, row);
    json_close(&writer);
    json_put_int(&writer, "count", n);
    if (n > 0 && PQntuples(rows) > n)
        json_put_string(&writer, "next_cursor", db_text(rows, n - 1, 0));
    else
        json_put_null(&writer, "next_cursor");
    json_close(&writer);
    if (rc == RC_OK)
        rc = json_end(&writer);
    store_settle(w, call, WEBHOOK_NOUN, rc, &err, 200, &out);
}

/* {"id","state"} of a delivery that is due now. */
static void
settle_queued(struct worker *w, struct call *call, enum rc rc, const struct err *err,
              const char *id)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer writer;

    buf_init(&out, BODY_MAX);
    json_begin(&writer, &out);
    json_object(&writer, NULL);
    json_put_string(&writer, "id", id);
    json_put_string(&writer, "state", "pending");
    json_close(&writer);
    if (rc == RC_OK)
        rc = json_end(&writer);
    store_settle(w, call, WEBHOOK_NOUN, rc, err, 200, &out);
}

void
webhooks_replay_start(struct worker *w, struct call *call)
{
    AUTO(pgresult) PGresult *rows = NULL;
    struct db_params params = { 0 };
    struct err err = { 0 };
    const char *delivery = json_string(call->body, "delivery_id");
    enum rc rc = check_webhook(w, call, &err);

    db_param_text(&params, call->actor.workspace);
    db_param_text(&params, json_string(call->body, "id"));
    db_param_text(&params, delivery);
    if (rc == RC_OK)
        rc = db_query(worker_db(w), call->actor.workspace, SQL_CONNECTOR_WEBHOOK_REPLAY, &params,
                      &rows, &err);
    if (rc == RC_OK && PQntuples(rows) == 0)
        rc = err_set(
            &err, RC_NOTFOUND,
            "This webhook has no delivery with this id: GET /webhooks/{id}/deliveries lists them.");
    settle_queued(w, call, rc, &err, delivery);
}

void
webhooks_test_start(struct worker *w, struct call *call)
{
    AUTO(pgresult) PGresult *rows = NULL;
    AUTO(buf) struct buf body = { 0 };
    struct json_writer writer;
    struct db_params params = { 0 };
    struct err err = { 0 };
    enum rc rc = check_webhook(w, call, &err);

    buf_init(&body, BODY_MAX);
    json_begin(&writer, &body);
    json_object(&writer, NULL);
    json_put_string(&writer, "type", "webhook.test");
    json_put_time(&writer, "timestamp", clock_wall_ms());
    json_object(&writer, "data");
    json_put_string(&writer, "workspace", call->actor.workspace);
    json_put_string(&writer, "webhook", json_string(call->body, "id"));
    json_close(&writer);
    json_close(&writer);
    if (rc == RC_OK)
        rc = json_end(&writer);
    db_param_text(&params, call->actor.workspace);
    db_param_text(&params, json_string(call->body, "id"));
    db_param_text(&params, call->id);
    db_param_text(&params, buf_text(&body));
    if (rc == RC_OK)
        rc = db_query(worker_db(w), call->actor.workspace, SQL_CONNECTOR_WEBHOOK_TEST, &params,
                      &rows, &err);
    settle_queued(w, call, rc, &err, call->id);
}
