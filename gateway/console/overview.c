/* SPDX-License-Identifier: MIT */
/*
 * GET /whoami and GET /ai/overview: what a key may do, and how its workspace fares.
 *
 * Counts of requests are of the key's workspace alone, at the gateway that answers. What is said of
 * workers is the deployment's: which programs run, and whether they are healthy; no numbers of what
 * they do, which would be other workspaces' too.
 */
#include "base/version.h"
#include "console/traffic.h"
#include "fleet.h"
#include "gateway.h"
#include "health.h"
#include "requests/answer.h"
#include "requests/handlers.h"

#define OVERVIEW_MAX 16384

enum step
whoami_get(struct request *r)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    buf_init(&out, OVERVIEW_MAX);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_string(&w, "tenant_id", r->actor.workspace);
    json_put_string(&w, "key_id", r->actor.key_id);
    json_put_string(&w, "role", role_name(r->actor.role));
    json_array(&w, "scopes");
    for (unsigned s = 0; s < SCOPE_COUNT; s++)
        if (principal_has(&r->actor, (enum scope)s))
            json_put_string(&w, NULL, scope_name((enum scope)s));
    json_close(&w);
    json_put_string(&w, "version", GANTRY_VERSION);
    json_close(&w);
    if (json_end(&w) != RC_OK)
        return answer_problem(r, PROBLEM_INTERNAL, "the answer is not of its form");
    return answer_object(r, 200, buf_text(&out), out.len);
}

static void
put_requests(struct json_writer *w, const struct traffic_row *row)
{
    static const int64_t BOUNDS_MS[TRAFFIC_BOUNDS] = TRAFFIC_BOUNDS_MS;
    static const struct traffic_row NONE = { .workspace = "" };
    if (!row)
        row = &NONE;
    json_object(w, "requests");
    if (row->since_ms)
        json_put_time(w, "since", row->since_ms);
    else
        json_put_null(w, "since");
    json_put_int(w, "count", (int64_t)row->requests);
    json_put_int(w, "refused", (int64_t)row->refused);
    json_put_int(w, "failed", (int64_t)row->failed);
    json_array(w, "duration_bounds_ms");
    for (unsigned i = 0; i < TRAFFIC_BOUNDS; i++)
        json_put_int(w, NULL, BOUNDS_MS[i]);
    json_close(w);
    json_array(w, "durations");
    for (unsigned i = 0; i <= TRAFFIC_BOUNDS; i++)
        json_put_int(w, NULL, (int64_t)row->durations[i]);
    json_close(w);
    json_close(w);
}

enum step
overview_get(struct request *r)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    struct gateway *gw = r->gw;
    buf_init(&out, OVERVIEW_MAX);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_time(&w, "started_at", gw->started_ms);
    health_put(gw, &w);
    fleet_put(gw->fleet, &w);
    put_requests(&w, traffic_row(gw->traffic, r->actor.workspace));
    json_close(&w);
    if (json_end(&w) != RC_OK)
        return answer_problem(r, PROBLEM_INTERNAL, "the answer is not of its form");
    return answer_object(r, 200, buf_text(&out), out.len);
}
