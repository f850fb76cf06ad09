/* SPDX-License-Identifier: MIT */
#include "effects/share.h"

#include <bsd/string.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fnv.h"
#include "base/log.h"
#include "gateway.h"
#include "requests/answer.h"

#define SLOTS    1024 /* workspaces remembered; two with one slot ask more often */
#define FRESH_MS 1000
#define LOOK_MS  1000

struct slot {
    struct gateway *gw;
    enum share kind;
    char workspace[WORKSPACE_TEXT_MAX];
    int64_t asked_ms; /* monotonic */
    int64_t bytes;    /* used, at the last look */
};

struct shares {
    struct slot slots[SHARE_KINDS][SLOTS];
};

/* A look under way: its slot may be another workspace's when the answer comes. */
struct look {
    struct slot *slot;
    char workspace[WORKSPACE_TEXT_MAX];
};

void
shares_open(struct gateway *gw, struct shares **out)
{
    struct shares *shares = calloc(1, sizeof(*shares));

    if (!shares)
        log_no_memory("the shares of Redis");
    for (enum share kind = 0; kind < SHARE_KINDS; kind++)
        for (size_t i = 0; i < SLOTS; i++)
            shares->slots[kind][i] = (struct slot){ .gw = gw, .kind = kind };
    *out = shares;
}

void
shares_close(struct shares *shares)
{
    free(shares);
}

void
share_key(enum share kind, const char *workspace, char key[SHARE_KEY_MAX])
{
    (void)snprintf(key, SHARE_KEY_MAX, "%s:share:%s", kind == SHARE_JOBS ? "jobs" : "idem",
                   workspace);
}

static void
on_looked(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    struct look *look = arg;

    (void)err;
    if (rc == RC_OK && reply->type == KV_INT && strcmp(look->slot->workspace, look->workspace) == 0)
        look->slot->bytes = reply->integer;
    free(look);
}

static void
ask(struct slot *slot)
{
    struct look *look = calloc(1, sizeof(*look));
    struct kv_command cmd = { 0 };
    char key[SHARE_KEY_MAX];

    if (!look)
        log_no_memory("a look at a share");
    look->slot = slot;
    memcpy(look->workspace, slot->workspace, sizeof(look->workspace));
    share_key(slot->kind, slot->workspace, key);
    kv_add(&cmd, key);
    kv_add_int(&cmd, clock_wall_ms() / 1000);
    kv_script_call(slot->gw->kv, SCRIPT_SHARE_LOOK, 1, &cmd, LOOK_MS, on_looked, look);
}

bool
share_used_up(struct gateway *gw, enum share kind, const char *workspace)
{
    int64_t now_ms = clock_mono_ms();

    struct slot *slot = &gw->shares->slots[kind][fnv32_text(workspace) % SLOTS];
    if (strcmp(slot->workspace, workspace) != 0) {
        (void)strlcpy(slot->workspace, workspace, sizeof(slot->workspace));
        slot->bytes = 0;
        slot->asked_ms = 0;
    }
    if (slot->asked_ms == 0 || now_ms - slot->asked_ms >= FRESH_MS) {
        slot->asked_ms = now_ms;
        ask(slot);
    }
    return slot->bytes >= (kind == SHARE_JOBS ? gw->settings->redis_share_bytes
                                              : gw->settings->idempotency_share_bytes);
}

enum step
share_refuse(struct request *r, enum share kind)
{
    r->gw->count.share_refused_total++;
    full_note(r->gw, kind == SHARE_JOBS ? FULL_REDIS_SHARE : FULL_IDEM_SHARE, r->actor.workspace);
    answer_header(r, "Retry-After", "60");
    if (kind == SHARE_IDEM)
        return answer_problem(
            r, PROBLEM_UNAVAILABLE,
            "the workspace's share of idempotency records is used up (IDEMPOTENCY_SHARE_BYTES): "
            "those of the last %lld seconds take %lld bytes; without a key the request works",
            (long long)r->gw->settings->idempotency_ttl_seconds,
            (long long)r->gw->settings->idempotency_share_bytes);
    return answer_problem(
        r, PROBLEM_UNAVAILABLE,
        "the workspace's share of Redis is used up (REDIS_SHARE_BYTES): its "
        "previews and results of jobs take more than %lld bytes; the oldest expire "
        "first",
        (long long)r->gw->settings->redis_share_bytes);
}
