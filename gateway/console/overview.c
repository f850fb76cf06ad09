/* SPDX-License-Identifier: MIT */
/*
 * GET /whoami and GET /ai/overview: what a key may do, and how its workspace fares.
 *
 * Counts of requests are of the key's workspace alone, at the gateway that answers; so are those of
 * messages in the streams, for which NATS is asked. What is said of workers is the deployment's: which
 * programs run, and whether they are healthy; no numbers of what they do, which would be other
 * workspaces' too.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/version.h"
#include "fleet.h"
#include "gateway.h"
#include "health.h"
#include "metrics/traffic.h"
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
        return answer_problem(r, PROBLEM_INTERNAL, "the answer is malformed");
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

/* --- messages in the streams --------------------------------------------------------------------- */

#define ASK_MS 1000 /* a slow server leaves its numbers unknown, not the page blank */

enum queue { QUEUE_MEMORY, QUEUE_TASKS, QUEUE_AUDIT, QUEUE_DEAD, QUEUE_COUNT };

static const struct {
    const char *name, *info;
} QUEUES[QUEUE_COUNT] = {
    [QUEUE_MEMORY] = { "memory", "$JS.API.STREAM.INFO.MEMORY" },
    [QUEUE_TASKS] = { "tasks", "$JS.API.STREAM.INFO.TASKS" },
    [QUEUE_AUDIT] = { "audit", "$JS.API.STREAM.INFO.AUDIT" },
    [QUEUE_DEAD] = { "dead_letters", "$JS.API.STREAM.INFO.DEAD" },
};

struct overview {
    struct request *r;
    unsigned asked; /* answers that are still to come */
    struct question {
        struct overview *all;
        int64_t messages; /* -1: not known */
    } questions[QUEUE_COUNT];
};

static enum step
answer_overview(struct overview *all)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    struct request *r = all->r;
    struct gateway *gw = r->gw;
    buf_init(&out, OVERVIEW_MAX);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_time(&w, "started_at", gw->started_ms);
    health_put(gw, &w);
    fleet_put(gw->fleet, &w);
    put_requests(&w, traffic_row(gw->traffic, r->actor.workspace));
    json_object(&w, "queues");
    for (unsigned q = 0; q < QUEUE_COUNT; q++)
        if (all->questions[q].messages < 0)
            json_put_null(&w, QUEUES[q].name);
        else
            json_put_int(&w, QUEUES[q].name, all->questions[q].messages);
    json_close(&w);
    json_close(&w);
    free(all);
    if (json_end(&w) != RC_OK)
        return answer_problem(r, PROBLEM_INTERNAL, "the answer is malformed");
    return answer_object(r, 200, buf_text(&out), out.len);
}

/* The sum over the workspace's subjects; -1 if the answer is none. */
static int64_t
messages_of(const struct bus_msg *msg)
{
    AUTO(json) cJSON *doc = NULL;
    int64_t sum = 0;
    if (json_read(msg->data, msg->len, &doc, NULL) != RC_OK || json_member(doc, "error"))
        return -1;
    const cJSON *one;
    cJSON_ArrayForEach (one, json_member(json_member(doc, "state"), "subjects"))
        sum += cJSON_IsNumber(one) ? (int64_t)one->valuedouble : 0;
    return sum;
}

static void
on_info(void *arg, enum rc rc, const struct bus_msg *msg, const struct err *err)
{
    struct question *question = arg;
    struct overview *all = question->all;
    struct request *r = all->r;
    (void)err;
    if (rc == RC_OK)
        question->messages = messages_of(msg);
    if (--all->asked == 0)
        request_continue(r, answer_overview(all));
}

/* What is asked of each stream: the messages of every subject of the workspace. */
static enum rc
put_question(const char *workspace, struct buf *out)
{
    char filter[SUBJECT_MAX];
    struct json_writer w;
    (void)snprintf(filter, sizeof(filter), "gantry.v1.%s.>", workspace);
    buf_init(out, 1024);
    json_begin(&w, out);
    json_object(&w, NULL);
    json_put_string(&w, "subjects_filter", filter);
    json_close(&w);
    return json_end(&w);
}

enum step
overview_get(struct request *r)
{
    AUTO(buf) struct buf body = { 0 };
    struct overview *all = calloc(1, sizeof(*all));
    if (!all || put_question(r->actor.workspace, &body) != RC_OK) {
        free(all);
        return answer_problem(r, PROBLEM_UNAVAILABLE, "the gateway has no memory left");
    }
    all->r = r;
    for (unsigned q = 0; q < QUEUE_COUNT; q++) {
        const struct bus_out out = { .subject = QUEUES[q].info,
                                     .data = buf_text(&body),
                                     .len = body.len };
        struct err err = { 0 };
        all->questions[q] = (struct question){ .all = all, .messages = -1 };
        all->asked +=
            bus_request(r->gw->bus, &out, ASK_MS, on_info, &all->questions[q], &err) == RC_OK;
    }
    return all->asked ? STEP_WAIT : answer_overview(all);
}
