/* SPDX-License-Identifier: MIT */
#include "audit_export.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/id.h"
#include "crypto/crypto_encode.h"
#include "sql_audit_cli.h"

#define PAGE          20000
#define LINE_MAX      (1u << 20) /* bytes */
#define PROGRESS_MASK 0x3ff

/* All nodes of a tree: level 0 the leaves, each level half as many, odd ones at the end left out. */
struct nodes {
    uint64_t size;
    uint8_t (*levels[MERKLE_LEVELS])[HASH_LEN]; /* owned */
};

static void
nodes_cleanup(struct nodes *nodes)
{
    for (size_t i = 0; i < MERKLE_LEVELS; i++)
        free(nodes->levels[i]);
}

static enum rc
read_leaves(struct db *db, struct nodes *nodes, struct err *err)
{
    uint64_t at = 0;
    enum rc rc;

    while (at < nodes->size) {
        AUTO(pgresult) PGresult *rows = NULL;
        struct db_params params = { .count = 0 };
        uint64_t from = at;
        db_param_int(&params, (int64_t)at);
        db_param_int(&params, (int64_t)nodes->size);
        db_param_int(&params, PAGE);
        if ((rc = db_query(db, NULL, SQL_AUDIT_CLI_HASHES, &params, &rows, err)) != RC_OK)
            return rc;
        for (int row = 0; row < PQntuples(rows); row++, at++) {
            const char *hex = db_text(rows, row, 1);
            if ((uint64_t)db_int(rows, row, 0, 0) != at || !hex || strlen(hex) != 2 * HASH_LEN ||
                hex_decode(hex, 2 * HASH_LEN, nodes->levels[0][at]) != RC_OK)
                break;
        }
        if (PQntuples(rows) == 0 || at != from + (uint64_t)PQntuples(rows))
            return err_set(err, RC_DENIED, "leaf %" PRIu64 ": it is missing", at);
    }
    return RC_OK;
}

static enum rc
make_nodes(struct db *db, uint64_t size, struct nodes *nodes, struct err *err)
{
    enum rc rc;

    nodes->size = size;
    for (size_t level = 0; size >> level > 0; level++) {
        nodes->levels[level] = calloc(size >> level, HASH_LEN);
        if (!nodes->levels[level])
            return err_set(err, RC_TEMP, "no memory for %" PRIu64 " leaves", size);
    }
    if ((rc = read_leaves(db, nodes, err)) != RC_OK)
        return rc;
    for (size_t level = 1; size >> level > 0; level++)
        for (uint64_t i = 0; i < size >> level; i++)
            merkle_node(nodes->levels[level - 1][2 * i], nodes->levels[level - 1][2 * i + 1],
                        nodes->levels[level][i]);
    return RC_OK;
}

static void
fold(const struct nodes *nodes, const struct merkle_plan *plan, uint8_t (*proof)[HASH_LEN])
{
    uint8_t hashes[MERKLE_NODES_MAX][HASH_LEN];

    for (size_t i = 0; i < plan->node_count; i++)
        memcpy(hashes[i], nodes->levels[plan->nodes[i].level][plan->nodes[i].index], HASH_LEN);
    merkle_fold(plan, hashes, proof);
}

static enum rc
check_root(const struct nodes *nodes, const struct merkle_head *head, struct err *err)
{
    struct merkle_plan plan;
    uint8_t root[MERKLE_PROOF_MAX][HASH_LEN];

    if (merkle_plan_root(nodes->size, &plan) != RC_OK)
        return err_set(err, RC_BUG, "a log of no size");
    fold(nodes, &plan, root);
    if (!hash_equal(root[0], head->root))
        return err_set(err, RC_DENIED,
                       "the log is not what its checkpoint of size %" PRIu64
                       " covers: nothing is exported (see gantry audit verify)",
                       head->size);
    return RC_OK;
}

static enum rc
write_line(FILE *out, struct json_writer *w, struct buf *line, struct err *err)
{
    json_close(w);
    if (json_end(w) != RC_OK)
        return err_set(err, RC_BUG, "a line cannot be written");
    buf_putc(line, '\n');
    if (fwrite(buf_text(line), 1, line->len, out) != line->len)
        return err_set(err, RC_TEMP, "the export cannot be written");
    buf_reset(line);
    return RC_OK;
}

static void
put_hash(struct json_writer *w, const char *name, const uint8_t hash[HASH_LEN])
{
    char hex[HASH_TEXT_MAX];

    hex_encode(hash, HASH_LEN, hex);
    json_put_string(w, name, hex);
}

static enum rc
write_leaf(FILE *out, const struct nodes *nodes, const struct audit_leaf *leaf, struct buf *line,
           struct err *err)
{
    uint8_t proof[MERKLE_PROOF_MAX][HASH_LEN];
    struct merkle_plan plan;
    struct json_writer w;

    if (merkle_plan_inclusion(leaf->index, nodes->size, &plan) != RC_OK)
        return err_set(err, RC_BUG, "leaf %" PRIu64 ": no such leaf", leaf->index);
    fold(nodes, &plan, proof);
    json_begin(&w, line);
    json_object(&w, NULL);
    json_put_int(&w, "leaf_index", (int64_t)leaf->index);
    put_hash(&w, "leaf_hash", leaf->hash);
    if (leaf->event)
        json_put_raw(&w, "event", leaf->event, leaf->len);
    else
        json_put_null(&w, "event");
    json_array(&w, "proof");
    for (size_t i = 0; i < plan.hash_count; i++)
        put_hash(&w, NULL, proof[i]);
    json_close(&w);
    return write_line(out, &w, line, err);
}

static enum rc
write_header(const struct audit_export *export, const struct audit_source *source,
             struct merkle_head *head, struct buf *line, struct err *err)
{
    struct json_writer w;

    if (!source->note)
        return err_set(err, RC_NOTFOUND, "the audit log is empty");
    if (note_open(export->key, source->note, strlen(source->note), head, err) != RC_OK)
        return err_wrap(err, "the last stored checkpoint");
    json_begin(&w, line);
    json_object(&w, NULL);
    json_put_string(&w, "type", "gantry-audit-export");
    json_put_int(&w, "v", 1);
    json_put_int(&w, "tree_size", (int64_t)head->size);
    json_put_string(&w, "checkpoint", source->note);
    return write_line(export->out, &w, line, err);
}

enum rc
audit_export(const struct audit_export *export, struct audit_source *source, uint64_t *leaves,
             struct err *err)
{
    __attribute__((cleanup(nodes_cleanup))) struct nodes nodes = { 0 };
    AUTO(free) struct audit_leaf *leaf = calloc(1, sizeof(*leaf));
    AUTO(buf) struct buf line = { 0 };
    struct merkle_head head = { 0 };
    enum rc rc;

    buf_init(&line, LINE_MAX);
    *leaves = 0;
    if (!leaf)
        return err_set(err, RC_TEMP, "no memory");
    if ((rc = write_header(export, source, &head, &line, err)) != RC_OK ||
        (rc = make_nodes(source->db, head.size, &nodes, err)) != RC_OK ||
        (rc = check_root(&nodes, &head, err)) != RC_OK)
        return rc;
    while (*leaves < head.size && (rc = audit_source_next(source, leaf, err)) == RC_OK) {
        if ((rc = write_leaf(export->out, &nodes, leaf, &line, err)) != RC_OK)
            return rc;
        if ((++*leaves & PROGRESS_MASK) == 0)
            export->progress(export->arg, *leaves);
    }
    if (*leaves < head.size)
        return rc == RC_NOTFOUND
                   ? err_set(err, RC_DENIED, "leaf %" PRIu64 ": it is missing", *leaves)
                   : rc;
    return fflush(export->out) == 0 ? RC_OK : err_set(err, RC_TEMP, "the export cannot be written");
}
