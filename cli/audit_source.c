/* SPDX-License-Identifier: MIT */
#include "audit_source.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/id.h"
#include "crypto/crypto_encode.h"
#include "sql_audit_cli.h"

#define PAGE      5000
#define EVENT_MAX (1u << 20) /* bytes */

enum rc
audit_source_db(struct audit_source *source, struct db *db, struct err *err)
{
    AUTO(pgresult) PGresult *row = NULL;
    enum rc rc = db_query(db, NULL, SQL_AUDIT_CLI_HEAD, NULL, &row, err);

    if (rc != RC_OK)
        return rc;
    memset(source, 0, sizeof(*source));
    source->db = db;
    source->count = (uint64_t)db_int(row, 0, 0, 0);
    if (db_text(row, 0, 1) && !(source->note = strdup(db_text(row, 0, 1))))
        return err_set(err, RC_TEMP, "no memory");
    return RC_OK;
}

void
audit_source_fini(struct audit_source *source)
{
    PQclear(source->rows);
    free(source->note);
    free(source->bytes);
    free(source->line);
    buf_fini(&source->text);
    memset(source, 0, sizeof(*source));
}

static enum rc
fetch_page(struct audit_source *source, struct err *err)
{
    struct db_params params = { .count = 0 };

    PQclear(source->rows);
    source->rows = NULL;
    source->row = 0;
    db_param_int(&params, (int64_t)source->next);
    db_param_int(&params, (int64_t)source->count);
    db_param_int(&params, PAGE);
    return db_query(source->db, NULL, SQL_AUDIT_CLI_LEAVES, &params, &source->rows, err);
}

static enum rc
next_row(struct audit_source *source, struct audit_leaf *leaf, struct err *err)
{
    enum rc rc;

    if (!source->rows || source->row == PQntuples(source->rows)) {
        if (source->rows && PQntuples(source->rows) < PAGE)
            return RC_NOTFOUND;
        if ((rc = fetch_page(source, err)) != RC_OK)
            return rc;
        if (PQntuples(source->rows) == 0)
            return RC_NOTFOUND;
    }
    const PGresult *rows = source->rows;
    int row = source->row++;
    const char *hex = db_text(rows, row, 1);
    memset(leaf, 0, offsetof(struct audit_leaf, proof));
    leaf->index = (uint64_t)db_int(rows, row, 0, 0);
    source->next = leaf->index + 1;
    if (!hex || strlen(hex) != 2 * HASH_LEN || hex_decode(hex, 2 * HASH_LEN, leaf->hash) != RC_OK)
        return err_set(err, RC_DENIED, "leaf %" PRIu64 ": its hash is malformed", leaf->index);
    free(source->bytes);
    source->bytes = NULL;
    if (db_text(rows, row, 2)) {
        if ((rc = db_bytes(rows, row, 2, &source->bytes, &leaf->len, err)) != RC_OK)
            return rc;
        leaf->event = (const char *)source->bytes;
    }
    leaf->has_columns = true;
    for (int i = 0; i < COLUMN_COUNT; i++)
        leaf->columns[i] = db_text(rows, row, 3 + i);
    return RC_OK;
}

static enum rc
read_line(struct audit_source *source, cJSON **doc, struct err *err)
{
    ssize_t len = getline(&source->line, &source->line_cap, source->file);

    if (len < 0)
        return ferror(source->file) ? err_set(err, RC_TEMP, "the export cannot be read")
                                    : RC_NOTFOUND;
    source->line_number++;
    if (json_read_canonical(source->line, (size_t)len, doc, err) != RC_OK || !cJSON_IsObject(*doc))
        return err_set(err, RC_DENIED, "line %" PRIu64 " of the export is not one",
                       source->line_number);
    return RC_OK;
}

enum rc
audit_source_file(struct audit_source *source, FILE *file, struct err *err)
{
    AUTO(json) cJSON *doc = NULL;
    enum rc rc;

    memset(source, 0, sizeof(*source));
    source->file = file;
    buf_init(&source->text, EVENT_MAX);
    rc = read_line(source, &doc, err);
    if (rc == RC_TEMP)
        return rc;
    const char *type = rc == RC_OK ? json_string(doc, "type") : NULL;
    const char *note = rc == RC_OK ? json_string(doc, "checkpoint") : NULL;
    if (!type || strcmp(type, "gantry-audit-export") != 0 || json_int(doc, "v", 0) != 1 || !note)
        return err_set(err, RC_DENIED, "the file is not an export of an audit log");
    if (!(source->note = strdup(note)))
        return err_set(err, RC_TEMP, "no memory");
    return RC_OK;
}

static enum rc
read_hash(const cJSON *item, uint8_t out[HASH_LEN])
{
    if (!cJSON_IsString(item) || strlen(item->valuestring) != 2 * HASH_LEN)
        return RC_DENIED;
    return hex_decode(item->valuestring, 2 * HASH_LEN, out);
}

static enum rc
read_proof(const cJSON *list, struct audit_leaf *leaf)
{
    const cJSON *item;

    leaf->has_proof = cJSON_IsArray(list);
    cJSON_ArrayForEach (item, list) {
        if (leaf->proof_count == MERKLE_PROOF_MAX ||
            read_hash(item, leaf->proof[leaf->proof_count++]) != RC_OK)
            return RC_DENIED;
    }
    return RC_OK;
}

static enum rc
next_line(struct audit_source *source, struct audit_leaf *leaf, struct err *err)
{
    AUTO(json) cJSON *doc = NULL;
    enum rc rc = read_line(source, &doc, err);

    if (rc != RC_OK)
        return rc;
    memset(leaf, 0, offsetof(struct audit_leaf, proof));
    int64_t index = json_int(doc, "leaf_index", -1);
    const cJSON *event = json_member(doc, "event");
    leaf->index = (uint64_t)index;
    if (index < 0 || read_hash(json_member(doc, "leaf_hash"), leaf->hash) != RC_OK ||
        read_proof(json_member(doc, "proof"), leaf) != RC_OK || !event)
        return err_set(err, RC_DENIED, "line %" PRIu64 " of the export holds no leaf",
                       source->line_number);
    if (!cJSON_IsNull(event)) {
        buf_reset(&source->text);
        if (json_canonical(event, NULL, &source->text) != RC_OK)
            return err_set(err, RC_DENIED, "leaf %" PRIu64 ": the event is too large", leaf->index);
        leaf->event = buf_text(&source->text);
        leaf->len = source->text.len;
    }
    return RC_OK;
}

enum rc
audit_source_next(struct audit_source *source, struct audit_leaf *leaf, struct err *err)
{
    return source->db ? next_row(source, leaf, err) : next_line(source, leaf, err);
}
