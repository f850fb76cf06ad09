/* SPDX-License-Identifier: MIT */
/*
 * The reading side: lists, single events, checkpoints and proofs. Nothing here needs the lock: what
 * is read is below a signed checkpoint and never changes.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "head.h"
#include "sql_audit.h"

#define PAGE_BYTES_MAX (4u << 20)
#define PAGE_LIMIT     20
#define ITEM_MARGIN    256 /* bytes of an item beside its event */

static void
fail_job(struct call *call, enum rc rc, const struct err *err)
{
    if (rc == RC_NOTFOUND)
        call_problem(call, PROBLEM_NOT_FOUND, NULL, "The audit log is empty");
    else
        call_fail(call, err);
}

static void
finish(struct call *call, struct json_writer *w, const struct buf *body)
{
    if (json_end(w) == RC_OK)
        call_answer(call, 200, body);
    else
        call_fail(call, &(struct err){ .rc = RC_BUG, .text = "the answer cannot be written" });
}

/* The canonical event with its place in the log before its own members. */
static void
put_item(struct json_writer *w, const PGresult *rows, int row)
{
    const char *event = db_text(rows, row, 2);

    json_object(w, NULL);
    json_put_int(w, "leaf_index", db_int(rows, row, 0, 0));
    json_put_string(w, "leaf_hash", db_text(rows, row, 1));
    json_put_members(w, event, strlen(event));
    json_close(w);
}

static bool
add_time(struct db_params *params, const cJSON *body, const char *name, struct field_errors *errors)
{
    const char *text = json_string(body, name);
    int64_t ms;

    if (!text) {
        db_param_null(params);
        return true;
    }
    if (clock_parse_loose(text, &ms) != RC_OK) {
        field_errors_add(errors, name,
                         "must be an RFC 3339 date-time, such as 2026-01-01T00:00:00Z");
        return false;
    }
    db_param_time(params, ms);
    return true;
}

/* The cursor is the index of the last leaf that was shown. */
static bool
read_cursor(const cJSON *body, int64_t *below, struct field_errors *errors)
{
    const char *text = json_string(body, "cursor");
    char *end;

    *below = INT64_MAX;
    if (!text)
        return true;
    *below = strtoll(text, &end, 10);
    if (*text >= '0' && *text <= '9' && *end == '\0' && *below < INT64_MAX)
        return true;
    field_errors_add(errors, "cursor", "must be next_cursor of the page before");
    return false;
}

static void
put_page(struct call *call, const PGresult *rows, int64_t limit)
{
    AUTO(buf) struct buf body = { 0 };
    struct json_writer w;
    int n = PQntuples(rows), shown = 0;
    char cursor[24];

    buf_init(&body, 2 * PAGE_BYTES_MAX);
    json_begin(&w, &body);
    json_object(&w, NULL);
    json_array(&w, "items");
    while (shown < n && shown < limit) {
        if (shown > 0 && body.len + strlen(db_text(rows, shown, 2)) + ITEM_MARGIN > PAGE_BYTES_MAX)
            break;
        put_item(&w, rows, shown++);
    }
    json_close(&w);
    json_put_int(&w, "count", shown);
    if (shown < n) {
        snprintf(cursor, sizeof(cursor), "%" PRId64, db_int(rows, shown - 1, 0, 0));
        json_put_string(&w, "next_cursor", cursor);
    } else {
        json_put_null(&w, "next_cursor");
    }
    json_close(&w);
    finish(call, &w, &body);
}

static void
list(struct worker *w, struct call *call)
{
    struct field_errors errors = { .count = 0 };
    struct db_params params = { .count = 0 };
    AUTO(pgresult) PGresult *rows = NULL;
    int64_t limit = json_int(call->body, "limit", PAGE_LIMIT), below;
    struct err err = { 0 };
    enum rc rc;
    bool good = read_cursor(call->body, &below, &errors);

    db_param_int(&params, below);
    db_param_text(&params, json_string(call->body, "action"));
    db_param_text(&params, json_string(call->body, "status"));
    db_param_text(&params, json_string(call->body, "actor"));
    good = add_time(&params, call->body, "from", &errors) && good;
    good = add_time(&params, call->body, "to", &errors) && good;
    db_param_int(&params, limit + 1);
    if (!good) {
        call_problem(call, PROBLEM_INVALID_REQUEST, &errors,
                     "The request breaks the rules listed in errors.");
        return;
    }
    rc = db_query(worker_db(w), call->actor.workspace, SQL_AUDIT_LIST, &params, &rows, &err);
    if (rc == RC_OK)
        put_page(call, rows, limit);
    else
        call_fail(call, &err);
}

void
audit_handle_list(struct worker *w, struct call **calls, size_t n)
{
    for (size_t i = 0; i < n; i++)
        list(w, calls[i]);
}

static void
show_event(struct worker *worker, struct call *call)
{
    struct db_params params = { .count = 0 };
    AUTO(pgresult) PGresult *rows = NULL;
    AUTO(buf) struct buf body = { 0 };
    struct json_writer w;
    struct err err = { 0 };
    enum rc rc;

    db_param_text(&params, json_string(call->body, "event_id"));
    rc = db_query(worker_db(worker), call->actor.workspace, SQL_AUDIT_EVENT, &params, &rows, &err);
    if (rc != RC_OK) {
        call_fail(call, &err);
        return;
    }
    if (PQntuples(rows) == 0) {
        call_problem(call, PROBLEM_NOT_FOUND, NULL,
                     "There is no such event in this workspace, or it is not recorded yet.");
        return;
    }
    buf_init(&body, PAGE_BYTES_MAX);
    json_begin(&w, &body);
    put_item(&w, rows, 0);
    finish(call, &w, &body);
}

void
audit_handle_event(struct worker *w, struct call **calls, size_t n)
{
    for (size_t i = 0; i < n; i++)
        show_event(w, calls[i]);
}

static void
show_checkpoint(struct worker *worker, struct call *call)
{
    AUTO(free) char *note = malloc(NOTE_TEXT_MAX);
    AUTO(buf) struct buf body = { 0 };
    struct merkle_head head;
    struct err err = { .rc = RC_TEMP, .text = "no memory" };
    enum rc rc =
        note ? head_read(worker_state(worker), worker_db(worker), &head, note, &err) : RC_TEMP;

    if (rc != RC_OK) {
        fail_job(call, rc, &err);
        return;
    }
    buf_init(&body, 2 * NOTE_TEXT_MAX);
    buf_puts(&body, note); /* a signed note is text, over NATS too */
    call_answer(call, 200, &body);
}

void
audit_handle_checkpoint(struct worker *w, struct call **calls, size_t n)
{
    for (size_t i = 0; i < n; i++)
        show_checkpoint(w, calls[i]);
}
