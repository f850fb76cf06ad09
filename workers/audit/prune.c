/* SPDX-License-Identifier: MIT */
#include "prune.h"

#include <inttypes.h>
#include <string.h>

#include "append.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "head.h"
#include "protocol/audit_event.h"
#include "prove.h"
#include "sql_audit.h"
#include "sql_pruner.h"

#define LOOK_EVERY_MS   60000
#define STEP_MAX_MS     3600000 /* prune leaves lie at most this close together … */
#define STEP_PARTS      24      /* … or this part of the retention, if that is less */
#define ROWS_AT_A_TIME  256
#define SLICES_MS       25   /* of one turn … */
#define SLICES_EVERY_MS 100u /* … and from turn to turn */
#define MEM_MAX         (1u << 20)

/* Where the events that are older than before_ms end: *up_to is the index after the last of them,
 * 0 when there is none. */
static enum rc
find_bound(const struct audit *audit, struct db *db, int64_t before_ms, uint64_t *up_to,
           struct err *err)
{
    struct db_params params = { .count = 0 };
    AUTO(pgresult) PGresult *row = NULL;
    AUTO(free) uint8_t *event = NULL;
    AUTO(json) cJSON *doc = NULL;
    uint8_t hash[HASH_LEN];
    int64_t recorded_ms;
    size_t len;
    enum rc rc;

    *up_to = 0;
    db_param_time(&params, before_ms);
    if ((rc = db_query(db, NULL, SQL_AUDIT_LAST_BEFORE, &params, &row, err)) != RC_OK)
        return rc;
    if (PQntuples(row) == 0)
        return RC_OK;
    uint64_t index = (uint64_t)db_int(row, 0, 0, 0);
    if (index >= audit->tree.size) /* another replica's, and newer than any retention */
        return RC_OK;
    if ((rc = db_bytes(row, 0, 1, &event, &len, err)) != RC_OK)
        return rc;
    merkle_leaf(event, len, hash);
    if ((rc = prove_leaf(db, &audit->signed_head, index, hash, err)) != RC_OK)
        return rc;
    if (json_read_canonical((const char *)event, len, &doc, err) != RC_OK ||
        !json_string(doc, "recorded_at") ||
        clock_parse(json_string(doc, "recorded_at"), &recorded_ms) != RC_OK)
        return err_set(err, RC_BUG, "leaf %" PRIu64 " has no time of recording", index);
    if (recorded_ms >= before_ms)
        return err_set(err, RC_DENIED,
                       "leaf %" PRIu64 " is younger than its column says: nothing is pruned",
                       index);
    *up_to = index + 1;
    return RC_OK;
}

static enum rc
append_prune(struct audit *audit, struct db *db, const struct prune *prune, struct err *err)
{
    AUTO(arena) struct arena mem = { 0 };
    char id[ID_TEXT_MAX];
    struct leaf leaf = {
        .kind = LEAF_PRUNE,
        .workspace = AUDIT_NO_WORKSPACE,
        .event_id = id,
        .actor = "audit",
        .action = "audit.prune",
        .status = "success",
        .problem = PROBLEM_COUNT,
        .time_ms = clock_wall_ms(),
    };

    id_new(id);
    arena_init(&mem, MEM_MAX);
    return append_leaves(audit, db, &leaf, 1, prune, &mem, err);
}

/* Append a prune leaf if enough has grown old since the newest one. */
static enum rc
announce(struct audit *audit, struct db *db, struct err *err)
{
    AUTO(pgresult) PGresult *row = NULL;
    struct prune prune = { .retention_ms = audit->retention_ms };
    int64_t now_ms = clock_wall_ms(), step_ms = audit->retention_ms / STEP_PARTS;
    enum rc rc = db_query(db, NULL, SQL_AUDIT_PRUNE_BOUND, NULL, &row, err);

    if (rc != RC_OK)
        return rc;
    prune.before_ms = now_ms - audit->retention_ms;
    step_ms = step_ms < STEP_MAX_MS ? step_ms : STEP_MAX_MS;
    if (db_text(row, 0, 1) && prune.before_ms < db_int(row, 0, 1, 0) + step_ms)
        return RC_OK;
    if ((rc = find_bound(audit, db, prune.before_ms, &prune.up_to, err)) != RC_OK ||
        prune.up_to <= (uint64_t)db_int(row, 0, 0, 0))
        return rc;
    if ((rc = append_prune(audit, db, &prune, err)) == RC_OK)
        log_info("events of leaves below %" PRIu64 " are past their retention and will be pruned",
                 prune.up_to);
    return rc;
}

/* The events that the newest prune leaf covers, a slice at a time and for SLICES_MS at most: what is
 * left has its next turn soon, and others theirs between. This connection is used by nothing else,
 * so the turn may come while a batch waits for its own. */
static void
carry_out(void *arg)
{
    struct audit *audit = arg;
    int64_t until_ms = clock_mono_ms() + SLICES_MS, done;
    struct db_params params = { .count = 0 };
    struct err err = { 0 };

    db_param_int(&params, ROWS_AT_A_TIME);
    do {
        AUTO(pgresult) PGresult *row = NULL;
        enum rc rc = db_query(audit->pruner, NULL, SQL_PRUNER_PRUNE, &params, &row, &err);
        if (rc != RC_OK) {
            log_msg(rc == RC_TEMP ? LOG_WARN : LOG_ERROR, "pruning: %s; will try again", err.text);
            return;
        }
        done = db_int(row, 0, 0, 0);
    } while (done == ROWS_AT_A_TIME && clock_mono_ms() < until_ms);
    if (done == ROWS_AT_A_TIME)
        loop_timer_set(audit->prune_timer, SLICES_EVERY_MS, 0);
}

void
prune_start(struct worker *w)
{
    struct audit *audit = worker_state(w);

    audit->prune_timer = loop_timer_new(worker_loop(w), carry_out, audit);
}

void
prune_tick(struct worker *w)
{
    struct audit *audit = worker_state(w);
    int64_t now_ms = clock_mono_ms();
    struct err err = { 0 };

    if (!audit->pruner || audit->retention_ms == 0 || !audit->loaded || now_ms < audit->prune_at_ms)
        return;
    int64_t part_ms = audit->retention_ms / STEP_PARTS;
    audit->prune_at_ms = now_ms + (part_ms < LOOK_EVERY_MS ? part_ms : LOOK_EVERY_MS);
    enum rc rc = announce(audit, worker_db(w), &err);
    if (rc == RC_OK)
        carry_out(audit);
    else
        log_msg(rc == RC_TEMP ? LOG_WARN : LOG_ERROR, "pruning: %s; will try again", err.text);
}
