/* SPDX-License-Identifier: MIT */
#include "keys/uses.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "gateway.h"
#include "keys/dbwork.h"
#include "keys/keys.h"
#include "sql_gateway.h"

struct uses {
    struct dbwork work; /* first: the thread gives it back */
    struct gateway *gw;
    struct loop_timer *timer;
    bool busy;
    size_t count;
    struct key_use items[USES_AT_ONCE];
};

static enum rc
run(struct dbwork *base, struct db *db, struct err *err)
{
    struct uses *uses = (struct uses *)base;
    for (size_t i = 0; i < uses->count; i++) {
        AUTO(pgresult) PGresult *result = NULL;
        struct db_params params = { 0 };
        db_param_text(&params, uses->items[i].key_id);
        enum rc rc =
            db_query(db, uses->items[i].workspace, SQL_GATEWAY_KEY_TOUCH, &params, &result, err);
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

static void
on_done(void *arg)
{
    struct uses *uses = arg;
    uses->busy = false;
}

static void
on_timer(void *arg)
{
    struct uses *uses = arg;
    if (uses->busy || !keys_fresh(uses->gw->keys))
        return;
    uses->count = keys_take_uses(uses->gw->keys, uses->items, USES_AT_ONCE);
    if (!uses->count)
        return;
    uses->work.run = run;
    uses->work.done = on_done;
    uses->busy = dbworker_add(uses->gw->dbworker, &uses->work);
}

enum rc
uses_open(struct gateway *gw, struct uses **out, struct err *err)
{
    struct uses *uses = calloc(1, sizeof(*uses));
    if (!uses)
        return err_set(err, RC_TEMP, "no memory for the times of last use");
    uses->gw = gw;
    uses->timer = loop_timer_new(gw->loop, on_timer, uses);
    loop_timer_set(uses->timer, USES_EVERY_MS, USES_EVERY_MS);
    *out = uses;
    return RC_OK;
}

void
uses_close(struct uses *uses)
{
    if (!uses)
        return;
    loop_timer_free(uses->timer);
    free(uses);
}
