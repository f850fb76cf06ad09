/* SPDX-License-Identifier: MIT */
#include "announced.h"

#include <stdio.h>
#include <string.h>

#include "append.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "bus/bus.h"
#include "db/column.h"
#include "protocol/audit_event.h"
#include "sql_audit.h"

#define ARRAY_MAX     (4u << 20)  /* bytes of one column's array */
#define SEALED_MAX    (48u << 20) /* bytes of all sealed events of a batch */
#define AT_ONCE       64          /* requests without an end */
#define MEM_MAX       (4u << 20)
#define ASK_MS        5000u
#define AGAIN_MS      10000
#define CONTEXT_MAX   (WORKSPACE_TEXT_MAX + ID_TEXT_MAX + 16)
#define CLOCKS_APART  1000 /* ms that the server's clock and ours may differ */
#define STREAM_INFO   "$JS.API.STREAM.INFO.AUDIT"
#define FROM_GATEWAYS "gateway"

/* What a sealed event belongs to. */
static void
make_context(char out[CONTEXT_MAX], const char *workspace, const char *event_id)
{
    (void)snprintf(out, CONTEXT_MAX, "announced:%s:%s", workspace, event_id);
}

/* --- in a batch ------------------------------------------------------------------------------- */

static enum rc
seal(const struct audit *audit, struct leaf *leaf, const cJSON *event, struct arena *mem)
{
    AUTO(buf) struct buf text = { 0 };
    char context[CONTEXT_MAX];

    buf_init(&text, AUDIT_EVENT_MAX);
    if (json_canonical(event, NULL, &text) != RC_OK)
        return RC_LIMIT;
    leaf->sealed_len = text.len + CRYPTO_SEAL_EXTRA;
    uint8_t *sealed = arena_alloc(mem, leaf->sealed_len);
    if (!sealed)
        return RC_LIMIT;
    make_context(context, leaf->workspace, leaf->event_id);
    crypto_seal(audit->seal_key, context, buf_text(&text), text.len, sealed);
    leaf->sealed = sealed;
    return RC_OK;
}

static enum rc
send_announced(const struct audit *audit, struct db *db, struct leaf *leaves, size_t n,
               struct arena *mem, struct err *err)
{
    AUTO(buf) struct buf workspaces = { 0 };
    AUTO(buf) struct buf ids = { 0 };
    AUTO(buf) struct buf times = { 0 };
    AUTO(buf) struct buf programs = { 0 };
    AUTO(buf) struct buf sealed = { 0 };
    struct db_params params = { .count = 0 };
    size_t count = 0;

    column_begin(&workspaces, COLUMN_TEXT, ARRAY_MAX);
    column_begin(&ids, COLUMN_UUID, ARRAY_MAX);
    column_begin(&times, COLUMN_TIME, ARRAY_MAX);
    column_begin(&programs, COLUMN_TEXT, ARRAY_MAX);
    column_begin(&sealed, COLUMN_BYTES, SEALED_MAX);
    for (size_t i = 0; i < n; i++) {
        struct leaf *leaf = &leaves[i];
        if (!leaf->announced)
            continue;
        if (!leaf->sealed && seal(audit, leaf, leaf->body, mem) != RC_OK)
            return err_set(err, RC_LIMIT, "an announced event cannot be kept");
        column_text(&workspaces, leaf->workspace);
        column_uuid(&ids, leaf->event_id);
        column_time(&times, leaf->call->accepted_ms);
        column_text(&programs, leaf->call->program);
        column_bytes(&sealed, leaf->sealed, leaf->sealed_len);
        count++;
    }
    if (count == 0)
        return RC_OK;
    column_param(&params, &workspaces);
    column_param(&params, &ids);
    column_param(&params, &times);
    column_param(&params, &programs);
    column_param(&params, &sealed);
    return db_send(db, SQL_AUDIT_ANNOUNCE, &params, NULL, err);
}

/* Only gateways announce, so only what they report may end something. */
static bool
ends(const struct leaf *leaf)
{
    return leaf->reported && !leaf->announced && strcmp(leaf->call->program, FROM_GATEWAYS) == 0;
}

static enum rc
send_ended(struct db *db, const struct leaf *leaves, size_t n, struct err *err)
{
    AUTO(buf) struct buf workspaces = { 0 };
    AUTO(buf) struct buf ids = { 0 };
    struct db_params params = { .count = 0 };
    size_t count = 0;

    column_begin(&workspaces, COLUMN_TEXT, ARRAY_MAX);
    column_begin(&ids, COLUMN_UUID, ARRAY_MAX);
    for (size_t i = 0; i < n; i++)
        if (ends(&leaves[i])) {
            column_text(&workspaces, leaves[i].workspace);
            column_uuid(&ids, leaves[i].event_id);
            count++;
        }
    if (count == 0)
        return RC_OK;
    column_param(&params, &workspaces);
    column_param(&params, &ids);
    return db_send(db, SQL_AUDIT_ENDED, &params, NULL, err);
}

enum rc
announced_send(const struct audit *audit, struct db *db, struct leaf *leaves, size_t n,
               struct arena *mem, struct err *err)
{
    enum rc rc = send_announced(audit, db, leaves, n, mem, err);

    return rc == RC_OK ? send_ended(db, leaves, n, err) : rc;
}

enum rc
announced_unknown(struct db *db, const struct leaf *leaves, size_t n, const PGresult **rows,
                  struct err *err)
{
    AUTO(buf) struct buf workspaces = { 0 };
    AUTO(buf) struct buf ids = { 0 };
    struct db_params params = { .count = 0 };
    size_t at;
    enum rc rc;

    column_begin(&workspaces, COLUMN_TEXT, ARRAY_MAX);
    column_begin(&ids, COLUMN_UUID, ARRAY_MAX);
    for (size_t i = 0; i < n; i++) {
        column_text(&workspaces, leaves[i].workspace);
        column_uuid(&ids, leaves[i].event_id);
    }
    column_param(&params, &workspaces);
    column_param(&params, &ids);
    if ((rc = db_send(db, SQL_AUDIT_UNKNOWN, &params, &at, err)) == RC_OK)
        rc = db_sync(db, err);
    *rows = rc == RC_OK ? db_result(db, at) : NULL;
    return rc;
}

/* --- what has no end ------------------------------------------------------------------------------ */

/* The server's oldest message: what it received before is recorded. */
static void
on_stream_info(void *arg, enum rc rc, const struct bus_msg *msg, const struct err *err)
{
    struct audit *audit = arg;
    AUTO(json) cJSON *doc = NULL;
    int64_t first_ms = 0;

    (void)err;
    audit->asking = false;
    if (rc != RC_OK || json_read(msg->data, msg->len, &doc, NULL) != RC_OK)
        return;
    const cJSON *state = json_member(doc, "state");
    const char *first = json_string(state, "first_ts");
    if (!state || json_int(state, "messages", -1) < 0)
        return;
    if (json_int(state, "messages", 0) == 0)
        audit->handled_ms = audit->asked_ms - CLOCKS_APART;
    else if (first && clock_parse(first, &first_ms) == RC_OK)
        audit->handled_ms = first_ms;
}

static void
ask_stream(struct worker *w, struct audit *audit)
{
    const struct bus_out out = { .subject = STREAM_INFO };

    if (audit->asking)
        return;
    audit->asked_ms = clock_wall_ms();
    audit->asking = bus_request(worker_bus(w), &out, ASK_MS, on_stream_info, audit, NULL) == RC_OK;
}

/* The leaf of one row, as it was announced. */
static enum rc
read_row(const struct audit *audit, const PGresult *rows, int row, struct call *call, cJSON **doc,
         struct leaf *leaf, struct err *err)
{
    AUTO(free) uint8_t *sealed = NULL;
    AUTO(free) char *text = NULL;
    char context[CONTEXT_MAX];
    size_t len;
    enum rc rc = db_bytes(rows, row, 4, &sealed, &len, err);

    if (rc != RC_OK)
        return rc;
    if (len < CRYPTO_SEAL_EXTRA || !(text = calloc(1, len)))
        return err_set(err, RC_TEMP, "no memory");
    make_context(context, db_text(rows, row, 0), db_text(rows, row, 1));
    if (crypto_open(audit->seal_key, context, sealed, len, (uint8_t *)text) != RC_OK ||
        json_read(text, len - CRYPTO_SEAL_EXTRA, doc, err) != RC_OK)
        return err_set(err, RC_DENIED, "the announced event %s was changed", db_text(rows, row, 1));
    (void)snprintf(call->actor.workspace, sizeof(call->actor.workspace), "%s",
                   db_text(rows, row, 0));
    call->command = CMD_AUDIT_REQUEST;
    call->accepted_ms = db_int(rows, row, 2, 0);
    call->program = db_text(rows, row, 3);
    leaf_of_request(call, *doc, leaf);
    leaf->announced = false;
    leaf->verdict = true;
    return RC_OK;
}

/* Each in a transaction of its own: there are few, and none shall hold up the others. */
static enum rc
record(struct worker *w, const PGresult *rows, int row, struct err *err)
{
    AUTO(arena) struct arena mem = { 0 };
    AUTO(json) cJSON *doc = NULL;
    struct call call = { .actor.role = ROLE_COUNT };
    struct leaf leaf;
    enum rc rc = read_row(worker_state(w), rows, row, &call, &doc, &leaf, err);

    arena_init(&mem, MEM_MAX);
    if (rc == RC_OK)
        rc = append_leaves(worker_state(w), worker_db(w), &leaf, 1, NULL, &mem, err);
    return rc;
}

void
announced_tick(struct worker *w)
{
    struct audit *audit = worker_state(w);
    AUTO(pgresult) PGresult *rows = NULL;
    struct db_params params = { .count = 0 };
    struct err err = { 0 };

    int64_t now_ms = clock_mono_ms();
    if (now_ms < audit->overdue_at_ms)
        return;
    db_param_int(&params, clock_wall_ms() - AUDIT_INTENT_MS);
    db_param_int(&params, AT_ONCE);
    enum rc rc = db_query(worker_db(w), NULL, SQL_AUDIT_OVERDUE, &params, &rows, &err);
    int count = rc == RC_OK ? PQntuples(rows) : 0;
    if (count > 0)
        ask_stream(w, audit);
    for (int row = 0; row < count && rc == RC_OK; row++) {
        if (db_int(rows, row, 2, 0) + AUDIT_INTENT_MS > audit->handled_ms)
            break; /* its end may be among what is not recorded yet */
        if ((rc = record(w, rows, row, &err)) != RC_OK && rc != RC_TEMP) {
            log_error("an announced event: %s", err.text);
            rc = RC_OK;
        }
    }
    if (rc == RC_OK)
        return;
    log_warn("announced events: %s; will try again", err.text);
    audit->overdue_at_ms = now_ms + AGAIN_MS;
}
