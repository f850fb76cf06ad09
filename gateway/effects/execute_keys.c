/* SPDX-License-Identifier: MIT */
/*
 * Each action's own idempotency key (client_request_id): reserved before anything is published, recorded
 * when the jobs are shown, released when the request is refused. idem.c does the same for a request.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "effects/execute_own.h"
#include "effects/share.h"
#include "gateway.h"

#define LEASE_MS 20000

/* --- each action's own idempotency key ---------------------------------------------------------- */

static enum rc
hash_item(const struct request *r, struct item *item)
{
    AUTO(buf) struct buf text = { 0 };
    buf_init(&text, r->body_max * 7 + 1024);
    buf_puts(&text, item->action);
    buf_putc(&text, '\n');
    if (item->params && json_canonical(item->params, NULL, &text) != RC_OK)
        return RC_LIMIT;
    idem_hash(r->gw, buf_text(&text), text.len, item->hash);
    return RC_OK;
}

static const struct item *
earlier_with_key(const struct execution *x, size_t number)
{
    for (size_t i = 0; i < number; i++)
        if (x->items[i].key && strcmp(x->items[i].key, x->items[number].key) == 0)
            return &x->items[i];
    return NULL;
}

static void
on_reserved(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    struct item *item = arg;
    struct execution *x = item->x;
    const char *word = rc == RC_OK ? jobs_word(reply) : "";
    (void)err;
    if (strcmp(word, "other") == 0) {
        execution_wrong(x, PROBLEM_KEY_REUSED,
                        "an action's client_request_id was used for another action");
    } else if (strcmp(word, "full") == 0) {
        full_note(x->r->gw, FULL_IDEM_SHARE, x->r->actor.workspace);
        execution_wrong(
            x, PROBLEM_UNAVAILABLE,
            "the workspace's share of idempotency records is used up (IDEMPOTENCY_SHARE_BYTES)");
    } else if (strcmp(word, "busy") == 0) {
        execution_wrong(x, PROBLEM_REQUEST_IN_PROGRESS,
                        "a request with an action's client_request_id is still under way");
    } else if (word[0] == '\0' || reply->count < 3) {
        execution_wrong(x, PROBLEM_UNAVAILABLE, "Redis is unavailable: no idempotency keys now");
    } else {
        (void)snprintf(item->id, sizeof(item->id), "%s", reply->items[1].text);
        item->attempt = reply->items[2].integer;
        item->known = strcmp(word, "answer") == 0;
        item->reserved = !item->known;
    }
    execution_came(x);
}

static void
reserve_item(struct execution *x, size_t number)
{
    struct item *item = &x->items[number];
    char share[SHARE_KEY_MAX];
    struct kv_command cmd = { 0 };
    if (hash_item(x->r, item) != RC_OK) {
        execution_wrong(x, PROBLEM_INTERNAL, "an action cannot be hashed");
        return;
    }
    item->same = earlier_with_key(x, number);
    if (item->same && strcmp(item->same->hash, item->hash) != 0)
        execution_wrong(x, PROBLEM_KEY_REUSED,
                        "two different actions have the same client_request_id");
    if (item->same)
        return;
    idem_place(x->r, "an action of POST /ai/execute", item->key, item->place);
    share_key(SHARE_IDEM, x->r->actor.workspace, share);
    (void)share_used_up(x->r->gw, SHARE_IDEM, x->r->actor.workspace);
    kv_add(&cmd, item->place);
    kv_add(&cmd, share);
    kv_add(&cmd, item->id);
    kv_add(&cmd, item->hash);
    kv_add_int(&cmd, LEASE_MS);
    kv_add_int(&cmd, x->r->gw->settings->idempotency_ttl_seconds);
    kv_add_int(&cmd, x->r->gw->settings->idempotency_share_bytes);
    x->waiting++;
    kv_script_call(x->r->gw->kv, SCRIPT_IDEM_RESERVE, 2, &cmd, IDEM_REDIS_MS, on_reserved, item);
}

void
execution_reserve(struct execution *x)
{
    for (size_t i = 0; i < x->n && x->wrong == PROBLEM_COUNT; i++) {
        struct item *item = &x->items[i];
        tasks_id(x->r, i, item->id);
        item->attempt = x->r->idem.attempt;
        if (item->key)
            reserve_item(x, i);
    }
}

/* --- the actions' own keys get their answer: the job's id is in the record already ----------------- */

/* Not recorded: a retry finds the job by its id. */
static void
on_recorded(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    (void)rc, (void)reply, (void)err;
    execution_came(arg);
}

void
execution_record(struct execution *x)
{
    for (size_t i = 0; i < x->n; i++) {
        const struct item *item = &x->items[i];
        struct kv_command cmd = { 0 };
        char share[SHARE_KEY_MAX];
        if (!item->reserved)
            continue;
        x->waiting++;
        share_key(SHARE_IDEM, x->r->actor.workspace, share);
        kv_add(&cmd, item->place);
        kv_add(&cmd, share);
        kv_add(&cmd, item->id);
        kv_add(&cmd, item->hash);
        kv_add(&cmd, "queued"); /* only that there is one matters */
        kv_add_int(&cmd, x->r->gw->settings->idempotency_ttl_seconds);
        kv_script_call(x->r->gw->kv, SCRIPT_IDEM_RECORD, 2, &cmd, IDEM_REDIS_MS, on_recorded, x);
    }
}

/* A retry may go on at once. */
void
execution_release(const struct execution *x)
{
    for (size_t i = 0; i < x->n; i++)
        if (x->items[i].reserved)
            idem_release(x->r->gw, x->items[i].place, x->items[i].id, x->items[i].attempt);
}
