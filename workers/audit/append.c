/* SPDX-License-Identifier: MIT */
#include "append.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "announced.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "crypto/crypto_encode.h"
#include "db/column.h"
#include "head.h"
#include "sql_audit.h"

#define ARRAY_MAX  (4u << 20) /* bytes of one column's array */
#define EVENTS_MAX (128u << 20)
#define TILES_MAX  (16u << 20)

#define CAREFUL_BATCHES 64 /* that look first, after one has failed */

/* The tiles that a batch fills. */
struct tiles {
    struct buf levels, indexes, hashes, roots;
};

static void
tiles_cleanup(struct tiles *tiles)
{
    buf_fini(&tiles->levels);
    buf_fini(&tiles->indexes);
    buf_fini(&tiles->hashes);
    buf_fini(&tiles->roots);
}

static void
keep_tile(void *arg, unsigned level, uint64_t index, const struct merkle_tile *tile,
          const uint8_t root[HASH_LEN])
{
    struct tiles *tiles = arg;

    column_int(&tiles->levels, level);
    column_int(&tiles->indexes, (int64_t)index);
    buf_add(&tiles->hashes, tile->hashes, sizeof(tile->hashes));
    buf_add(&tiles->roots, root, HASH_LEN);
}

static bool
same_event(const struct leaf *a, const struct leaf *b)
{
    return a->kind == b->kind && !a->announced && strcmp(a->event_id, b->event_id) == 0 &&
           strcmp(a->workspace, b->workspace) == 0;
}

/* Mark the leaves that are in the log, or twice in this batch. */
static enum rc
mark_known(struct db *db, struct leaf *leaves, size_t n, struct err *err)
{
    AUTO(buf) struct buf workspaces = { 0 };
    AUTO(buf) struct buf ids = { 0 };
    AUTO(buf) struct buf kinds = { 0 };
    struct db_params params = { .count = 0 };
    size_t at;
    enum rc rc;

    column_begin(&workspaces, COLUMN_TEXT, ARRAY_MAX);
    column_begin(&ids, COLUMN_UUID, ARRAY_MAX);
    column_begin(&kinds, COLUMN_TEXT, ARRAY_MAX);
    for (size_t i = 0; i < n; i++) {
        column_text(&workspaces, leaves[i].workspace);
        column_uuid(&ids, leaves[i].event_id);
        column_text(&kinds, leaf_kind_name(leaves[i].kind));
    }
    column_param(&params, &workspaces);
    column_param(&params, &ids);
    column_param(&params, &kinds);
    if ((rc = db_send(db, SQL_AUDIT_KNOWN, &params, &at, err)) != RC_OK ||
        (rc = db_sync(db, err)) != RC_OK)
        return rc;
    const PGresult *result = db_result(db, at);
    for (int row = 0; row < PQntuples(result); row++) {
        int64_t position = db_int(result, row, 0, 0);
        const char *hex = db_text(result, row, 2);
        if (position < 1 || (size_t)position > n || !hex || strlen(hex) != 2 * HASH_LEN ||
            hex_decode(hex, 2 * HASH_LEN, leaves[position - 1].hash) != RC_OK)
            return err_set(err, RC_BUG, "known events: an answer that does not fit");
        leaves[position - 1].known = true;
        leaves[position - 1].index = (uint64_t)db_int(result, row, 1, 0);
    }
    return RC_OK;
}

/* The first leaf of the same event in this batch; the leaf itself when there is none before. */
static size_t
first_of(const struct leaf *leaves, size_t i)
{
    size_t j = 0;

    while (!same_event(&leaves[j], &leaves[i]))
        j++;
    return j;
}

/* Events and their hashes: all that does not depend on what is in the log already. */
static enum rc
write_events(const struct audit *audit, struct leaf *leaves, size_t n, const struct prune *prune,
             int64_t recorded_ms, struct arena *mem, struct err *err)
{
    AUTO(buf) struct buf scratch = { 0 };
    uint8_t *nonces = arena_calloc(mem, n, NONCE_LEN);
    enum rc rc;

    if (!nonces)
        return err_set(err, RC_LIMIT, "too many events at once");
    crypto_random(nonces, n * NONCE_LEN);
    buf_init(&scratch, EVENT_MAX);
    for (size_t i = 0; i < n; i++) {
        memcpy(leaves[i].nonce, nonces + i * NONCE_LEN, NONCE_LEN);
        if (leaves[i].announced)
            continue;
        if ((rc = event_build(audit, &leaves[i], prune, recorded_ms, &scratch, mem)) != RC_OK)
            return err_set(err, rc == RC_LIMIT ? RC_LIMIT : RC_BUG, "an event cannot be written");
    }
    return RC_OK;
}

/* Places for the new leaves; audit->next becomes the tree with them. */
static void
place(struct audit *audit, struct leaf *leaves, size_t n, bool careful, struct tiles *tiles)
{
    column_begin(&tiles->levels, COLUMN_INT2, ARRAY_MAX);
    column_begin(&tiles->indexes, COLUMN_INT8, ARRAY_MAX);
    buf_init(&tiles->hashes, TILES_MAX);
    buf_init(&tiles->roots, TILES_MAX);
    audit->next = audit->tree;
    for (size_t i = 0; i < n; i++) {
        struct leaf *leaf = &leaves[i];
        if (leaf->known)
            continue;
        size_t first = careful ? first_of(leaves, i) : i;
        if (first != i) {
            leaf->known = true;
            leaf->index = leaves[first].index;
            memcpy(leaf->hash, leaves[first].hash, HASH_LEN);
            continue;
        }
        leaf->index = audit->next.size;
        merkle_append(&audit->next, leaf->hash, keep_tile, tiles);
    }
}

struct columns {
    struct buf hashes, events, lengths, starts, kinds, workspaces, ids, times, actors, actions,
        statuses;
};

static void
columns_cleanup(struct columns *c)
{
    struct buf *all[] = { &c->hashes, &c->events,     &c->lengths, &c->starts,
                          &c->kinds,  &c->workspaces, &c->ids,     &c->times,
                          &c->actors, &c->actions,    &c->statuses };

    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        buf_fini(all[i]);
}

static void
columns_fill(struct columns *c, const struct leaf *leaves, size_t n)
{
    struct buf *ints[] = { &c->lengths, &c->starts };
    struct buf *texts[] = { &c->kinds, &c->workspaces, &c->actors, &c->actions, &c->statuses };

    buf_init(&c->hashes, ARRAY_MAX);
    buf_init(&c->events, EVENTS_MAX);
    for (size_t i = 0; i < ARRAY_LEN(ints); i++)
        column_begin(ints[i], COLUMN_INT4, ARRAY_MAX);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        column_begin(texts[i], COLUMN_TEXT, ARRAY_MAX);
    column_begin(&c->ids, COLUMN_UUID, ARRAY_MAX);
    column_begin(&c->times, COLUMN_TIME, ARRAY_MAX);
    for (size_t i = 0; i < n; i++) {
        const struct leaf *leaf = &leaves[i];
        if (leaf->known)
            continue;
        column_int(&c->lengths, (int64_t)leaf->len);
        column_int(&c->starts, (int64_t)c->events.len);
        buf_add(&c->hashes, leaf->hash, HASH_LEN);
        buf_add(&c->events, leaf->event, leaf->len);
        column_text(&c->kinds, leaf_kind_name(leaf->kind));
        column_text(&c->workspaces, leaf->workspace);
        column_uuid(&c->ids, leaf->event_id);
        column_time(&c->times, leaf->time_ms);
        column_text(&c->actors, leaf->actor);
        column_text(&c->actions, leaf->action);
        column_text(&c->statuses, leaf->status);
    }
}

static enum rc
send_leaves(struct db *db, uint64_t first, int64_t recorded_ms, struct columns *c, struct err *err)
{
    struct db_params params = { .count = 0 };
    uint8_t recorded[8];

    column_put_time(recorded, recorded_ms);
    db_param_int(&params, (int64_t)first);
    db_param_bytes(&params, buf_text(&c->hashes), c->hashes.len);
    db_param_bytes(&params, buf_text(&c->events), c->events.len);
    column_param(&params, &c->lengths);
    column_param(&params, &c->kinds);
    column_param(&params, &c->workspaces);
    column_param(&params, &c->ids);
    column_param(&params, &c->times);
    db_param_bytes(&params, recorded, sizeof(recorded));
    column_param(&params, &c->actors);
    column_param(&params, &c->actions);
    column_param(&params, &c->statuses);
    column_param(&params, &c->starts);
    if (buf_failed(&c->hashes) || buf_failed(&c->events))
        return err_set(err, RC_BUG, "a batch of events is too large");
    return db_send(db, SQL_AUDIT_LEAVES, &params, NULL, err);
}

static enum rc
send_tiles(struct db *db, struct tiles *tiles, struct err *err)
{
    struct db_params params = { .count = 0 };

    if (tiles->roots.len == 0)
        return RC_OK;
    if (buf_failed(&tiles->hashes) || buf_failed(&tiles->roots))
        return err_set(err, RC_BUG, "a batch fills too many tiles");
    column_param(&params, &tiles->levels);
    column_param(&params, &tiles->indexes);
    db_param_bytes(&params, buf_text(&tiles->hashes), tiles->hashes.len);
    db_param_bytes(&params, buf_text(&tiles->roots), tiles->roots.len);
    return db_send(db, SQL_AUDIT_TILES, &params, NULL, err);
}

static enum rc
send_checkpoint(const struct audit *audit, struct db *db, const struct merkle_head *head,
                char note[NOTE_OURS_MAX], struct err *err)
{
    struct db_params params = { .count = 0 };

    note_sign(&audit->key, &audit->signer, head, note);
    db_param_int(&params, (int64_t)head->size);
    db_param_bytes(&params, head->root, HASH_LEN);
    db_param_text(&params, note);
    return db_send(db, SQL_AUDIT_CHECKPOINT, &params, NULL, err);
}

/* What a batch takes along from its first writing into its transaction. */
struct batch {
    struct leaf *leaves;
    size_t n;
    const struct prune *prune; /* NULL = none */
    int64_t recorded_ms;
    struct columns columns;
    struct arena *mem;
};

/* Events, hashes and columns, as if recorded now; never before the last leaf that we know of. */
static enum rc
prepare(const struct audit *audit, struct batch *batch, struct err *err)
{
    int64_t now_ms = clock_wall_ms();
    int64_t recorded_ms = now_ms > audit->last_ms ? now_ms : audit->last_ms;
    enum rc rc =
        write_events(audit, batch->leaves, batch->n, batch->prune, recorded_ms, batch->mem, err);

    columns_cleanup(&batch->columns);
    if (rc == RC_OK)
        columns_fill(&batch->columns, batch->leaves, batch->n);
    batch->recorded_ms = recorded_ms;
    return rc;
}

/* An end that comes after its request was recorded as unknown corrects that. */
static enum rc
correct(struct audit *audit, struct db *db, struct batch *batch, struct err *err)
{
    AUTO(buf) struct buf scratch = { 0 };
    const PGresult *rows = NULL;
    enum rc rc = announced_unknown(db, batch->leaves, batch->n, &rows, err);

    buf_init(&scratch, EVENT_MAX);
    for (int row = 0; rc == RC_OK && row < PQntuples(rows); row++) {
        int64_t position = db_int(rows, row, 0, 0);
        if (position < 1 || (size_t)position > batch->n)
            return err_set(err, RC_BUG, "unknown events: an answer that does not fit");
        struct leaf *leaf = &batch->leaves[position - 1];
        if (leaf->kind != LEAF_REQUEST || !leaf->reported || leaf->announced || leaf->verdict)
            continue;
        leaf->kind = LEAF_CORRECTION;
        leaf->corrects = (uint64_t)db_int(rows, row, 1, 0);
        leaf->known = false;
        if (event_build(audit, leaf, NULL, batch->recorded_ms, &scratch, batch->mem) != RC_OK)
            return err_set(err, RC_LIMIT, "an event cannot be written");
    }
    return rc;
}

/* Look first, and leave out what is known. */
static enum rc
leave_out(struct audit *audit, struct db *db, struct batch *batch, struct tiles *tiles,
          struct err *err)
{
    enum rc rc = mark_known(db, batch->leaves, batch->n, err);

    if (rc == RC_OK)
        rc = correct(audit, db, batch, err);
    if (rc != RC_OK)
        return rc;
    place(audit, batch->leaves, batch->n, true, tiles);
    columns_cleanup(&batch->columns);
    columns_fill(&batch->columns, batch->leaves, batch->n);
    return RC_OK;
}

/* Whether the log is expected to end with our last batch, so that nobody looks. */
static bool
continues(const struct audit *audit)
{
    return audit->alone && audit->careful == 0;
}

/* The lock, and the certainty that the log ends where we think. */
static enum rc
take_over(struct audit *audit, struct db *db, struct batch *batch, struct err *err)
{
    bool loaded = audit->loaded;
    uint64_t size = audit->tree.size;

    if (continues(audit))
        return head_continue(audit, db, batch->recorded_ms, err);
    enum rc rc = head_check(audit, db, &audit->last_ms, err);
    audit->alone = rc == RC_OK && loaded && audit->tree.size == size && audit->signed_note[0];
    if (rc == RC_OK && audit->last_ms > batch->recorded_ms)
        rc = prepare(audit, batch, err);
    return rc;
}

/* All of a transaction. */
static enum rc
append_once(struct audit *audit, struct db *db, struct batch *batch, struct err *err)
{
    __attribute__((cleanup(tiles_cleanup))) struct tiles tiles = { 0 };
    char note[NOTE_OURS_MAX];
    struct merkle_head head;
    enum rc rc;

    if ((rc = take_over(audit, db, batch, err)) != RC_OK)
        return rc;
    if (audit->careful > 0)
        rc = leave_out(audit, db, batch, &tiles, err);
    else
        place(audit, batch->leaves, batch->n, false, &tiles);
    if (rc != RC_OK)
        return rc;
    head.size = audit->next.size;
    if (head.size > audit->tree.size) {
        merkle_root(&audit->next, head.root);
        if ((rc = send_leaves(db, audit->tree.size, batch->recorded_ms, &batch->columns, err)) !=
                RC_OK ||
            (rc = send_tiles(db, &tiles, err)) != RC_OK ||
            (rc = send_checkpoint(audit, db, &head, note, err)) != RC_OK)
            return rc;
    }
    if ((rc = announced_send(audit, db, batch->leaves, batch->n, batch->mem, err)) != RC_OK ||
        (rc = db_commit(db, err)) != RC_OK)
        return rc;
    if (head.size > audit->tree.size) {
        audit->tree = audit->next;
        audit->signed_head = head;
        audit->last_ms = batch->recorded_ms;
        memcpy(audit->signed_note, note, sizeof(note));
    }
    return RC_OK;
}

static void
batch_cleanup(struct batch *batch)
{
    columns_cleanup(&batch->columns);
}

/* The events are written before the lock is asked for: another replica's transaction goes on
 * meanwhile. */
enum rc
append_leaves(struct audit *audit, struct db *db, struct leaf *leaves, size_t n,
              const struct prune *prune, struct arena *mem, struct err *err)
{
    __attribute__((cleanup(batch_cleanup))) struct batch batch = {
        .leaves = leaves, .n = n, .prune = prune, .mem = mem
    };
    enum rc rc;
    bool moved; /* the log did not end where we had left it */
    int conflicts = 0;

    do {
        for (size_t i = 0; i < n; i++)
            leaves[i].known = leaves[i].announced;
        if ((rc = prepare(audit, &batch, err)) != RC_OK || (rc = db_begin(db, NULL, err)) != RC_OK)
            return rc;
        bool unlooked = continues(audit);
        rc = append_once(audit, db, &batch, err);
        if (rc != RC_OK)
            db_abort(db);
        moved = unlooked && rc == RC_NOTFOUND;
        audit->alone = audit->alone && !moved;
        if (rc == RC_CONFLICT) { /* where one redelivery is, there are more */
            audit->careful = CAREFUL_BATCHES;
            conflicts++;
        } else if (audit->careful > 0) {
            audit->careful--;
        }
    } while (moved || (rc == RC_CONFLICT && conflicts < 2));
    if (rc == RC_CONFLICT)
        return err_set(err, RC_TEMP, "events collide with others being stored");
    if (rc == RC_NOTFOUND) /* head_continue() was not asked: the database's, and not the events' */
        return err->rc = RC_TEMP;
    return rc;
}
