/* SPDX-License-Identifier: MIT */
/*
 * The routes under /keys. The work is done on the database thread (dbwork.h), through the functions
 * that confine it to the caller's workspace.
 *
 * With an idempotency key the new key's id follows from the command id and the attempt, so that a
 * retry after a crash finds what the attempts before it left behind: a key whose secret nobody has
 * seen. It is revoked (create) or rotated on at once (rotate), and one new key lives on.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "crypto/crypto.h"
#include "gateway.h"
#include "keys/dbwork.h"
#include "keys/keys.h"
#include "protocol/apikey.h"
#include "requests/answer.h"
#include "requests/checks.h"
#include "requests/handlers.h"
#include "sql_gateway.h"

#define DAY_MS          86400000LL
#define OVERLAP_SECONDS 86400 /* the old key's life after a rotation */
#define ATTEMPTS_MAX    50
#define NAME_BYTES      257
#define LIST_BYTES_MAX  (1u << 20)

struct key_job {
    struct dbwork job; /* first: the thread gives it back */
    struct request *r;
    char workspace[WORKSPACE_TEXT_MAX];
    char key_id[KEY_ID_LEN + 1]; /* of the path */
    char command_id[ID_TEXT_MAX];
    int64_t attempt;
    enum role role;
    char name[NAME_BYTES], owner[NAME_BYTES];
    int64_t expires_ms; /* 0 = never */
    int64_t previous_until_ms;
    char text[APIKEY_LEN + 1]; /* the new key; wiped */
    char new_id[KEY_ID_LEN + 1];
    bool found;
    struct buf list;
};

/* --- the database thread ---------------------------------------------------------------------- */

/* The key id of an attempt: from the command id, so that a later attempt finds it. */
static void
id_of_attempt(const struct key_job *job, int64_t attempt, char id[KEY_ID_LEN + 1])
{
    static const char DIGITS[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    static const uint8_t LABEL[CRYPTO_KEY_LEN] = "gantry key id of an attempt";
    uint8_t hash[CRYPTO_HASH_LEN];
    char text[ID_TEXT_MAX + 24];
    int len = snprintf(text, sizeof(text), "%s.%lld", job->command_id, (long long)attempt);
    crypto_keyed_hash(LABEL, text, (size_t)len, hash);
    for (unsigned i = 0; i < KEY_ID_LEN; i++)
        id[i] = DIGITS[hash[i] % 62];
    id[KEY_ID_LEN] = '\0';
}

static enum rc
make_key(struct key_job *job, char hash[CRYPTO_PWHASH_MAX], struct err *err)
{
    struct apikey key;
    id_of_attempt(job, job->attempt, job->new_id);
    apikey_new_with_id(job->new_id, &key, job->text);
    enum rc rc = crypto_password_hash(key.secret, APIKEY_SECRET_LEN, hash, err);
    apikey_wipe(&key);
    return rc;
}

static void
scope_array(enum role role, char text[256])
{
    size_t len = 0;
    uint32_t scopes = role_scopes(role);
    text[len++] = '{';
    for (unsigned s = 0; s < SCOPE_COUNT; s++)
        if (scopes & 1u << s)
            len += (size_t)snprintf(text + len, 256 - len, "%s%s", len > 1 ? "," : "",
                                    scope_name((enum scope)s));
    (void)snprintf(text + len, 256 - len, "}");
}

static enum rc
revoke_one(struct key_job *job, struct db *db, const char *key_id, bool *found, struct err *err)
{
    AUTO(pgresult) PGresult *result = NULL;
    struct db_params params = { 0 };
    db_param_text(&params, key_id);
    enum rc rc = db_query(db, job->workspace, SQL_GATEWAY_KEY_REVOKE, &params, &result, err);
    if (rc == RC_OK && found)
        *found = db_bool(result, 0, 0);
    return rc;
}

/* A key without an owner that should have one is never shown. */
static enum rc
own(const struct key_job *job, struct db *db, struct err *err)
{
    AUTO(pgresult) PGresult *result = NULL;
    struct db_params params = { 0 };
    db_param_text(&params, job->new_id);
    db_param_text(&params, job->owner);
    return db_query(db, job->workspace, SQL_GATEWAY_KEY_OWN, &params, &result, err);
}

static enum rc
run_create(struct dbwork *base, struct db *db, struct err *err)
{
    struct key_job *job = (struct key_job *)base;
    AUTO(pgresult) PGresult *result = NULL;
    struct db_params params = { 0 };
    char hash[CRYPTO_PWHASH_MAX];
    char scopes[256];
    char before[KEY_ID_LEN + 1];
    enum rc rc = RC_OK;
    for (int64_t a = 1; a < job->attempt && a < ATTEMPTS_MAX && rc == RC_OK; a++) {
        id_of_attempt(job, a, before);
        rc = revoke_one(job, db, before, NULL, err);
    }
    if (rc == RC_OK)
        rc = make_key(job, hash, err);
    if (rc != RC_OK)
        return rc;
    scope_array(job->role, scopes);
    db_param_text(&params, job->new_id);
    db_param_text(&params, role_name(job->role));
    db_param_text(&params, scopes);
    db_param_text(&params, job->name);
    db_param_text(&params, hash);
    if (job->expires_ms)
        db_param_int(&params, job->expires_ms);
    else
        db_param_null(&params);
    job->found = true;
    rc = db_query(db, job->workspace, SQL_GATEWAY_KEY_CREATE, &params, &result, err);
    return rc == RC_OK && job->owner[0] ? own(job, db, err) : rc;
}

static enum rc
rotate_one(struct key_job *job, struct db *db, const char *from, const char *hash,
           int64_t overlap_seconds, struct err *err)
{
    AUTO(pgresult) PGresult *result = NULL;
    struct db_params params = { 0 };
    db_param_text(&params, from);
    db_param_text(&params, job->new_id);
    db_param_text(&params, hash);
    db_param_int(&params, overlap_seconds);
    enum rc rc = db_query(db, job->workspace, SQL_GATEWAY_KEY_ROTATE, &params, &result, err);
    if (rc != RC_OK)
        return rc;
    job->found = PQntuples(result) == 1;
    if (!job->found)
        return RC_OK;
    const char *name = db_text(result, 0, 1);
    (void)snprintf(job->name, sizeof(job->name), "%s", name ? name : "");
    job->expires_ms = db_int(result, 0, 2, 0);
    job->previous_until_ms = db_int(result, 0, 3, 0);
    return role_parse(db_text(result, 0, 0), &job->role);
}

static enum rc
read_previous(struct key_job *job, struct db *db, struct err *err)
{
    AUTO(pgresult) PGresult *result = NULL;
    struct db_params params = { 0 };
    db_param_text(&params, job->key_id);
    enum rc rc = db_query(db, NULL, SQL_GATEWAY_KEY_LOOKUP, &params, &result, err);
    if (rc == RC_OK && PQntuples(result) == 1)
        job->previous_until_ms = db_int(result, 0, 3, 0);
    return rc;
}

static enum rc
run_rotate(struct dbwork *base, struct db *db, struct err *err)
{
    struct key_job *job = (struct key_job *)base;
    char hash[CRYPTO_PWHASH_MAX];
    char before[KEY_ID_LEN + 1];
    enum rc rc = make_key(job, hash, err);
    for (int64_t a = job->attempt - 1; a >= 1 && rc == RC_OK && !job->found; a--) {
        id_of_attempt(job, a, before);
        rc = rotate_one(job, db, before, hash, 0, err);
        if (rc == RC_OK && job->found)
            return read_previous(job, db, err);
    }
    if (rc == RC_OK)
        rc = rotate_one(job, db, job->key_id, hash, OVERLAP_SECONDS, err);
    return rc;
}

static enum rc
run_revoke(struct dbwork *base, struct db *db, struct err *err)
{
    struct key_job *job = (struct key_job *)base;
    return revoke_one(job, db, job->key_id, &job->found, err);
}

static void
put_time(struct json_writer *w, const char *name, int64_t ms)
{
    if (ms)
        json_put_time(w, name, ms);
    else
        json_put_null(w, name);
}

static enum rc
run_list(struct dbwork *base, struct db *db, struct err *err)
{
    struct key_job *job = (struct key_job *)base;
    AUTO(pgresult) PGresult *result = NULL;
    struct db_params params = { 0 };
    struct json_writer w;
    db_param_text(&params, job->workspace);
    enum rc rc = db_query(db, job->workspace, SQL_GATEWAY_KEY_LIST, &params, &result, err);
    if (rc != RC_OK)
        return rc;
    job->found = true;
    json_begin(&w, &job->list);
    json_object(&w, NULL);
    json_array(&w, "items");
    for (int i = 0; i < PQntuples(result); i++) {
        json_object(&w, NULL);
        json_put_string(&w, "key_id", db_text(result, i, 0));
        json_put_string(&w, "role", db_text(result, i, 1));
        json_put_string(&w, "name", db_text(result, i, 2));
        if (db_text(result, i, 8))
            json_put_string(&w, "owner", db_text(result, i, 8));
        put_time(&w, "created_at", db_int(result, i, 3, 0));
        put_time(&w, "expires_at", db_int(result, i, 4, 0));
        put_time(&w, "revoked_at", db_int(result, i, 5, 0));
        put_time(&w, "last_used_at", db_int(result, i, 6, 0));
        json_close(&w);
    }
    json_close(&w);
    json_close(&w);
    return json_end(&w);
}

/* --- the loop's thread ------------------------------------------------------------------------ */

static void
free_job(struct key_job *job)
{
    crypto_wipe(job->text, sizeof(job->text));
    buf_fini(&job->list);
    free(job);
}

static enum step
answer_new_key(struct request *r, const struct key_job *job)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    buf_init(&out, 2048);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_string(&w, "key", job->text);
    json_put_string(&w, "key_id", job->new_id);
    json_put_string(&w, "role", role_name(job->role));
    if (job->name[0])
        json_put_string(&w, "name", job->name);
    put_time(&w, "expires_at", job->expires_ms);
    if (job->previous_until_ms)
        json_put_time(&w, "previous_valid_until", job->previous_until_ms);
    json_close(&w);
    if (json_end(&w) != RC_OK)
        return answer_problem(r, PROBLEM_INTERNAL, "the answer is malformed");
    enum step step = answer_object(r, r->route->success, buf_text(&out), out.len);
    crypto_wipe(out.data, out.len);
    return step;
}

static void
on_done(void *arg)
{
    struct key_job *job = arg;
    struct request *r = job->r;
    enum step step;
    if (job->job.rc == RC_TEMP) {
        answer_header(r, "Retry-After", "2");
        step = answer_problem(r, PROBLEM_UNAVAILABLE, "PostgreSQL is unavailable");
    } else if (job->job.rc != RC_OK) {
        step = answer_problem(r, PROBLEM_INTERNAL, "the keys could not be changed");
    } else if (!job->found) {
        step = answer_problem(
            r, PROBLEM_NOT_FOUND,
            "there is no valid key with this id: it never existed, is revoked, or has expired");
    } else if (job->list.len) {
        step = answer_object(r, 200, job->list.data, job->list.len);
    } else if (r->route->success == 204) {
        keys_forget(r->gw->keys, job->key_id);
        step = answer_empty(r, 204);
    } else {
        step = answer_new_key(r, job);
    }
    if (r->load)
        r->load->changes--;
    free_job(job);
    request_continue(r, step);
}

static enum step
start(struct request *r, enum rc (*run)(struct dbwork *, struct db *, struct err *),
      struct key_job *job)
{
    if (!job)
        return answer_problem(r, PROBLEM_UNAVAILABLE, "no memory for a change of keys: ask again");
    job->job.run = run;
    job->job.done = on_done;
    bool room = !r->load || r->load->changes < DBJOBS_SHARE;
    if (room && dbworker_add(r->gw->dbworker, &job->job)) {
        if (r->load)
            r->load->changes++;
        return STEP_WAIT;
    }
    free_job(job);
    full_note(r->gw, room ? FULL_ALL_KEY_CHANGES : FULL_KEY_CHANGES, r->actor.workspace);
    answer_header(r, "Retry-After", "1");
    return answer_problem(r, PROBLEM_UNAVAILABLE, "too many changes of keys at once: ask again");
}

static struct key_job *
new_job(struct request *r)
{
    struct key_job *job = calloc(1, sizeof(*job));
    if (!job)
        return NULL;
    job->r = r;
    job->attempt = r->idem.attempt;
    buf_init(&job->list, LIST_BYTES_MAX);
    memcpy(job->workspace, r->actor.workspace, sizeof(job->workspace));
    memcpy(job->command_id, r->id, sizeof(job->command_id));
    if (r->route->n_params)
        memcpy(job->key_id, r->match.params[0], sizeof(job->key_id));
    return job;
}

enum step
key_create(struct request *r)
{
    struct key_job *job = new_job(r);
    const char *name = json_string(r->doc, "name");
    int64_t days = json_int(r->doc, "expires_in_days", 0);
    if (!job)
        return start(r, run_create, NULL);
    if (role_parse(json_string(r->doc, "role"), &job->role) != RC_OK) { /* the schema knows them */
        free_job(job);
        return answer_problem(r, PROBLEM_INTERNAL, "the schema let an unknown role pass");
    }
    (void)snprintf(job->name, sizeof(job->name), "%s", name ? name : "");
    const char *owner = json_string(r->doc, "owner");
    (void)snprintf(job->owner, sizeof(job->owner), "%s", owner ? owner : "");
    job->expires_ms = days ? clock_wall_ms() + days * DAY_MS : 0;
    return start(r, run_create, job);
}

enum step
key_list(struct request *r)
{
    return start(r, run_list, new_job(r));
}

enum step
key_rotate(struct request *r)
{
    return start(r, run_rotate, new_job(r));
}

enum step
key_revoke(struct request *r)
{
    return start(r, run_revoke, new_job(r));
}
