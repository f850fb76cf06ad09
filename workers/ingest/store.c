/* SPDX-License-Identifier: MIT */
/*
 * store - memory.ingest: validation, facts, hashes, vectors, and one transaction a workspace.
 */
#include <ctype.h>
#include <string.h>

#include "array.h"
#include "base/cleanup.h"
#include "crypto/crypto_encode.h"
#include "crypto/hash.h"
#include "ingest.h"
#include "prepare.h"
#include "sql_ingest.h"
#include "train.h"

#define FACT_MIN_CONFIDENCE 0.75
#define FACTS_MAX           (1024u * 1024)      /* bytes of facts as JSON, escaped */
#define GROUP_MAX           (64u * 1024 * 1024) /* bytes of one column of a group */

/* One command on its way into the database; lives in the call's arena. */
struct item {
    struct call *call;
    const char *scope, *source, *tags, *metadata, *text;
    const char *facts;   /* NULL: none is kept */
    int64_t ttl_seconds; /* 0 = none */
    int64_t kept, skipped;
    uint8_t hash[HASH_LEN];
    char hash_text[HASH_TEXT_MAX];
    const float *vector;
    uint8_t *half; /* NULL: the text has no direction */
    size_t half_len;
    int32_t cell;
    size_t result; /* index of its round's result */
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
    const cJSON *facts = json_member(item->call->body, "facts"), *fact;
    bool explicit = strcmp(item->source, "explicit") == 0;
    AUTO(buf) struct buf out = { 0 };
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
    if (rc != RC_OK || item->kept == 0)
        return rc;
    item->facts = arena_strndup(item->call->mem, buf_text(&out), out.len);
    return item->facts ? RC_OK : RC_LIMIT;
}

static enum rc
read_item(struct call *call, struct item *item)
{
    *item = (struct item){ .call = call };
    item->scope = json_string(call->body, "scope");
    item->text = json_string(call->body, "text");
    item->source = json_string(call->body, "source");
    if (!item->source)
        item->source = "unknown";
    item->ttl_seconds = json_int(call->body, "ttl_seconds", 0);
    item->tags = prepare_tags(call, json_member(call->body, "tags"));
    item->metadata = prepare_json(call, json_member(call->body, "metadata"), "{}");
    prepare_hash(item->text, item->hash, item->hash_text);
    if (!item->scope || !item->text || !item->tags || !item->metadata)
        return RC_LIMIT;
    return read_facts(item);
}

static void
answer_item(const PGresult *result, struct item *item)
{
    struct call *call = item->call;
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    struct err err;
    int row = 0;
    while (row < PQntuples(result) && strcmp(db_text(result, row, 0), call->id) != 0)
        row++;
    if (row == PQntuples(result)) {
        (void)err_set(&err, RC_BUG, "the statement answers nothing about a command");
        call_fail(call, &err);
        return;
    }
    buf_init(&out, 4096);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_string(&w, "status", "success");
    json_put_string(&w, "message", "Memory ingested");
    json_put_string(&w, "id", db_text(result, row, 1));
    json_put_string(&w, "tenant_id", call->actor.workspace);
    json_put_string(&w, "scope", item->scope);
    json_put_string(&w, "content_hash", item->hash_text);
    const char *deduplicated = db_text(result, row, 2);
    json_put_bool(&w, "deduplicated", deduplicated && strcmp(deduplicated, "true") == 0);
    json_put_int(&w, "facts_stored", db_int(result, row, 3, 0));
    json_put_int(&w, "facts_skipped", db_int(result, row, 4, 0));
    json_close(&w);
    if (json_end(&w) == RC_OK) {
        call_answer(call, 200, &out);
        return;
    }
    (void)err_set(&err, RC_BUG, "the answer does not fit");
    call_fail(call, &err);
}

/* The columns of a group, as array parameters. */
enum {
    C_ID,
    C_SCOPE,
    C_NS,
    C_TTL,
    C_CELL,
    C_HASH,
    C_SOURCE,
    C_TAGS,
    C_METADATA,
    C_TEXT,
    C_FACTS,
    C_KEPT,
    C_SKIPPED,
    C_COUNT
};

static void
add_columns(struct buf columns[C_COUNT], const struct item *item)
{
    array_text(&columns[C_ID], item->call->id);
    array_text(&columns[C_SCOPE], item->scope);
    array_int(&columns[C_NS], item->call->stream_ns);
    if (item->ttl_seconds > 0)
        array_int(&columns[C_TTL], item->ttl_seconds);
    else
        array_text(&columns[C_TTL], NULL);
    array_int(&columns[C_CELL], item->cell);
    array_text(&columns[C_HASH], item->hash_text);
    array_text(&columns[C_SOURCE], item->source);
    array_text(&columns[C_TAGS], item->tags);
    array_text(&columns[C_METADATA], item->metadata);
    array_text(&columns[C_TEXT], item->text);
    array_text(&columns[C_FACTS], item->facts);
    array_int(&columns[C_KEPT], item->kept);
    array_int(&columns[C_SKIPPED], item->skipped);
}

static enum rc
send_columns(struct ingest *in, struct item **items, size_t n, int64_t model,
             struct buf columns[C_COUNT], size_t *index, struct err *err)
{
    AUTO(buf) struct buf vectors = { 0 };
    struct db_params p = { 0 };
    buf_init(&vectors, GROUP_MAX);
    array_binary_begin(&vectors, in->halfvec, n);
    for (size_t i = 0; i < n; i++) {
        array_binary_add(&vectors, items[i]->half, items[i]->half_len);
        add_columns(columns, items[i]);
    }
    db_param_text(&p, items[0]->call->actor.workspace);
    db_param_int(&p, model);
    for (size_t c = 0; c < C_COUNT; c++) {
        if (c == C_FACTS)
            db_param_bytes(&p, vectors.data, vectors.len);
        array_end(&columns[c]);
        if (buf_failed(&columns[c]))
            return err_set(err, RC_LIMIT, "a batch of commands is too large");
        db_param_text(&p, buf_text(&columns[c]));
    }
    if (buf_failed(&vectors))
        return err_set(err, RC_LIMIT, "a batch of commands is too large");
    return db_send(worker_db(in->worker), SQL_INGEST_INGEST, &p, index, err);
}

static enum rc
send_items(struct ingest *in, struct item **items, size_t n, int64_t model, size_t *index,
           struct err *err)
{
    struct buf columns[C_COUNT];
    for (size_t c = 0; c < C_COUNT; c++) {
        buf_init(&columns[c], GROUP_MAX);
        array_begin(&columns[c]);
    }
    enum rc rc = send_columns(in, items, n, model, columns, index, err);
    for (size_t c = 0; c < C_COUNT; c++)
        buf_fini(&columns[c]);
    return rc;
}

/* The first of each (scope, hash) and of each id to the front; returns how many. The others come
 * after them: a statement cannot touch a row twice. */
static size_t
distinct_first(struct item **items, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        struct item *item = items[i];
        bool again = false;
        for (size_t j = 0; j < count && !again; j++)
            again = (memcmp(items[j]->hash, item->hash, HASH_LEN) == 0 &&
                     strcmp(items[j]->scope, item->scope) == 0) ||
                    strcmp(items[j]->call->id, item->call->id) == 0;
        if (again)
            continue;
        memmove(items + count + 1, items + count, (i - count) * sizeof(*items));
        items[count++] = item;
    }
    return count;
}

/* All in one transaction, in as many rounds as the commonest text asks for. */
static enum rc
send_rounds(struct ingest *in, struct item **items, size_t n, int64_t model, struct err *err)
{
    enum rc rc = RC_OK;
    for (size_t from = 0, count; rc == RC_OK && from < n; from += count) {
        size_t index = 0;
        count = distinct_first(items + from, n - from);
        rc = send_items(in, items + from, count, model, &index, err);
        for (size_t i = from; i < from + count; i++)
            items[i]->result = index;
    }
    return rc;
}

static enum rc
run_group(struct ingest *in, struct item **items, size_t n, int64_t model, struct err *err)
{
    struct db *db = worker_db(in->worker);
    const char *workspace = items[0]->call->actor.workspace;
    struct db_params lock = { 0 };
    size_t unused;
    db_param_text(&lock, workspace);
    enum rc rc = db_begin(db, workspace, err);
    if (rc == RC_OK)
        rc = db_send(db, SQL_INGEST_SHARE, &lock, &unused, err);
    if (rc == RC_OK)
        rc = db_send(db, SQL_INGEST_EXPIRE, &lock, &unused, err);
    if (rc == RC_OK)
        rc = send_rounds(in, items, n, model, err);
    if (rc != RC_OK) {
        db_abort(db);
        return rc;
    }
    rc = db_commit(db, err);
    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < n; i++)
        answer_item(db_result(db, items[i]->result), items[i]);
    return RC_OK;
}

/* Alone, twice if need be: a conflict may have been with this command's own other delivery. */
static void
run_alone(struct ingest *in, struct item *item, int64_t model)
{
    struct err err;
    enum rc rc = RC_CONFLICT;
    for (int i = 0; i < 2 && rc == RC_CONFLICT; i++)
        rc = run_group(in, &item, 1, model, &err);
    if (rc == RC_CONFLICT)
        call_problem(item->call, PROBLEM_INVALID_REQUEST, NULL,
                     "Another memory of the workspace has this id.");
    else if (rc != RC_OK)
        call_fail(item->call, &err);
}

static enum rc
embed_items(struct ingest *in, struct item **items, size_t n, struct err *err)
{
    struct embed_text texts[INGEST_BATCH_MAX];
    struct arena *mem = items[0]->call->mem;
    size_t dim = embed_dim(in->embedder);
    float *vectors = arena_calloc(mem, n * dim, sizeof(*vectors));
    uint8_t *halves = arena_calloc(mem, n, EMBED_HALF_BYTES(dim));
    if (!vectors || !halves)
        return err_set(err, RC_TEMP, "no room for vectors");
    for (size_t i = 0; i < n; i++)
        texts[i] = (struct embed_text){ items[i]->text, strlen(items[i]->text) };
    enum rc rc = embed_batch(in->embedder, texts, n, vectors, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        items[i]->vector = vectors + i * dim;
        items[i]->half_len = EMBED_HALF_BYTES(dim);
        items[i]->half = halves + i * items[i]->half_len;
        if (!embed_to_half(items[i]->vector, dim, items[i]->half))
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
        rc = cellcache_get(in->cells, worker_db(in->worker), items[0]->call->actor.workspace, model,
                           embed_dim(in->embedder), &set, &err);
    bool prepared = rc == RC_OK;
    for (size_t i = 0; prepared && i < n; i++)
        items[i]->cell = items[i]->half ? cell_of(set, items[i]->vector) : 0;
    if (prepared)
        rc = run_group(in, items, n, model, &err);
    for (size_t i = 0; i < n; i++) {
        if (!prepared || rc == RC_TEMP || rc == RC_CONFIG)
            call_fail(items[i]->call, &err);
        else if (rc != RC_OK)
            run_alone(in, items[i], model);
    }
    if (rc == RC_OK) {
        set->inserted += (int64_t)n;
        trainer_look(in->trainer, set);
    }
}

void
ingest_store(struct worker *w, struct call **calls, size_t n)
{
    struct ingest *in = worker_state(w);
    struct item *items[INGEST_BATCH_MAX];
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        struct call *call = calls[i];
        call->audit_target = call->id;
        if (!ingest_check_secrets(call))
            continue;
        struct item *item = arena_alloc(call->mem, sizeof(*item));
        if (!item || read_item(call, item) != RC_OK) {
            struct err full;
            (void)err_set(&full, RC_TEMP, "no room for the command");
            call_fail(call, &full);
            continue;
        }
        items[count++] = item;
    }
    struct err err;
    if (count > 0 && embed_items(in, items, count, &err) != RC_OK)
        while (count > 0)
            call_fail(items[--count]->call, &err);
    /* A stable partition by workspace: few workspaces a batch, so the simple way. */
    while (count > 0) {
        struct item *same[INGEST_BATCH_MAX];
        size_t n_same = 0, left = 0;
        const char *workspace = items[0]->call->actor.workspace;
        for (size_t i = 0; i < count; i++) {
            if (strcmp(items[i]->call->actor.workspace, workspace) == 0)
                same[n_same++] = items[i];
            else
                items[left++] = items[i];
        }
        count = left;
        worker_keepalive(w);
        store_workspace(in, same, n_same);
    }
}
