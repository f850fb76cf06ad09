/* SPDX-License-Identifier: MIT */
/*
 * /healthz and /readyz.
 *
 * Ready means that requests with a key can be answered: NATS and PostgreSQL are there, and we are not
 * draining. (Known keys stay good for ten seconds without PostgreSQL, but little else works.) Without
 * Redis most routes still work (contract 4.1), so that is "degraded" and answers 200: else an outage of
 * Redis would take every gateway out of a balancer's list. Redis is up if it takes writes: a full one
 * answers all else. A write that is only slow is no refusal. Audit is "stopped" while no audit worker
 * tells of itself, or while events wait and none is recorded: the stream keeps them until it is full,
 * so that is "degraded", too. So is an embedding server that does not work: searches use words only,
 * and memories wait for their vectors.
 */
#include "health.h"

#include "audit/audit.h"
#include "base/log.h"
#include "fleet.h"
#include "gateway.h"
#include "keys/keys.h"
#include "metrics/streams.h"
#include "requests/answer.h"
#include "requests/handlers.h"

#define PROBE_KEY      "rate:probe" /* of those that the gateway may write */
#define PROBE_EVERY_MS 1000
#define PROBE_MS       4000 /* longer than KV_CONNECT_MS: a silent Redis is disconnected before */
#define PROBE_LIFE_S   60

static void
on_written(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    struct gateway *gw = arg;
    bool refused = rc != RC_OK;

    (void)reply;
    if (refused != gw->redis_refuses && kv_connected(gw->kv))
        log_fields(refused ? LOG_ERROR : LOG_INFO,
                   refused ? "Redis takes no writes" : "Redis takes writes again", "why",
                   refused && err ? err->text : "", NULL);
    gw->redis_refuses = refused;
}

static void
write_probe(void *arg)
{
    struct gateway *gw = arg;
    struct kv_command cmd = { 0 };

    if (gw->http)
        full_watch(gw);
    kv_add(&cmd, "SET");
    kv_add(&cmd, PROBE_KEY);
    kv_add(&cmd, "1");
    kv_add(&cmd, "EX");
    kv_add_int(&cmd, PROBE_LIFE_S);
    kv_call(gw->kv, &cmd, PROBE_MS, on_written, gw);
}

void
health_watch(struct gateway *gw)
{
    gw->redis_timer = loop_timer_new(gw->loop, write_probe, gw);
    loop_timer_set(gw->redis_timer, 0, PROBE_EVERY_MS);
}

bool
health_redis(const struct gateway *gw)
{
    return kv_connected(gw->kv) && !gw->redis_refuses;
}

static enum step
answer_state(struct request *r, int status, struct buf *out, struct json_writer *w)
{
    json_close(w);
    if (json_end(w) != RC_OK)
        return answer_problem(r, PROBLEM_INTERNAL, "the answer is malformed");
    return answer_object(r, status, buf_text(out), out->len);
}

enum step
health_live(struct request *r)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    buf_init(&out, 256);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_string(&w, "status", "ok");
    return answer_state(r, 200, &out, &w);
}

bool
health_put(const struct gateway *gw, struct json_writer *w)
{
    bool nats = bus_connected(gw->bus);
    bool postgresql = keys_reachable(gw->keys);
    bool redis = health_redis(gw);
    bool audit = nats && audit_healthy(gw->audit);
    bool recorded = audit && fleet_has(gw->fleet, "audit") && !streams_audit_stuck(gw->streams);
    bool embedding = !fleet_embedding_fails(gw->fleet);
    bool connector = !gw->connectors || fleet_has(gw->fleet, "connector");
    bool ready = nats && postgresql && audit && !gw->draining;
    json_put_string(w, "status",
                    gw->draining                                  ? "draining"
                    : !ready                                      ? "not_ready"
                    : redis && recorded && embedding && connector ? "ready"
                                                                  : "degraded");
    json_object(w, "dependencies");
    json_put_string(w, "nats", nats ? "up" : "down");
    json_put_string(w, "postgresql", postgresql ? "up" : "down");
    json_put_string(w, "redis", redis ? "up" : "down");
    json_put_string(w, "audit", recorded ? "up" : audit ? "stopped" : "down");
    json_put_string(w, "embedding", embedding ? "up" : "down");
    if (gw->connectors)
        json_put_string(w, "connector", connector ? "up" : "down");
    json_close(w);
    full_put(gw, w);
    return ready;
}

enum step
health_ready(struct request *r)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    buf_init(&out, 512);
    json_begin(&w, &out);
    json_object(&w, NULL);
    bool ready = health_put(r->gw, &w);
    return answer_state(r, ready ? 200 : 503, &out, &w);
}
