/* SPDX-License-Identifier: MIT */
/*
 * waiting - how many actions wait for an approval, as PostgreSQL counts them: every gateway tells the same.
 *
 * Labels are bounded: the workspaces in which most wait have one each, and the others share one. A count that
 * cannot be read is not told, which alerts can ask for; a false 0 they cannot.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "gateway.h"
#include "policy/hold.h"
#include "protocol/exposition.h"
#include "sql_gateway.h"

#define EVERY_MS   5000
#define NAMED_MAX  20
#define OTHERS     "_others" /* no workspace is called so */
#define COUNTS_MAX (NAMED_MAX + 1)

struct count {
    char workspace[WORKSPACE_TEXT_MAX];
    uint64_t waiting;
};

struct waiting {
    struct dbwork work; /* first: the thread gives it back */
    struct gateway *gw;
    struct loop_timer *timer; /* owned */
    bool asking, known;
    size_t n, n_read;
    struct count counts[COUNTS_MAX], read[COUNTS_MAX]; /* read: the thread's until it is done */
};

static enum rc
run(struct dbwork *base, struct db *db, struct err *err)
{
    struct waiting *waiting = (struct waiting *)base;
    AUTO(pgresult) PGresult *rows = NULL;
    struct db_params params = { 0 };
    waiting->n_read = 0;
    db_param_int(&params, NAMED_MAX);
    enum rc rc = db_query(db, NULL, SQL_GATEWAY_APPROVAL_COUNTS, &params, &rows, err);
    for (int i = 0; rc == RC_OK && i < PQntuples(rows) && i < COUNTS_MAX; i++) {
        struct count *count = &waiting->read[waiting->n_read++];
        const char *name = db_text(rows, i, 0);
        (void)snprintf(count->workspace, sizeof(count->workspace), "%s",
                       name && *name ? name : OTHERS);
        count->waiting = (uint64_t)db_int(rows, i, 1, 0);
    }
    return rc;
}

static void
on_read(void *arg)
{
    struct waiting *waiting = arg;
    waiting->asking = false;
    waiting->known = waiting->work.rc == RC_OK;
    waiting->n = waiting->n_read;
    memcpy(waiting->counts, waiting->read, sizeof(waiting->counts));
}

static void
look(void *arg)
{
    struct waiting *waiting = arg;
    if (waiting->asking)
        return;
    waiting->work.run = run;
    waiting->work.done = on_read;
    waiting->asking = dbworker_add(waiting->gw->dbworker, &waiting->work);
}

enum rc
waiting_open(struct gateway *gw, struct waiting **out, struct err *err)
{
    struct waiting *waiting = calloc(1, sizeof(*waiting));
    if (!waiting)
        return err_set(err, RC_TEMP, "no memory for counts of approvals");
    waiting->gw = gw;
    waiting->timer = loop_timer_new(gw->loop, look, waiting);
    loop_timer_set(waiting->timer, 0, EVERY_MS);
    *out = waiting;
    return RC_OK;
}

void
waiting_close(struct waiting *waiting)
{
    if (!waiting)
        return;
    loop_timer_free(waiting->timer);
    free(waiting);
}

void
waiting_expose(const struct waiting *waiting, const struct exposition *e)
{
    static const char ALL[] = "gantry_approvals_waiting";
    static const char EACH[] = "gantry_workspace_approvals_waiting";
    AUTO(buf) struct buf labels = { 0 };
    uint64_t all = 0;
    if (!waiting->known)
        return;
    buf_init(&labels, 256);
    exposition_family(e, EACH, METRIC_GAUGE,
                      "actions that wait for an approval, in the workspaces with most of them");
    for (size_t i = 0; i < waiting->n; i++) {
        buf_reset(&labels);
        exposition_label(&labels, "workspace", waiting->counts[i].workspace);
        exposition_value(e, EACH, buf_text(&labels), waiting->counts[i].waiting);
        all += waiting->counts[i].waiting;
    }
    exposition_family(e, ALL, METRIC_GAUGE, "actions that wait for an approval");
    exposition_value(e, ALL, "", all);
}
