/* SPDX-License-Identifier: MIT */
/*
 * change - memory.patch and memory.delete, each command a transaction of its own.
 */
#include <string.h>

#include "base/cleanup.h"
#include "ingest.h"
#include "prepare.h"
#include "protocol/memory_item.h"
#include "sql_ingest.h"

/* One statement in a group of its own, behind the workspace's shared lock. */
static enum rc
run(struct ingest *in, struct job *job, unsigned statement, const struct db_params *params,
    const PGresult **result, struct err *err)
{
    struct db *db = worker_db(in->worker);
    struct db_params lock = { 0 };
    size_t unused, index;
    db_param_text(&lock, job->actor.workspace);
    enum rc rc = db_begin(db, job->actor.workspace, err);
    if (rc == RC_OK)
        rc = db_send(db, SQL_INGEST_SHARE, &lock, &unused, err);
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
add_text(struct ingest *in, struct job *job, const char *text, struct db_params *p, struct err *err)
{
    size_t dim = embed_dim(in->embedder);
    float *vector = arena_calloc(job->mem, dim, sizeof(*vector));
    uint8_t *half = arena_alloc(job->mem, EMBED_HALF_BYTES(dim));
    uint8_t *hash = arena_alloc(job->mem, HASH_LEN);
    char hex[HASH_TEXT_MAX];
    struct embed_text one = { text, strlen(text) };
    struct cell_set *set = NULL;
    int64_t model = 0;
    if (!vector || !half || !hash)
        return err_set(err, RC_TEMP, "no room for the command");
    prepare_hash(text, hash, hex);
    enum rc rc = ingest_model(in, &model, err);
    if (rc == RC_OK)
        rc = cellcache_get(in->cells, worker_db(in->worker), job->actor.workspace, model, dim, &set,
                           err);
    if (rc == RC_OK)
        rc = embed_batch(in->embedder, &one, 1, vector, err);
    if (rc != RC_OK)
        return rc;
    db_param_text(p, text);
    db_param_bytes(p, hash, HASH_LEN);
    db_param_int(p, model);
    if (embed_to_half(vector, dim, half)) {
        db_param_int(p, cell_of(set, vector));
        db_param_bytes(p, half, EMBED_HALF_BYTES(dim));
    } else {
        db_param_int(p, 0);
        db_param_null(p);
    }
    return RC_OK;
}

static enum rc
patch_params(struct ingest *in, struct job *job, struct db_params *p, struct err *err)
{
    const char *text = json_string(job->body, "text");
    const cJSON *tags = json_member(job->body, "tags");
    const cJSON *metadata = json_member(job->body, "metadata");
    enum rc rc = RC_OK;
    db_param_text(p, job->actor.workspace);
    db_param_text(p, job->id);
    db_param_text(p, json_string(job->body, "id"));
    if (text)
        rc = add_text(in, job, text, p, err);
    for (int i = 0; !text && i < 5; i++)
        db_param_null(p);
    if (rc != RC_OK)
        return rc;
    db_param_text(p, tags ? prepare_tags(job, tags) : NULL);
    db_param_text(p, json_string(job->body, "source"));
    db_param_text(p, metadata ? prepare_json(job, metadata, "{}") : NULL);
    if (json_member(job->body, "ttl_seconds"))
        db_param_int(p, json_int(job->body, "ttl_seconds", 0));
    else
        db_param_null(p);
    db_param_int(p, job->stream_ns);
    return RC_OK;
}

static void
patch_one(struct ingest *in, struct job *job)
{
    struct err err;
    struct db_params *p = arena_alloc(job->mem, sizeof(*p));
    const PGresult *result = NULL;
    enum rc rc = p ? patch_params(in, job, p, &err) : err_set(&err, RC_TEMP, "no room");
    if (rc == RC_OK)
        rc = run(in, job, SQL_INGEST_PATCH, p, &result, &err);
    if (rc == RC_CONFLICT) /* with its own other delivery, or with another memory's text */
        rc = run(in, job, SQL_INGEST_PATCH, p, &result, &err);
    if (rc == RC_CONFLICT) {
        struct field_errors errors = { 0 };
        field_errors_add(&errors, "text", "another memory of the scope has this text");
        job_problem(job, PROBLEM_INVALID_REQUEST, &errors, "The request breaks a rule.");
    } else if (rc != RC_OK) {
        job_fail(job, &err);
    } else if (PQntuples(result) == 0) {
        job_problem(job, PROBLEM_NOT_FOUND, NULL, "There is no such memory.");
    } else {
        AUTO(buf) struct buf out = { 0 };
        struct json_writer w;
        buf_init(&out, MEMORY_ANSWER_MAX);
        json_begin(&w, &out);
        memory_item_write(&w, NULL, result, 0);
        if (json_end(&w) == RC_OK) {
            job_answer(job, 200, &out);
        } else {
            (void)err_set(&err, RC_BUG, "the answer does not fit");
            job_fail(job, &err);
        }
    }
}

void
ingest_patch(struct worker *w, struct job **jobs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        jobs[i]->audit_target = json_string(jobs[i]->body, "id");
        if (ingest_check_secrets(jobs[i]))
            patch_one(worker_state(w), jobs[i]);
    }
}

static void
delete_one(struct ingest *in, struct job *job)
{
    struct err err;
    struct db_params p = { 0 };
    const PGresult *result = NULL;
    db_param_text(&p, job->actor.workspace);
    db_param_text(&p, job->id);
    db_param_text(&p, json_string(job->body, "id"));
    enum rc rc = run(in, job, SQL_INGEST_DELETE, &p, &result, &err);
    if (rc == RC_CONFLICT)
        rc = run(in, job, SQL_INGEST_DELETE, &p, &result, &err);
    if (rc != RC_OK) {
        job_fail(job, &err);
    } else if (PQntuples(result) == 0) {
        job_problem(job, PROBLEM_NOT_FOUND, NULL, "There is no such memory.");
    } else {
        AUTO(buf) struct buf nothing = { 0 };
        buf_init(&nothing, 16);
        job_answer(job, 204, &nothing);
    }
}

void
ingest_delete(struct worker *w, struct job **jobs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        jobs[i]->audit_target = json_string(jobs[i]->body, "id");
        delete_one(worker_state(w), jobs[i]);
    }
}
