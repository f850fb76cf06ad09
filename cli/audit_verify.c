/* SPDX-License-Identifier: MIT */
#include "audit_verify.h"

#include <bsd/string.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "audit_check.h"
#include "base/cleanup.h"
#include "crypto/crypto_encode.h"
#include "sql_audit_cli.h"

#define CHECKPOINTS_AT_ONCE 1000
#define PROGRESS_MASK       0x3ff /* every so many leaves */

struct run {
    const struct audit_verify *verify;
    struct audit_source *source;
    struct audit_result *result;
    struct audit_check check;
    struct merkle_head held; /* the caller's; size 0 = none */
    struct merkle_head last; /* the last that is stored, signed by the key; size 0 = none */
    bool stored_bad;         /* there is a last one, but it is not signed by the key */
    PGresult *stored;        /* owned: a page of the stored checkpoints */
    int row;
    bool no_more;
    struct merkle_head next; /* the stored one at or after our size */
    uint64_t agreed;         /* the last size at which some checkpoint had our root */
    bool note_wrong;         /* the first stored checkpoint that is not what was signed, … */
    uint64_t note_size;      /* … kept for this size */
    bool tile_wrong;         /* the first tile that is not that of its leaves … */
    unsigned tile_level;
    uint64_t tile_index;
    struct err tile_err; /* … or why tiles could not be read */
};

static void
run_cleanup(struct run *run)
{
    audit_check_fini(&run->check);
    PQclear(run->stored);
}

__attribute__((format(printf, 4, 5))) static enum rc
problem(struct run *run, uint64_t from, uint64_t to, const char *format, ...)
{
    va_list args;

    run->result->has_wrong = true;
    run->result->wrong_from = from;
    run->result->wrong_to = to;
    va_start(args, format);
    (void)vsnprintf(run->result->problem, sizeof(run->result->problem), format, args);
    va_end(args);
    return RC_DENIED;
}

/* Our root at head->size is another: say which leaf it is, as exactly as can be told. */
static enum rc
disagree(struct run *run, const struct merkle_head *head, const char *whose, struct err *err)
{
    /* Trees that were signed; in a larger one more leaves lie in full tiles. */
    const struct merkle_head *const heads[] = { head, &run->held, &run->last };
    uint64_t index = 0;
    enum rc rc = RC_NOTFOUND;

    for (size_t i = 0; i < ARRAY_LEN(heads) && run->source->db && rc == RC_NOTFOUND; i++)
        if (heads[i]->size >= head->size)
            rc = audit_locate(run->source->db, heads[i], &index, err);
    if (rc == RC_OK)
        return problem(run, index, index + 1,
                       "leaf %" PRIu64 ": it is not the leaf that was signed (%s of size %" PRIu64
                       " does not fit)",
                       index, whose, head->size);
    if (rc != RC_NOTFOUND)
        return rc;
    if (head->size == run->agreed + 1)
        return problem(run, run->agreed, head->size,
                       "leaf %" PRIu64 ": it is not the leaf that was signed (%s of size %" PRIu64
                       " does not fit)",
                       run->agreed, whose, head->size);
    return problem(run, run->agreed, head->size,
                   "leaves %" PRIu64 " to %" PRIu64
                   " are not those that were signed: %s of size %" PRIu64 " does not fit",
                   run->agreed, head->size - 1, whose, head->size);
}

static enum rc
compare(struct run *run, const struct merkle_head *head, const char *whose, struct err *err)
{
    uint8_t root[HASH_LEN];

    merkle_root(&run->check.tree, root);
    if (!hash_equal(root, head->root))
        return disagree(run, head, whose, err);
    run->agreed = head->size;
    return RC_OK;
}

static enum rc
fetch_stored(struct run *run, struct err *err)
{
    struct db_params params = { .count = 0 };
    int64_t after = run->stored ? db_int(run->stored, PQntuples(run->stored) - 1, 0, 0) : 0;

    PQclear(run->stored);
    run->stored = NULL;
    run->row = -1;
    db_param_int(&params, after);
    db_param_int(&params, CHECKPOINTS_AT_ONCE);
    return db_query(run->source->db, NULL, SQL_AUDIT_CLI_CHECKPOINTS, &params, &run->stored, err);
}

/* It says nothing about the leaves; but who asks for a checkpoint is to get what was signed. */
static void
blame_note(struct run *run, uint64_t size)
{
    if (run->note_wrong)
        return;
    run->note_wrong = true;
    run->note_size = size;
}

/* Go on to the first stored checkpoint at or after our size: run->next, its note *run->row*. */
static enum rc
next_stored(struct run *run, struct err *err)
{
    uint64_t size = run->check.tree.size;
    enum rc rc;

    while (run->source->db && !run->no_more && run->next.size < size) {
        if (!run->stored || ++run->row == PQntuples(run->stored)) {
            run->no_more = run->stored && PQntuples(run->stored) < CHECKPOINTS_AT_ONCE;
            if (!run->no_more && (rc = fetch_stored(run, err)) != RC_OK)
                return rc;
            run->no_more = run->no_more || PQntuples(run->stored) == 0;
            continue;
        }
        const char *note = db_text(run->stored, run->row, 1);
        uint64_t kept_for = (uint64_t)db_int(run->stored, run->row, 0, 0);
        struct merkle_head head;
        if (note_peek(note, strlen(note), &head) == RC_OK && head.size == kept_for)
            run->next = head;
        else
            blame_note(run, kept_for);
    }
    return RC_OK;
}

static bool
same_bytes(const char *hex, const void *bytes, size_t len, uint8_t *room)
{
    return hex && strlen(hex) == 2 * len && hex_decode(hex, 2 * len, room) == RC_OK &&
           memcmp(room, bytes, len) == 0;
}

/* Compare with everything that is known about trees of our present size. */
static enum rc
compare_here(struct run *run, struct err *err)
{
    struct merkle_head signed_head;
    uint8_t room[HASH_LEN];
    enum rc rc;

    if (run->held.size == run->check.tree.size &&
        (rc = compare(run, &run->held, "the checkpoint", err)) != RC_OK)
        return rc;
    if ((rc = next_stored(run, err)) != RC_OK || run->next.size != run->check.tree.size)
        return rc;
    const char *note = db_text(run->stored, run->row, 1);
    if (note_open(run->verify->key, note, strlen(note), &signed_head, err) != RC_OK) {
        blame_note(run, run->next.size);
        return RC_OK;
    }
    if ((rc = compare(run, &run->next, "the log's own checkpoint", err)) == RC_OK &&
        !same_bytes(db_text(run->stored, run->row, 2), run->next.root, HASH_LEN, room))
        blame_note(run, run->next.size);
    return rc;
}

static enum rc
open_checkpoints(struct run *run, struct err *err)
{
    const char *held = run->verify->checkpoint, *stored = run->source->note;

    if (held && note_open(run->verify->key, held, strlen(held), &run->held, err) != RC_OK)
        return err_wrap(err, "the checkpoint that was given");
    if (stored && note_open(run->verify->key, stored, strlen(stored), &run->last, err) != RC_OK) {
        run->last = (struct merkle_head){ .size = 0 };
        run->stored_bad = true;
    }
    return RC_OK;
}

/* Proofs are made of the stored tiles: each has to hold what its leaves make. It is said only when
 * all leaves are good, since a changed leaf makes its tiles differ as well. */
static void
look_at_tile(void *arg, unsigned level, uint64_t index, const struct merkle_tile *tile,
             const uint8_t root[HASH_LEN])
{
    struct run *run = arg;
    struct db_params params = { .count = 0 };
    AUTO(pgresult) PGresult *row = NULL;
    uint8_t room[sizeof(tile->hashes)];

    if (run->tile_wrong || run->tile_err.rc != RC_OK)
        return;
    db_param_int(&params, level);
    db_param_int(&params, (int64_t)index);
    if (db_query(run->source->db, NULL, SQL_AUDIT_CLI_TILE, &params, &row, &run->tile_err) != RC_OK)
        return;
    if (PQntuples(row) == 1 &&
        same_bytes(db_text(row, 0, 0), tile->hashes, sizeof(tile->hashes), room) &&
        same_bytes(db_text(row, 0, 1), root, HASH_LEN, room))
        return;
    run->tile_wrong = true;
    run->tile_level = level;
    run->tile_index = index;
}

/* A proof takes a stored tile first: one that was put beside the leaves comes before them. */
static enum rc
judge_extra_tiles(struct run *run, struct err *err)
{
    struct db_params params = { .count = 0 };
    AUTO(pgresult) PGresult *row = NULL;
    uint64_t size = run->check.tree.size;
    enum rc rc = db_query(run->source->db, NULL, SQL_AUDIT_CLI_EXTRA_TILE, &params, &row, err);

    if (rc != RC_OK || PQntuples(row) == 0)
        return rc;
    return problem(run, size - size % MERKLE_TILE_WIDTH, size,
                   "tile %" PRId64 " of level %" PRId64
                   ": the log has too few leaves for it; the leaves are good, their proofs are not",
                   db_int(row, 0, 1, 0), db_int(row, 0, 0, 0));
}

static enum rc
judge_tiles(struct run *run, struct err *err)
{
    uint64_t width = 1;

    if (run->tile_err.rc != RC_OK)
        return err_set(err, run->tile_err.rc, "%s", run->tile_err.text);
    if (!run->tile_wrong)
        return run->source->db ? judge_extra_tiles(run, err) : RC_OK;
    for (unsigned i = 0; i <= run->tile_level; i++)
        width *= MERKLE_TILE_WIDTH;
    return problem(run, run->tile_index * width, (run->tile_index + 1) * width,
                   "tile %" PRIu64 " of level %u (leaves %" PRIu64 " to %" PRIu64
                   "): it is missing or was changed; the leaves are good, their proofs are not",
                   run->tile_index, run->tile_level, run->tile_index * width,
                   (run->tile_index + 1) * width - 1);
}

static enum rc
judge_notes(struct run *run)
{
    if (!run->note_wrong)
        return RC_OK;
    (void)snprintf(run->result->problem, sizeof(run->result->problem),
                   "the stored checkpoint of size %" PRIu64
                   ": it was changed, or is not signed by %s; the leaves are good",
                   run->note_size, run->verify->key->name);
    return RC_DENIED;
}

static enum rc
walk(struct run *run, struct err *err)
{
    AUTO(free) struct audit_leaf *leaf = calloc(1, sizeof(*leaf));
    enum rc rc;

    if (!leaf)
        return err_set(err, RC_TEMP, "no memory");
    while ((rc = audit_source_next(run->source, leaf, err)) == RC_OK) {
        rc = audit_check_leaf(&run->check, leaf, err);
        if (rc == RC_OK && leaf->has_proof && run->last.size > 0 &&
            merkle_verify_inclusion(leaf->hash, leaf->index, run->last.size, leaf->proof,
                                    leaf->proof_count, run->last.root) != RC_OK)
            return problem(run, leaf->index, leaf->index + 1,
                           "leaf %" PRIu64 ": its proof does not lead to the checkpoint",
                           leaf->index);
        if (rc == RC_OK)
            rc = compare_here(run, err);
        if (rc == RC_DENIED && run->result->problem[0] == '\0')
            return problem(run, run->check.wrong, run->check.wrong + 1, "%s", err->text);
        if (rc != RC_OK)
            return rc;
        if (run->verify->progress && (run->check.tree.size & PROGRESS_MASK) == 0)
            run->verify->progress(run->verify->arg, run->check.tree.size);
    }
    if (rc == RC_DENIED)
        return problem(run, run->check.tree.size, run->check.tree.size + 1, "%s", err->text);
    return rc == RC_NOTFOUND ? RC_OK : rc;
}

/* The whole log is read: is it as long as what was signed, and no longer? */
static enum rc
judge_size(struct run *run)
{
    uint64_t size = run->check.tree.size;
    uint64_t held = run->held.size, last = run->last.size;

    if (size < held)
        return problem(run, size, held,
                       "the log ends at size %" PRIu64 ", but the checkpoint covers %" PRIu64
                       " leaves: leaves %" PRIu64 " to %" PRIu64 " were cut off",
                       size, held, size, held - 1);
    if (size < last)
        return problem(run, size, last,
                       "the log ends at size %" PRIu64 ", but its own checkpoint covers %" PRIu64
                       " leaves",
                       size, last);
    if (run->stored_bad)
        return problem(run, held, size, "the log's last checkpoint is not signed by %s",
                       run->verify->key->name);
    if (size > last && last >= held)
        return problem(run, last, size,
                       "leaf %" PRIu64
                       ": it was never signed (the last checkpoint is of size %" PRIu64 ")",
                       last, last);
    return RC_OK;
}

enum rc
audit_verify(const struct audit_verify *verify, struct audit_source *source,
             struct audit_result *result, struct err *err)
{
    AUTO(free) struct run *run = calloc(1, sizeof(*run));
    enum rc rc;

    if (!run)
        return err_set(err, RC_TEMP, "no memory");
    memset(result, 0, sizeof(*result));
    run->verify = verify;
    run->source = source;
    run->result = result;
    audit_check_init(&run->check);
    run->tile_err.rc = RC_OK;
    if (source->db) {
        run->check.on_tile = look_at_tile;
        run->check.tile_arg = run;
    }
    if ((rc = open_checkpoints(run, err)) == RC_OK && (rc = walk(run, err)) == RC_OK &&
        (rc = judge_size(run)) == RC_OK) {
        uint64_t covered = run->held.size > run->last.size ? run->held.size : run->last.size;
        rc = audit_check_gaps(&run->check, covered, err);
        if (rc == RC_DENIED)
            rc = problem(run, run->check.wrong, run->check.wrong + 1, "%s", err->text);
        if (rc == RC_OK)
            rc = judge_tiles(run, err);
        if (rc == RC_OK)
            rc = judge_notes(run);
    }
    result->leaves = run->check.tree.size;
    result->pruned = run->check.pruned;
    result->proven = verify->checkpoint ? run->held.size : run->last.size;
    if (rc == RC_DENIED && result->problem[0] == '\0') /* the checkpoint that was given is bad */
        (void)strlcpy(result->problem, err->text, sizeof(result->problem));
    run_cleanup(run);
    return rc;
}
