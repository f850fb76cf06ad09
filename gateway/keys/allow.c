/* SPDX-License-Identifier: MIT */
#include "keys/allow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fnv.h"
#include "base/id.h"
#include "base/log.h"
#include "bus/bus.h"
#include "gateway.h"
#include "json/json.h"
#include "keys/dbwork.h"
#include "policy/policy.h"
#include "settings.h"
#include "sql_gateway.h"

#define SLOTS         1024 /* cached workspaces; a newer one takes its slot */
#define ANSWER_BYTES  524288
#define SUBJECT_BYTES 256

struct slot {
    char workspace[WORKSPACE_TEXT_MAX];
    int64_t asked_ms; /* monotonic */
    struct allow_view view;
};

struct allowlist {
    struct gateway *gw; /* borrowed */
    struct allow_view defaults;
    cJSON *policy; /* owned; of workspaces without one; NULL = none */
    struct bus_sub *sub;
    struct slot slots[SLOTS];
};

struct question {
    struct dbwork work; /* first: the thread gives it back */
    struct allowlist *list;
    char workspace[WORKSPACE_TEXT_MAX];
    int64_t asked_ms;
    bool found;
    char *actions; /* owned; JSON array, NULL = the default */
    char *egress;  /* owned; JSON array */
    char *policy;  /* owned; JSON; NULL = none was set */
    int64_t policy_version;
    allow_fn *fn;
    void *arg;
};

static enum rc
view_add(struct allow_view *view, const char *action, size_t len)
{
    if (len == 0 || len >= ALLOW_ACTION_BYTES || view->count == ALLOW_ACTIONS_MAX)
        return RC_LIMIT;
    char(*actions)[ALLOW_ACTION_BYTES] =
        realloc(view->actions, (view->count + 1) * sizeof(*actions));
    if (!actions)
        return RC_TEMP;
    view->actions = actions;
    memcpy(actions[view->count], action, len);
    actions[view->count++][len] = '\0';
    return RC_OK;
}

/* Without a name that is none of an action, or beyond the bound; not without one for want of memory. */
static enum rc
view_take(struct allow_view *view, const char *action)
{
    return view_add(view, action, strlen(action)) == RC_TEMP ? RC_TEMP : RC_OK;
}

static void
view_fini(struct allow_view *view)
{
    free(view->actions);
    free(view->egress);
    json_cleanup(&view->own_policy);
    *view = (struct allow_view){ 0 };
}

bool
allow_has(const struct allow_view *view, const char *action)
{
    for (unsigned i = 0; i < view->count; i++)
        if (strcmp(view->actions[i], action) == 0)
            return true;
    return false;
}

/* --- the question to PostgreSQL --------------------------------------------------------------- */

static enum rc
run(struct dbwork *base, struct db *db, struct err *err)
{
    struct question *q = (struct question *)base;
    AUTO(pgresult) PGresult *result = NULL;
    struct db_params params = { 0 };
    q->asked_ms = clock_mono_ms();
    db_param_text(&params, q->workspace);
    enum rc rc = db_query(db, q->workspace, SQL_GATEWAY_WORKSPACE_ACTIONS, &params, &result, err);
    if (rc != RC_OK)
        return rc;
    q->found = PQntuples(result) == 1;
    const char *actions = q->found ? db_text(result, 0, 0) : NULL;
    const char *egress = q->found ? db_text(result, 0, 1) : NULL;
    const char *policy = q->found ? db_text(result, 0, 3) : NULL;
    q->policy_version = q->found ? db_int(result, 0, 2, 0) : 0;
    if ((actions && !(q->actions = strdup(actions))) || (egress && !(q->egress = strdup(egress))) ||
        (policy && !(q->policy = strdup(policy))))
        return err_set(err, RC_TEMP, "no memory for an allowlist");
    return RC_OK;
}

static unsigned
slot_number(const char *workspace)
{
    return fnv32_text(workspace) % SLOTS;
}

/* A policy that cannot be read is no reason to do without one. */
static enum rc
keep_policy(const struct allowlist *list, const struct question *q, struct slot *slot)
{
    struct err err = { 0 };
    slot->view.policy = list->policy;
    slot->view.policy_version = q->policy_version;
    if (!q->policy)
        return RC_OK;
    if (json_read(q->policy, strlen(q->policy), &slot->view.own_policy, &err) != RC_OK)
        return RC_BUG;
    slot->view.policy = slot->view.own_policy;
    return RC_OK;
}

static enum rc
keep(struct allowlist *list, const struct question *q, struct slot **out)
{
    AUTO(json) cJSON *own = NULL;
    struct err err = { 0 };
    struct slot *slot = &list->slots[slot_number(q->workspace)];
    const cJSON *item;
    view_fini(&slot->view);
    memcpy(slot->workspace, q->workspace, sizeof(slot->workspace));
    slot->asked_ms = q->asked_ms;
    slot->view.egress = q->egress ? strdup(q->egress) : NULL;
    *out = slot;
    enum rc rc = keep_policy(list, q, slot);
    for (unsigned i = 0; rc == RC_OK && !q->actions && i < list->defaults.count; i++)
        rc = view_take(&slot->view, list->defaults.actions[i]);
    if (rc == RC_OK && q->actions)
        rc = json_read(q->actions, strlen(q->actions), &own, &err) == RC_OK ? RC_OK : RC_BUG;
    cJSON_ArrayForEach (item, own)
        if (rc == RC_OK && cJSON_IsString(item))
            rc = view_take(&slot->view, item->valuestring);
    if (rc != RC_OK)
        slot->workspace[0] = '\0'; /* no list, or half of one, is not to be remembered */
    return rc;
}

static void
on_done(void *arg)
{
    struct question *q = arg;
    struct slot *slot = NULL;
    enum rc rc =
        q->work.rc == RC_OK ? RC_OK : RC_TEMP; /* a failed question is no "there is none" */
    if (rc == RC_OK)
        rc = q->found ? keep(q->list, q, &slot) : RC_NOTFOUND;
    q->fn(q->arg, rc, slot ? &slot->view : NULL);
    free(q->actions);
    free(q->egress);
    free(q->policy);
    free(q);
}

const struct allow_view *
allow_known(const struct allowlist *list, const char *workspace)
{
    const struct slot *slot = &list->slots[slot_number(workspace)];
    bool fresh = strcmp(slot->workspace, workspace) == 0 &&
                 clock_mono_ms() - slot->asked_ms < ALLOW_FRESH_MS;
    return fresh ? &slot->view : NULL;
}

void
allow_changed(struct allowlist *list, const char *workspace)
{
    struct slot *slot = &list->slots[slot_number(workspace)];
    if (strcmp(slot->workspace, workspace) == 0)
        slot->workspace[0] = '\0';
}

enum rc
allow_ask(struct allowlist *list, const char *workspace, allow_fn *fn, void *arg)
{
    struct question *q = calloc(1, sizeof(*q));
    if (!q)
        return RC_TEMP;
    q->list = list;
    q->fn = fn;
    q->arg = arg;
    q->work.run = run;
    q->work.done = on_done;
    (void)snprintf(q->workspace, sizeof(q->workspace), "%s", workspace);
    if (dbworker_add(list->gw->dbworker, &q->work))
        return RC_OK;
    free(q);
    return RC_TEMP;
}

/* --- the service ------------------------------------------------------------------------------ */

struct inquiry {
    struct allowlist *list;
    char workspace[WORKSPACE_TEXT_MAX];
    char reply[SUBJECT_BYTES];
};

static void
on_answer(void *arg, enum rc rc, const struct allow_view *view)
{
    struct inquiry *inquiry = arg;
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    struct err err = { 0 };
    buf_init(&out, ANSWER_BYTES);
    if (rc == RC_OK || rc == RC_NOTFOUND) {
        json_begin(&w, &out);
        json_object(&w, NULL);
        json_put_string(&w, "workspace", inquiry->workspace);
        json_array(&w, "actions");
        for (unsigned i = 0; rc == RC_OK && i < view->count; i++)
            json_put_string(&w, NULL, view->actions[i]);
        json_close(&w);
        if (rc == RC_OK && view->egress)
            json_put_raw(&w, "egress", view->egress, strlen(view->egress));
        if (rc == RC_OK && view->policy) {
            json_object(&w, "policy");
            json_put_int(&w, "version", view->policy_version);
            json_put_doc(&w, "document", view->policy);
            json_close(&w);
        }
        json_close(&w);
        struct bus_out message = { .subject = inquiry->reply, .data = out.data, .len = out.len };
        if (json_end(&w) == RC_OK && bus_publish(inquiry->list->gw->bus, &message, &err) != RC_OK)
            log_fields(LOG_DEBUG, "an allowlist could not be answered", "why", err.text, NULL);
    }
    free(inquiry);
}

static void
on_question(void *arg, const struct bus_msg *msg)
{
    struct allowlist *list = arg;
    const char *workspace = msg->subject + sizeof(ALLOW_SUBJECT) - 1;
    if (!msg->reply || strlen(msg->reply) >= SUBJECT_BYTES ||
        !workspace_valid(workspace, strlen(workspace)))
        return;
    struct inquiry *inquiry = calloc(1, sizeof(*inquiry));
    if (!inquiry)
        return;
    inquiry->list = list;
    (void)snprintf(inquiry->workspace, sizeof(inquiry->workspace), "%s", workspace);
    (void)snprintf(inquiry->reply, sizeof(inquiry->reply), "%s", msg->reply);
    /* No answer: the executor asks again. Nothing remembered: it remembers for itself. */
    if (allow_ask(list, inquiry->workspace, on_answer, inquiry) != RC_OK)
        free(inquiry);
}

static enum rc
read_defaults(struct allowlist *list, const char *text, struct err *err)
{
    for (const char *at = text; *at;) {
        size_t len = strcspn(at, ", ");
        if (len && view_add(&list->defaults, at, len) != RC_OK)
            return err_set(err, RC_CONFIG,
                           "ALLOW_ACTIONS_DEFAULT holds too many or too long names");
        at += len + (at[len] != '\0');
    }
    return RC_OK;
}

enum rc
allow_open(struct gateway *gw, struct allowlist **out, struct err *err)
{
    struct allowlist *list = calloc(1, sizeof(*list));
    if (!list)
        return err_set(err, RC_TEMP, "no memory for the allowlists");
    list->gw = gw;
    enum rc rc = read_defaults(list, gw->settings->allow_actions_default, err);
    if (rc == RC_OK && gw->settings->policy_default == POLICY_SHIPPED)
        rc = policy_default(&list->policy, err);
    if (rc == RC_OK)
        rc = bus_subscribe(gw->bus, ALLOW_SUBJECT "*", "gateway", on_question, list, &list->sub,
                           err);
    if (rc != RC_OK) {
        allow_close(list);
        return rc;
    }
    *out = list;
    return RC_OK;
}

void
allow_close(struct allowlist *list)
{
    if (!list)
        return;
    for (unsigned i = 0; i < SLOTS; i++)
        view_fini(&list->slots[i].view);
    view_fini(&list->defaults);
    json_cleanup(&list->policy);
    free(list);
}
