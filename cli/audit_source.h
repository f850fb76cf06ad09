/* SPDX-License-Identifier: MIT */
/*
 * audit_source - the leaves of an audit log in order, from the database or from an export.
 *
 * Shape:   an export is JSON lines: first {"type":"gantry-audit-export","v":1,"checkpoint":note},
 *          then for each leaf {"leaf_index","leaf_hash","event" or null,"proof":[hash…]}
 * Errors:  RC_NOTFOUND the end · RC_DENIED a line or row that cannot be what it should be
 */
#ifndef GANTRY_CLI_AUDIT_SOURCE_H
#define GANTRY_CLI_AUDIT_SOURCE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "crypto/merkle.h"
#include "db/db.h"
#include "json/json.h"

enum audit_column {
    COLUMN_KIND,
    COLUMN_WORKSPACE,
    COLUMN_EVENT_ID,
    COLUMN_TIME,
    COLUMN_RECORDED,
    COLUMN_ACTOR,
    COLUMN_ACTION,
    COLUMN_STATUS,
    COLUMN_COUNT
};

/* Everything is borrowed until the next leaf. */
struct audit_leaf {
    uint64_t index;
    uint8_t hash[HASH_LEN];
    const char *event; /* NULL = pruned */
    size_t len;
    bool has_columns; /* of the database */
    const char *columns[COLUMN_COUNT];
    bool has_proof; /* of an export */
    size_t proof_count;
    uint8_t proof[MERKLE_PROOF_MAX][HASH_LEN];
};

struct audit_source {
    struct db *db;  /* borrowed; NULL for an export */
    FILE *file;     /* borrowed; NULL for the database */
    uint64_t count; /* leaves when it was opened; 0 = unknown (export) */
    char *note;     /* owned: the last stored checkpoint, or that of the export; NULL = none */
    uint64_t next;
    PGresult *rows; /* owned */
    int row;
    uint8_t *bytes; /* owned: the event of the current row */
    char *line;     /* owned */
    size_t line_cap;
    uint64_t line_number;
    struct buf text; /* canonical event of the current line */
};

enum rc audit_source_db(struct audit_source *source, struct db *db, struct err *err);
enum rc audit_source_file(struct audit_source *source, FILE *file, struct err *err);
void audit_source_fini(struct audit_source *source);
#define audit_source_cleanup audit_source_fini /* AUTO(audit_source) */

enum rc audit_source_next(struct audit_source *source, struct audit_leaf *leaf, struct err *err);

#endif
