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
#include "requests/dbstep.h"
#include "requests/handlers.h"
#include "sql_gateway.h"

#define DAY_MS          86400000LL
#define OVERLAP_SECONDS 86400 /* the old key's life after a rotation */
#define ATTEMPTS_MAX    50
#define NAME_BYTES      257
#define LIST_BYTES_MAX  (1u << 20)

struct key_change {
    struct dbwork work; /* first: the thread gives it back */
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
id_of_attempt(const struct key_change *change, int64_t attempt, char id[KEY_ID_LEN + 1])
{
    static const char DIGITS[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    static const uint8_t LABEL[CRYPTO_KEY_LEN] = "gantry key id of an attempt";
    uint8_t hash[CRYPTO_HASH_LEN];
    char text[ID_TEXT_MAX + 24];
    int len = snprintf(text, sizeof(text), "%s.%lld", change->command_id, (long long)attempt);
    crypto_keyed_hash(LABEL, text, (size_t)len, hash);
    for (unsigned i = 0; i < KEY_ID_LEN; i++)
        id[i] = DIGITS[hash[i] % 62];
    id[KEY_ID_LEN] = '\0';
}

static enum rc
make_key(struct key_change *change, char hash[CRYPTO_PWHASH_MAX], struct err *err)
{
    struct apikey key;
    id_of_attempt(change, change->attempt, change->new_id);
    apikey_new_with_id(change->new_id, &key, change->text);
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
revoke_one(struct key_change *change, struct db *db, const char *key_id, bool *found,
           struct err *err)
{
    AUTO(pgresult) PGresult *result = NULL;
    struct db_params params = { 0 };
    db_param_text(&params, key_id);
    enum rc rc = db_query(db, change->workspace, SQL_GATEWAY_KEY_REVOKE, &params, &result, err);
    if (rc == RC_OK && found)
        *found = db_bool(result, 0, 0);
    return rc;
}

/* A key without an owner that should have one is never shown. */
static enum rc
own(const struct key_change *change, struct db *db, struct err *err)
{
    AUTO(pgresult) PGresult *result = NULL;
    struct db_params params = { 0 };
    db_param_text(&params, change->new_id);
    db_param_text(&params, change->owner);
    return db_query(db, change->workspace, SQL_GATEWAY_KEY_OWN, &params, &result, err);
}

static enum rc
run_create(struct dbwork *base, struct db *db, struct err *err)
{
    struct key_change *change = (struct key_change *)base;
    AUTO(pgresult) PGresult *result = NULL;
    struct db_params params = { 0 };
    char hash[CRYPTO_PWHASH_MAX];
    char scopes[256];
    char before[KEY_ID_LEN + 1];
    enum rc rc = RC_OK;
    for (int64_t a = 1; a < change->attempt && a < ATTEMPTS_MAX && rc == RC_OK; a++) {
        id_of_attempt(change, a, before);
        rc = revoke_one(change, db, before, NULL, err);
    }
    if (rc == RC_OK)
        rc = make_key(change, hash, err);
    if (rc != RC_OK)
        return rc;
    scope_array(change->role, scopes);
    db_param_text(&params, change->new_id);
    db_param_text(&params, role_name(change->role));
    db_param_text(&params, scopes);
    db_param_text(&params, change->name);
    db_param_text(&params, hash);
    if (change->expires_ms)
        db_param_int(&params, change->expires_ms);
    else
        db_param_null(&params);
    change->found = true;
    rc = db_query(db, change->workspace, SQL_GATEWAY_KEY_CREATE, &params, &result, err);
    return rc == RC_OK && change->owner[0] ? own(change, db, err) : rc;
}

static enum rc
rotate_one(struct key_change *change, struct db *db, const char *from, const char *hash,
           int64_t overlap_seconds, struct err *err)
{
    AUTO(pgresult) PGresult *result = NULL;
    struct db_params params = { 0 };
    db_param_text(&params, from);
    db_param_text(&params, change->new_id);
    db_param_text(&params, hash);
    db_param_int(&params, overlap_seconds);
    enum rc rc = db_query(db, change->workspace, SQL_GATEWAY_KEY_ROTATE, &params, &result, err);
    if (rc != RC_OK)
        return rc;
    change->found = PQntuples(result) == 1;
    if (!change->found)
        return RC_OK;
    const char *name = db_text(result, 0, 1);
    (void)snprintf(change->name, sizeof(change->name), "%s", name ? name : "");
    change->expires_ms = db_int(result, 0, 2, 0);
    change->previous_until_ms = db_int(result, 0, 3, 0);
    return role_parse(db_text(result, 0, 0), &change->role);
}

static enum rc
read_previous(struct key_change *change, struct db *db, struct err *err)
{
    AUTO(pgresult) PGresult *result = NULL;
    struct db_params params = { 0 };
    db_param_text(&params, change->key_id);
    enum rc rc = db_query(db, NULL, SQL_GATEWAY_KEY_LOOKUP, &params, &result, err);
    if (rc == RC_OK && PQntuples(result) == 1)
        change->previous_until_ms = db_int(result, 0, 3, 0);
    return rc;
}

static enum rc
run_rotate(struct dbwork *base, struct db *db, struct err *err)
{
    struct key_change *change = (struct key_change *)base;
    char hash[CRYPTO_PWHASH_MAX];
    char before[KEY_ID_LEN + 1];
    enum rc rc = make_key(change, hash, err);
    for (int64_t a = change->attempt - 1; a >= 1 && rc == RC_OK && !change->found; a--) {
        id_of_attempt(change, a, before);
        rc = rotate_one(change, db, before, hash, 0, err);
        if (rc == RC_OK && change->found)
            return read_previous(change, db, err);
    }
    if (rc == RC_OK)
        rc = rotate_one(change, db, change->key_id, hash, OVERLAP_SECONDS, err);
    return rc;
}

static enum rc
run_revoke(struct dbwork *base, struct db *db, struct err *err)
{
    struct key_change *change = (struct key_change *)base;
    return revoke_one(change, db, change->key_id, &change->found, err);
}

static enum rc
run_list(struct dbwork *base, struct db *db, struct err *err)
{
    struct key_change *change = (struct key_change *)base;
    AUTO(pgresult) PGresult *result = NULL;
    struct db_params params = { 0 };
    struct json_writer w;
    db_param_text(&params, change->workspace);
    enum rc rc = db_query(db, change->workspace, SQL_GATEWAY_KEY_LIST, &params, &result, err);
    if (rc != RC_OK)
        return rc;
    change->found = true;
    json_begin(&w, &change->list);
    json_object(&w, NULL);
    json_array(&w, "items");
    for (int i = 0; i < PQntuples(result); i++) {
        json_object(&w, NULL);
        json_put_string(&w, "key_id", db_text(result, i, 0));
        json_put_string(&w, "role", db_text(result, i, 1));
        json_put_string(&w, "name", db_text(result, i, 2));
        if (db_text(result, i, 8))
            json_put_string(&w, "owner", db_text(result, i, 8));
        json_put_time_or_null(&w, "created_at", db_int(result, i, 3, 0));
        json_put_time_or_null(&w, "expires_at", db_int(result, i, 4, 0));
        json_put_time_or_null(&w, "revoked_at", db_int(result, i, 5, 0));
        json_put_time_or_null(&w, "last_used_at", db_int(result, i, 6, 0));
        json_close(&w);
    }
    json_close(&w);
    json_close(&w);
    return json_end(&w);
}

/* --- the loop's thread ------------------------------------------------------------------------ */

static void
free_change(struct key_change *change)
{
    crypto_wipe(change->text, sizeof(change->text));
    buf_fini(&change->list);
    free(change);
}

static enum step
answer_new_key(struct request *r, const struct key_change *change)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    buf_init(&out, 2048);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_string(&w, "key", change->text);
    json_put_string(&w, "key_id", change->new_id);
    json_put_string(&w, "role", role_name(change->role));
    if (change->name[0])
        json_put_string(&w, "name", change->name);
    json_put_time_or_null(&w, "expires_at", change->expires_ms);
    if (change->previous_until_ms)
        json_put_time(&w, "previous_valid_until", change->previous_until_ms);
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
    struct key_change *change = arg;
    struct request *r = change->r;
    enum step step;
    dbstep_end(r);
    if (change->work.rc != RC_OK) {
        step = dbstep_failed(r, &change->work, "the keys could not be changed");
    } else if (!change->found) {
        step = answer_problem(
            r, PROBLEM_NOT_FOUND,
            "there is no valid key with this id: it never existed, is revoked, or has expired");
    } else if (change->list.len) {
        step = answer_object(r, 200, change->list.data, change->list.len);
    } else if (r->route->success == 204) {
        keys_forget(r->gw->keys, change->key_id);
        step = answer_empty(r, 204);
    } else {
        step = answer_new_key(r, change);
    }
    free_change(change);
    request_continue(r, step);
}

static enum step
start(struct request *r, enum rc (*run)(struct dbwork *, struct db *, struct err *),
      struct key_change *change)
{
    if (!change)
        return answer_problem(r, PROBLEM_UNAVAILABLE, "no memory for a change of keys: ask again");
    change->work.run = run;
    change->work.done = on_done;
    enum step step = dbstep_begin(r, &change->work, "changes of keys");
    if (step != STEP_WAIT)
        free_change(change);
    return step;
}

static struct key_change *
new_change(struct request *r)
{
    struct key_change *change = calloc(1, sizeof(*change));
    if (!change)
        return NULL;
    change->r = r;
    change->attempt = r->idem.attempt;
    buf_init(&change->list, LIST_BYTES_MAX);
    memcpy(change->workspace, r->actor.workspace, sizeof(change->workspace));
    memcpy(change->command_id, r->id, sizeof(change->command_id));
    if (r->route->n_params)
        memcpy(change->key_id, r->match.params[0], sizeof(change->key_id));
    return change;
}

enum step
key_create(struct request *r)
{
    struct key_change *change = new_change(r);
    const char *name = json_string(r->doc, "name");
    int64_t days = json_int(r->doc, "expires_in_days", 0);
    if (!change)
        return start(r, run_create, NULL);
    if (role_parse(json_string(r->doc, "role"), &change->role) !=
        RC_OK) { /* the schema knows them */
        free_change(change);
        return answer_problem(r, PROBLEM_INTERNAL, "the schema let an unknown role pass");
    }
    (void)snprintf(change->name, sizeof(change->name), "%s", name ? name : "");
    const char *owner = json_string(r->doc, "owner");
    (void)snprintf(change->owner, sizeof(change->owner), "%s", owner ? owner : "");
    change->expires_ms = days ? clock_wall_ms() + days * DAY_MS : 0;
    return start(r, run_create, change);
}

enum step
key_list(struct request *r)
{
    return start(r, run_list, new_change(r));
}

enum step
key_rotate(struct request *r)
{
    return start(r, run_rotate, new_change(r));
}

enum step
key_revoke(struct request *r)
{
    return start(r, run_revoke, new_change(r));
}
