/* SPDX-License-Identifier: MIT */
#include "limit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "checks.h"
#include "clock.h"
#include "gateway.h"

#define MINUTE_US      60000000
#define LOCAL_SLOTS    8192 /* names limited here while Redis is away; the oldest make room */
#define LOCAL_PROBES   8
#define REDIS_MS       250
#define BUCKETS        2 /* workspace, key */
#define NAME_MAX_BYTES 80

struct slot {
    char name[NAME_MAX_BYTES];
    int64_t tat_us;
};

struct limiter {
    struct slot slots[LOCAL_SLOTS];
};

struct limit_bucket
limit_bucket(int64_t per_minute)
{
    int64_t interval_us = per_minute ? MINUTE_US / per_minute : 0;
    return (struct limit_bucket){ .interval_us = interval_us ? interval_us : 1,
                                  .burst = per_minute };
}

int64_t
limit_take(int64_t *tat_us, int64_t now_us, const struct limit_bucket *bucket,
           struct limit_state *state)
{
    int64_t tat_new = *tat_us > now_us ? *tat_us : now_us;
    int64_t wait_us = tat_new + bucket->interval_us - bucket->interval_us * bucket->burst - now_us;
    if (wait_us <= 0) {
        wait_us = 0;
        tat_new += bucket->interval_us;
        *tat_us = tat_new;
    }
    state->full_us = tat_new - now_us;
    state->left = (bucket->interval_us * bucket->burst - state->full_us) / bucket->interval_us;
    return wait_us;
}

enum rc
limiter_new(struct limiter **out, struct err *err)
{
    struct limiter *limiter = calloc(1, sizeof(*limiter));
    if (!limiter)
        return err_set(err, RC_TEMP, "no memory for the limiter");
    *out = limiter;
    return RC_OK;
}

void
limiter_free(struct limiter *limiter)
{
    free(limiter);
}

/* The slot of a name; a name without one takes the slot that has been full the longest. */
static struct slot *
find_slot(struct limiter *limiter, const char *name)
{
    uint32_t h = 2166136261u;
    for (const char *c = name; *c; c++)
        h = (h ^ (unsigned char)*c) * 16777619u;
    struct slot *oldest = NULL;
    for (unsigned i = 0; i < LOCAL_PROBES; i++) {
        struct slot *slot = &limiter->slots[(h + i) % LOCAL_SLOTS];
        if (strcmp(slot->name, name) == 0)
            return slot;
        if (!oldest || slot->tat_us < oldest->tat_us)
            oldest = slot;
    }
    (void)snprintf(oldest->name, sizeof(oldest->name), "%s", name);
    oldest->tat_us = 0;
    return oldest;
}

/* --- the buckets of a request ----------------------------------------------------------------- */

struct taking {
    unsigned count;
    const char *title[BUCKETS];
    int64_t per_minute[BUCKETS];
    char name[BUCKETS][NAME_MAX_BYTES];
    struct limit_state state[BUCKETS];
    int64_t wait_us;
};

static void
find_buckets(const struct request *r, struct taking *t)
{
    const struct settings *s = r->gw->settings;
    *t = (struct taking){ 0 };
    if (s->rate_limit_per_minute) {
        t->title[t->count] = "workspace";
        t->per_minute[t->count] = s->rate_limit_per_minute;
        (void)snprintf(t->name[t->count++], NAME_MAX_BYTES, "rate:w:%s", r->actor.workspace);
    }
    if (s->rate_limit_key_per_minute) {
        t->title[t->count] = "key";
        t->per_minute[t->count] = s->rate_limit_key_per_minute;
        (void)snprintf(t->name[t->count++], NAME_MAX_BYTES, "rate:k:%s", r->actor.key_id);
    }
}

static void
take_locally(struct request *r, struct taking *t)
{
    int64_t now_us = clock_wall_ms() * 1000;
    int64_t tats[BUCKETS];
    r->gw->count.rate_local_total++;
    for (unsigned i = 0; i < t->count; i++) {
        struct limit_bucket bucket = limit_bucket(t->per_minute[i]);
        tats[i] = find_slot(r->gw->limiter, t->name[i])->tat_us;
        int64_t wait_us = limit_take(&tats[i], now_us, &bucket, &t->state[i]);
        if (wait_us > t->wait_us)
            t->wait_us = wait_us;
    }
    for (unsigned i = 0; i < t->count && !t->wait_us; i++)
        find_slot(r->gw->limiter, t->name[i])->tat_us = tats[i];
}

static int64_t
seconds_up(int64_t us)
{
    return us <= 0 ? 0 : (us + 999999) / 1000000;
}

static enum step
decide(struct request *r, const struct taking *t)
{
    char policy[128] = "";
    char state[128] = "";
    size_t p = 0;
    size_t s = 0;
    for (unsigned i = 0; i < t->count; i++) {
        int64_t left = t->state[i].left > 0 ? t->state[i].left : 0;
        p += (size_t)snprintf(policy + p, sizeof(policy) - p, "%s\"%s\";q=%lld;w=60", i ? ", " : "",
                              t->title[i], (long long)t->per_minute[i]);
        s += (size_t)snprintf(state + s, sizeof(state) - s, "%s\"%s\";r=%lld;t=%lld", i ? ", " : "",
                              t->title[i], (long long)left,
                              (long long)seconds_up(t->state[i].full_us));
    }
    answer_header(r, "RateLimit-Policy", "%s", policy);
    answer_header(r, "RateLimit", "%s", state);
    if (!t->wait_us)
        return STEP_NEXT;
    r->gw->count.rate_limited_total++;
    answer_header(r, "Retry-After", "%lld", (long long)seconds_up(t->wait_us));
    return answer_problem(r, PROBLEM_RATE_LIMITED, "too many requests; try again later");
}

static void
on_taken(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    struct request *r = arg;
    struct taking t;
    (void)err;
    find_buckets(r, &t);
    if (rc != RC_OK || reply->type != KV_LIST || reply->count != 1 + 2 * (size_t)t.count) {
        take_locally(r, &t);
    } else {
        t.wait_us = reply->items[0].integer;
        for (unsigned i = 0; i < t.count; i++) {
            t.state[i].left = reply->items[1 + 2 * i].integer;
            t.state[i].full_us = reply->items[2 + 2 * i].integer;
        }
    }
    request_continue(r, decide(r, &t));
}

enum step
check_rate(struct request *r)
{
    struct taking t;
    struct kv_command cmd;
    if (r->route->flags & (ROUTE_OPEN | ROUTE_NO_RATE))
        return STEP_NEXT;
    find_buckets(r, &t);
    if (!t.count)
        return STEP_NEXT;
    if (!kv_connected(r->gw->kv)) {
        take_locally(r, &t);
        return decide(r, &t);
    }
    cmd.count = 0;
    for (unsigned i = 0; i < t.count; i++)
        kv_add(&cmd, t.name[i]);
    for (unsigned i = 0; i < t.count; i++) {
        struct limit_bucket bucket = limit_bucket(t.per_minute[i]);
        kv_add_int(&cmd, bucket.interval_us);
        kv_add_int(&cmd, bucket.burst);
    }
    kv_script_call(r->gw->kv, SCRIPT_RATE_TAKE, t.count, &cmd, REDIS_MS, on_taken, r);
    return STEP_WAIT;
}
