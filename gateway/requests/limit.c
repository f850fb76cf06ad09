/* SPDX-License-Identifier: MIT */
/*
 * limit - rate limits per workspace and per key: GCRA, in Redis, or here while Redis is unavailable.
 *
 * The script takes from all buckets of a request or from none. Without Redis every gateway limits on
 * its own: never open, never shut.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/gcra.h"
#include "gateway.h"
#include "requests/answer.h"
#include "requests/checks.h"

#define REDIS_MS 250
#define BUCKETS  2 /* workspace, key */

/* --- the buckets of a request ----------------------------------------------------------------- */

struct taking {
    unsigned count;
    const char *title[BUCKETS];
    int64_t per_minute[BUCKETS];
    char name[BUCKETS][GCRA_NAME_MAX];
    struct gcra_state state[BUCKETS];
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
        (void)snprintf(t->name[t->count++], GCRA_NAME_MAX, "rate:w:%s", r->actor.workspace);
    }
    if (s->rate_limit_key_per_minute) {
        t->title[t->count] = "key";
        t->per_minute[t->count] = s->rate_limit_key_per_minute;
        (void)snprintf(t->name[t->count++], GCRA_NAME_MAX, "rate:k:%s", r->actor.key_id);
    }
}

static void
take_locally(struct request *r, struct taking *t)
{
    int64_t now_us = clock_wall_ms() * 1000;
    int64_t tats[BUCKETS];
    r->gw->count.rate_local_total++;
    for (unsigned i = 0; i < t->count; i++) {
        struct gcra_bucket bucket = gcra_bucket(t->per_minute[i]);
        tats[i] = *gcra_table_find(r->gw->limiter, t->name[i]);
        int64_t wait_us = gcra_take(&tats[i], now_us, &bucket, &t->state[i]);
        if (wait_us > t->wait_us)
            t->wait_us = wait_us;
    }
    for (unsigned i = 0; i < t->count && !t->wait_us; i++)
        *gcra_table_find(r->gw->limiter, t->name[i]) = tats[i];
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
    return r->route->flags & (ROUTE_OPEN | ROUTE_NO_RATE | ROUTE_RPC) ? STEP_NEXT : rate_take(r);
}

enum step
rate_take(struct request *r)
{
    struct taking t;
    struct kv_command cmd;
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
        struct gcra_bucket bucket = gcra_bucket(t.per_minute[i]);
        kv_add_int(&cmd, bucket.interval_us);
        kv_add_int(&cmd, bucket.burst);
    }
    kv_script_call(r->gw->kv, SCRIPT_RATE_TAKE, t.count, &cmd, REDIS_MS, on_taken, r);
    return STEP_WAIT;
}

enum step
check_load(struct request *r)
{
    return r->route->flags & ROUTE_OPEN || r->outer ? STEP_NEXT : load_enter(r);
}
