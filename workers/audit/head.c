/* SPDX-License-Identifier: MIT */
#include "head.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "crypto/crypto_encode.h"
#include "db/column.h"
#include "sql_audit.h"

#define ARRAY_MAX 16384 /* bytes: a proof needs at most MERKLE_NODES_MAX tiles */

/* Row of statement head: the checkpoint, which must be ours. */
static enum rc
read_head(const struct audit *audit, const PGresult *row, struct merkle_head *head, char *note,
          struct err *err)
{
    const char *text = db_text(row, 0, 1);
    int64_t size = db_int(row, 0, 0, -1);

    if (!text)
        return RC_NOTFOUND;
    if (strlen(text) >= NOTE_TEXT_MAX ||
        note_open(&audit->key, text, strlen(text), head, err) != RC_OK)
        return err_wrap(err, "the last stored checkpoint (size %" PRId64 ")", size);
    if (head->size != (uint64_t)size)
        return err_set(err, RC_CONFIG,
                       "the checkpoint stored for size %" PRId64 " was signed for size %" PRIu64,
                       size, head->size);
    if (note)
        memcpy(note, text, strlen(text) + 1);
    return RC_OK;
}

enum rc
head_read(const struct audit *audit, struct db *db, struct merkle_head *head, char *note,
          struct err *err)
{
    AUTO(pgresult) PGresult *row = NULL;
    enum rc rc = db_query(db, NULL, SQL_AUDIT_HEAD, NULL, &row, err);

    if (rc == RC_NOTFOUND) /* the statement failed: that is not an empty log */
        return err->rc = RC_BUG;
    return rc == RC_OK ? read_head(audit, row, head, note, err) : rc;
}

static enum rc
read_tile(const PGresult *result, int row, struct head_tile *tile, struct err *err)
{
    const char *hex = db_text(result, row, 1);
    size_t len = hex ? strlen(hex) : 0;

    if (len % (2 * HASH_LEN) != 0 || len > 2 * HASH_LEN * MERKLE_TILE_WIDTH ||
        (len > 0 && hex_decode(hex, len, tile->hashes[0]) != RC_OK))
        return err_set(err, RC_CONFIG, "tile %" PRIu64 " of level %u is not one", tile->index,
                       tile->level);
    tile->count = (unsigned)(len / (2 * HASH_LEN));
    return RC_OK;
}

enum rc
head_tiles(struct db *db, bool in_group, struct head_tile *tiles, size_t n, struct err *err)
{
    AUTO(buf) struct buf levels = { 0 };
    AUTO(buf) struct buf indexes = { 0 };
    AUTO(pgresult) PGresult *own = NULL;
    struct db_params params = { .count = 0 };
    const PGresult *result;
    size_t at;
    enum rc rc;

    column_begin(&levels, COLUMN_INT2, ARRAY_MAX);
    column_begin(&indexes, COLUMN_INT8, ARRAY_MAX);
    for (size_t i = 0; i < n; i++) {
        column_int(&levels, tiles[i].level);
        column_int(&indexes, (int64_t)tiles[i].index);
    }
    column_param(&params, &levels);
    column_param(&params, &indexes);
    if (in_group) {
        if ((rc = db_send(db, SQL_AUDIT_TILE_HASHES, &params, &at, err)) != RC_OK ||
            (rc = db_sync(db, err)) != RC_OK)
            return rc;
        result = db_result(db, at);
    } else {
        if ((rc = db_query(db, NULL, SQL_AUDIT_TILE_HASHES, &params, &own, err)) != RC_OK)
            return rc;
        result = own;
    }
    if ((size_t)PQntuples(result) != n)
        return err_set(err, RC_BUG, "tiles are missing in the answer");
    for (size_t i = 0; i < n; i++)
        if ((rc = read_tile(result, (int)i, &tiles[i], err)) != RC_OK)
            return rc;
    return RC_OK;
}

/* Put the right edge together from what is stored, and compare it with the signed root. */
static enum rc
load_tree(struct audit *audit, struct db *db, const struct merkle_head *head, struct err *err)
{
    AUTO(free) struct merkle_tile *edge = calloc(MERKLE_TILE_LEVELS, sizeof(*edge));
    struct head_tile tiles[MERKLE_TILE_LEVELS];
    uint8_t root[HASH_LEN];
    size_t n = 0;
    enum rc rc;

    if (!edge)
        return err_set(err, RC_TEMP, "no memory");
    for (unsigned i = 0; i < MERKLE_TILE_LEVELS; i++)
        if ((head->size >> (i * MERKLE_TILE_HEIGHT)) % MERKLE_TILE_WIDTH != 0)
            tiles[n++] = (struct head_tile){
                .level = i,
                .index = head->size >> ((i + 1) * MERKLE_TILE_HEIGHT),
                .hashes = edge[i].hashes,
            };
    if ((rc = head_tiles(db, true, tiles, n, err)) != RC_OK)
        return rc;
    for (size_t i = 0; i < n; i++)
        edge[tiles[i].level].count = tiles[i].count;
    if (merkle_restore(&audit->next, head->size, edge) != RC_OK)
        return err_set(err, RC_CONFIG,
                       "the stored tree has not the %" PRIu64 " leaves of its last checkpoint",
                       head->size);
    merkle_root(&audit->next, root);
    if (!hash_equal(root, head->root))
        return err_set(err, RC_CONFIG,
                       "the stored tree of %" PRIu64 " leaves is not the one that was signed",
                       head->size);
    audit->tree = audit->next;
    audit->signed_head = *head;
    audit->signed_note[0] = '\0'; /* whoever signed it */
    audit->loaded = true;
    return RC_OK;
}

enum rc
head_check(struct audit *audit, struct db *db, int64_t *last_ms, struct err *err)
{
    struct merkle_head head = { .size = 0 };
    size_t at;
    enum rc rc;

    if ((rc = db_send(db, SQL_AUDIT_LOCK, NULL, NULL, err)) != RC_OK ||
        (rc = db_send(db, SQL_AUDIT_HEAD, NULL, &at, err)) != RC_OK ||
        (rc = db_sync(db, err)) != RC_OK)
        return rc;
    const PGresult *row = db_result(db, at);
    int64_t leaves = db_int(row, 0, 2, 0);
    *last_ms = db_int(row, 0, 3, 0);

    rc = read_head(audit, row, &head, NULL, err);
    if (rc != RC_OK && rc != RC_NOTFOUND) /* whatever it is, it was not there when we signed */
        return err->rc = RC_CONFIG;
    if ((uint64_t)leaves != head.size)
        return err_set(err, RC_CONFIG,
                       "the log ends at %" PRId64 " leaves, but %" PRIu64 " were signed last",
                       leaves, head.size);
    if (!audit->loaded && head.size == 0) {
        merkle_init(&audit->tree);
        audit->loaded = true;
        return RC_OK;
    }
    if (audit->loaded && head.size < audit->tree.size)
        return err_set(err, RC_CONFIG,
                       "the log ends at %" PRIu64 " leaves, but we have signed %" PRIu64, head.size,
                       audit->tree.size);
    if (audit->loaded && head.size == audit->tree.size) {
        if (head.size > 0 && !hash_equal(head.root, audit->signed_head.root))
            return err_set(err, RC_CONFIG,
                           "another tree of %" PRIu64 " leaves was signed than ours", head.size);
        return RC_OK;
    }
    return load_tree(audit, db, &head, err); /* we have just started, or a replica was faster */
}

enum rc
head_continue(const struct audit *audit, struct db *db, int64_t recorded_ms, struct err *err)
{
    struct db_params params = { .count = 0 };
    enum rc rc = db_send(db, SQL_AUDIT_LOCK, NULL, NULL, err);

    db_param_int(&params, (int64_t)audit->tree.size);
    db_param_text(&params, audit->signed_note);
    db_param_int(&params, recorded_ms);
    return rc == RC_OK ? db_send(db, SQL_AUDIT_CONTINUE, &params, NULL, err) : rc;
}
