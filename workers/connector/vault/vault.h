/* SPDX-License-Identifier: MIT */
/*
 * vault - secrets of workspaces in PostgreSQL, sealed for their workspace, name and version; and the access
 * tokens that were had for them.
 *
 * Secrecy: XChaCha20-Poly1305 under SECRET_KEY; SECRET_KEY_PREVIOUS opens what it sealed until
 *          vault_rotate() has sealed it anew. What is opened is the caller's to wipe.
 *          The version is a number that each sealing takes and that never comes again
 *          (sql/migrations/0162_secret_version_only.sql): an older box is not the secret of now.
 * Errors:  RC_NOTFOUND there is none · RC_TEMP PostgreSQL is unavailable · RC_CONFIG neither key opens it
 * Threads: the loop's thread
 */
#ifndef GANTRY_CONNECTOR_VAULT_VAULT_H
#define GANTRY_CONNECTOR_VAULT_VAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/rc.h"
#include "crypto/crypto.h"
#include "db/db.h"
#include "json/json.h"

#define SECRET_NAME_MAX  64 /* bytes with the NUL */
#define SECRET_VALUE_MAX 16384
#define VAULT_KEY_NAME   8 /* bytes that name a key */
#define TOKEN_LEASE_S    60

struct vault {
    struct db *db; /* borrowed */
    uint8_t key[CRYPTO_KEY_LEN], before[CRYPTO_KEY_LEN];
    uint8_t key_name[VAULT_KEY_NAME], before_name[VAULT_KEY_NAME];
    bool has_before;
    unsigned resealed; /* since somebody set it to 0 */
};

void vault_init(struct vault *vault, struct db *db, const uint8_t key[CRYPTO_KEY_LEN],
                const uint8_t *before /* NULL = none */);
void vault_fini(struct vault *vault);

/* The place that a box is sealed for. */
struct vault_place {
    const char *what, *workspace, *name;
    int64_t version; /* 0: a box of the form before, which has none */
};
#define VAULT_SECRET "secret"

/* The box of a value for its place, and back. Pure; what vault_put() stores. */
void vault_seal(const struct vault *vault, const struct vault_place *place, const void *value,
                size_t len, struct buf *out);
enum rc vault_open(const struct vault *vault, const struct vault_place *place,
                   const uint8_t key_name[VAULT_KEY_NAME], const void *sealed, size_t len,
                   struct buf *out);
/* The version for the next boxes: one for all that a transaction stores. */
enum rc vault_version(struct vault *vault, int64_t *version, struct err *err);
/* The parameters of SQL_CONNECTOR_SECRET_PUT; sealed holds what they point to. */
void vault_params(const struct vault *vault, const struct vault_place *place, const char *value,
                  struct buf *sealed, struct db_params *params);

/* What may be shown of one: {"name","version","created_at","updated_at"} members of the open object. */
enum rc vault_put(struct vault *vault, const char *workspace, const char *name, const char *value,
                  struct json_writer *w, struct err *err);
enum rc vault_show(struct vault *vault, const char *workspace, const char *name,
                   struct json_writer *w, struct err *err);
/* Objects in the open array; *count of them. */
enum rc vault_list(struct vault *vault, const char *workspace, struct json_writer *w,
                   int64_t *count, struct err *err);
enum rc vault_delete(struct vault *vault, const char *workspace, const char *name, struct err *err);

/* One that is used. value and token: buf_wipe(). */
struct vault_secret {
    int64_t version, seal_version;
    char row[24];            /* which state of the row this is */
    struct buf value, token; /* token empty: there is none that is valid */
};
void vault_secret_fini(struct vault_secret *secret);
enum rc vault_use(struct vault *vault, const char *workspace, const char *name,
                  struct vault_secret *out, struct err *err);
/* *mine: the caller is to get a new token, and gives it to vault_token_put(), or vault_token_drop(). */
enum rc vault_token_lease(struct vault *vault, const char *workspace, const char *name, bool *mine,
                          struct err *err);
/* had: what the token was had with. value: the secret as it is from now on, for services that change a refresh
 * token; NULL = as it was. */
enum rc vault_token_put(struct vault *vault, const char *workspace, const char *name,
                        const struct vault_secret *had, const char *token, int64_t valid_s,
                        const char *value, struct err *err);
/* token: what the service does not accept any more; NULL: none was had. */
enum rc vault_token_drop(struct vault *vault, const char *workspace, const char *name,
                         const char *token, struct err *err);

/* Seals up to max secrets anew that another key has sealed, or this one without a version; *left: there may be
 * more. *closed: how many neither key opens, which are left as they are; of the call before, 0 for the first.
 * Counts in vault->resealed. */
enum rc vault_rotate(struct vault *vault, unsigned max, unsigned *closed, bool *left,
                     struct err *err);

#endif
