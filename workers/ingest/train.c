/* SPDX-License-Identifier: MIT */
/*
 * train - the steps: sample, iterate, store, move, count, drop.
 *
 *   sample   a random share of the vectors, in one statement
 *   iterate  k-means in slices of a few milliseconds
 *   store    the old cells are retired and the new ones added, in one transaction
 *   move     rows of older cells, MOVE_ROWS at a time, until none comes for a while (other replicas
 *            may know only the old cells for as long as their cache is fresh)
 *   count    rows, mean and deviation of each cell, a few cells at a time
 *   drop     retired cells without rows, while no insert is under way
 *
 * A workspace that only grew is counted again. Any failure ends the run; it is started anew later.
 */
#include "train.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "cells.h"
#include "sql_ingest.h"

#define STEP_MS           10     /* between two steps: commands have their turn */
#define SLICE_COMPARISONS 400000 /* 256 dimensions: about 10 ms */
#define MOVE_ROWS         250    /* an UPDATE of about 0.1 s */
#define COUNT_CELLS       16
#define QUEUE_MAX         16
#define GROWN_BY          10 /* per cent of the rows: counted again */
#define SETTLE_MS         (2 * CELLCACHE_FRESH_MS)
#define RETRY_MS          30000
#define RENEW_MS          10000 /* the lease is for 30 seconds */
#define LITERAL_MAX       (MOVE_ROWS * 40)

enum step { IDLE, SAMPLE, ITERATE, MOVE, COUNT, DROP, ENDED };

struct trainer {
    struct ingest *in; /* borrowed */
    struct loop_timer *timer;
    char id[ID_TEXT_MAX];
    enum step step;
    char workspace[WORKSPACE_TEXT_MAX];
    int64_t rows, first_cell, counted_to, empty_since_ms, not_before_ms, leased_ms;
    struct cells_training training;
    char queue[QUEUE_MAX][WORKSPACE_TEXT_MAX];
    size_t n_queue;
};

static struct db_params
params(const struct trainer *t)
{
    struct db_params p = { 0 };
    db_param_text(&p, t->workspace);
    db_param_int(&p, t->in->model);
    return p;
}

static enum rc
query(struct trainer *t, unsigned statement, const struct db_params *p, PGresult **out,
      struct err *err)
{
    return db_query(worker_db(t->in->worker), t->workspace, statement, p, out, err);
}

/* Takes the lease, or renews it. */
static enum rc
lease(struct trainer *t, struct err *err)
{
    AUTO(pgresult) PGresult *result = NULL;
    struct db_params p = params(t);
    db_param_text(&p, t->id);
    enum rc rc = query(t, SQL_INGEST_TRAIN_BEGIN, &p, &result, err);
    if (rc == RC_OK && PQntuples(result) == 0)
        return err_set(err, RC_CONFLICT, "another program is at it");
    if (rc == RC_OK)
        t->leased_ms = clock_mono_ms();
    return rc;
}

struct sizes {
    int64_t loose, counted, trained;
    bool moving;
};

static enum rc
read_sizes(struct trainer *t, const char *workspace, struct sizes *out, struct err *err)
{
    AUTO(pgresult) PGresult *result = NULL;
    struct db_params p = { 0 };
    db_param_text(&p, workspace);
    db_param_int(&p, t->in->model);
    db_param_int(&p, TRAIN_MIN_ROWS);
    enum rc rc =
        db_query(worker_db(t->in->worker), workspace, SQL_INGEST_CELL_SIZES, &p, &result, err);
    if (rc == RC_OK)
        *out = (struct sizes){ db_int(result, 0, 0, 0), db_int(result, 0, 1, 0),
                               db_int(result, 0, 2, 0), db_bool(result, 0, 3) };
    return rc;
}

/* New cells: too many rows are in none, there are twice as many as then, or a run was cut off. */
static bool
wants_cells(const struct sizes *sizes, bool has_cells)
{
    return sizes->loose >= TRAIN_MIN_ROWS || sizes->moving || (has_cells && sizes->trained == 0) ||
           (sizes->trained > 0 && sizes->counted >= 2 * sizes->trained);
}

static enum rc
begin(struct trainer *t, struct err *err)
{
    AUTO(pgresult) PGresult *size = NULL;
    struct db_params p = params(t);
    struct sizes sizes;
    struct cell_set *set = NULL;
    enum rc rc = lease(t, err);
    if (rc == RC_OK)
        rc = query(t, SQL_INGEST_TRAIN_SIZE, &p, &size, err);
    if (rc == RC_OK)
        rc = read_sizes(t, t->workspace, &sizes, err);
    if (rc == RC_OK)
        rc = cellcache_get(t->in->cells, worker_db(t->in->worker), t->workspace, t->in->model,
                           embed_dim(t->in->embedder), &set, err);
    if (rc != RC_OK)
        return rc;
    t->rows = db_int(size, 0, 0, 0);
    t->first_cell = 0;
    t->counted_to = 0;
    t->empty_since_ms = 0;
    t->step = wants_cells(&sizes, set->n > 0) && t->rows > 0 ? SAMPLE : COUNT;
    return RC_OK;
}

static enum rc
sample(struct trainer *t, struct err *err)
{
    AUTO(pgresult) PGresult *result = NULL;
    struct db_params p = params(t);
    size_t dim = embed_dim(t->in->embedder), k = cells_count(t->rows), wanted = k * CELLS_SAMPLE;
    db_param_number(&p, (double)wanted / (double)t->rows);
    db_param_int(&p, (int64_t)(wanted + wanted / 4));
    enum rc rc = query(t, SQL_INGEST_TRAIN_SAMPLE, &p, &result, err);
    if (rc != RC_OK)
        return rc;
    size_t rows = (size_t)PQntuples(result), n = 0;
    float *vectors = calloc(rows * dim + 1, sizeof(*vectors));
    if (!vectors)
        return err_set(err, RC_TEMP, "no memory for a sample");
    for (size_t i = 0; i < rows; i++) {
        AUTO(free) uint8_t *bytes = NULL;
        size_t len;
        if (db_bytes(result, (int)i, 0, &bytes, &len, NULL) == RC_OK &&
            embed_from_half(bytes, len, vectors + n * dim, dim) == dim)
            n++;
    }
    rc = cells_training_init(&t->training, vectors, n, dim, k, err);
    if (rc == RC_OK)
        t->step = ITERATE;
    return rc;
}

static enum rc
store(struct trainer *t, struct err *err)
{
    struct db *db = worker_db(t->in->worker);
    size_t dim = t->training.dim, first = 0, index;
    AUTO(free) uint8_t *half = malloc(EMBED_HALF_BYTES(dim));
    struct db_params p = params(t);
    if (!half)
        return err_set(err, RC_TEMP, "no memory for centroids");
    enum rc rc = db_begin(db, t->workspace, err);
    if (rc == RC_OK)
        rc = db_send(db, SQL_INGEST_TRAIN_RETIRE, &p, &index, err);
    for (size_t c = 0; rc == RC_OK && c < t->training.k; c++) {
        struct db_params q = params(t);
        (void)embed_to_half(t->training.centroids + c * dim, dim, half);
        db_param_bytes(&q, half, EMBED_HALF_BYTES(dim));
        rc = db_send(db, SQL_INGEST_TRAIN_ADD, &q, &index, err);
        if (c == 0)
            first = index;
    }
    if (rc != RC_OK) {
        db_abort(db);
        return rc;
    }
    rc = db_commit(db, err);
    if (rc != RC_OK)
        return rc;
    t->first_cell = db_int(db_result(db, first), 0, 0, 0);
    cells_training_fini(&t->training);
    cellcache_forget(t->in->cells, t->workspace);
    t->step = MOVE;
    return RC_OK;
}

static enum rc
iterate(struct trainer *t, struct err *err)
{
    return cells_training_step(&t->training, SLICE_COMPARISONS) ? store(t, err) : RC_OK;
}

/* "{id,…}" and "{cell,…}" of rows in older cells. */
static enum rc
assign(const PGresult *rows, const struct cell_set *set, struct buf *ids, struct buf *cells)
{
    AUTO(free) float *vector = calloc(set->dim + 1, sizeof(*vector));
    buf_putc(ids, '{');
    buf_putc(cells, '{');
    for (int i = 0; vector && i < PQntuples(rows); i++) {
        AUTO(free) uint8_t *bytes = NULL;
        size_t len;
        if (db_bytes(rows, i, 1, &bytes, &len, NULL) != RC_OK ||
            embed_from_half(bytes, len, vector, set->dim) != set->dim)
            return RC_BUG;
        buf_printf(ids, "%s%s", i ? "," : "", db_text(rows, i, 0));
        buf_printf(cells, "%s%d", i ? "," : "", cell_of(set, vector));
    }
    buf_putc(ids, '}');
    buf_putc(cells, '}');
    return vector && !buf_failed(ids) && !buf_failed(cells) ? RC_OK : RC_TEMP;
}

static enum rc
move(struct trainer *t, struct err *err)
{
    AUTO(pgresult) PGresult *rows = NULL, *done = NULL;
    AUTO(buf) struct buf ids = { 0 }, cells = { 0 };
    struct cell_set *set = NULL;
    struct db_params p = params(t), q = params(t);
    buf_init(&ids, LITERAL_MAX);
    buf_init(&cells, LITERAL_MAX);
    db_param_int(&p, t->first_cell);
    db_param_int(&p, MOVE_ROWS);
    enum rc rc = query(t, SQL_INGEST_TRAIN_MOVING, &p, &rows, err);
    if (rc != RC_OK)
        return rc;
    if (PQntuples(rows) == 0) {
        int64_t now = clock_mono_ms();
        if (t->empty_since_ms == 0)
            t->empty_since_ms = now;
        if (now - t->empty_since_ms > SETTLE_MS)
            t->step = COUNT;
        return RC_OK;
    }
    rc = cellcache_get(t->in->cells, worker_db(t->in->worker), t->workspace, t->in->model,
                       embed_dim(t->in->embedder), &set, err);
    if (rc != RC_OK)
        return rc;
    if (assign(rows, set, &ids, &cells) != RC_OK)
        return err_set(err, RC_TEMP, "rows cannot be moved");
    db_param_text(&q, buf_text(&ids));
    db_param_text(&q, buf_text(&cells));
    db_param_int(&q, t->first_cell);
    return query(t, SQL_INGEST_TRAIN_MOVE, &q, &done, err);
}

static enum rc
count(struct trainer *t, struct err *err)
{
    AUTO(pgresult) PGresult *result = NULL;
    struct db_params p = params(t);
    db_param_int(&p, t->counted_to);
    db_param_int(&p, COUNT_CELLS);
    enum rc rc = query(t, SQL_INGEST_TRAIN_COUNT, &p, &result, err);
    for (int i = 0; rc == RC_OK && i < PQntuples(result); i++)
        if (db_int(result, i, 0, 0) > t->counted_to)
            t->counted_to = db_int(result, i, 0, 0);
    if (rc == RC_OK && PQntuples(result) == 0)
        t->step = DROP;
    return rc;
}

static enum rc
drop(struct trainer *t, struct err *err)
{
    struct db *db = worker_db(t->in->worker);
    struct db_params lock = { 0 }, p = params(t), end = params(t);
    size_t unused;
    db_param_text(&lock, t->workspace);
    db_param_text(&end, t->id);
    if (t->first_cell > 0)
        db_param_int(&end, t->rows);
    else
        db_param_null(&end);
    enum rc rc = db_begin(db, t->workspace, err);
    if (rc == RC_OK)
        rc = db_send(db, SQL_INGEST_EXCLUDE, &lock, &unused, err);
    if (rc == RC_OK)
        rc = db_send(db, SQL_INGEST_TRAIN_DROP, &p, &unused, err);
    if (rc == RC_OK)
        rc = db_send(db, SQL_INGEST_TRAIN_END, &end, &unused, err);
    if (rc != RC_OK) {
        db_abort(db);
        return rc;
    }
    rc = db_commit(db, err);
    if (rc == RC_OK && t->first_cell > 0)
        log_fields(LOG_INFO, "vector cells made", "workspace", t->workspace, NULL);
    t->step = IDLE;
    return rc;
}

static void
enqueue(struct trainer *t, const char *workspace)
{
    if (t->step != IDLE && strcmp(t->workspace, workspace) == 0)
        return;
    for (size_t i = 0; i < t->n_queue; i++)
        if (strcmp(t->queue[i], workspace) == 0)
            return;
    if (t->n_queue == QUEUE_MAX)
        return; /* asked for again after the next TRAIN_LOOK_EVERY rows */
    (void)snprintf(t->queue[t->n_queue++], WORKSPACE_TEXT_MAX, "%s", workspace);
    loop_timer_set(t->timer, STEP_MS, STEP_MS);
}

static enum rc
next(struct trainer *t, struct err *err)
{
    if (t->n_queue == 0) {
        loop_timer_stop(t->timer);
        return RC_OK;
    }
    if (clock_mono_ms() < t->not_before_ms)
        return RC_OK;
    memcpy(t->workspace, t->queue[0], sizeof(t->workspace));
    memmove(t->queue[0], t->queue[1], --t->n_queue * sizeof(t->queue[0]));
    return begin(t, err);
}

static void
turn(void *arg)
{
    struct trainer *t = arg;
    struct err err;
    enum rc rc = RC_OK;
    if (t->step != IDLE && clock_mono_ms() - t->leased_ms > RENEW_MS)
        rc = lease(t, &err);
    switch (rc == RC_OK ? t->step : ENDED) {
    case ENDED:
        break;
    case IDLE:
        rc = next(t, &err);
        break;
    case SAMPLE:
        rc = sample(t, &err);
        break;
    case ITERATE:
        rc = iterate(t, &err);
        break;
    case MOVE:
        rc = move(t, &err);
        break;
    case COUNT:
        rc = count(t, &err);
        break;
    case DROP:
        rc = drop(t, &err);
        break;
    }
    if (rc == RC_OK)
        return;
    /* A lease of another program is looked at again: it may have died with it. */
    if (rc != RC_CONFLICT)
        log_fields(LOG_WARN, "vector cells not made: trying again later", "workspace", t->workspace,
                   "reason", err.text, NULL);
    cells_training_fini(&t->training);
    t->step = IDLE;
    t->not_before_ms = clock_mono_ms() + RETRY_MS;
    enqueue(t, t->workspace);
}

struct trainer *
trainer_new(struct ingest *in)
{
    struct trainer *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->in = in;
    t->timer = loop_timer_new(worker_loop(in->worker), turn, t);
    id_new_random(t->id);
    return t;
}

void
trainer_free(struct trainer *t)
{
    if (!t)
        return;
    loop_timer_free(t->timer);
    cells_training_fini(&t->training);
    free(t);
}

void
trainer_look(struct trainer *t, struct cell_set *set)
{
    struct sizes sizes;
    if ((set->sized && set->inserted < TRAIN_LOOK_EVERY) || embed_dim(t->in->embedder) > 1000 ||
        read_sizes(t, set->workspace, &sizes, NULL) != RC_OK)
        return;
    set->sized = true;
    bool grown = set->n && set->inserted * 100 >= sizes.counted * GROWN_BY;
    if (wants_cells(&sizes, set->n > 0) || grown)
        enqueue(t, set->workspace);
    else if (set->n)
        return; /* goes on counting its inserts */
    set->inserted = 0;
}
