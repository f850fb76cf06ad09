/* SPDX-License-Identifier: MIT */
/*
 * store - memory.ingest: validation, facts, hashes, vectors, and one transaction a workspace.
 */
#include <ctype.h>
#include <string.h>

#include "cleanup.h"
#include "hash.h"
#include "ingest.h"
#include "prepare.h"
#include "sql_ingest.h"
#include "train.h"

#define FACT_MIN_CONFIDENCE 0.75
#define FACTS_MAX           (256u * 1024) /* bytes of facts as JSON: 64 of 3 KiB, escaped */

/* One command on its way into the database; lives in the job's arena. */
struct item {
    struct job *job;
    const char *scope, *source, *tags, *metadata, *text, *facts;
    int64_t ttl_seconds; /* 0 = none */
    int64_t kept, skipped;
    uint8_t hash[HASH_LEN];
    char hash_text[HASH_TEXT_MAX];
    uint8_t *half; /* NULL: the text has no direction */
    size_t half_len;
    int32_t cell;
    size_t result; /* index in the group */
};

static bool
is_blank(const char *text)
{
    while (text && isspace((unsigned char)*text))
        text++;
    return !text || !*text;
}

/* Lengths in between, so that no two different facts are the same bytes. */
static void
hash_fact(const char *const part[3], char text[HASH_TEXT_MAX])
{
    uint64_t lengths[3];
    struct hash_part parts[4] = { { lengths, sizeof(lengths) } };
    uint8_t hash[HASH_LEN];
    for (size_t i = 0; i < 3; i++) {
        lengths[i] = strlen(part[i]);
        parts[i + 1] = (struct hash_part){ part[i], lengths[i] };
    }
    hash_sha256(parts, 4, hash);
    hex_encode(hash, HASH_LEN, text);
}

static void
write_fact(struct json_writer *w, const cJSON *fact, const char *const part[3], int64_t position)
{
    char hash[HASH_TEXT_MAX];
    hash_fact(part, hash);
    json_object(w, NULL);
    json_put_string(w, "hash", hash);
    json_put_int(w, "position", position);
    json_put_string(w, "subject", part[0]);
    json_put_string(w, "predicate", part[1]);
    json_put_string(w, "object", part[2]);
    if (json_member(fact, "confidence"))
        json_put_number(w, "confidence", json_number(fact, "confidence", 0));
    json_close(w);
}

/* A fact is kept if it is sure enough, or said explicitly, and complete. */
static enum rc
read_facts(struct item *item)
{
    const cJSON *facts = json_member(item->job->body, "facts"), *fact;
    bool explicit = strcmp(item->source, "explicit") == 0;
    AUTO(buf) struct buf out;
    struct json_writer w;
    buf_init(&out, FACTS_MAX);
    json_begin(&w, &out);
    json_array(&w, NULL);
    cJSON_ArrayForEach (fact, facts) {
        const char *part[3] = { json_string(fact, "subject"), json_string(fact, "predicate"),
                                json_string(fact, "object") };
        bool sure = explicit || json_number(fact, "confidence", 0) >= FACT_MIN_CONFIDENCE;
        if (!sure || is_blank(part[0]) || is_blank(part[1]) || is_blank(part[2])) {
            item->skipped++;
            continue;
        }
        write_fact(&w, fact, part, item->kept++);
    }
    json_close(&w);
    enum rc rc = json_end(&w);
    item->facts = rc == RC_OK ? arena_strndup(item->job->mem, buf_text(&out), out.len) : NULL;
    return item->facts ? RC_OK : RC_LIMIT;
}

static enum rc
read_item(struct job *job, struct item *item)
{
    *item = (struct item){ .job = job };
    item->scope = json_string(job->body, "scope");
    item->text = json_string(job->body, "text");
    item->source = json_string(job->body, "source");
    if (!item->source)
        item->source = "unknown";
    item->ttl_seconds = json_int(job->body, "ttl_seconds", 0);
    item->tags = prepare_tags(job, json_member(job->body, "tags"));
    item->metadata = prepare_json(job, json_member(job->body, "metadata"), "{}");
    prepare_hash(item->text, item->hash, item->hash_text);
    if (!item->scope || !item->text || !item->tags || !item->metadata)
        return RC_LIMIT;
    return read_facts(item);
}

static enum rc
send_item(struct ingest *in, struct item *item, int64_t model, struct err *err)
{
    struct job *job = item->job;
    struct db_params *p = arena_alloc(job->mem, sizeof(*p));
    if (!p)
        return err_set(err, RC_LIMIT, "no room for the command");
    db_param_text(p, job->actor.workspace);
    db_param_text(p, job->id);
    db_param_text(p, item->scope);
    db_param_int(p, job->stream_ns);
    if (item->ttl_seconds > 0)
        db_param_int(p, item->ttl_seconds);
    else
        db_param_null(p);
    db_param_int(p, model);
    db_param_int(p, item->cell);
    db_param_bytes(p, item->hash, HASH_LEN);
    db_param_text(p, item->source);
    db_param_text(p, item->tags);
    db_param_text(p, item->metadata);
    db_param_text(p, item->text);
    if (item->half)
        db_param_bytes(p, item->half, item->half_len);
    else
        db_param_null(p);
    db_param_text(p, item->facts);
    db_param_int(p, item->kept);
    db_param_int(p, item->skipped);
    return db_send(worker_db(in->worker), SQL_INGEST_INGEST, p, &item->result, err);
}

static enum rc
run_group(struct ingest *in, struct item **items, size_t n, int64_t model, struct err *err)
{
    struct db *db = worker_db(in->worker);
    const char *workspace = items[0]->job->actor.workspace;
    struct db_params lock = { 0 };
    size_t unused;
    db_param_text(&lock, workspace);
    enum rc rc = db_begin(db, workspace, err);
    if (rc == RC_OK)
        rc = db_send(db, SQL_INGEST_SHARE, &lock, &unused, err);
    if (rc == RC_OK)
        rc = db_send(db, SQL_INGEST_EXPIRE, &lock, &unused, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        rc = send_item(in, items[i], model, err);
    if (rc == RC_OK)
        return db_commit(db, err);
    db_abort(db);
    return rc;
}

static void
answer_item(const struct db *db, struct item *item)
{
    struct job *job = item->job;
    const PGresult *result = db_result(db, item->result);
    AUTO(buf) struct buf out;
    struct json_writer w;
    buf_init(&out, 4096);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_string(&w, "status", "success");
    json_put_string(&w, "message", "Memory ingested");
    json_put_string(&w, "id", db_text(result, 0, 0));
    json_put_string(&w, "tenant_id", job->actor.workspace);
    json_put_string(&w, "scope", item->scope);
    json_put_string(&w, "content_hash", item->hash_text);
    const char *deduplicated = db_text(result, 0, 1);
    json_put_bool(&w, "deduplicated", deduplicated && strcmp(deduplicated, "true") == 0);
    json_put_int(&w, "facts_stored", db_int(result, 0, 2, 0));
    json_put_int(&w, "facts_skipped", db_int(result, 0, 3, 0));
    json_close(&w);
    struct err err;
    if (json_end(&w) != RC_OK) {
        (void)err_set(&err, RC_BUG, "the answer does not fit");
        job_fail(job, &err);
        return;
    }
    job_answer(job, 200, &out);
}

/* Alone, twice if need be: a conflict may have been with this command's own other delivery. */
static void
run_alone(struct ingest *in, struct item *item, int64_t model)
{
    struct err err;
    enum rc rc = RC_CONFLICT;
    for (int i = 0; i < 2 && rc == RC_CONFLICT; i++)
        rc = run_group(in, &item, 1, model, &err);
    if (rc == RC_OK)
        answer_item(worker_db(in->worker), item);
    else if (rc == RC_CONFLICT)
        job_problem(item->job, PROBLEM_INVALID_REQUEST, NULL,
                    "another memory of the workspace has this id");
    else
        job_fail(item->job, &err);
}

/* By scope and hash: two replicas that store the same texts lock them in the same order. */
static int
by_hash(const void *a, const void *b)
{
    return memcmp((*(struct item *const *)a)->hash, (*(struct item *const *)b)->hash, HASH_LEN);
}

static enum rc
embed_items(struct ingest *in, struct item **items, size_t n, struct cell_set *set, struct err *err)
{
    struct embed_text texts[INGEST_BATCH_MAX];
    struct arena *mem = items[0]->job->mem;
    size_t dim = embed_dim(in->embedder);
    float *vectors = arena_calloc(mem, n * dim, sizeof(*vectors));
    if (!vectors)
        return err_set(err, RC_LIMIT, "no room for vectors");
    for (size_t i = 0; i < n; i++)
        texts[i] = (struct embed_text){ items[i]->text, strlen(items[i]->text) };
    enum rc rc = embed_batch(in->embedder, texts, n, vectors, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        items[i]->half_len = EMBED_HALF_BYTES(dim);
        items[i]->half = arena_alloc(mem, items[i]->half_len);
        if (!items[i]->half)
            return err_set(err, RC_LIMIT, "no room for vectors");
        if (embed_to_half(vectors + i * dim, dim, items[i]->half))
            items[i]->cell = cell_of(set, vectors + i * dim);
        else
            items[i]->half = NULL;
    }
    return rc;
}

/* All items of one workspace. */
static void
store_workspace(struct ingest *in, struct item **items, size_t n)
{
    struct err err;
    int64_t model = 0;
    struct cell_set *set = NULL;
    enum rc rc = ingest_model(in, &model, &err);
    if (rc == RC_OK)
        rc = cellcache_get(in->cells, worker_db(in->worker), items[0]->job->actor.workspace, model,
                           embed_dim(in->embedder), &set, &err);
    if (rc == RC_OK)
        rc = embed_items(in, items, n, set, &err);
    if (rc == RC_OK) {
        qsort(items, n, sizeof(items[0]), by_hash);
        rc = run_group(in, items, n, model, &err);
    }
    for (size_t i = 0; i < n; i++) {
        if (rc == RC_OK)
            answer_item(worker_db(in->worker), items[i]);
        else if (rc == RC_TEMP || rc == RC_CONFIG)
            job_fail(items[i]->job, &err);
        else
            run_alone(in, items[i], model);
    }
    if (rc == RC_OK) {
        set->inserted += (int64_t)n;
        trainer_look(in->trainer, set);
    }
}

void
ingest_store(struct worker *w, struct job **jobs, size_t n)
{
    struct ingest *in = worker_state(w);
    struct item *items[INGEST_BATCH_MAX];
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        struct job *job = jobs[i];
        struct err err;
        job->audit_target = job->id;
        if (!ingest_check_secrets(job))
            continue;
        struct item *item = arena_alloc(job->mem, sizeof(*item));
        if (!item || read_item(job, item) != RC_OK) {
            (void)err_set(&err, RC_TEMP, "no room for the command");
            job_fail(job, &err);
            continue;
        }
        items[count++] = item;
    }
    /* A stable partition by workspace: few workspaces a batch, so the simple way. */
    while (count > 0) {
        struct item *same[INGEST_BATCH_MAX];
        size_t n_same = 0, left = 0;
        const char *workspace = items[0]->job->actor.workspace;
        for (size_t i = 0; i < count; i++) {
            if (strcmp(items[i]->job->actor.workspace, workspace) == 0)
                same[n_same++] = items[i];
            else
                items[left++] = items[i];
        }
        count = left;
        store_workspace(in, same, n_same);
    }
}
