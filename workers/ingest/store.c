/* SPDX-License-Identifier: MIT */
/*
 * store - memory.ingest: one transaction a workspace.
 *
 * The common way is one statement for all commands. It answers nothing about those that need a
 * second look (a scope was forgotten after they were accepted, or an expired row has their text), and
 * fails as a whole if one was executed before: those are then executed one by one, which asks
 * first.
 */
#include <string.h>

#include "base/cleanup.h"
#include "db/column.h"
#include "ingest.h"
#include "item.h"
#include "refusal.h"
#include "sql_ingest.h"

#define COLUMN_MAX (64u * 1024 * 1024) /* bytes of one column of a group */

/* The columns of "store" in their order, from its third parameter on. */
enum {
    C_ID,
    C_SCOPE,
    C_NS,
    C_EXPIRES,
    C_HASH,
    C_SOURCE,
    C_TAGS,
    C_METADATA,
    C_TEXT,
    C_EMBEDDING,
    C_TERMS,
    C_KEPT,
    C_SKIPPED,
    C_COUNT
};

static void
begin_columns(const struct ingest *in, struct buf columns[C_COUNT])
{
    const uint32_t types[C_COUNT] = {
        [C_ID] = COLUMN_UUID,        [C_SCOPE] = COLUMN_TEXT,    [C_NS] = COLUMN_INT8,
        [C_EXPIRES] = COLUMN_TIME,   [C_HASH] = COLUMN_BYTES,    [C_SOURCE] = COLUMN_TEXT,
        [C_TAGS] = COLUMN_TEXT,      [C_METADATA] = COLUMN_TEXT, [C_TEXT] = COLUMN_TEXT,
        [C_EMBEDDING] = in->halfvec, [C_TERMS] = COLUMN_BYTES,   [C_KEPT] = COLUMN_INT4,
        [C_SKIPPED] = COLUMN_INT4,
    };
    for (size_t c = 0; c < C_COUNT; c++)
        column_begin(&columns[c], types[c], COLUMN_MAX);
}

static void
add_columns(struct buf columns[C_COUNT], const struct item *item)
{
    const struct indexed *indexed = &item->indexed;
    int64_t ns = item->call->stream_ns;
    column_uuid(&columns[C_ID], item->call->id);
    column_text(&columns[C_SCOPE], item->scope);
    column_int(&columns[C_NS], ns);
    if (item->ttl_seconds > 0)
        column_time(&columns[C_EXPIRES], ns / 1000000 + item->ttl_seconds * 1000);
    else
        column_text(&columns[C_EXPIRES], NULL);
    column_bytes(&columns[C_HASH], item->hash, HASH_LEN);
    column_text(&columns[C_SOURCE], item->source);
    column_text(&columns[C_TAGS], item->tags);
    column_text(&columns[C_METADATA], item->metadata);
    column_text(&columns[C_TEXT], item->text);
    column_bytes(&columns[C_EMBEDDING], indexed->half, indexed->half_len);
    column_bytes(&columns[C_TERMS], indexed->terms, indexed->terms_len);
    column_int(&columns[C_KEPT], item->kept);
    column_int(&columns[C_SKIPPED], item->skipped);
}

/* In the order of the columns. */
static enum rc
send_one(struct ingest *in, const struct item *item, bool looked, size_t *index, struct err *err)
{
    const struct indexed *indexed = &item->indexed;
    int64_t ns = item->call->stream_ns;
    struct db_params p = { 0 };
    db_param_text(&p, item->call->actor.workspace);
    db_param_int(&p, in->model);
    db_param_text(&p, item->call->id);
    db_param_text(&p, item->scope);
    db_param_int(&p, ns);
    if (item->ttl_seconds > 0)
        db_param_time(&p, ns / 1000000 + item->ttl_seconds * 1000);
    else
        db_param_null(&p);
    db_param_bytes(&p, item->hash, HASH_LEN);
    db_param_text(&p, item->source);
    db_param_text(&p, item->tags);
    db_param_text(&p, item->metadata);
    db_param_text(&p, item->text);
    if (indexed->half)
        db_param_bytes(&p, indexed->half, indexed->half_len);
    else
        db_param_null(&p);
    db_param_bytes(&p, indexed->terms, indexed->terms_len);
    db_param_int(&p, item->kept);
    db_param_int(&p, item->skipped);
    db_param_bool(&p, looked);
    return db_send(worker_db(in->worker), SQL_INGEST_STORE_ONE, &p, index, err);
}

static enum rc
send_many(struct ingest *in, struct item **items, size_t n, size_t *index, struct err *err)
{
    struct buf columns[C_COUNT];
    struct db_params p = { 0 };
    bool failed = false;
    begin_columns(in, columns);
    for (size_t i = 0; i < n; i++)
        add_columns(columns, items[i]);
    db_param_text(&p, items[0]->call->actor.workspace);
    db_param_int(&p, in->model);
    for (size_t c = 0; c < C_COUNT; c++) {
        failed = failed || buf_failed(&columns[c]);
        column_param(&p, &columns[c]);
    }
    enum rc rc = failed ? err_set(err, RC_LIMIT, "a batch of commands is too large")
                        : db_send(worker_db(in->worker), SQL_INGEST_STORE, &p, index, err);
    for (size_t c = 0; c < C_COUNT; c++)
        buf_fini(&columns[c]);
    return rc;
}

/* looked: whether their scopes were forgotten is known not to be so (of one). */
static enum rc
send_store(struct ingest *in, struct item **items, size_t n, bool looked, size_t *index,
           struct err *err)
{
    return n == 1 ? send_one(in, items[0], looked, index, err)
                  : send_many(in, items, n, index, err);
}

static enum rc
send_facts(struct ingest *in, struct item **items, size_t n, struct err *err)
{
    AUTO(buf) struct buf ids = { 0 }, times = { 0 }, facts = { 0 };
    struct db_params p = { 0 };
    size_t count = 0;
    column_begin(&ids, COLUMN_UUID, COLUMN_MAX);
    column_begin(&times, COLUMN_INT8, COLUMN_MAX);
    column_begin(&facts, COLUMN_TEXT, COLUMN_MAX);
    for (size_t i = 0; i < n; i++) {
        if (!items[i]->facts)
            continue;
        column_uuid(&ids, items[i]->call->id);
        column_int(&times, items[i]->call->stream_ns);
        column_text(&facts, items[i]->facts);
        count++;
    }
    if (count == 0)
        return RC_OK;
    if (buf_failed(&ids) || buf_failed(&times) || buf_failed(&facts))
        return err_set(err, RC_LIMIT, "the facts of a batch of commands are too large");
    db_param_text(&p, items[0]->call->actor.workspace);
    column_param(&p, &ids);
    column_param(&p, &times);
    column_param(&p, &facts);
    return db_send(worker_db(in->worker), SQL_INGEST_FACTS, &p, NULL, err);
}

/* In a batch nearly all differ: the bytes that tell two apart soonest are looked at first. */
static bool
same_row(const struct item *a, const struct item *b)
{
    if (memcmp(a->hash, b->hash, 8) == 0 && memcmp(a->hash, b->hash, HASH_LEN) == 0 &&
        strcmp(a->scope, b->scope) == 0)
        return true;
    const char *end = a->call->id + ID_TEXT_MAX - 1 - 8; /* ids of one moment begin alike */
    return memcmp(end, b->call->id + ID_TEXT_MAX - 1 - 8, 8) == 0 &&
           strcmp(a->call->id, b->call->id) == 0;
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
            again = same_row(items[j], item);
        if (again)
            continue;
        memmove(items + count + 1, items + count, (i - count) * sizeof(*items));
        items[count++] = item;
    }
    return count;
}

/* All in one transaction, in as many rounds as the commonest text asks for. */
static enum rc
send_rounds(struct ingest *in, struct item **items, size_t n, struct err *err)
{
    enum rc rc = RC_OK;
    for (size_t from = 0, count; rc == RC_OK && from < n; from += count) {
        size_t index = 0;
        count = distinct_first(items + from, n - from);
        rc = send_store(in, items + from, count, false, &index, err);
        for (size_t i = from; i < from + count; i++)
            items[i]->result = index;
    }
    return rc == RC_OK ? send_facts(in, items, n, err) : rc;
}

/* Rows come in any order; usually in that of the commands. */
static void
answer_stored(const PGresult *result, struct item *item, int guess)
{
    int rows = PQntuples(result);
    for (int i = 0; i < rows; i++) {
        int row = (guess + i) % rows;
        if (strcmp(db_text(result, row, 0), item->call->id) != 0)
            continue;
        const struct item_record record = { db_text(result, row, 1), db_text(result, row, 2),
                                            item->kept, item->skipped };
        item_answer(item, &record);
        return;
    }
}

static enum rc
run_group(struct ingest *in, struct item **items, size_t n, struct err *err)
{
    struct db *db = worker_db(in->worker);
    enum rc rc = ingest_begin(in, items[0]->call->actor.workspace, err);
    if (rc == RC_OK)
        rc = send_rounds(in, items, n, err);
    if (rc != RC_OK) {
        db_abort(db);
        return rc;
    }
    rc = db_commit(db, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        answer_stored(db_result(db, items[i]->result), items[i], (int)i);
    return rc;
}

/* --- one command, with all that may be -------------------------------------------------------- */

/* RC_OK: not recorded, or answered. */
static enum rc
ask_recorded(struct ingest *in, struct item *item, bool *forgotten, struct err *err)
{
    struct db *db = worker_db(in->worker);
    struct db_params p = { 0 };
    size_t index = 0;
    db_param_text(&p, item->call->actor.workspace);
    db_param_text(&p, item->call->id);
    db_param_text(&p, item->scope);
    db_param_int(&p, item->call->stream_ns);
    enum rc rc = db_send(db, SQL_INGEST_RECORDED, &p, &index, err);
    if (rc == RC_OK)
        rc = db_sync(db, err);
    if (rc != RC_OK)
        return rc;
    const PGresult *result = db_result(db, index);
    const struct item_record record = { db_text(result, 0, 0), db_text(result, 0, 1),
                                        db_int(result, 0, 2, 0), db_int(result, 0, 3, 0) };
    if (record.memory)
        item_answer(item, &record);
    else
        item->answered = refusal_answer(item->call, db_text(result, 0, 5));
    *forgotten = db_bool(result, 0, 4);
    return RC_OK;
}

static enum rc
send_dropped(struct ingest *in, const struct item *item, struct err *err)
{
    struct db_params p = { 0 };
    db_param_text(&p, item->call->actor.workspace);
    db_param_text(&p, item->call->id);
    db_param_int(&p, item->kept);
    db_param_int(&p, item->skipped);
    return db_send(worker_db(in->worker), SQL_INGEST_DROPPED, &p, NULL, err);
}

static enum rc
send_expire(struct ingest *in, const struct item *item, struct err *err)
{
    struct db_params p = { 0 };
    db_param_text(&p, item->call->actor.workspace);
    db_param_text(&p, item->scope);
    db_param_bytes(&p, item->hash, HASH_LEN);
    return db_send(worker_db(in->worker), SQL_INGEST_EXPIRE, &p, NULL, err);
}

static enum rc
run_carefully(struct ingest *in, struct item *item, struct err *err)
{
    struct db *db = worker_db(in->worker);
    bool forgotten = false;
    enum rc rc = ingest_begin(in, item->call->actor.workspace, err);
    if (rc == RC_OK)
        rc = ask_recorded(in, item, &forgotten, err);
    if (rc != RC_OK || item->answered) {
        db_abort(db);
        return rc;
    }
    if (forgotten) {
        rc = send_dropped(in, item, err);
    } else {
        rc = send_expire(in, item, err);
        if (rc == RC_OK)
            rc = send_store(in, &item, 1, true, &item->result, err);
        if (rc == RC_OK)
            rc = send_facts(in, &item, 1, err);
    }
    if (rc != RC_OK) {
        db_abort(db);
        return rc;
    }
    rc = db_commit(db, err);
    if (rc != RC_OK)
        return rc;
    const struct item_record dropped = { item->call->id, "f", item->kept, item->skipped };
    if (forgotten)
        item_answer(item, &dropped);
    else
        answer_stored(db_result(db, item->result), item, 0);
    return item->answered ? RC_OK : err_set(err, RC_BUG, "a memory was not stored");
}

static void
store_one(struct ingest *in, struct item *item)
{
    struct err err = { 0 };
    enum rc rc = run_carefully(in, item, &err);
    if (rc == RC_CONFLICT && db_broke(worker_db(in->worker), "memory_pkey"))
        call_problem(item->call, PROBLEM_INVALID_REQUEST, NULL,
                     "Another memory of the workspace has this id.");
    else if (rc != RC_OK)
        call_fail(item->call, &err);
}

/* All items of one workspace. */
static void
store_workspace(struct ingest *in, struct item **items, size_t n)
{
    struct err err = { 0 };
    bool again = n == 1 && items[0]->call->deliveries > 1;
    enum rc rc = again ? RC_OK : run_group(in, items, n, &err);
    for (size_t i = 0; i < n; i++) {
        if (rc == RC_TEMP || rc == RC_CONFIG)
            call_fail(items[i]->call, &err);
        else if (rc != RC_OK || !items[i]->answered)
            store_one(in, items[i]);
    }
}

/* --- a batch ---------------------------------------------------------------------------------- */

static enum rc
index_items(struct ingest *in, struct item **items, size_t n, struct err *err)
{
    struct embed_text texts[INGEST_BATCH_MAX];
    struct indexed indexed[INGEST_BATCH_MAX];
    int64_t model = 0;
    for (size_t i = 0; i < n; i++)
        texts[i] = (struct embed_text){ items[i]->text, strlen(items[i]->text) };
    enum rc rc = ingest_model(in, &model, err);
    if (rc == RC_OK)
        rc = ingest_index(in, items[0]->call->mem, texts, n, indexed, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        items[i]->indexed = indexed[i];
    return rc;
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
        if (!item || item_read(call, item) != RC_OK) {
            struct err full = { 0 };
            (void)err_set(&full, RC_TEMP, "no room for the command");
            call_fail(call, &full);
            continue;
        }
        items[count++] = item;
    }
    struct err err = { 0 };
    if (count > 0 && index_items(in, items, count, &err) != RC_OK)
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
    refusal_remember(w, calls, n);
}
