/* SPDX-License-Identifier: MIT */
/*
 * db_value - parameters into statements, columns out of results.
 */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/id.h"
#include "crypto/crypto_encode.h"
#include "db/db.h"
#include "db/db_own.h"

static int
next(struct db_params *p)
{
    assert(p->count < DB_PARAMS_MAX);
    int i = p->count++;
    p->values[i] = NULL;
    p->lengths[i] = 0;
    p->formats[i] = 0;
    return i;
}

void
db_param_null(struct db_params *p)
{
    (void)next(p);
}

void
db_param_text(struct db_params *p, const char *text)
{
    p->values[next(p)] = text;
}

void
db_param_int(struct db_params *p, int64_t value)
{
    int i = next(p);
    (void)snprintf(p->text[i], sizeof(p->text[i]), "%lld", (long long)value);
    p->values[i] = p->text[i];
}

void
db_param_bool(struct db_params *p, bool value)
{
    p->values[next(p)] = value ? "t" : "f";
}

/* 17 digits bring every double back exactly. */
void
db_param_number(struct db_params *p, double value)
{
    int i = next(p);
    (void)snprintf(p->text[i], sizeof(p->text[i]), "%.17g", value);
    p->values[i] = p->text[i];
}

void
db_param_time(struct db_params *p, int64_t wall_ms)
{
    db_param_int(p, wall_ms);
}

void
db_param_bytes(struct db_params *p, const void *bytes, size_t len)
{
    assert(len <= INT_MAX);
    int i = next(p);
    p->values[i] = bytes ? (const char *)bytes : "";
    p->lengths[i] = (int)len;
    p->formats[i] = 1;
}

const char *
db_text(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) ? NULL : PQgetvalue(result, row, column);
}

int64_t
db_int(const PGresult *result, int row, int column, int64_t fallback)
{
    const char *text = db_text(result, row, column);
    if (!text)
        return fallback;
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    return errno || end == text || *end ? fallback : value;
}

bool
db_bool(const PGresult *result, int row, int column)
{
    const char *text = db_text(result, row, column);
    return text && text[0] == 't';
}

double
db_number(const PGresult *result, int row, int column, double fallback)
{
    const char *text = db_text(result, row, column);
    if (!text)
        return fallback;
    char *end = NULL;
    double value = strtod(text, &end);
    return end == text || *end ? fallback : value;
}

int64_t
db_binary_int(const PGresult *result, int row, int column, int64_t fallback)
{
    size_t len = 0;
    const uint8_t *bytes = db_binary(result, row, column, &len);
    uint64_t value = bytes && len > 0 && bytes[0] & 0x80 ? UINT64_MAX : 0;
    if (!bytes || (len != 2 && len != 4 && len != 8))
        return fallback;
    for (size_t i = 0; i < len; i++)
        value = value << 8 | bytes[i];
    return (int64_t)value;
}

const uint8_t *
db_binary(const PGresult *result, int row, int column, size_t *len)
{
    if (PQgetisnull(result, row, column))
        return NULL;
    *len = (size_t)PQgetlength(result, row, column);
    return (const uint8_t *)PQgetvalue(result, row, column);
}

enum rc
db_bytes(const PGresult *result, int row, int column, uint8_t **bytes, size_t *len, struct err *err)
{
    const char *text = db_text(result, row, column);
    if (!text)
        return err_set(err, RC_NOTFOUND, "the column is null");
    size_t digits = strlen(text);
    if (digits < 2 || digits % 2 != 0 || text[0] != '\\' || text[1] != 'x')
        return err_set(err, RC_BUG, "the column is not a bytea in hex format");
    AUTO(free) uint8_t *out = malloc(digits / 2);
    if (!out)
        return err_set(err, RC_TEMP, "no memory for a column");
    if (hex_decode(text + 2, digits - 2, out) != RC_OK)
        return err_set(err, RC_BUG, "the column is not a bytea in hex format");
    *len = digits / 2 - 1;
    *bytes = TAKE(out);
    return RC_OK;
}

enum rc
db_password_verifier(struct db *db, const char *role, const char *password, char **out,
                     struct err *err)
{
    char *text = PQencryptPasswordConn(db->conn, password, role, "scram-sha-256");
    if (!text)
        return err_set(err, RC_TEMP, "no verifier for the password");
    *out = strdup(text);
    PQfreemem(text);
    return *out ? RC_OK : err_set(err, RC_TEMP, "no memory for a verifier");
}
