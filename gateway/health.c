/* SPDX-License-Identifier: MIT */
/*
 * /healthz and /readyz.
 *
 * Ready means that requests with a key can be answered: NATS and PostgreSQL are there, and we are not
 * draining. (Known keys stay good for ten seconds without PostgreSQL, but little else works.) Without
 * Redis most routes still work (contract 4.1), so that is "degraded" and answers 200: else an outage of Redis would take every gateway out of a balancer's list.
 */
#include "audit/audit.h"
#include "gateway.h"
#include "keys/keys.h"
#include "requests/answer.h"
#include "requests/handlers.h"

static enum step
answer_state(struct request *r, int status, struct buf *out, struct json_writer *w)
{
    json_close(w);
    if (json_end(w) != RC_OK)
        return answer_problem(r, PROBLEM_INTERNAL, "the answer is not of its form");
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

enum step
health_ready(struct request *r)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    const struct gateway *gw = r->gw;
    bool nats = bus_connected(gw->bus);
    bool postgresql = keys_reachable(gw->keys);
    bool redis = kv_connected(gw->kv);
    bool audit = nats && audit_healthy(gw->audit);
    bool ready = nats && postgresql && audit && !gw->draining;
    buf_init(&out, 512);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_string(&w, "status",
                    gw->draining ? "draining"
                    : !ready     ? "not_ready"
                    : redis      ? "ready"
                                 : "degraded");
    json_object(&w, "dependencies");
    json_put_string(&w, "nats", nats ? "up" : "down");
    json_put_string(&w, "postgresql", postgresql ? "up" : "down");
    json_put_string(&w, "redis", redis ? "up" : "down");
    json_put_string(&w, "audit", audit ? "up" : "down");
    json_close(&w);
    return answer_state(r, ready ? 200 : 503, &out, &w);
}
