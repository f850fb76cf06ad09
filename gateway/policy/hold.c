/* SPDX-License-Identifier: MIT */
#include "policy/hold.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "crypto/crypto.h"
#include "effects/connectors.h"
#include "effects/idem.h"
#include "events/events.h"
#include "gateway.h"
#include "process/fault.h"
#include "requests/answer.h"
#include "requests/dbstep.h"
#include "sql_gateway.h"

#define PLACE_MAX    160
#define DECISION_CAP 8192
#define ANSWER_CAP   16384

struct row {
    char id[ID_TEXT_MAX];
    char action[257];
    const char *command; /* static */
    char decision[DECISION_CAP];
    char hash[65];
    int64_t version, expires_s;
    uint8_t *sealed; /* owned */
    size_t len;
};

struct hold_query {
    struct dbwork work; /* first: the thread gives it back */
    struct gateway *gw;
    struct request *r; /* borrowed: it waits for this */
    char workspace[WORKSPACE_TEXT_MAX];
    char key_id[KEY_ID_LEN + 1], request_id[REQUEST_ID_MAX], idem_hash[65];
    enum role role;
    int64_t accepted_ms;
    bool full;
    hold_fn *fn;
    void *arg;
    size_t n;
    struct row rows[];
};

/* --- what is approved ------------------------------------------------------------------------------ */

void
hold_hash(const struct gateway *gw, const struct hold_bytes *bytes, char hex[65])
{
    AUTO(buf) struct buf text = { 0 };
    buf_init(&text, bytes->len + 512);
    buf_printf(&text, "approval\n%s\n%s\n%s\n%lld\n", bytes->workspace, bytes->id, bytes->command,
               (long long)bytes->policy_version);
    buf_add(&text, bytes->payload, bytes->len);
    idem_hash(gw, buf_text(&text), text.len, hex);
}

static void
place_of(const char *workspace, const char *id, char place[PLACE_MAX])
{
    (void)snprintf(place, PLACE_MAX, "approval:%s:%s", workspace, id);
}

enum rc
hold_open(const struct gateway *gw, const struct hold_bytes *place, const uint8_t *sealed,
          size_t len, struct buf *out)
{
    char text[PLACE_MAX];
    if (!sealed || len < CRYPTO_SEAL_EXTRA || len > HOLD_PAYLOAD_MAX)
        return RC_CORRUPT;
    AUTO(free) char *clear = malloc(len);
    if (!clear)
        return RC_TEMP;
    place_of(place->workspace, place->id, text);
    if (crypto_open(gw->settings->data_key, text, sealed, len, (uint8_t *)clear) != RC_OK)
        return RC_CORRUPT;
    buf_add(out, clear, len - CRYPTO_SEAL_EXTRA);
    return buf_failed(out) ? RC_TEMP : RC_OK;
}

/* --- the rows --------------------------------------------------------------------------------------- */

static void
query_free(struct hold_query *query)
{
    for (size_t i = 0; i < query->n; i++)
        free(query->rows[i].sealed);
    free(query);
}

static enum rc
insert(struct hold_query *query, struct db *db, const struct row *row, struct err *err)
{
    struct db_params params = { 0 };
    size_t index = 0;
    db_param_text(&params, row->id);
    db_param_text(&params, row->action);
    db_param_text(&params, row->command);
    db_param_text(&params, query->key_id);
    db_param_text(&params, role_name(query->role));
    db_param_int(&params, query->accepted_ms);
    db_param_text(&params, query->request_id);
    db_param_text(&params, query->idem_hash);
    db_param_int(&params, row->version);
    db_param_text(&params, row->decision);
    db_param_text(&params, row->hash);
    db_param_bytes(&params, row->sealed, row->len);
    db_param_int(&params, row->expires_s);
    db_param_int(&params, HOLD_WAITING_MAX);
    enum rc rc = db_send(db, SQL_GATEWAY_APPROVAL_ASK, &params, &index, err);
    if (rc == RC_OK)
        rc = db_sync(db, err);
    const char *word = rc == RC_OK ? db_text(db_result(db, index), 0, 0) : NULL;
    query->full = query->full || (word && strcmp(word, "full") == 0);
    return rc;
}

/* All of a request wait, or none: one transaction. */
static enum rc
run(struct dbwork *base, struct db *db, struct err *err)
{
    struct hold_query *query = (struct hold_query *)base;
    enum rc rc = db_begin(db, query->workspace, err);
    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < query->n && rc == RC_OK && !query->full; i++) {
        rc = insert(query, db, &query->rows[i], err);
        FAULT("approval_asking");
    }
    if (rc != RC_OK || query->full) {
        db_abort(db);
        return rc;
    }
    rc = db_commit(db, err);
    FAULT("approval_asked");
    return rc;
}

static void
on_done(void *arg)
{
    struct hold_query *query = arg;
    enum rc rc = query->full ? RC_LIMIT : query->work.rc;
    dbstep_end(query->r);
    outbox_kick(query->gw->outbox);
    query->fn(query->arg, rc);
    query_free(query);
}

static enum rc
fill_row(const struct request *r, const struct held *held, struct row *row)
{
    AUTO(buf) struct buf text = { 0 };
    struct json_writer w;
    char place[PLACE_MAX];
    const struct policy_decision *decision = &held->asked->decision;
    (void)snprintf(row->id, sizeof(row->id), "%s", held->id);
    (void)snprintf(row->action, sizeof(row->action), "%s", held->asked->action);
    row->command = command_info(connectors_command(r->gw->connectors, row->action))->tail;
    row->version = decision->version;
    row->expires_s = held->asked->expires_s;
    buf_init(&text, DECISION_CAP - 1);
    json_begin(&w, &text);
    policy_put(&w, NULL, decision);
    if (json_end(&w) != RC_OK)
        return RC_BUG;
    (void)snprintf(row->decision, sizeof(row->decision), "%s", buf_text(&text));
    const struct hold_bytes bytes = { .workspace = r->actor.workspace,
                                      .id = row->id,
                                      .command = row->command,
                                      .policy_version = row->version,
                                      .payload = held->payload,
                                      .len = held->len };
    hold_hash(r->gw, &bytes, row->hash);
    row->len = held->len + CRYPTO_SEAL_EXTRA;
    row->sealed = malloc(row->len);
    if (!row->sealed)
        return RC_TEMP;
    place_of(r->actor.workspace, row->id, place);
    crypto_seal(r->gw->settings->data_key, place, held->payload, held->len, row->sealed);
    return RC_OK;
}

enum rc
hold_all(struct request *r, const struct held *held, size_t n, hold_fn *fn, void *arg)
{
    struct hold_query *query = calloc(1, sizeof(*query) + n * sizeof(query->rows[0]));
    if (!query)
        return RC_TEMP;
    query->gw = r->gw;
    query->r = r;
    query->fn = fn;
    query->arg = arg;
    query->n = n;
    query->role = r->actor.role;
    query->accepted_ms = r->accepted_ms;
    query->work.run = run;
    query->work.done = on_done;
    memcpy(query->workspace, r->actor.workspace, sizeof(query->workspace));
    memcpy(query->key_id, r->actor.key_id, sizeof(query->key_id));
    memcpy(query->request_id, r->request_id, sizeof(query->request_id));
    memcpy(query->idem_hash, r->idem.hash, sizeof(query->idem_hash));
    enum rc rc = RC_OK;
    for (size_t i = 0; i < n && rc == RC_OK; i++)
        rc = fill_row(r, &held[i], &query->rows[i]);
    if (rc == RC_OK && dbstep_try(r, &query->work)) {
        r->gw->count.approvals_asked_total += n;
        return RC_OK;
    }
    query_free(query);
    return rc == RC_OK ? RC_TEMP : rc;
}

void
hold_show(struct request *r, const char *id, const struct asked *asked, kv_fn *fn, void *arg)
{
    AUTO(buf) struct buf data = { 0 };
    struct json_writer w;
    struct job_ref ref = { .enqueued_ms = r->accepted_ms };
    const struct job_hold hold = { .status = JOB_WAITING, .keep_s = asked->expires_s };
    (void)snprintf(ref.workspace, sizeof(ref.workspace), "%s", r->actor.workspace);
    (void)snprintf(ref.id, sizeof(ref.id), "%s", id);
    (void)snprintf(ref.action, sizeof(ref.action), "%s", asked->action);
    jobs_hold(&r->gw->jobs, &ref, &hold, fn, arg);
    buf_init(&data, EVENTS_TEXT_MAX / 2);
    json_begin(&w, &data);
    json_object(&w, NULL);
    json_put_string(&w, "job_id", id);
    json_put_string(&w, "status", JOB_WAITING);
    json_put_string(&w, "action", ref.action);
    json_close(&w);
    if (json_end(&w) == RC_OK)
        events_tell(r->gw, r->actor.workspace, SCOPE_ACTIONS_PREVIEW, "job", buf_text(&data));
}

/* --- one command --------------------------------------------------------------------------------------- */

static enum step
answer_waiting(struct request *r)
{
    const struct asked *asked = r->own;
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    buf_init(&out, ANSWER_CAP);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_string(&w, "status", JOB_WAITING);
    json_put_string(&w, "job_id", r->id);
    json_put_time(&w, "expires_at", clock_wall_ms() + asked->expires_s * 1000);
    policy_put(&w, "policy", &asked->decision);
    json_close(&w);
    if (json_end(&w) != RC_OK)
        return answer_problem(r, PROBLEM_INTERNAL, "the answer is not of its form");
    enum step step = answer_object(r, 202, buf_text(&out), out.len);
    answer_header(r, "Location", "%s/%s", r->route->location, r->id);
    r->job_status = JOB_WAITING;
    return step;
}

/* Redis is told later by nobody: who asks for the job meanwhile does not find it, the approver does. */
static void
on_shown(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    struct request *r = arg;
    (void)rc, (void)reply, (void)err;
    request_continue(r, answer_waiting(r));
}

static void
on_held(void *arg, enum rc rc)
{
    struct request *r = arg;
    const struct asked *asked = r->own;
    if (rc == RC_OK) {
        hold_show(r, r->id, asked, on_shown, r);
        return;
    }
    answer_header(r, "Retry-After", "2");
    request_continue(
        r, answer_problem(r, PROBLEM_UNAVAILABLE, "%s",
                          rc == RC_LIMIT ? "too many actions of this workspace wait for an approval"
                                         : "PostgreSQL is unavailable: nothing can wait for an "
                                           "approval now"));
}

enum step
hold_command(struct request *r)
{
    size_t len;
    const char *payload = request_payload(r, &len);
    const struct held held = { .id = r->id, .asked = r->own, .payload = payload, .len = len };
    if (hold_all(r, &held, 1, on_held, r) == RC_OK)
        return STEP_WAIT;
    answer_header(r, "Retry-After", "2");
    return answer_problem(r, PROBLEM_UNAVAILABLE, "too much waits for PostgreSQL: ask again");
}
