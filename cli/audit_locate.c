/* SPDX-License-Identifier: MIT */
/*
 * The tiles are a second copy of the leaf hashes. If they (with the log's own hashes for the last,
 * partial tile) hash to a root that was signed, they are what was signed, and the first hash in the
 * log that differs from them is the first leaf that was changed.
 */
#include <stdlib.h>
#include <string.h>

#include "audit_verify.h"
#include "base/cleanup.h"
#include "base/id.h"
#include "crypto/crypto_encode.h"
#include "sql_audit_cli.h"

#define TILES_AT_ONCE 64

struct locate {
    struct merkle_tree tree;
    bool found;
    uint64_t index;
};

static enum rc
query(struct db *db, unsigned statement, uint64_t from, int64_t below, int64_t at_most,
      PGresult **out, struct err *err)
{
    struct db_params params = { .count = 0 };

    db_param_int(&params, (int64_t)from);
    if (below >= 0)
        db_param_int(&params, below);
    db_param_int(&params, at_most);
    return db_query(db, NULL, statement, &params, out, err);
}

/* One stored leaf hash, and the one that the log has now; either may be missing (NULL). */
static enum rc
compare(struct locate *locate, const char *signed_hex, const char *log_hex)
{
    uint8_t hash[HASH_LEN];

    if (!signed_hex || hex_decode(signed_hex, 2 * HASH_LEN, hash) != RC_OK)
        return RC_NOTFOUND;
    if (!locate->found && (!log_hex || strncmp(signed_hex, log_hex, 2 * HASH_LEN) != 0)) {
        locate->found = true;
        locate->index = locate->tree.size;
    }
    merkle_append(&locate->tree, hash, NULL, NULL);
    return RC_OK;
}

/* The log's hash of leaf index among rows that are in order; NULL when it is not there. */
static const char *
log_hash(const PGresult *rows, int *row, uint64_t index)
{
    while (*row < PQntuples(rows) && (uint64_t)db_int(rows, *row, 0, 0) < index)
        (*row)++;
    if (*row == PQntuples(rows) || (uint64_t)db_int(rows, *row, 0, 0) != index)
        return NULL;
    const char *hex = db_text(rows, *row, 1);
    return hex && strlen(hex) == 2 * HASH_LEN ? hex : NULL;
}

static enum rc
compare_tiles(struct db *db, struct locate *locate, uint64_t tiles, struct err *err)
{
    AUTO(pgresult) PGresult *stored = NULL;
    AUTO(pgresult) PGresult *rows = NULL;
    uint64_t first = locate->tree.size / MERKLE_TILE_WIDTH;
    int64_t count = (int64_t)(tiles - first < TILES_AT_ONCE ? tiles - first : TILES_AT_ONCE);
    int64_t leaves = count * MERKLE_TILE_WIDTH;
    int row = 0;
    enum rc rc;

    if ((rc = query(db, SQL_AUDIT_CLI_TILES, first, -1, count, &stored, err)) != RC_OK ||
        (rc = query(db, SQL_AUDIT_CLI_HASHES, locate->tree.size,
                    (int64_t)locate->tree.size + leaves, leaves, &rows, err)) != RC_OK)
        return rc;
    if (PQntuples(stored) != count)
        return RC_NOTFOUND;
    for (int i = 0; i < count; i++) {
        const char *hex = db_text(stored, i, 1);
        if ((uint64_t)db_int(stored, i, 0, 0) != first + (uint64_t)i || !hex ||
            strlen(hex) != 2 * HASH_LEN * MERKLE_TILE_WIDTH)
            return RC_NOTFOUND;
        for (size_t j = 0; j < MERKLE_TILE_WIDTH; j++)
            if (compare(locate, hex + j * 2 * HASH_LEN, log_hash(rows, &row, locate->tree.size)) !=
                RC_OK)
                return RC_NOTFOUND;
    }
    return RC_OK;
}

enum rc
audit_locate(struct db *db, const struct merkle_head *head, uint64_t *index, struct err *err)
{
    AUTO(free) struct locate *locate = calloc(1, sizeof(*locate));
    AUTO(pgresult) PGresult *rows = NULL;
    uint64_t tiles = head->size / MERKLE_TILE_WIDTH;
    uint8_t root[HASH_LEN];
    int row = 0;
    enum rc rc;

    if (!locate)
        return err_set(err, RC_TEMP, "no memory");
    while (locate->tree.size / MERKLE_TILE_WIDTH < tiles)
        if ((rc = compare_tiles(db, locate, tiles, err)) != RC_OK)
            return rc;
    if ((rc = query(db, SQL_AUDIT_CLI_HASHES, locate->tree.size, (int64_t)head->size,
                    MERKLE_TILE_WIDTH, &rows, err)) != RC_OK)
        return rc;
    while (locate->tree.size < head->size) {
        const char *hex = log_hash(rows, &row, locate->tree.size);
        if (compare(locate, hex, hex) != RC_OK)
            return RC_NOTFOUND;
    }
    merkle_root(&locate->tree, root);
    if (!hash_equal(root, head->root) || !locate->found)
        return RC_NOTFOUND;
    *index = locate->index;
    return RC_OK;
}
