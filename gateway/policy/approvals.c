/* SPDX-License-Identifier: MIT */
/*
 * The routes under /ai/approvals: what waits, exactly what it is, and the decision about it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "effects/forward.h"
#include "gateway.h"
#include "policy/hold.h"
#include "requests/answer.h"
#include "requests/dbstep.h"
#include "requests/handlers.h"
#include "sql_gateway.h"

#define LIMIT_DEFAULT 20
#define PAGE_MAX      (2u << 20)
#define CURSOR_MAX    80
#define COMMENT_MAX   2049

struct approval_query {
    struct dbwork work; /* first: the thread gives it back */
    struct request *r;
    char workspace[WORKSPACE_TEXT_MAX];
    char key_id[KEY_ID_LEN + 1];
    char id[ID_TEXT_MAX];
    /* of a list */
    char state[16], before_id[ID_TEXT_MAX];
    int64_t before_us, limit;
    /* of a decision */
    bool decides, approve;
    char comment[COMMENT_MAX], hash[65];
    char verdict[16];
    bool found;
    struct buf out;
};

static void
query_free(struct approval_query *query)
{
    buf_fini(&query->out);
    free(query);
}

/* --- writing one --------------------------------------------------------------------------------- */

/* The columns that a list and a single one share. */
static void
put_row(struct json_writer *w, const PGresult *rows, int i)
{
    const char *command = db_text(rows, i, 3);
    const char *decision = db_text(rows, i, 7);
    json_put_string(w, "id", db_text(rows, i, 0));
    json_put_string(w, "state", db_text(rows, i, 1));
    json_put_string(w, "action", db_text(rows, i, 2));
    json_put_string(w, "kind",
                    command && strcmp(command, "connector.run") == 0 ? "connector" : "task");
    json_put_string(w, "requested_by", db_text(rows, i, 4));
    json_put_string(w, "role", db_text(rows, i, 5));
    if (decision)
        json_put_raw(w, "policy", decision, strlen(decision));
    json_put_string(w, "hash", db_text(rows, i, 8));
    json_put_time_or_null(w, "requested_at", db_int(rows, i, 9, 0));
    json_put_time_or_null(w, "expires_at", db_int(rows, i, 10, 0));
    json_put_time_or_null(w, "decided_at", db_int(rows, i, 11, 0));
    json_put_string_or_null(w, "decided_by", db_text(rows, i, 12));
    json_put_string_or_null(w, "comment", db_text(rows, i, 13));
    json_put_bool(w, "own", db_bool(rows, i, 14));
}

/* What would be published, taken apart: the parameters, and whatever else it says. */
static enum rc
put_payload(struct json_writer *w, const struct approval_query *query, const PGresult *rows,
            struct err *err)
{
    AUTO(buf) struct buf payload = { 0 };
    AUTO(json) cJSON *doc = NULL;
    AUTO(free) uint8_t *sealed = NULL;
    size_t len = 0;
    const struct hold_bytes place = { .workspace = query->workspace, .id = query->id };
    if (!db_text(rows, 0, 15)) { /* nothing is left to be done */
        json_put_null(w, "params");
        return RC_OK;
    }
    buf_init(&payload, HOLD_PAYLOAD_MAX);
    enum rc rc = db_bytes(rows, 0, 15, &sealed, &len, err);
    if (rc == RC_OK)
        rc = hold_open(query->r->gw, &place, sealed, len, &payload);
    if (rc == RC_OK)
        rc = json_read(buf_text(&payload), payload.len, &doc, err);
    if (rc != RC_OK)
        return rc;
    cJSON *task = cJSON_GetObjectItemCaseSensitive(doc, "task");
    cJSON_DeleteItemFromObjectCaseSensitive(task, "type");
    json_put_doc(w, "params", task);
    if (json_string(doc, "scope"))
        json_put_string(w, "scope", json_string(doc, "scope"));
    if (json_member(doc, "timeout_seconds"))
        json_put_doc(w, "timeout_seconds", json_member(doc, "timeout_seconds"));
    return RC_OK;
}

static enum rc
read_one(struct approval_query *query, struct db *db, struct err *err)
{
    AUTO(pgresult) PGresult *rows = NULL;
    struct db_params params = { 0 };
    struct json_writer w;
    db_param_text(&params, query->id);
    db_param_text(&params, query->key_id);
    enum rc rc = db_query(db, query->workspace, SQL_GATEWAY_APPROVAL_GET, &params, &rows, err);
    if (rc != RC_OK)
        return rc;
    query->found = PQntuples(rows) == 1;
    if (!query->found)
        return RC_OK;
    json_begin(&w, &query->out);
    json_object(&w, NULL);
    put_row(&w, rows, 0);
    rc = put_payload(&w, query, rows, err);
    json_close(&w);
    return rc != RC_OK ? rc : json_end(&w);
}

/* --- the database thread --------------------------------------------------------------------------- */

static enum rc
run_one(struct dbwork *base, struct db *db, struct err *err)
{
    return read_one((struct approval_query *)base, db, err);
}

static enum rc
run_decide(struct dbwork *base, struct db *db, struct err *err)
{
    struct approval_query *query = (struct approval_query *)base;
    AUTO(pgresult) PGresult *result = NULL;
    struct db_params params = { 0 };
    db_param_text(&params, query->id);
    db_param_bool(&params, query->approve);
    db_param_text(&params, query->key_id);
    db_param_text(&params, query->comment[0] ? query->comment : NULL);
    db_param_text(&params, query->hash[0] ? query->hash : NULL);
    enum rc rc = db_query(db, query->workspace, SQL_GATEWAY_APPROVAL_DECIDE, &params, &result, err);
    const char *verdict = rc == RC_OK ? db_text(result, 0, 0) : NULL;
    (void)snprintf(query->verdict, sizeof(query->verdict), "%s", verdict ? verdict : "");
    return rc == RC_OK ? read_one(query, db, err) : rc;
}

static enum rc
run_cancel(struct dbwork *base, struct db *db, struct err *err)
{
    struct approval_query *query = (struct approval_query *)base;
    AUTO(pgresult) PGresult *result = NULL;
    struct db_params params = { 0 };
    db_param_text(&params, query->id);
    db_param_text(&params, query->key_id);
    return db_query(db, query->workspace, SQL_GATEWAY_APPROVAL_CANCEL, &params, &result, err);
}

static enum rc
run_list(struct dbwork *base, struct db *db, struct err *err)
{
    struct approval_query *query = (struct approval_query *)base;
    AUTO(pgresult) PGresult *rows = NULL;
    struct db_params params = { 0 };
    struct json_writer w;
    char cursor[CURSOR_MAX] = "";
    db_param_text(&params, query->state[0] ? query->state : NULL);
    if (query->before_id[0])
        db_param_int(&params, query->before_us);
    else
        db_param_null(&params);
    db_param_text(&params, query->before_id[0] ? query->before_id : NULL);
    db_param_int(&params, query->limit + 1);
    db_param_text(&params, query->key_id);
    enum rc rc = db_query(db, query->workspace, SQL_GATEWAY_APPROVAL_LIST, &params, &rows, err);
    if (rc != RC_OK)
        return rc;
    query->found = true;
    int n = PQntuples(rows);
    bool more = n > query->limit;
    n -= more;
    json_begin(&w, &query->out);
    json_object(&w, NULL);
    json_array(&w, "items");
    for (int i = 0; i < n; i++) {
        json_object(&w, NULL);
        put_row(&w, rows, i);
        json_close(&w);
        (void)snprintf(cursor, sizeof(cursor), "%lld:%s", (long long)db_int(rows, i, 15, 0),
                       db_text(rows, i, 0));
    }
    json_close(&w);
    json_put_int(&w, "count", n);
    json_put_string_or_null(&w, "next_cursor", more ? cursor : NULL);
    json_close(&w);
    return json_end(&w);
}

/* --- the loop's thread ------------------------------------------------------------------------------ */

static enum step
refuse_decision(struct request *r, const struct approval_query *query)
{
    if (strcmp(query->verdict, "self") == 0)
        return answer_problem(
            r, PROBLEM_APPROVER,
            "this key, one that it was rotated from, or another key of its owner "
            "requested the action: somebody else must decide, with a key of their own");
    if (strcmp(query->verdict, "changed") == 0)
        return answer_problem(r, PROBLEM_APPROVAL_CHANGED,
                              "the member hash is not that of the action that waits: GET "
                              "/ai/approvals/{id}, and send the hash in that answer");
    if (strcmp(query->verdict, "expired") == 0)
        return answer_problem(
            r, PROBLEM_APPROVAL_DECIDED,
            "the approval expired before it was decided: request the action again");
    return answer_problem(r, PROBLEM_APPROVAL_DECIDED,
                          "the action no longer waits: it was approved, denied or cancelled. GET "
                          "/ai/approvals/{id} says which, and by whom");
}

static void
on_done(void *arg)
{
    struct approval_query *query = arg;
    struct request *r = query->r;
    bool decided = query->decides && strcmp(query->verdict, "ok") == 0;
    enum step step;
    dbstep_end(r);
    if (query->work.rc == RC_TEMP || (query->work.rc != RC_OK && !decided)) {
        step = dbstep_failed(r, &query->work, "the approval cannot be read");
    } else if (!query->found && !decided) {
        step = answer_problem(r, PROBLEM_NOT_FOUND,
                              "there is no approval with this id in this workspace: GET "
                              "/ai/approvals lists them");
    } else if (query->decides && !decided) {
        step = refuse_decision(r, query);
    } else {
        step = answer_object(r, 200, buf_text(&query->out), query->out.len);
    }
    if (decided) {
        if (query->approve)
            r->gw->count.approvals_approved_total++;
        else
            r->gw->count.approvals_denied_total++;
        outbox_kick(r->gw->outbox);
    }
    query_free(query);
    request_continue(r, step);
}

static struct approval_query *
query_new(struct request *r)
{
    struct approval_query *query = calloc(1, sizeof(*query));
    if (!query)
        return NULL;
    query->r = r;
    query->work.done = on_done;
    memcpy(query->workspace, r->actor.workspace, sizeof(query->workspace));
    memcpy(query->key_id, r->actor.key_id, sizeof(query->key_id));
    if (r->route->n_params)
        (void)snprintf(query->id, sizeof(query->id), "%.36s", r->match.params[0]);
    buf_init(&query->out, PAGE_MAX);
    return query;
}

static enum step
start(struct request *r, struct approval_query *query,
      enum rc (*run)(struct dbwork *, struct db *, struct err *))
{
    if (!query)
        return answer_problem(r, PROBLEM_UNAVAILABLE, "no memory for an approval: ask again");
    query->work.run = run;
    enum step step = dbstep_begin(r, &query->work, "questions about approvals");
    if (step != STEP_WAIT)
        query_free(query);
    return step;
}

enum step
approvals_list(struct request *r)
{
    struct approval_query *query = query_new(r);
    const char *state = json_string(r->doc, "state");
    const char *cursor = json_string(r->doc, "cursor");
    if (!query)
        return start(r, NULL, run_list);
    query->limit = json_int(r->doc, "limit", LIMIT_DEFAULT);
    if (state && strcmp(state, "all") != 0)
        (void)snprintf(query->state, sizeof(query->state), "%s", state);
    else if (!state)
        (void)snprintf(query->state, sizeof(query->state), "waiting");
    if (cursor) {
        const char *colon = strchr(cursor, ':'); /* the schema's pattern */
        query->before_us = strtoll(cursor, NULL, 10);
        (void)snprintf(query->before_id, sizeof(query->before_id), "%s", colon ? colon + 1 : "");
    }
    return start(r, query, run_list);
}

enum step
approvals_get(struct request *r)
{
    return start(r, query_new(r), run_one);
}

enum step
approvals_decide(struct request *r)
{
    struct approval_query *query = query_new(r);
    const char *comment = json_string(r->doc, "comment");
    const char *hash = json_string(r->doc, "hash");
    const char *decision = json_string(r->doc, "decision");
    if (!query)
        return start(r, NULL, run_decide);
    query->decides = true;
    query->approve = decision && strcmp(decision, "approve") == 0;
    (void)snprintf(query->comment, sizeof(query->comment), "%s", comment ? comment : "");
    (void)snprintf(query->hash, sizeof(query->hash), "%s", hash ? hash : "");
    return start(r, query, run_decide);
}

/* --- cancelling -------------------------------------------------------------------------------------- */

static void
on_cancelled(void *arg)
{
    struct approval_query *query = arg;
    struct request *r = query->r;
    dbstep_end(r);
    query_free(query); /* without PostgreSQL: the job's own record says that it is cancelled */
    enum step step = forward_query(r);
    if (step != STEP_WAIT)
        request_continue(r, step);
}

/* A job that waits has a row beside its record. */
enum step
job_cancel(struct request *r)
{
    struct approval_query *query = query_new(r);
    if (!query)
        return forward_query(r);
    query->work.run = run_cancel;
    query->work.done = on_cancelled;
    if (dbstep_try(r, &query->work))
        return STEP_WAIT;
    query_free(query);
    return forward_query(r);
}
