/* SPDX-License-Identifier: MIT */
/*
 * legs - which statement finds the ids.
 *
 *   no filter, small workspace      vector_all: one index-only scan, exact
 *   no filter, large workspace      vector_cells
 *   scope only, large scope         vector_cells with the scope
 *   anything else                   vector_scope, vector_tags or vector_filter: exact over the
 *                                   filtered rows
 *
 * The first two see only rows of the same model that have a vector. When they find too few, the
 * exact form adds the others, so that there are always min(k, matching) results.
 */
#include <math.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "search.h"
#include "sql_search.h"

#define INDEX_DIM_MAX 1000  /* the predicate of memory_cells */
#define SCAN_FIRST    10000 /* rows of the nearest cells */
#define MISSED_MAX    0.002 /* hits that all cells left out may be expected to hold */
#define SCOPE_LARGE   20000 /* rows */
#define LOOK_MAX      3000  /* matching rows that a hybrid search looks at, */
#define RANK_MAX      120   /* and how many of them it ranks by their covers */
#define FLAGS         1024
#define FLAG_FRESH_MS 2000

struct cell_flags {
    struct {
        char workspace[WORKSPACE_TEXT_MAX];
        int64_t checked_ms;
        bool has_cells;
    } entries[FLAGS];
};

struct cell_flags *
cell_flags_new(void)
{
    return calloc(1, sizeof(struct cell_flags));
}

static enum rc
ask(struct search *s, unsigned statement, const struct db_params *p, const PGresult **out,
    struct err *err)
{
    struct db *db = worker_db(s->worker);
    size_t index;
    enum rc rc = db_send(db, statement, p, &index, err);
    if (rc == RC_OK)
        rc = db_sync(db, err);
    if (rc == RC_OK)
        *out = db_result(db, index);
    return rc;
}

/* FNV-1a; a collision costs a question to the database. */
static size_t
slot(const char *workspace)
{
    uint64_t hash = 0xcbf29ce484222325ULL;
    for (; *workspace; workspace++)
        hash = (hash ^ (unsigned char)*workspace) * 0x100000001b3ULL;
    return (size_t)(hash % FLAGS);
}

/* Wrong for a moment after cells were made: then the search is exact, and only slower. */
static enum rc
has_cells(struct search *s, const char *workspace, bool *has, struct err *err)
{
    size_t i = slot(workspace);
    int64_t now = clock_mono_ms();
    bool ours = strcmp(s->flags->entries[i].workspace, workspace) == 0;
    if (!ours || now - s->flags->entries[i].checked_ms > FLAG_FRESH_MS) {
        const PGresult *result;
        struct db_params p = { 0 };
        db_param_text(&p, workspace);
        db_param_int(&p, s->model);
        enum rc rc = ask(s, SQL_SEARCH_HAS_CELLS, &p, &result, err);
        if (rc != RC_OK)
            return rc;
        (void)snprintf(s->flags->entries[i].workspace, WORKSPACE_TEXT_MAX, "%s", workspace);
        s->flags->entries[i].checked_ms = now;
        s->flags->entries[i].has_cells = db_bool(result, 0, 0);
    }
    *has = s->flags->entries[i].has_cells;
    return RC_OK;
}

static enum rc
is_large_scope(struct search *s, const struct request *r, bool *large, struct err *err)
{
    const PGresult *result;
    struct db_params p = { 0 };
    db_param_text(&p, r->call->actor.workspace);
    db_param_text(&p, r->scope);
    db_param_int(&p, SCOPE_LARGE);
    enum rc rc = ask(s, SQL_SEARCH_SCOPE_SIZE, &p, &result, err);
    if (rc == RC_OK)
        *large = db_int(result, 0, 0, 0) >= SCOPE_LARGE;
    return rc;
}

static void
read_leg(const PGresult *result, struct leg *out)
{
    out->n = 0;
    for (int i = 0; i < PQntuples(result) && out->n < LEG_MAX; i++) {
        struct hit *hit = &out->hits[out->n++];
        (void)snprintf(hit->id, sizeof(hit->id), "%s", db_text(result, i, 0));
        hit->value = db_number(result, i, 1, (double)NAN);
    }
}

static void
add_time(struct db_params *p, int64_t ms)
{
    if (ms < 0)
        db_param_null(p);
    else
        db_param_time(p, ms);
}

static void
add_filters(struct db_params *p, const struct request *r)
{
    db_param_text(p, r->tags);
    db_param_text(p, r->source);
    add_time(p, r->since_ms);
    add_time(p, r->until_ms);
}

static bool
has_filters(const struct request *r)
{
    return r->tags || r->source || r->since_ms >= 0 || r->until_ms >= 0;
}

static void
add_vector(struct db_params *p, const struct request *r)
{
    if (r->half)
        db_param_bytes(p, r->half, r->half_len);
    else
        db_param_null(p);
}

/* Every row that passes the filters, exactly. */
static enum rc
send_exact(struct search *s, const struct request *r, size_t wanted, size_t *index, struct err *err)
{
    struct db_params p = { 0 };
    db_param_text(&p, r->call->actor.workspace);
    db_param_int(&p, s->model);
    add_vector(&p, r);
    db_param_int(&p, (int64_t)wanted);
    add_filters(&p, r);
    if (r->scope)
        db_param_text(&p, r->scope);
    return db_send(worker_db(s->worker),
                   r->scope  ? SQL_SEARCH_VECTOR_SCOPE
                   : r->tags ? SQL_SEARCH_VECTOR_TAGS
                             : SQL_SEARCH_VECTOR_FILTER,
                   &p, index, err);
}

static enum rc
send_by_index(struct search *s, const struct request *r, size_t wanted, bool cells, size_t *index,
              struct err *err)
{
    struct db_params p = { 0 };
    db_param_text(&p, r->call->actor.workspace);
    db_param_int(&p, s->model);
    add_vector(&p, r);
    db_param_int(&p, (int64_t)wanted);
    if (cells) {
        db_param_int(&p, SCAN_FIRST);
        db_param_int(&p, (int64_t)embed_dim(s->embedder) / 2);
        db_param_number(&p, MISSED_MAX);
        db_param_text(&p, r->scope);
    }
    return db_send(worker_db(s->worker), cells ? SQL_SEARCH_VECTOR_CELLS : SQL_SEARCH_VECTOR_ALL,
                   &p, index, err);
}

/* Chooses the statement; *by_index says that it sees only rows with a comparable vector. */
static enum rc
send_vector(struct search *s, const struct request *r, size_t wanted, bool *by_index, size_t *index,
            struct err *err)
{
    bool cells = false, large = false;
    enum rc rc = RC_OK;
    *by_index = false;
    if (!r->half || s->model == 0 || has_filters(r) || embed_dim(s->embedder) > INDEX_DIM_MAX)
        return send_exact(s, r, wanted, index, err);
    rc = has_cells(s, r->call->actor.workspace, &cells, err);
    if (rc == RC_OK && cells && r->scope)
        rc = is_large_scope(s, r, &large, err);
    if (rc != RC_OK)
        return rc;
    if (r->scope && !large)
        return send_exact(s, r, wanted, index, err);
    *by_index = true;
    return send_by_index(s, r, wanted, cells, index, err);
}

static enum rc
send_text(struct search *s, const struct request *r, size_t wanted, size_t *index, struct err *err)
{
    struct db_params p = { 0 };
    unsigned statement = r->scope ? SQL_SEARCH_TEXT_SCOPE : SQL_SEARCH_TEXT;
    db_param_text(&p, r->call->actor.workspace);
    db_param_text(&p, r->query);
    db_param_int(&p, (int64_t)wanted);
    add_filters(&p, r);
    if (r->scope)
        db_param_text(&p, r->scope);
    if (r->mode == MODE_HYBRID) {
        statement = r->scope ? SQL_SEARCH_TEXT_ANY_SCOPE : SQL_SEARCH_TEXT_ANY;
        db_param_int(&p, LOOK_MAX);
        db_param_int(&p, RANK_MAX);
    }
    return db_send(worker_db(s->worker), statement, &p, index, err);
}

enum rc
legs_run(struct search *s, const struct request *r, size_t wanted, struct leg *vector,
         struct leg *text, struct err *err)
{
    struct db *db = worker_db(s->worker);
    size_t vector_index = 0, text_index = 0;
    bool by_index = false;
    enum rc rc = RC_OK;
    if (vector)
        rc = send_vector(s, r, wanted, &by_index, &vector_index, err);
    if (rc == RC_OK && text)
        rc = send_text(s, r, wanted, &text_index, err);
    if (rc == RC_OK)
        rc = db_sync(db, err);
    if (rc != RC_OK)
        return rc;
    if (text)
        read_leg(db_result(db, text_index), text);
    if (vector)
        read_leg(db_result(db, vector_index), vector);
    if (!vector || !by_index || vector->n >= wanted)
        return RC_OK;
    rc = send_exact(s, r, wanted, &vector_index, err);
    if (rc == RC_OK)
        rc = db_sync(db, err);
    if (rc == RC_OK)
        read_leg(db_result(db, vector_index), vector);
    return rc;
}
