/* SPDX-License-Identifier: MIT */
#include "vault/vault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/id.h"
#include "base/log.h"
#include "sql_connector.h"

#define PLACE_MAX (SECRET_NAME_MAX + WORKSPACE_TEXT_MAX + 64)
#define SECRET    VAULT_SECRET
#define TOKEN     "token"

enum column { COL_VERSION, COL_KEY, COL_SEALED, COL_TOKEN, COL_ROW, COL_SEAL_VERSION };

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
write_place(const struct vault_place *place, char out[PLACE_MAX])
{
    char version[24] = "";
    if (place->version)
        (void)snprintf(version, sizeof(version), " %lld", (long long)place->version);
    (void)snprintf(out, PLACE_MAX, "%s %s %s%s", place->what, place->workspace, place->name,
                   version);
}

void
vault_seal(const struct vault *vault, const struct vault_place *place, const void *value,
           size_t len, struct buf *out)
{
    char context[PLACE_MAX];
    size_t sealed_len = len + CRYPTO_SEAL_EXTRA;
    AUTO(free) uint8_t *sealed = malloc(sealed_len);
    if (!sealed)
        log_no_memory("a secret");
    write_place(place, context);
    crypto_seal(vault->key, context, value, len, sealed);
    buf_init(out, sealed_len);
    buf_add(out, sealed, sealed_len);
}

enum rc
vault_open(const struct vault *vault, const struct vault_place *place,
           const uint8_t key_name[VAULT_KEY_NAME], const void *sealed, size_t len, struct buf *out)
{
    const uint8_t *key = NULL;
    char context[PLACE_MAX];
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
    write_place(place, context);
    enum rc rc = crypto_open(key, context, sealed, len, clear);
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

enum rc
vault_version(struct vault *vault, int64_t *version, struct err *err)
{
    AUTO(pgresult) PGresult *rows = NULL;
    struct db_params params = { 0 };
    enum rc rc = ask(vault, NULL, SQL_CONNECTOR_SEAL_VERSION, &params, &rows, err);
    if (rc == RC_OK)
        *version = db_int(rows, 0, 0, 0);
    return rc;
}

void
vault_params(const struct vault *vault, const struct vault_place *place, const char *value,
             struct buf *sealed, struct db_params *params)
{
    vault_seal(vault, place, value, strlen(value), sealed);
    name_params(params, place->workspace, place->name);
    db_param_bytes(params, vault->key_name, VAULT_KEY_NAME);
    db_param_bytes(params, sealed->data, sealed->len);
    db_param_int(params, place->version);
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
    return err_set(err, RC_NOTFOUND,
                   "this workspace has no secret '%.63s': GET /secrets lists its names", name);
}

enum rc
vault_put(struct vault *vault, const char *workspace, const char *name, const char *value,
          struct json_writer *w, struct err *err)
{
    AUTO(pgresult) PGresult *rows = NULL;
    AUTO(buf) struct buf sealed = { 0 };
    struct vault_place place = { .what = SECRET, .workspace = workspace, .name = name };
    struct db_params params;
    enum rc rc = vault_version(vault, &place.version, err);
    if (rc != RC_OK)
        return rc;
    vault_params(vault, &place, value, &sealed, &params);
    rc = ask(vault, workspace, SQL_CONNECTOR_SECRET_PUT, &params, &rows, err);
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
open_column(const struct vault *vault, const struct vault_place *place, const PGresult *rows,
            enum column column, struct buf *out, struct err *err)
{
    AUTO(free) uint8_t *key_name = NULL;
    AUTO(free) uint8_t *sealed = NULL;
    size_t key_len = 0, len = 0;
    enum rc rc = db_bytes(rows, 0, COL_KEY, &key_name, &key_len, err);
    if (rc == RC_OK)
        rc = db_bytes(rows, 0, (int)column, &sealed, &len, err);
    if (rc == RC_OK && (key_len != VAULT_KEY_NAME ||
                        vault_open(vault, place, key_name, sealed, len, out) != RC_OK))
        rc = err_set(err, RC_CONFIG,
                     "the secret '%.63s' cannot be opened (was SECRET_KEY changed, or an older "
                     "value put back?): set it anew",
                     place->name);
    return rc;
}

/* A token that cannot be opened is none: another is had. */
static void
open_token(const struct vault *vault, const struct vault_place *secret, const PGresult *rows,
           struct buf *out)
{
    struct vault_place place = *secret;
    place.what = TOKEN;
    if (db_text(rows, 0, COL_TOKEN) &&
        open_column(vault, &place, rows, COL_TOKEN, out, NULL) != RC_OK)
        buf_wipe(out);
}

static struct vault_place
place_of(const PGresult *rows, const char *workspace, const char *name)
{
    return (struct vault_place){ .what = SECRET,
                                 .workspace = workspace,
                                 .name = name,
                                 .version = db_int(rows, 0, COL_SEAL_VERSION, 0) };
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
    const struct vault_place place = place_of(rows, workspace, name);
    const char *row = db_text(rows, 0, COL_ROW);
    secret.version = db_int(rows, 0, COL_VERSION, 0);
    secret.seal_version = place.version;
    (void)snprintf(secret.row, sizeof(secret.row), "%s", row ? row : "");
    rc = open_column(vault, &place, rows, COL_SEALED, &secret.value, err);
    if (rc == RC_OK) {
        open_token(vault, &place, rows, &secret.token);
        *out = secret;
    } else {
        vault_secret_fini(&secret);
    }
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
vault_token_put(struct vault *vault, const char *workspace, const char *name,
                const struct vault_secret *had, const char *token, int64_t valid_s,
                const char *value, struct err *err)
{
    AUTO(pgresult) PGresult *rows = NULL;
    AUTO(buf) struct buf sealed = { 0 };
    AUTO(buf) struct buf secret = { 0 };
    struct vault_place place = {
        .what = TOKEN, .workspace = workspace, .name = name, .version = had->seal_version
    };
    struct db_params params;
    enum rc rc = value ? vault_version(vault, &place.version, err) : RC_OK;
    if (rc != RC_OK)
        return rc;
    name_params(&params, workspace, name);
    db_param_int(&params, had->version);
    vault_seal(vault, &place, token, strlen(token), &sealed);
    db_param_bytes(&params, sealed.data, sealed.len);
    db_param_int(&params, valid_s);
    if (value) {
        place.what = SECRET;
        vault_seal(vault, &place, value, strlen(value), &secret);
        db_param_bytes(&params, secret.data, secret.len);
    } else {
        db_param_null(&params);
    }
    db_param_bytes(&params, vault->key_name, VAULT_KEY_NAME);
    db_param_int(&params, place.version);
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
    const struct vault_place place = place_of(rows, workspace, name);
    open_token(vault, &place, rows, &now);
    bool same = token && now.len > 0 && strcmp(buf_text(&now), token) == 0;
    crypto_wipe(now.data, now.len);
    if (token && !same) /* somebody has another by now */
        return RC_OK;
    name_params(&params, workspace, name);
    if (same && db_bytes(rows, 0, COL_TOKEN, &sealed, &len, NULL) == RC_OK)
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
    struct vault_place place = { .what = SECRET, .workspace = workspace, .name = name };
    struct vault_secret secret = { 0 };
    struct db_params params;
    enum rc rc = vault_use(vault, workspace, name, &secret, err);
    if (rc != RC_OK)
        return rc == RC_NOTFOUND ? RC_OK : rc;
    rc = vault_version(vault, &place.version, err);
    if (rc == RC_OK) {
        vault_seal(vault, &place, buf_text(&secret.value), secret.value.len, &sealed);
        name_params(&params, workspace, name);
        db_param_int(&params, secret.version);
        db_param_bytes(&params, vault->key_name, VAULT_KEY_NAME);
        db_param_bytes(&params, sealed.data, sealed.len);
        db_param_text(&params, secret.row);
        db_param_int(&params, place.version);
        rc = ask(vault, workspace, SQL_CONNECTOR_RESEAL, &params, &rows, err);
    }
    bool done = rc == RC_OK && PQntuples(rows) == 1;
    *left = *left || (rc == RC_OK && !done);
    vault->resealed += done;
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
