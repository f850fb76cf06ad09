/* SPDX-License-Identifier: MIT */
/*
 * outbox - what approvals leave to be done, done by whichever gateway gets to it first.
 *
 * Theory of operation. approval_take() gives a row to one gateway, for LEASE_S; what it has not settled by then
 * (it was killed, or a server was unavailable) is given out again. So each step may happen twice, and none of them
 * has a second effect: events have the ids of the row, the command has the job's id, the job's record
 * knows its state. The steps of a row, in their order:
 *
 *   tell that it waits -> [decided:] publish it, or end its job -> tell the decision -> settle
 *
 * A job that was cancelled between its approval and its publishing never becomes a command, so its end is told
 * here, under the id and the action that its program would have used. What was changed after it was decided
 * becomes `failed`, once, and goes through the same steps as what was denied.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "effects/forward.h"
#include "gateway.h"
#include "policy/outbox_own.h"
#include "process/fault.h"
#include "sql_gateway.h"

#define EVERY_MS   2000
#define LEASE_S    15
#define PUBLISH_MS 5000

/* --- on the database thread ------------------------------------------------------------------------- */

static void
copy(char *out, size_t cap, const char *text)
{
    (void)snprintf(out, cap, "%s", text ? text : "");
}

static struct errand *
read_row(const PGresult *rows, int i)
{
    struct err err = { 0 };
    struct errand *e = calloc(1, sizeof(*e));
    if (!e)
        log_no_memory("an approval");
    copy(e->workspace, sizeof(e->workspace), db_text(rows, i, 0));
    copy(e->ref.workspace, sizeof(e->ref.workspace), e->workspace);
    copy(e->ref.id, sizeof(e->ref.id), db_text(rows, i, 1));
    copy(e->claim.command_id, sizeof(e->claim.command_id), e->ref.id);
    copy(e->state, sizeof(e->state), db_text(rows, i, 2));
    copy(e->ref.action, sizeof(e->ref.action), db_text(rows, i, 3));
    copy(e->command, sizeof(e->command), db_text(rows, i, 4));
    copy(e->claim.key_id, sizeof(e->claim.key_id), db_text(rows, i, 5));
    (void)!role_parse(db_text(rows, i, 6), &e->claim.role);
    e->claim.accepted_ms = e->ref.enqueued_ms = db_int(rows, i, 7, 0);
    copy(e->claim.request_id, sizeof(e->claim.request_id), db_text(rows, i, 8));
    copy(e->claim.idem_hash, sizeof(e->claim.idem_hash), db_text(rows, i, 9));
    e->version = db_int(rows, i, 10, 0);
    copy(e->decision, sizeof(e->decision), db_text(rows, i, 11));
    copy(e->hash, sizeof(e->hash), db_text(rows, i, 12));
    if (db_text(rows, i, 13) && db_bytes(rows, i, 13, &e->sealed, &e->len, &err) != RC_OK)
        e->sealed = NULL;
    copy(e->asked_event, sizeof(e->asked_event), db_text(rows, i, 14));
    copy(e->decided_event, sizeof(e->decided_event), db_text(rows, i, 15));
    e->asked_told = db_bool(rows, i, 16);
    e->carried_out = db_bool(rows, i, 17);
    e->decided_told = db_bool(rows, i, 18);
    copy(e->decided_by, sizeof(e->decided_by), db_text(rows, i, 19));
    e->expires_ms = db_int(rows, i, 20, 0);
    buf_init(&e->payload, HOLD_PAYLOAD_MAX);
    (void)snprintf(e->claim.approval, sizeof(e->claim.approval), "%lld.%s", (long long)e->version,
                   e->decided_by);
    return e;
}

static enum rc
run_take(struct dbwork *base, struct db *db, struct err *err)
{
    struct outbox *outbox = (struct outbox *)base;
    AUTO(pgresult) PGresult *rows = NULL;
    struct db_params params = { 0 };
    outbox->n = 0;
    db_param_int(&params, ROWS_MAX);
    db_param_int(&params, LEASE_S);
    db_param_int(&params, HOLD_KEEP_S);
    enum rc rc = db_query(db, NULL, SQL_GATEWAY_APPROVAL_TAKE, &params, &rows, err);
    for (int i = 0; rc == RC_OK && i < PQntuples(rows) && i < ROWS_MAX; i++)
        outbox->taken[outbox->n++] = read_row(rows, i);
    return rc;
}

static enum rc
run_settle(struct dbwork *base, struct db *db, struct err *err)
{
    struct errand *e = (struct errand *)base;
    AUTO(pgresult) PGresult *result = NULL;
    struct db_params params = { 0 };
    db_param_text(&params, e->ref.id);
    db_param_bool(&params, e->asked_told);
    db_param_bool(&params, e->carried_out);
    db_param_bool(&params, e->decided_told);
    db_param_int(&params, HOLD_KEEP_S);
    return db_query(db, e->workspace, SQL_GATEWAY_APPROVAL_SETTLE, &params, &result, err);
}

static enum rc
run_fail(struct dbwork *base, struct db *db, struct err *err)
{
    struct errand *e = (struct errand *)base;
    AUTO(pgresult) PGresult *result = NULL;
    struct db_params params = { 0 };
    db_param_text(&params, e->ref.id);
    return db_query(db, e->workspace, SQL_GATEWAY_APPROVAL_FAIL, &params, &result, err);
}

/* --- one row ------------------------------------------------------------------------------------------ */

static void
errand_fini(struct errand *e)
{
    buf_fini(&e->payload);
    free(e->sealed);
    free(e);
}

static void
errand_free(struct errand *e)
{
    e->outbox->errands--;
    errand_fini(e);
}

static void
on_settled(void *arg)
{
    errand_free(arg); /* not settled: it is given out again */
}

void
errand_give_up(struct errand *e, const char *why)
{
    log_fields(LOG_WARN, "an approval could not be dealt with now: trying again", "workspace",
               e->workspace, "id", e->ref.id, "why", why, NULL);
    errand_free(e);
}

static void
on_published(void *arg, enum rc rc, bool duplicate, const struct err *err)
{
    struct errand *e = arg;
    (void)duplicate;
    FAULT("approval_published");
    if (rc != RC_OK) {
        e->carried_out = false;
        errand_give_up(e, err ? err->text : "it was not stored");
        return;
    }
    e->outbox->gw->count.published_total++;
    errand_go_on(e);
}

static void
publish(struct errand *e, const struct buf *payload)
{
    struct gateway *gw = e->outbox->gw;
    enum command command =
        strcmp(e->command, "connector.run") == 0 ? CMD_CONNECTOR_RUN : CMD_EXECUTOR_RUN;
    char subject[SUBJECT_MAX], wire[ACTOR_WIRE_MAX], msg_id[ID_TEXT_MAX + 16];
    struct err err = { 0 };
    command_subject(subject, e->workspace, command);
    (void)snprintf(msg_id, sizeof(msg_id), "%s.approved", e->ref.id);
    if (actor_write(gw->actor_keys[command], &e->claim, subject, payload->data, payload->len, wire,
                    &err) != RC_OK) {
        errand_give_up(e, err.text);
        return;
    }
    const struct bus_header headers[] = { { ACTOR_HEADER, wire }, { PROTOCOL_HEADER, "2" } };
    const struct bus_out out = { .subject = subject,
                                 .headers = headers,
                                 .n_headers = ARRAY_LEN(headers),
                                 .data = payload->data,
                                 .len = payload->len };
    if (bus_js_publish(gw->bus, &out, msg_id, PUBLISH_MS, on_published, e, &err) != RC_OK)
        errand_give_up(e, "NATS is unavailable");
}

static void
on_failed(void *arg)
{
    struct errand *e = arg;
    struct outbox *outbox = e->outbox;
    errand_free(e); /* it is taken again at once, as one that has failed */
    outbox_kick(outbox);
}

/* No process can ever execute it. */
static void
fail(struct errand *e, const char *why)
{
    log_fields(LOG_ERROR, "an approved action is not executed", "workspace", e->workspace, "id",
               e->ref.id, "why", why, NULL);
    e->work.run = run_fail;
    e->work.done = on_failed;
    if (!dbworker_add(e->outbox->gw->dbworker, &e->work))
        errand_give_up(e, "too much waits for PostgreSQL");
}

/* What was shown is what is published: its hash is that of the row, which the approver was given. false: it is
 * not, and e is dealt with. A row that cannot be decrypted may be another gateway's, with the right DATA_KEY,
 * for as long as it could have waited. */
static bool
unseal(struct errand *e)
{
    const struct gateway *gw = e->outbox->gw;
    char hex[65];
    struct hold_bytes bytes = { .workspace = e->workspace,
                                .id = e->ref.id,
                                .command = e->command,
                                .policy_version = e->version };
    enum rc rc = hold_open(gw, &bytes, e->sealed, e->len, &e->payload);
    if (rc == RC_CORRUPT && clock_wall_ms() >= e->expires_ms) {
        fail(e, "it cannot be decrypted: DATA_KEY is another one, or the row was changed");
        return false;
    }
    if (rc != RC_OK) {
        errand_give_up(
            e, "what was approved cannot be decrypted: DATA_KEY is another one, or the row was "
               "changed");
        return false;
    }
    bytes.payload = buf_text(&e->payload);
    bytes.len = e->payload.len;
    hold_hash(gw, &bytes, hex);
    if (strcmp(hex, e->hash) == 0)
        return true;
    fail(e, "its hash is another one: the row was changed");
    return false;
}

static void
on_ended(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    struct errand *e = arg;
    bool approved = strcmp(e->state, "approved") == 0;
    (void)err;
    if (rc != RC_OK) {
        e->carried_out = false;
        errand_give_up(e, "Redis is unavailable");
        return;
    }
    FAULT("approval_decided");
    if (approved && strcmp(jobs_word(reply), "pending") == 0)
        publish(e, &e->payload);
    else if (approved && strcmp(jobs_word(reply), "cancelled") == 0)
        errand_tell_cancelled(e);
    else /* it has run already */
        errand_go_on(e);
}

/* How a job ends that is not executed; "" = it is executed. */
static const char *
error_of(const char *state)
{
    static const char *const ERRORS[][2] = {
        { "denied", "approval_denied: it was not approved" },
        { "expired", "approval_expired: nobody has approved it in time" },
        { "failed", "approval_failed: what was approved is not what is stored now" },
        { "cancelled", "cancelled" },
    };
    for (size_t i = 0; i < ARRAY_LEN(ERRORS); i++)
        if (strcmp(state, ERRORS[i][0]) == 0)
            return ERRORS[i][1];
    return "";
}

/* The job's record first: what was cancelled is not published. */
static bool
end_job(struct errand *e)
{
    bool approved = strcmp(e->state, "approved") == 0;
    if (e->carried_out || strcmp(e->state, "waiting") == 0)
        return false;
    if (approved && !unseal(e))
        return true;
    e->carried_out = true;
    const struct job_hold hold = { .status = approved                             ? "pending"
                                             : strcmp(e->state, "cancelled") == 0 ? "cancelled"
                                                                                  : "failed",
                                   .error = error_of(e->state) };
    jobs_hold(&e->outbox->gw->jobs, &e->ref, &hold, on_ended, e);
    return true;
}

static bool (*const STEPS[])(struct errand *e) = { errand_tell_asked, end_job,
                                                   errand_tell_decided };

void
errand_go_on(struct errand *e)
{
    while (e->step < ARRAY_LEN(STEPS))
        if (STEPS[e->step++](e))
            return;
    e->work.run = run_settle;
    e->work.done = on_settled;
    if (!dbworker_add(e->outbox->gw->dbworker, &e->work))
        errand_give_up(e, "too much waits for PostgreSQL");
}

/* --- all of them ----------------------------------------------------------------------------------------- */

static void
on_taken(void *arg)
{
    struct outbox *outbox = arg;
    size_t n = outbox->n;
    outbox->asking = false;
    outbox->n = 0;
    for (size_t i = 0; i < n; i++) {
        outbox->taken[i]->outbox = outbox;
        outbox->errands++;
        errand_go_on(outbox->taken[i]);
    }
    if (outbox->again || n == ROWS_MAX)
        outbox_kick(outbox);
}

static void
look(void *arg)
{
    struct outbox *outbox = arg;
    if (outbox->asking) {
        outbox->again = true;
        return;
    }
    outbox->again = false;
    outbox->work.run = run_take;
    outbox->work.done = on_taken;
    outbox->asking = dbworker_add(outbox->gw->dbworker, &outbox->work);
}

void
outbox_kick(struct outbox *outbox)
{
    if (outbox)
        look(outbox);
}

enum rc
outbox_open(struct gateway *gw, struct outbox **out, struct err *err)
{
    struct outbox *outbox = calloc(1, sizeof(*outbox));
    if (!outbox)
        return err_set(err, RC_TEMP, "no memory for the outbox of approvals");
    outbox->gw = gw;
    outbox->timer = loop_timer_new(gw->loop, look, outbox);
    loop_timer_set(outbox->timer, EVERY_MS, EVERY_MS);
    *out = outbox;
    return RC_OK;
}

void
outbox_close(struct outbox *outbox)
{
    if (!outbox)
        return;
    for (size_t i = 0; i < outbox->n; i++) {
        errand_fini(outbox->taken[i]);
    }
    loop_timer_free(outbox->timer);
    free(outbox);
}
