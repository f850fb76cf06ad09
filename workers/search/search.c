/* SPDX-License-Identifier: MIT */
/*
 * search - memory.search: requests, their vectors, the legs, the answer.
 */
#include "search.h"

#include <math.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "protocol/memory_item.h"
#include "sql_search.h"

#define K_DEFAULT    5
#define HYBRID_DEPTH 60 /* hits of each leg that are fused; more than the largest k */
#define SPARE        5  /* hits beyond k, for rows that are deleted meanwhile */
#define IDS_MAX      (LEG_MAX * ID_TEXT_MAX + 2)
#define TAGS_MAX     16384 /* bytes */

/* The mode's name is checked by the schema. */
static enum mode
read_mode(const cJSON *body)
{
    const char *name = json_string(body, "mode");
    if (name && strcmp(name, "vector") == 0)
        return MODE_VECTOR;
    return name && strcmp(name, "text") == 0 ? MODE_TEXT : MODE_HYBRID;
}

static const char *
mode_name(enum mode mode)
{
    switch (mode) {
    case MODE_HYBRID:
        return "hybrid";
    case MODE_VECTOR:
        return "vector";
    case MODE_TEXT:
        return "text";
    }
    return "";
}

/* Memories are dated in nanoseconds since 1970, which end in 2262: a bound outside is the border. */
static enum rc
read_time(const cJSON *body, const char *name, int64_t *ms)
{
    const char *text = json_string(body, name);
    *ms = -1;
    if (!text)
        return RC_OK;
    enum rc rc = clock_parse_loose(text, ms);
    if (*ms < 0)
        *ms = 0;
    if (*ms > INT64_MAX / 1000000)
        *ms = INT64_MAX / 1000000;
    return rc;
}

static struct request *
read_request(struct call *call)
{
    struct request *r = arena_alloc(call->mem, sizeof(*r));
    const cJSON *tags = json_member(call->body, "tags");
    if (!r)
        return NULL;
    *r = (struct request){ .call = call,
                           .mode = read_mode(call->body),
                           .query = json_string(call->body, "query"),
                           .scope = json_string(call->body, "scope"),
                           .source = json_string(call->body, "source"),
                           .k = json_int(call->body, "k", K_DEFAULT),
                           .min_score = json_number(call->body, "min_score", 0),
                           .has_min_score = json_member(call->body, "min_score") != NULL };
    if (read_time(call->body, "since", &r->since_ms) != RC_OK ||
        read_time(call->body, "until", &r->until_ms) != RC_OK)
        return NULL;
    if (tags && cJSON_GetArraySize(tags) > 0) {
        AUTO(buf) struct buf out = { 0 };
        struct json_writer w;
        buf_init(&out, TAGS_MAX);
        json_begin(&w, &out);
        json_put_doc(&w, NULL, tags);
        if (json_end(&w) == RC_OK)
            r->tags = arena_strndup(call->mem, buf_text(&out), out.len);
        if (!r->tags)
            return NULL;
    }
    return r;
}

static bool
is_zero(const uint8_t *half, size_t len)
{
    for (size_t i = 4; i < len; i += 2)
        if ((half[i] & 0x7F) || half[i + 1])
            return false;
    return true;
}

/* Vectors of all requests that need one: from the cache, the rest in one batch. */
static enum rc
embed_requests(struct search *s, struct request **requests, size_t n, struct err *err)
{
    struct embed_text texts[SEARCH_BATCH_MAX];
    struct request *asked[SEARCH_BATCH_MAX];
    size_t dim = embed_dim(s->embedder), len = EMBED_HALF_BYTES(dim), count = 0;
    struct kv *kv = embed_is_remote(s->embedder) ? worker_kv(s->worker) : NULL;
    for (size_t i = 0; i < n; i++) {
        struct request *r = requests[i];
        const struct querycache_entry entry = { r->call->actor.workspace, embed_model(s->embedder),
                                                r->query };
        if (r->mode == MODE_TEXT)
            continue;
        r->half = arena_alloc(r->call->mem, len);
        r->half_len = len;
        if (!r->half)
            return err_set(err, RC_LIMIT, "no room for a vector");
        if (kv && querycache_get(&s->cache, kv, &entry, r->half, len))
            continue;
        asked[count] = r;
        texts[count++] = (struct embed_text){ r->query, strlen(r->query) };
    }
    AUTO(free) float *vectors = calloc(count * dim + 1, sizeof(*vectors));
    if (!vectors)
        return err_set(err, RC_TEMP, "no memory for vectors");
    enum rc rc = embed_batch(s->embedder, texts, count, vectors, err);
    for (size_t i = 0; rc == RC_OK && i < count; i++) {
        const struct querycache_entry entry = { asked[i]->call->actor.workspace,
                                                embed_model(s->embedder), asked[i]->query };
        (void)embed_to_half(vectors + i * dim, dim, asked[i]->half);
        if (kv)
            querycache_put(&s->cache, kv, &entry, asked[i]->half, len);
    }
    for (size_t i = 0; i < n; i++)
        if (requests[i]->half && is_zero(requests[i]->half, len))
            requests[i]->half = NULL;
    return rc;
}

/* The number is made by the first ingest with this model; until then nothing can be compared. */
static enum rc
know_model(struct search *s, struct err *err)
{
    AUTO(pgresult) PGresult *result = NULL;
    struct db_params p = { 0 };
    if (s->model != 0)
        return RC_OK;
    db_param_text(&p, embed_model(s->embedder));
    enum rc rc = db_query(worker_db(s->worker), NULL, SQL_SEARCH_MODEL, &p, &result, err);
    if (rc == RC_OK && PQntuples(result) > 0)
        s->model = db_int(result, 0, 0, 0);
    return rc;
}

static enum rc
run_legs(struct search *s, const struct request *r, struct leg *hits, struct err *err)
{
    AUTO(free) struct leg *legs = calloc(2, sizeof(*legs));
    size_t wanted = (size_t)r->k + SPARE;
    enum rc rc = RC_OK;
    if (!legs)
        return err_set(err, RC_TEMP, "no memory for hits");
    switch (r->mode) {
    case MODE_VECTOR:
        return legs_run(s, r, wanted, hits, NULL, err);
    case MODE_TEXT:
        return legs_run(s, r, wanted, NULL, hits, err);
    case MODE_HYBRID:
        rc = legs_run(s, r, HYBRID_DEPTH, &legs[0], &legs[1], err);
        if (rc == RC_OK)
            fuse(&legs[0], &legs[1], hits);
        return rc;
    }
    return RC_BUG;
}

static enum rc
read_items(struct search *s, const struct request *r, const struct leg *hits, size_t *index,
           struct err *err)
{
    struct db_params p = { 0 };
    AUTO(buf) struct buf ids = { 0 };
    buf_init(&ids, IDS_MAX);
    buf_putc(&ids, '{');
    for (size_t i = 0; i < hits->n && i < (size_t)r->k + SPARE; i++)
        buf_printf(&ids, "%s%s", i ? "," : "", hits->hits[i].id);
    buf_putc(&ids, '}');
    const char *text = arena_strndup(r->call->mem, buf_text(&ids), ids.len);
    if (!text)
        return err_set(err, RC_LIMIT, "no room for ids");
    db_param_text(&p, r->call->actor.workspace);
    db_param_text(&p, text);
    db_param_int(&p, s->model);
    if (r->half)
        db_param_bytes(&p, r->half, r->half_len);
    else
        db_param_null(&p);
    db_param_text(&p, r->mode == MODE_VECTOR ? NULL : r->query);
    db_param_bool(&p, r->mode == MODE_HYBRID);
    return db_send(worker_db(s->worker), SQL_SEARCH_ITEMS, &p, index, err);
}

static void
put_optional(struct json_writer *w, const char *name, double value)
{
    if (isnan(value))
        json_put_null(w, name);
    else
        json_put_number(w, name, value);
}

/* False when the row scores too low, or when there is no room: the list ends. */
static bool
write_result(struct buf *out, const struct request *r, const PGresult *rows, int row, double fused,
             int64_t rank)
{
    struct json_writer w;
    double distance = db_number(rows, row, 8, (double)NAN);
    double text = db_number(rows, row, 9, (double)NAN);
    double score = r->mode == MODE_HYBRID ? fused : 0;
    if (distance < 0)
        distance = 0; /* rounding */
    text = text / (1 + text);
    if (r->mode == MODE_VECTOR && !isnan(distance))
        score = 1 - distance;
    if (r->mode == MODE_TEXT && !isnan(text))
        score = text;
    if (r->has_min_score && score < r->min_score)
        return false;
    json_begin(&w, out);
    json_object(&w, NULL);
    memory_item_fields(&w, rows, row, 1);
    json_put_int(&w, "rank", rank);
    put_optional(&w, "cosine_distance", distance);
    put_optional(&w, "similarity_score", 1 - distance);
    put_optional(&w, "text_score", text);
    json_put_number(&w, "score", score);
    json_close(&w);
    return json_end(&w) == RC_OK;
}

static int64_t
write_results(struct buf *out, const struct request *r, const PGresult *rows,
              const struct leg *hits)
{
    int64_t rank = 0;
    buf_putc(out, '[');
    for (int row = 0; row < PQntuples(rows) && rank < r->k; row++) {
        AUTO(buf) struct buf one = { 0 };
        size_t place = (size_t)db_int(rows, row, 0, 0);
        buf_init(&one, MEMORY_ANSWER_MAX);
        if (place >= hits->n ||
            !write_result(&one, r, rows, row, hits->hits[place].value, rank + 1) ||
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
answer(struct request *r, const PGresult *rows, const struct leg *hits)
{
    AUTO(buf) struct buf out = { 0 }, results = { 0 };
    struct json_writer w;
    struct err err;
    buf_init(&out, MEMORY_ANSWER_MAX + 1024 * 1024);
    buf_init(&results, MEMORY_ANSWER_MAX);
    int64_t count = write_results(&results, r, rows, hits);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_string(&w, "status", "success");
    json_put_string(&w, "mode", mode_name(r->mode));
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

static enum rc
run(struct search *s, struct request *r, struct leg *hits, size_t *index, struct err *err)
{
    struct db *db = worker_db(s->worker);
    enum rc rc = db_begin(db, r->call->actor.workspace, err);
    if (rc == RC_OK)
        rc = run_legs(s, r, hits, err);
    if (rc == RC_OK)
        rc = read_items(s, r, hits, index, err);
    if (rc == RC_OK)
        return db_commit(db, err);
    db_abort(db);
    return rc;
}

void
search_memories(struct worker *w, struct call **calls, size_t n)
{
    struct search *s = worker_state(w);
    struct request *requests[SEARCH_BATCH_MAX];
    struct err err;
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        calls[i]->audit_target = json_string(calls[i]->body, "scope");
        requests[count] = read_request(calls[i]);
        if (requests[count]) {
            count++;
        } else {
            (void)err_set(&err, RC_LIMIT, "no room for the request");
            call_fail(calls[i], &err);
        }
    }
    enum rc ready = know_model(s, &err);
    if (ready == RC_OK)
        ready = embed_requests(s, requests, count, &err);
    AUTO(free) struct leg *hits = calloc(1, sizeof(*hits));
    for (size_t i = 0; i < count; i++) {
        size_t index = 0;
        enum rc rc = ready;
        if (!hits)
            rc = err_set(&err, RC_TEMP, "no memory for hits");
        if (rc == RC_OK)
            rc = run(s, requests[i], hits, &index, &err);
        if (rc == RC_OK)
            answer(requests[i], db_result(worker_db(w), index), hits);
        else
            call_fail(requests[i]->call, &err);
    }
}

enum rc
search_start(struct worker *w, struct err *err)
{
    struct search *s = calloc(1, sizeof(*s));
    const struct embed_conf *conf = worker_conf(w);
    if (!s)
        return err_set(err, RC_TEMP, "no memory");
    s->worker = w;
    worker_set_state(w, s);
    s->flags = cell_flags_new();
    if (!s->flags)
        return err_set(err, RC_TEMP, "no memory");
    querycache_init(&s->cache, conf->api_key);
    return embed_new(conf, &s->embedder, err);
}

void
search_stop(struct worker *w)
{
    struct search *s = worker_state(w);
    if (!s)
        return;
    embed_free(s->embedder);
    free(s->flags);
    free(s);
}
