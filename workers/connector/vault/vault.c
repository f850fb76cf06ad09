/* SPDX-License-Identifier: MIT */
#include "vault/vault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/id.h"
#include "base/log.h"
#include "sql_connector.h"

#define PLACE_MAX (SECRET_NAME_MAX + WORKSPACE_TEXT_MAX + 32)
#define SECRET    "secret"
#define TOKEN     "token"

static void
name_key(const uint8_t key[CRYPTO_KEY_LEN], uint8_t out[VAULT_KEY_NAME])
{
    uint8_t hash[CRYPTO_KEY_LEN];
    crypto_subkey(key, "name of a SECRET_KEY", hash);
    memcpy(out, hash, VAULT_KEY_NAME);
}

void
vault_init(struct vault *vault, struct db *db, const uint8_t key[CRYPTO_KEY_LEN],
           const uint8_t *before)
{
    *vault = (struct vault){ .db = db, .has_before = before != NULL };
    memcpy(vault->key, key, CRYPTO_KEY_LEN);
    name_key(key, vault->key_name);
    if (before) {
        memcpy(vault->before, before, CRYPTO_KEY_LEN);
        name_key(before, vault->before_name);
    }
}

void
vault_fini(struct vault *vault)
{
    crypto_wipe(vault, sizeof(*vault));
}

/* --- boxes ------------------------------------------------------------------------------------------------ */

/* No workspace and no name holds a blank. */
static void
place_of(const char *what, const char *workspace, const char *name, char out[PLACE_MAX])
{
    (void)snprintf(out, PLACE_MAX, "%s %s %s", what, workspace, name);
}

void
vault_seal(const struct vault *vault, const char *what, const char *workspace, const char *name,
           const void *value, size_t len, struct buf *out)
{
    char place[PLACE_MAX];
    size_t sealed_len = len + CRYPTO_SEAL_EXTRA;
    AUTO(free) uint8_t *sealed = malloc(sealed_len);
    if (!sealed)
        log_no_memory("a secret");
    place_of(what, workspace, name, place);
    crypto_seal(vault->key, place, value, len, sealed);
    buf_init(out, sealed_len);
    buf_add(out, sealed, sealed_len);
}

enum rc
vault_open(const struct vault *vault, const char *what, const char *workspace, const char *name,
           const uint8_t key_name[VAULT_KEY_NAME], const void *sealed, size_t len, struct buf *out)
{
    const uint8_t *key = NULL;
    char place[PLACE_MAX];
    if (memcmp(key_name, vault->key_name, VAULT_KEY_NAME) == 0)
        key = vault->key;
    else if (vault->has_before && memcmp(key_name, vault->before_name, VAULT_KEY_NAME) == 0)
        key = vault->before;
    if (!key || len < CRYPTO_SEAL_EXTRA)
        return RC_CONFIG;
    size_t clear_len = len - CRYPTO_SEAL_EXTRA;
    AUTO(free) uint8_t *clear = malloc(clear_len + 1);
    if (!clear)
        log_no_memory("a secret");
    place_of(what, workspace, name, place);
    enum rc rc = crypto_open(key, place, sealed, len, clear);
    if (rc == RC_OK) {
        buf_init(out, clear_len + 1);
        buf_add(out, clear, clear_len);
    }
    crypto_wipe(clear, clear_len);
    return rc == RC_OK ? RC_OK : RC_CONFIG;
}

/* --- rows ------------------------------------------------------------------------------------------------- */

static enum rc
ask(struct vault *vault, const char *workspace, unsigned statement, struct db_params *params,
    PGresult **rows, struct err *err)
{
    return db_query(vault->db, workspace, statement, params, rows, err);
}

static void
name_params(struct db_params *params, const char *workspace, const char *name)
{
    *params = (struct db_params){ 0 };
    db_param_text(params, workspace);
    db_param_text(params, name);
}

static void
put_row(const PGresult *rows, int row, int column, const char *name, struct json_writer *w)
{
    json_put_string(w, "name", name);
    json_put_int(w, "version", db_int(rows, row, column, 0));
    json_put_time(w, "created_at", db_int(rows, row, column + 1, 0));
    json_put_time(w, "updated_at", db_int(rows, row, column + 2, 0));
}

static enum rc
none(const char *name, struct err *err)
{
    return err_set(err, RC_NOTFOUND, "there is no secret '%.63s'", name);
}

enum rc
vault_put(struct vault *vault, const char *workspace, const char *name, const char *value,
          size_t len, struct json_writer *w, struct err *err)
{
    AUTO(pgresult) PGresult *rows = NULL;
    AUTO(buf) struct buf sealed = { 0 };
    struct db_params params;
    vault_seal(vault, SECRET, workspace, name, value, len, &sealed);
    name_params(&params, workspace, name);
    db_param_bytes(&params, vault->key_name, VAULT_KEY_NAME);
    db_param_bytes(&params, sealed.data, sealed.len);
    enum rc rc = ask(vault, workspace, SQL_CONNECTOR_SECRET_PUT, &params, &rows, err);
    if (rc == RC_OK)
        put_row(rows, 0, 0, name, w);
    return rc;
}

enum rc
vault_show(struct vault *vault, const char *workspace, const char *name, struct json_writer *w,
           struct err *err)
{
    AUTO(pgresult) PGresult *rows = NULL;
    struct db_params params;
    name_params(&params, workspace, name);
    enum rc rc = ask(vault, workspace, SQL_CONNECTOR_SECRET_SHOW, &params, &rows, err);
    if (rc == RC_OK && PQntuples(rows) == 0)
        return none(name, err);
    if (rc == RC_OK)
        put_row(rows, 0, 1, name, w);
    return rc;
}

enum rc
vault_list(struct vault *vault, const char *workspace, struct json_writer *w, int64_t *count,
           struct err *err)
{
    AUTO(pgresult) PGresult *rows = NULL;
    struct db_params params = { 0 };
    db_param_text(&params, workspace);
    enum rc rc = ask(vault, workspace, SQL_CONNECTOR_SECRET_LIST, &params, &rows, err);
    if (rc != RC_OK)
        return rc;
    *count = PQntuples(rows);
    for (int row = 0; row < PQntuples(rows); row++) {
        json_object(w, NULL);
        put_row(rows, row, 1, db_text(rows, row, 0), w);
        json_close(w);
    }
    return RC_OK;
}

enum rc
vault_delete(struct vault *vault, const char *workspace, const char *name, struct err *err)
{
    AUTO(pgresult) PGresult *rows = NULL;
    struct db_params params;
    name_params(&params, workspace, name);
    enum rc rc = ask(vault, workspace, SQL_CONNECTOR_SECRET_DELETE, &params, &rows, err);
    return rc == RC_OK && PQntuples(rows) == 0 ? none(name, err) : rc;
}

/* --- using ------------------------------------------------------------------------------------------------ */

void
vault_secret_fini(struct vault_secret *secret)
{
    buf_wipe(&secret->value);
    buf_wipe(&secret->token);
    *secret = (struct vault_secret){ 0 };
}

static enum rc
open_column(const struct vault *vault, const char *what, const char *workspace, const char *name,
            const PGresult *rows, int column, struct buf *out, struct err *err)
{
    AUTO(free) uint8_t *key_name = NULL;
    AUTO(free) uint8_t *sealed = NULL;
    size_t key_len = 0, len = 0;
    enum rc rc = db_bytes(rows, 0, 1, &key_name, &key_len, err);
    if (rc == RC_OK)
        rc = db_bytes(rows, 0, column, &sealed, &len, err);
    if (rc == RC_OK &&
        (key_len != VAULT_KEY_NAME ||
         vault_open(vault, what, workspace, name, key_name, sealed, len, out) != RC_OK))
        rc = err_set(err, RC_CONFIG,
                     "the secret '%.63s' cannot be opened (was SECRET_KEY changed?)", name);
    return rc;
}

enum rc
vault_use(struct vault *vault, const char *workspace, const char *name, struct vault_secret *out,
          struct err *err)
{
    AUTO(pgresult) PGresult *rows = NULL;
    struct vault_secret secret = { 0 };
    struct db_params params;
    name_params(&params, workspace, name);
    enum rc rc = ask(vault, workspace, SQL_CONNECTOR_SECRET_USE, &params, &rows, err);
    if (rc != RC_OK)
        return rc;
    if (PQntuples(rows) == 0)
        return none(name, err);
    secret.version = db_int(rows, 0, 0, 0);
    const char *row = db_text(rows, 0, 4);
    (void)snprintf(secret.row, sizeof(secret.row), "%s", row ? row : "");
    rc = open_column(vault, SECRET, workspace, name, rows, 2, &secret.value, err);
    /* A token that cannot be opened is none: another is had. */
    if (rc == RC_OK && db_text(rows, 0, 3) &&
        open_column(vault, TOKEN, workspace, name, rows, 3, &secret.token, NULL) != RC_OK)
        buf_wipe(&secret.token);
    if (rc == RC_OK)
        *out = secret;
    else
        vault_secret_fini(&secret);
    return rc;
}

enum rc
vault_token_lease(struct vault *vault, const char *workspace, const char *name, bool *mine,
                  struct err *err)
{
    AUTO(pgresult) PGresult *rows = NULL;
    struct db_params params;
    name_params(&params, workspace, name);
    db_param_int(&params, TOKEN_LEASE_S);
    enum rc rc = ask(vault, workspace, SQL_CONNECTOR_TOKEN_LEASE, &params, &rows, err);
    if (rc == RC_OK)
        *mine = PQntuples(rows) == 1;
    return rc;
}

enum rc
vault_token_put(struct vault *vault, const char *workspace, const char *name, int64_t version,
                const char *token, int64_t valid_s, const char *value, struct err *err)
{
    AUTO(pgresult) PGresult *rows = NULL;
    AUTO(buf) struct buf sealed = { 0 };
    AUTO(buf) struct buf secret = { 0 };
    struct db_params params;
    name_params(&params, workspace, name);
    db_param_int(&params, version);
    vault_seal(vault, TOKEN, workspace, name, token, strlen(token), &sealed);
    db_param_bytes(&params, sealed.data, sealed.len);
    db_param_int(&params, valid_s);
    if (value) {
        vault_seal(vault, SECRET, workspace, name, value, strlen(value), &secret);
        db_param_bytes(&params, secret.data, secret.len);
    } else {
        db_param_null(&params);
    }
    db_param_bytes(&params, vault->key_name, VAULT_KEY_NAME);
    return ask(vault, workspace, SQL_CONNECTOR_TOKEN_PUT, &params, &rows, err);
}

enum rc
vault_token_drop(struct vault *vault, const char *workspace, const char *name, const char *token,
                 struct err *err)
{
    AUTO(pgresult) PGresult *rows = NULL;
    AUTO(pgresult) PGresult *dropped = NULL;
    AUTO(free) uint8_t *sealed = NULL;
    AUTO(buf) struct buf now = { 0 };
    struct db_params params;
    size_t len = 0;
    name_params(&params, workspace, name);
    enum rc rc = ask(vault, workspace, SQL_CONNECTOR_SECRET_USE, &params, &rows, err);
    if (rc != RC_OK || PQntuples(rows) == 0)
        return rc;
    bool same = token && db_text(rows, 0, 3) &&
                open_column(vault, TOKEN, workspace, name, rows, 3, &now, NULL) == RC_OK &&
                strcmp(buf_text(&now), token) == 0;
    crypto_wipe(now.data, now.len);
    if (token && !same) /* somebody has another by now */
        return RC_OK;
    name_params(&params, workspace, name);
    if (same && db_bytes(rows, 0, 3, &sealed, &len, NULL) == RC_OK)
        db_param_bytes(&params, sealed, len);
    else
        db_param_null(&params);
    return ask(vault, workspace, SQL_CONNECTOR_TOKEN_DROP, &params, &dropped, err);
}

/* --- another key -------------------------------------------------------------------------------------------- */

/* *left: it was changed meanwhile, perhaps by a program that has the key before as its own. */
static enum rc
reseal(struct vault *vault, const char *workspace, const char *name, bool *left, struct err *err)
{
    AUTO(pgresult) PGresult *rows = NULL;
    AUTO(buf) struct buf sealed = { 0 };
    struct vault_secret secret = { 0 };
    struct db_params params;
    enum rc rc = vault_use(vault, workspace, name, &secret, err);
    if (rc != RC_OK)
        return rc == RC_NOTFOUND ? RC_OK : rc;
    vault_seal(vault, SECRET, workspace, name, buf_text(&secret.value), secret.value.len, &sealed);
    name_params(&params, workspace, name);
    db_param_int(&params, secret.version);
    db_param_bytes(&params, vault->key_name, VAULT_KEY_NAME);
    db_param_bytes(&params, sealed.data, sealed.len);
    db_param_text(&params, secret.row);
    rc = ask(vault, workspace, SQL_CONNECTOR_RESEAL, &params, &rows, err);
    *left = *left || (rc == RC_OK && PQntuples(rows) == 0);
    vault_secret_fini(&secret);
    return rc;
}

enum rc
vault_rotate(struct vault *vault, unsigned max, unsigned *closed, bool *left, struct err *err)
{
    AUTO(pgresult) PGresult *rows = NULL;
    struct db_params params = { 0 };
    unsigned asked = max + *closed; /* those come again, first or between others */
    *closed = 0;
    *left = false;
    db_param_bytes(&params, vault->key_name, VAULT_KEY_NAME);
    db_param_int(&params, asked);
    enum rc rc = ask(vault, NULL, SQL_CONNECTOR_STALE, &params, &rows, err);
    for (int row = 0; rc == RC_OK && row < PQntuples(rows); row++) {
        rc = reseal(vault, db_text(rows, row, 0), db_text(rows, row, 1), left, err);
        if (rc != RC_CONFIG)
            continue;
        ++*closed;
        rc = RC_OK;
    }
    if (rc == RC_OK)
        *left = *left || (unsigned)PQntuples(rows) == asked;
    return rc;
}
