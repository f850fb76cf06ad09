/* SPDX-License-Identifier: MIT */
/*
 * answer - what was found as it is answered: rows of the database with their scores.
 *
 * What the database does not have any more is not answered, whatever the index said.
 */
#include <math.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "db/column.h"
#include "pool.h"
#include "protocol/memory_item.h"
#include "rows.h"
#include "search.h"
#include "sql_search.h"

#define COLUMN_MAX (1u << 20)
#define ROWS_MAX   256 /* read by one statement, but for those of one request */

enum { DISTANCE = 8, VERSION }; /* columns of "items" */

static const char *
mode_name(enum collection_mode mode)
{
    switch (mode) {
    case COLLECTION_HYBRID:
        return "hybrid";
    case COLLECTION_VECTOR:
        return "vector";
    case COLLECTION_TEXT:
        return "text";
    }
    return "";
}

/* What is beyond twelve places says nothing, and takes json_format_number() a microsecond. */
#define PLACES 1e12

static void
put_score(struct json_writer *w, const char *name, double score)
{
    json_put_number(w, name, round(score * PLACES) / PLACES);
}

static void
put_optional(struct json_writer *w, const char *name, bool there, double value)
{
    if (there)
        put_score(w, name, value);
    else
        json_put_null(w, name);
}

/* False: the row scores too low, or there is no room: the list ends. */
static bool
write_result(struct buf *out, const struct request *r, const struct collection_hit *hit,
             const PGresult *rows, int row, int64_t rank)
{
    struct json_writer w;
    double distance = db_number(rows, row, DISTANCE, (double)NAN), score = hit->score;
    if (distance < 0)
        distance = 0;                 /* rounding */
    if (r->mode == COLLECTION_VECTOR) /* of the database, which knows it to more digits */
        score = isnan(distance) || distance > 1 ? 0 : 1 - distance;
    if (r->has_min_score && score < r->min_score)
        return false;
    json_begin(&w, out);
    json_object(&w, NULL);
    memory_item_fields(&w, rows, row, 1);
    json_put_int(&w, "rank", rank);
    put_optional(&w, "cosine_distance", !isnan(distance), distance);
    put_optional(&w, "similarity_score", !isnan(distance), 1 - distance);
    put_optional(&w, "text_score", hit->bm25 > 0, (double)hit->bm25);
    put_score(&w, "score", score);
    json_close(&w);
    return json_end(&w) == RC_OK;
}

/* The hits that are left, with the rows they have. */
struct rows {
    const PGresult *result;
    int of[COLLECTION_HITS_MAX]; /* row of each hit */
};

static int64_t
write_results(struct buf *out, const struct found *found, const struct rows *rows)
{
    int64_t rank = 0;
    buf_putc(out, '[');
    for (size_t i = 0; i < found->n && rank < found->request->k; i++) {
        AUTO(buf) struct buf one = { 0 };
        buf_init(&one, MEMORY_ANSWER_MAX);
        if (!write_result(&one, found->request, &found->hits[i], rows->result, rows->of[i],
                          rank + 1) ||
            out->len + one.len + 4096 > MEMORY_ANSWER_MAX)
            break;
        if (rank++)
            buf_putc(out, ',');
        buf_add(out, one.data, one.len);
    }
    buf_putc(out, ']');
    return rank;
}

static void
answer(const struct found *found, const struct rows *rows)
{
    const struct request *r = found->request;
    AUTO(buf) struct buf out = { 0 }, results = { 0 };
    struct json_writer w;
    struct err err = { 0 };
    buf_init(&out, MEMORY_ANSWER_MAX + 1024 * 1024);
    buf_init(&results, MEMORY_ANSWER_MAX);
    int64_t count = write_results(&results, found, rows);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_string(&w, "status", "success");
    json_put_string(&w, "mode", mode_name(r->mode));
    if (r->note)
        json_put_string(&w, "note", r->note);
    json_put_string(&w, "query", r->query);
    json_put_string(&w, "tenant_id", r->call->actor.workspace);
    if (r->scope)
        json_put_string(&w, "scope", r->scope);
    else
        json_put_null(&w, "scope");
    json_put_int(&w, "k", r->k);
    json_put_int(&w, "results_count", count);
    json_put_raw(&w, "results", buf_text(&results), results.len);
    json_put_time(&w, "timestamp", clock_wall_ms());
    json_close(&w);
    if (json_end(&w) == RC_OK) {
        call_answer(r->call, 200, &out);
        return;
    }
    (void)err_set(&err, RC_BUG, "the answer does not fit");
    call_fail(r->call, &err);
}

void
answer_timeout(struct request *r)
{
    r->search->late++;
    call_problem(
        r->call, PROBLEM_TIMEOUT, NULL,
        "The search took longer than SEARCH_BUDGET_MS. Ask for less: a shorter query, or a "
        "scope.");
}

/* *placed: true unless it is not known where a row is. */
static enum rc
ask_for_items(struct searcher *t, struct found **found, size_t n, bool *placed, PGresult **rows,
              struct err *err)
{
    AUTO(buf) struct buf ids = { 0 }, queries = { 0 }, vectors = { 0 }, places = { 0 };
    struct db_params p = { 0 };
    const char *workspace = NULL;
    uint8_t place[PLACE_BYTES];
    column_begin(&ids, COLUMN_UUID, COLUMN_MAX);
    column_begin(&queries, COLUMN_INT4, COLUMN_MAX);
    column_begin(&vectors, t->halfvec, COLUMN_MAX);
    column_begin(&places, COLUMN_TID, COLUMN_MAX);
    for (size_t i = 0; i < n; i++) {
        const struct request *r = found[i]->request;
        column_bytes(&vectors, r ? r->half : NULL, r ? r->half_len : 0);
        workspace = r ? r->call->actor.workspace : workspace;
        for (size_t h = 0; r && h < found[i]->n; h++) {
            column_bytes(&ids, found[i]->hits[h].id, COLLECTION_ID_LEN);
            column_int(&queries, (int64_t)i + 1);
            place_write(found[i]->hits[h].place, place);
            column_bytes(&places, place, sizeof(place));
            *placed = *placed && found[i]->hits[h].place;
        }
    }
    db_param_text(&p, workspace);
    db_param_int(&p, t->model);
    column_param(&p, &ids);
    column_param(&p, &queries);
    if (t->halfvec) /* nothing was ever stored with a model: nothing to compare with */
        column_param(&p, &vectors);
    else
        db_param_null(&p);
    if (*placed)
        column_param(&p, &places);
    return db_query(t->db, workspace, *placed ? SQL_SEARCH_ITEMS_PLACED : SQL_SEARCH_ITEMS, &p,
                    rows, err);
}

/* Nothing has changed since, as far as the statement says: without rows it says nothing. */
static bool
is_newest(const PGresult *result, const char *version)
{
    const char *now = result && PQntuples(result) > 0 ? db_text(result, 0, VERSION) : NULL;
    return !version || (now && strcmp(now, version) == 0);
}

/* Where the index says that they are; when some are not there, all by their ids. That is so after an
 * update that is no change, a rewrite of the table for example; a change makes the index look again. */
static enum rc
read_items(struct searcher *t, struct found **found, size_t n, size_t hits, const char *version,
           PGresult **rows, struct err *err)
{
    bool placed = true;
    enum rc rc = ask_for_items(t, found, n, &placed, rows, err);
    if (rc != RC_OK || !placed || (size_t)PQntuples(*rows) == hits)
        return rc;
    if (PQntuples(*rows) > 0 && !is_newest(*rows, version))
        return RC_OK;
    placed = false;
    PQclear(TAKE(*rows));
    return ask_for_items(t, found, n, &placed, rows, err);
}

/* Only what is there; with the exact cosine. Returns whether nothing was missing. */
static bool
keep_existing(struct found *found, const PGresult *result, size_t *position, int *row,
              struct rows *rows)
{
    size_t kept = 0, all = found->n;
    for (size_t i = 0; i < all; i++, (*position)++) {
        if (*row >= PQntuples(result) || (size_t)db_int(result, *row, 0, -1) != *position)
            continue;
        struct collection_hit hit = found->hits[i];
        double distance = db_number(result, *row, DISTANCE, (double)NAN);
        if (found->request->mode == COLLECTION_VECTOR && !isnan(distance))
            hit.cosine = (float)(1 - distance);
        found->hits[kept] = hit;
        rows->of[kept++] = (*row)++;
    }
    found->n = kept;
    return kept == all;
}

/* By the exact cosine; the rows follow their hits. */
static void
rank_again(struct found *found, struct rows *rows)
{
    const struct request *r = found->request;
    const struct collection_ranking ranking = { .mode = r->mode, .k = (size_t)r->k };
    AUTO(free) struct collection_hit *before = calloc(found->n + 1, sizeof(*before));
    struct rows moved = *rows;
    size_t n = found->n;
    if (!before)
        return;
    memcpy(before, found->hits, n * sizeof(*before));
    found->n = collection_rank(&ranking, found->hits, n);
    for (size_t i = 0; i < found->n; i++)
        for (size_t j = 0; j < n; j++)
            if (memcmp(found->hits[i].id, before[j].id, COLLECTION_ID_LEN) == 0)
                moved.of[i] = rows->of[j];
    *rows = moved;
}

static enum rc
answer_some(struct searcher *t, struct found **found, size_t n, bool last, const char *version,
            struct err *err)
{
    AUTO(pgresult) PGresult *result = NULL;
    size_t position = 0, hits = 0;
    int row = 0;
    for (size_t i = 0; i < n; i++)
        hits += found[i]->request ? found[i]->n : 0;
    enum rc rc = hits ? read_items(t, found, n, hits, version, &result, err) : RC_OK;
    if (rc != RC_OK || !is_newest(result, version))
        return rc;
    for (size_t i = 0; i < n; i++) {
        struct rows rows = { .result = result };
        struct found *one = found[i];
        struct request *r = one->request;
        if (!r)
            continue;
        size_t wanted = one->n < (size_t)r->k ? one->n : (size_t)r->k;
        bool whole = keep_existing(one, result, &position, &row, &rows);
        if (!whole && !last && (r->mode != COLLECTION_VECTOR || one->n < wanted))
            continue; /* others may take the places */
        if (r->mode == COLLECTION_VECTOR)
            rank_again(one, &rows);
        answer(one, &rows);
        one->request = NULL;
        pool_done(r);
    }
    pool_give_back(t);
    return rc;
}

enum rc
answer_all(struct searcher *t, struct found **found, size_t n, bool last, const char *version,
           struct err *err)
{
    enum rc rc = RC_OK;
    for (size_t from = 0, count; rc == RC_OK && from < n; from += count) {
        size_t hits = 0;
        for (count = 0; from + count < n; count++) {
            hits += found[from + count]->request ? found[from + count]->n : 0;
            if (count > 0 && hits > ROWS_MAX)
                break;
        }
        rc = answer_some(t, found + from, count, last, version, err);
    }
    return rc;
}
