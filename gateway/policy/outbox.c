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
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "effects/forward.h"
#include "events/events.h"
#include "gateway.h"
#include "policy/hold.h"
#include "process/fault.h"
#include "protocol/actor.h"
#include "sql_gateway.h"

#define EVERY_MS   2000
#define ROWS_MAX   32
#define LEASE_S    15
#define PUBLISH_MS 5000

struct errand {
    struct dbwork work; /* first: settling */
    struct outbox *outbox;
    size_t step;
    char workspace[WORKSPACE_TEXT_MAX];
    char state[16], command[32];
    struct job_ref ref;
    struct actor_claim claim;
    char decided_by[KEY_ID_LEN + 1];
    char decision[8192]; /* JSON */
    char hash[65];
    int64_t version;
    uint8_t *sealed; /* owned */
    size_t len;
    char asked_event[ID_TEXT_MAX], decided_event[ID_TEXT_MAX];
    bool asked_told, carried_out, decided_told;
};

struct outbox {
    struct dbwork work; /* first: taking */
    struct gateway *gw;
    struct loop_timer *timer;
    bool asking, again;
    unsigned errands;
    size_t n;
    struct errand *taken[ROWS_MAX]; /* between the thread and the loop */
};

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

/* --- one row ------------------------------------------------------------------------------------------ */

static void
errand_free(struct errand *e)
{
    e->outbox->errands--;
    free(e->sealed);
    free(e);
}

static void
on_settled(void *arg)
{
    errand_free(arg); /* not settled: it is given out again */
}

static void go_on(struct errand *e);

/* It stays as it is until its lease is over. */
static void
give_up(struct errand *e, const char *why)
{
    log_fields(LOG_WARN, "an approval could not be dealt with now: trying again", "workspace",
               e->workspace, "id", e->ref.id, "why", why, NULL);
    errand_free(e);
}

static void
on_told(void *arg, enum rc rc)
{
    struct errand *e = arg;
    if (rc != RC_OK) { /* it is kept and sent again under its id; and again by the next who looks */
        give_up(e, "AUDIT did not take its event");
        return;
    }
    go_on(e);
}

static void
tell_listeners(const struct errand *e)
{
    AUTO(buf) struct buf data = { 0 };
    struct json_writer w;
    buf_init(&data, EVENTS_TEXT_MAX / 2);
    json_begin(&w, &data);
    json_object(&w, NULL);
    json_put_string(&w, "id", e->ref.id);
    json_put_string(&w, "state", e->state);
    json_put_string(&w, "action", e->ref.action);
    json_close(&w);
    if (json_end(&w) == RC_OK)
        events_tell(e->outbox->gw, e->workspace, SCOPE_ACTIONS_APPROVE, "approval",
                    buf_text(&data));
}

/* false: nothing is awaited. */
static bool
tell(struct errand *e, const char *action, const char *event_id, const char *key_id,
     const char *error)
{
    bool refused = error != NULL;
    const struct audit_request_event event = {
        .event_id = event_id,
        .actor = key_id[0] ? AUDIT_ACTOR_KEY : AUDIT_ACTOR_OPERATOR,
        .key_id = key_id[0] ? key_id : NULL,
        .request_id = e->claim.request_id,
        .action = action,
        .target = e->ref.id,
        .status = refused ? AUDIT_DENIED : AUDIT_SUCCESS,
        .decision = refused                             ? "denied"
                    : strcmp(e->state, "approved") == 0 ? "allowed"
                                                        : "requires_approval",
        .error_code = error,
        .duration_ms = -1,
        .policy = e->decision,
        .region = e->outbox->gw->settings->region,
        .time_ms = clock_wall_ms(),
    };
    tell_listeners(e);
    if (audit_send(e->outbox->gw->audit, e->workspace, &event, on_told, e) == RC_OK)
        return true;
    give_up(e, "AUDIT is unavailable");
    return true;
}

static bool
tell_asked(struct errand *e)
{
    if (e->asked_told)
        return false;
    e->asked_told = true;
    return tell(e, "approval.asked", e->asked_event, e->claim.key_id, NULL);
}

static void
on_published(void *arg, enum rc rc, bool duplicate, const struct err *err)
{
    struct errand *e = arg;
    (void)duplicate;
    FAULT("approval_published");
    if (rc != RC_OK) {
        e->carried_out = false;
        give_up(e, err ? err->text : "it was not stored");
        return;
    }
    e->outbox->gw->count.published_total++;
    go_on(e);
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
        give_up(e, err.text);
        return;
    }
    const struct bus_header headers[] = { { ACTOR_HEADER, wire }, { PROTOCOL_HEADER, "2" } };
    const struct bus_out out = { .subject = subject,
                                 .headers = headers,
                                 .n_headers = ARRAY_LEN(headers),
                                 .data = payload->data,
                                 .len = payload->len };
    if (bus_js_publish(gw->bus, &out, msg_id, PUBLISH_MS, on_published, e, &err) != RC_OK)
        give_up(e, "NATS is unavailable");
}

/* What was shown is what is published: its hash is that of the row, which the approver was given. */
static void
carry_out(struct errand *e)
{
    const struct gateway *gw = e->outbox->gw;
    AUTO(buf) struct buf payload = { 0 };
    char hex[65];
    struct hold_bytes bytes = { .workspace = e->workspace,
                                .id = e->ref.id,
                                .command = e->command,
                                .policy_version = e->version };
    buf_init(&payload, HOLD_PAYLOAD_MAX);
    if (hold_open(gw, &bytes, e->sealed, e->len, &payload) != RC_OK) {
        give_up(e, "what was approved cannot be decrypted: DATA_KEY is another one, or the row was "
                   "changed");
        return;
    }
    bytes.payload = buf_text(&payload);
    bytes.len = payload.len;
    hold_hash(gw, &bytes, hex);
    if (strcmp(hex, e->hash) != 0) {
        give_up(e, "the hash of what was approved is another one: the row was changed");
        return;
    }
    publish(e, &payload);
}

static void
on_ended(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    struct errand *e = arg;
    bool approved = strcmp(e->state, "approved") == 0;
    (void)err;
    if (rc != RC_OK) {
        e->carried_out = false;
        give_up(e, "Redis is unavailable");
        return;
    }
    FAULT("approval_decided");
    if (approved && strcmp(jobs_word(reply), "pending") == 0)
        carry_out(e);
    else /* it was cancelled meanwhile, or it has run already */
        go_on(e);
}

/* The job's record first: what was cancelled is not published. */
static bool
end_job(struct errand *e)
{
    bool approved = strcmp(e->state, "approved") == 0;
    bool cancelled = strcmp(e->state, "cancelled") == 0;
    char error[JOBS_ERROR_MAX] = "";
    if (e->carried_out || strcmp(e->state, "waiting") == 0)
        return false;
    e->carried_out = true;
    if (!approved)
        (void)snprintf(error, sizeof(error), "%s",
                       cancelled ? "cancelled"
                       : strcmp(e->state, "expired") == 0
                           ? "approval_expired: nobody has approved it in time"
                           : "approval_denied: it was not approved");
    const struct job_hold hold = { .status = approved    ? "pending"
                                             : cancelled ? "cancelled"
                                                         : "failed",
                                   .error = error };
    jobs_hold(&e->outbox->gw->jobs, &e->ref, &hold, on_ended, e);
    return true;
}

static bool
tell_decided(struct errand *e)
{
    bool approved = strcmp(e->state, "approved") == 0;
    char error[32];
    if (e->decided_told || strcmp(e->state, "waiting") == 0)
        return false;
    e->decided_told = true;
    (void)snprintf(error, sizeof(error), "approval_%s", e->state);
    return tell(e, "approval.decided", e->decided_event, e->decided_by, approved ? NULL : error);
}

static bool (*const STEPS[])(struct errand *e) = { tell_asked, end_job, tell_decided };

static void
go_on(struct errand *e)
{
    while (e->step < ARRAY_LEN(STEPS))
        if (STEPS[e->step++](e))
            return;
    e->work.run = run_settle;
    e->work.done = on_settled;
    if (!dbworker_add(e->outbox->gw->dbworker, &e->work))
        give_up(e, "too much waits for PostgreSQL");
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
        go_on(outbox->taken[i]);
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
        free(outbox->taken[i]->sealed);
        free(outbox->taken[i]);
    }
    loop_timer_free(outbox->timer);
    free(outbox);
}
