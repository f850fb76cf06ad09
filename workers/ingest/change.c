/* SPDX-License-Identifier: MIT */
/*
 * change - memory.patch and memory.delete, each command a transaction of its own.
 */
#include <string.h>

#include "base/cleanup.h"
#include "ingest.h"
#include "prepare.h"
#include "protocol/memory_item.h"
#include "refusal.h"
#include "sql_ingest.h"

/* One statement in a group of its own, behind the version. */
static enum rc
run(struct ingest *in, struct call *call, unsigned statement, const struct db_params *params,
    const PGresult **result, struct err *err)
{
    struct db *db = worker_db(in->worker);
    size_t index;
    enum rc rc = ingest_begin(in, call->actor.workspace, err);
    if (rc == RC_OK)
        rc = db_send(db, statement, params, &index, err);
    if (rc != RC_OK) {
        db_abort(db);
        return rc;
    }
    rc = db_commit(db, err);
    if (rc == RC_OK)
        *result = db_result(db, index);
    return rc;
}

static enum rc
add_text(struct ingest *in, struct call *call, const char *text, struct db_params *p,
         struct err *err)
{
    uint8_t *hash = arena_alloc(call->mem, HASH_LEN);
    char hex[HASH_TEXT_MAX];
    struct embed_text one = { text, strlen(text) };
    struct indexed indexed;
    int64_t model = 0;
    if (!hash)
        return err_set(err, RC_TEMP, "no room for the command");
    prepare_hash(text, hash, hex);
    enum rc rc = ingest_model(in, &model, err);
    if (rc == RC_OK)
        rc = ingest_index(in, call->mem, &one, 1, &indexed, err);
    if (rc != RC_OK)
        return rc;
    db_param_text(p, text);
    db_param_bytes(p, hash, HASH_LEN);
    db_param_int(p, model);
    if (indexed.half)
        db_param_bytes(p, indexed.half, indexed.half_len);
    else
        db_param_null(p);
    db_param_bytes(p, indexed.terms, indexed.terms_len);
    return RC_OK;
}

static enum rc
patch_params(struct ingest *in, struct call *call, struct db_params *p, struct err *err)
{
    const char *text = json_string(call->body, "text");
    const cJSON *tags = json_member(call->body, "tags");
    const cJSON *metadata = json_member(call->body, "metadata");
    enum rc rc = RC_OK;
    db_param_text(p, call->actor.workspace);
    db_param_text(p, call->id);
    db_param_text(p, json_string(call->body, "id"));
    if (text)
        rc = add_text(in, call, text, p, err);
    for (int i = 0; !text && i < 5; i++)
        db_param_null(p);
    if (rc != RC_OK)
        return rc;
    db_param_text(p, tags ? prepare_tags(call, tags) : NULL);
    db_param_text(p, json_string(call->body, "source"));
    db_param_text(p, metadata ? prepare_json(call, metadata, "{}") : NULL);
    if (json_member(call->body, "ttl_seconds"))
        db_param_int(p, json_int(call->body, "ttl_seconds", 0));
    else
        db_param_null(p);
    db_param_int(p, call->stream_ns);
    return RC_OK;
}

/* A command that was refused before finds nothing either, and gets its refusal again. */
static void
not_there(struct ingest *in, struct call *call)
{
    if (!refusal_recall(in, call))
        call_problem(
            call, PROBLEM_NOT_FOUND, NULL,
            "There is no such memory here: it was deleted, has expired, or is not stored yet.");
}

static void
patch_one(struct ingest *in, struct call *call)
{
    struct err err = { 0 };
    struct db_params *p = arena_alloc(call->mem, sizeof(*p));
    const PGresult *result = NULL;
    enum rc rc = p ? patch_params(in, call, p, &err) : err_set(&err, RC_TEMP, "no room");
    if (rc == RC_OK)
        rc = run(in, call, SQL_INGEST_PATCH, p, &result, &err);
    if (rc == RC_CONFLICT) /* with its own other delivery, or with another memory's text */
        rc = run(in, call, SQL_INGEST_PATCH, p, &result, &err);
    if (rc == RC_CONFLICT && db_broke(worker_db(in->worker), "memory_same")) {
        struct field_errors errors = { 0 };
        field_errors_add(&errors, "text", "another memory of the scope has this text");
        call_problem(call, PROBLEM_INVALID_REQUEST, &errors,
                     "The request breaks the rules listed in errors.");
    } else if (rc != RC_OK) {
        call_fail(call, &err);
    } else if (PQntuples(result) == 0) {
        not_there(in, call);
    } else {
        AUTO(buf) struct buf out = { 0 };
        struct json_writer w;
        buf_init(&out, MEMORY_ANSWER_MAX);
        json_begin(&w, &out);
        memory_item_write(&w, NULL, result, 0);
        if (json_end(&w) == RC_OK) {
            call_answer(call, 200, &out);
        } else {
            (void)err_set(&err, RC_BUG, "the answer does not fit");
            call_fail(call, &err);
        }
    }
}

void
ingest_patch(struct worker *w, struct call **calls, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        calls[i]->audit_target = json_string(calls[i]->body, "id");
        if (ingest_check_secrets(calls[i]))
            patch_one(worker_state(w), calls[i]);
    }
    refusal_remember(w, calls, n);
}

static void
delete_one(struct ingest *in, struct call *call)
{
    struct err err = { 0 };
    struct db_params p = { 0 };
    const PGresult *result = NULL;
    db_param_text(&p, call->actor.workspace);
    db_param_text(&p, call->id);
    db_param_text(&p, json_string(call->body, "id"));
    enum rc rc = run(in, call, SQL_INGEST_DELETE, &p, &result, &err);
    if (rc == RC_CONFLICT)
        rc = run(in, call, SQL_INGEST_DELETE, &p, &result, &err);
    if (rc != RC_OK) {
        call_fail(call, &err);
    } else if (PQntuples(result) == 0) {
        not_there(in, call);
    } else {
        AUTO(buf) struct buf nothing = { 0 };
        buf_init(&nothing, 16);
        call_answer(call, 204, &nothing);
    }
}

void
ingest_delete(struct worker *w, struct call **calls, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        calls[i]->audit_target = json_string(calls[i]->body, "id");
        delete_one(worker_state(w), calls[i]);
    }
}
