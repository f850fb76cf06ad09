/* SPDX-License-Identifier: MIT */
#include "refusal.h"

#include <string.h>

#include "base/cleanup.h"
#include "db/column.h"
#include "protocol/command.h"
#include "sql_ingest.h"
#include "validate/problem.h"
#include "validate/redact.h"

#define COLUMN_MAX (1u << 20) /* bytes: INGEST_BATCH_MAX documents of REFUSAL_MAX fit */
#define TRIM_EVERY 256        /* refusals */

_Static_assert((INGEST_BATCH_MAX + 16) * (REFUSAL_MAX + 16) <= COLUMN_MAX,
               "the documents of a batch do not fit into their column");

static bool
is_refused(const struct call *call)
{
    int status = call->result.status;
    return call->result.rc == RC_OK && call->id[0] &&
           (status == 400 || status == 403 || status == 422 || status == 429);
}

/* --- writing ------------------------------------------------------------------------------------- */

/* What came from the caller in it are names of members. */
static bool
may_be_kept(const struct result *result)
{
    AUTO(json) cJSON *doc = NULL;
    AUTO(buf) struct buf names = { 0 };
    const cJSON *error;
    struct err err = { 0 };
    if (!result->body || result->body_len >= REFUSAL_MAX ||
        json_read(result->body, result->body_len, &doc, &err) != RC_OK)
        return false;
    buf_init(&names, 2 * REFUSAL_MAX);
    cJSON_ArrayForEach (error, json_member(doc, "errors")) {
        const char *name = json_string(error, "field");
        redact_text(name ? name : "", name ? strlen(name) : 0, &names);
    }
    return !buf_failed(&names) && !strstr(buf_text(&names), REDACT_MARK);
}

static void
add_document(struct buf *column, const struct call *call)
{
    const struct result *result = &call->result;
    const struct problem brief = { .code = result->code };
    AUTO(buf) struct buf text = { 0 };
    buf_init(&text, REFUSAL_MAX);
    if (may_be_kept(result))
        buf_add(&text, result->body, result->body_len);
    else
        problem_write(&text, &brief, NULL, NULL);
    column_text(column, buf_text(&text));
}

static enum rc
send(struct ingest *in, struct call **calls, size_t n, struct err *err)
{
    AUTO(buf) struct buf ids = { 0 }, commands = { 0 }, documents = { 0 };
    struct db_params p = { 0 };
    column_begin(&ids, COLUMN_UUID, COLUMN_MAX);
    column_begin(&commands, COLUMN_TEXT, COLUMN_MAX);
    column_begin(&documents, COLUMN_TEXT, COLUMN_MAX);
    for (size_t i = 0; i < n; i++) {
        column_uuid(&ids, calls[i]->id);
        column_text(&commands, command_info(calls[i]->command)->tail);
        add_document(&documents, calls[i]);
    }
    if (buf_failed(&ids) || buf_failed(&commands) || buf_failed(&documents))
        return err_set(err, RC_TEMP, "no room for refusals");
    db_param_text(&p, calls[0]->actor.workspace);
    column_param(&p, &ids);
    column_param(&p, &commands);
    column_param(&p, &documents);
    return db_send(worker_db(in->worker), SQL_INGEST_REFUSE, &p, NULL, err);
}

static enum rc
send_trim(struct ingest *in, const char *workspace, struct err *err)
{
    struct db_params p = { 0 };
    db_param_text(&p, workspace);
    db_param_int(&p, REFUSALS_KEPT);
    return db_send(worker_db(in->worker), SQL_INGEST_TRIM_REFUSALS, &p, NULL, err);
}

/* All of one workspace. Which of many that refuse a little is trimmed is left to chance: over time each
 * is, in proportion to what it has refused. */
static enum rc
remember_group(struct ingest *in, struct call **calls, size_t n, struct err *err)
{
    struct db *db = worker_db(in->worker);
    const char *workspace = calls[0]->actor.workspace;
    uint64_t before = in->refusals;
    enum rc rc = db_begin(db, workspace, err);
    if (rc == RC_OK)
        rc = send(in, calls, n, err);
    in->refusals += n;
    if (rc == RC_OK && in->refusals / TRIM_EVERY != before / TRIM_EVERY)
        rc = send_trim(in, workspace, err);
    if (rc == RC_OK)
        return db_commit(db, err);
    db_abort(db);
    return rc;
}

void
refusal_remember(struct worker *w, struct call **calls, size_t n)
{
    struct call *left[INGEST_BATCH_MAX], *same[INGEST_BATCH_MAX];
    size_t count = 0;
    struct err err = { 0 };
    for (size_t i = 0; i < n && count < INGEST_BATCH_MAX; i++)
        if (is_refused(calls[i]))
            left[count++] = calls[i];
    while (count > 0) {
        size_t n_same = 0, rest = 0;
        const char *workspace = left[0]->actor.workspace;
        for (size_t i = 0; i < count; i++) {
            if (strcmp(left[i]->actor.workspace, workspace) == 0)
                same[n_same++] = left[i];
            else
                left[rest++] = left[i];
        }
        count = rest;
        if (remember_group(worker_state(w), same, n_same, &err) == RC_OK)
            continue;
        for (size_t i = 0; i < n_same; i++)
            call_fail(same[i], &err);
    }
}

/* --- reading ------------------------------------------------------------------------------------- */

bool
refusal_answer(struct call *call, const char *text)
{
    AUTO(json) cJSON *doc = NULL;
    AUTO(buf) struct buf body = { 0 };
    struct err err = { 0 };
    if (!text)
        return false;
    if (json_read(text, strlen(text), &doc, &err) != RC_OK) {
        call_fail(call, &err);
        return true;
    }
    enum problem_code code = problem_code(json_string(doc, "code"));
    buf_init(&body, REFUSAL_MAX);
    buf_add(&body, text, strlen(text));
    call_answer(call, problem_http(code), &body);
    call->result.code = code;
    return true;
}

bool
refusal_recall(struct ingest *in, struct call *call)
{
    AUTO(pgresult) PGresult *found = NULL;
    const char *workspace = call->actor.workspace;
    struct db_params p = { 0 };
    struct err err = { 0 };
    db_param_text(&p, workspace);
    db_param_text(&p, call->id);
    if (db_query(worker_db(in->worker), workspace, SQL_INGEST_REFUSAL, &p, &found, &err) != RC_OK) {
        call_fail(call, &err);
        return true;
    }
    return PQntuples(found) > 0 && refusal_answer(call, db_text(found, 0, 0));
}
