/* SPDX-License-Identifier: MIT */
#include "webhooks/telling.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "bus/bus.h"
#include "db/db.h"
#include "protocol/audit_event.h"
#include "protocol/command.h"
#include "sql_connector.h"

#define TELL_MAX 20
#define TELL_MS  5000
#define TOLD_MAX 256

struct telling {
    struct tellings *all; /* borrowed */
    char workspace[WORKSPACE_TEXT_MAX], webhook[ID_TEXT_MAX], event[ID_TEXT_MAX], reason[16];
};

/* Those who listen at a gateway, once the log has it. */
static void
tell_listeners(const struct telling *telling)
{
    AUTO(buf) struct buf text = { 0 };
    char subject[SUBJECT_MAX];
    struct json_writer w;

    buf_init(&text, TOLD_MAX);
    json_begin(&w, &text);
    json_object(&w, NULL);
    json_put_string(&w, "state", "disabled");
    json_put_string(&w, "reason", telling->reason);
    json_close(&w);
    if (json_end(&w) != RC_OK)
        return;
    (void)snprintf(subject, sizeof(subject), WEBHOOK_STATE_SUBJECT "%s.%s", telling->workspace,
                   telling->webhook);
    const struct bus_out out = { .subject = subject, .data = text.data, .len = text.len };
    (void)bus_publish(worker_bus(telling->all->c->w), &out, NULL);
}

static void
on_told(void *arg, enum rc rc, bool duplicate, const struct err *err)
{
    struct telling *telling = arg;
    AUTO(pgresult) PGresult *rows = NULL;
    struct db_params params = { 0 };

    (void)duplicate, (void)err;
    telling->all->under_way--;
    if (rc != RC_OK && rc != RC_TEMP)
        log_fields(LOG_ERROR, "the audit log cannot be told that a webhook was disabled",
                   "workspace", telling->workspace, "webhook", telling->webhook, "why",
                   rc_meaning(rc), NULL);
    if (rc == RC_OK) {
        tell_listeners(telling);
        db_param_text(&params, telling->workspace);
        db_param_text(&params, telling->webhook);
        db_param_text(&params, telling->event);
        (void)!db_query(worker_db(telling->all->c->w), telling->workspace,
                        SQL_CONNECTOR_WEBHOOK_TOLD, &params, &rows, NULL);
    }
    free(telling);
}

static void
tell_one(struct tellings *all, const PGresult *rows, int row)
{
    struct telling *telling = calloc(1, sizeof(*telling));
    AUTO(buf) struct buf text = { 0 };
    char subject[SUBJECT_MAX], msg_id[ID_TEXT_MAX + 16];

    if (!telling)
        log_no_memory("an audit event");
    telling->all = all;
    (void)snprintf(telling->workspace, sizeof(telling->workspace), "%s", db_text(rows, row, 0));
    (void)snprintf(telling->webhook, sizeof(telling->webhook), "%s", db_text(rows, row, 1));
    (void)snprintf(telling->event, sizeof(telling->event), "%s", db_text(rows, row, 2));
    (void)snprintf(telling->reason, sizeof(telling->reason), "%s", db_text(rows, row, 3));
    const struct audit_request_event event = {
        .event_id = telling->event,
        .actor = AUDIT_ACTOR_PROGRAM,
        .action = "webhooks.disable",
        .target = telling->webhook,
        .status = AUDIT_SUCCESS,
        .error_code = telling->reason,
        .duration_ms = -1,
        .region = worker_region(all->c->w),
        .time_ms = clock_wall_ms(),
    };
    buf_init(&text, AUDIT_EVENT_MAX);
    (void)snprintf(subject, sizeof(subject), SUBJECT_PREFIX "%s.audit.request.connector",
                   telling->workspace);
    (void)snprintf(msg_id, sizeof(msg_id), "%s.audit", telling->event);
    all->under_way++;
    enum rc rc = audit_event_write(&event, &text);
    const struct bus_out out = { .subject = subject, .data = text.data, .len = text.len };
    if (rc == RC_OK)
        rc = bus_js_publish(worker_bus(all->c->w), &out, msg_id, TELL_MS, on_told, telling, NULL);
    if (rc != RC_OK)
        on_told(telling, rc, false, NULL);
}

void
tellings_tick(struct tellings *all)
{
    AUTO(pgresult) PGresult *rows = NULL;
    struct db_params params = { 0 };

    if (all->under_way)
        return;
    db_param_int(&params, TELL_MAX);
    if (db_query(worker_db(all->c->w), NULL, SQL_CONNECTOR_WEBHOOK_UNTOLD, &params, &rows, NULL) !=
        RC_OK)
        return;
    for (int row = 0; row < PQntuples(rows); row++)
        tell_one(all, rows, row);
}
