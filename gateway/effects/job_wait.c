/* SPDX-License-Identifier: MIT */
/*
 * job_wait - GET /ai/jobs/{id}?wait=N: answers when the job changes its state, or after N seconds.
 *
 * The watch is set before the job is asked for, so that no change falls between. A change, or what may
 * be one, makes the question be asked again; the same state as at first is no news. All questions are
 * one request, which the gateway records.
 */
#include <bsd/string.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "effects/forward.h"
#include "events/events.h"
#include "gateway.h"
#include "requests/answer.h"
#include "requests/handlers.h"

#define STATUS_MAX 20
#define HEAD_MAX   160 /* bytes of the job's document that begin it: its id and its state */

struct waiting {
    struct request *r; /* borrowed: its owner */
    struct job_watch watch;
    bool asking;
    bool told; /* something changed while it was asked for */
    bool hurry;
    char status[STATUS_MAX]; /* as it was at first; "" = not known yet */
    int64_t until_ms;
};

static void ask(struct waiting *waiting);

static void
finish(struct waiting *waiting)
{
    struct request *r = waiting->r;
    events_unwatch(&waiting->watch);
    request_timer_stop(r);
    r->effect = EFFECT_HERE; /* the workers were told not to record it */
    request_continue(r, STEP_ANSWERED);
}

/* The state that the document begins with; "" if it does not. */
static void
state_of(const struct buf *body, char status[STATUS_MAX])
{
    static const char NAME[] = "\"status\":\"";
    char head[HEAD_MAX];
    (void)snprintf(head, sizeof(head), "%s", buf_text(body));
    const char *at = strstr(head, NAME);
    size_t len = at ? strcspn(at + sizeof(NAME) - 1, "\"") : 0;
    (void)snprintf(status, STATUS_MAX, "%.*s", (int)len, at ? at + sizeof(NAME) - 1 : "");
}

static void
time_is_up(struct request *r)
{
    struct waiting *waiting = r->own;
    waiting->hurry = true;
    if (!waiting->asking)
        finish(waiting);
}

static void
on_answer(void *arg, enum rc rc, const struct bus_msg *msg, const struct err *err)
{
    struct waiting *waiting = arg;
    struct request *r = waiting->r;
    char status[STATUS_MAX] = "";
    waiting->asking = false;
    (void)forward_reply(r, rc, msg, err);
    if (r->answer.status == 200)
        state_of(&r->answer.body, status);
    bool lasts = strcmp(status, "pending") == 0 || strcmp(status, "running") == 0 ||
                 strcmp(status, JOB_WAITING) == 0;
    bool changed = waiting->status[0] && strcmp(waiting->status, status) != 0;
    int64_t left_ms = waiting->until_ms - clock_mono_ms();
    memcpy(waiting->status, status, sizeof(status));
    if (!lasts || changed || waiting->hurry || r->gw->draining || left_ms <= 0)
        finish(waiting);
    else if (waiting->told)
        ask(waiting);
    else
        request_timer(r, (uint32_t)left_ms, time_is_up);
}

static void
ask(struct waiting *waiting)
{
    waiting->asking = true;
    waiting->told = false;
    if (forward_ask(waiting->r, true, on_answer, waiting) != STEP_WAIT)
        finish(waiting);
}

static void
on_event(void *arg, const char *status)
{
    struct waiting *waiting = arg;
    waiting->told = true;
    waiting->hurry = waiting->hurry || waiting->r->gw->draining;
    if (waiting->asking || strcmp(status, waiting->status) == 0)
        return;
    if (waiting->hurry) {
        finish(waiting);
        return;
    }
    request_timer_stop(waiting->r);
    ask(waiting);
}

enum step
job_wait(struct request *r)
{
    int64_t wait_s = json_int(r->doc, "wait", 0);
    if (json_member(r->doc, "wait")) { /* no worker's business */
        cJSON_DeleteItemFromObjectCaseSensitive(r->doc, "wait");
        if (request_rebuild(r) != STEP_NEXT)
            return STEP_ANSWERED;
    }
    if (wait_s == 0 || r->gw->draining)
        return forward_query(r);
    struct waiting *waiting = calloc(1, sizeof(*waiting));
    if (!waiting)
        return answer_problem(r, PROBLEM_UNAVAILABLE, "no memory");
    r->own = waiting;
    waiting->r = r;
    waiting->until_ms = clock_mono_ms() + wait_s * 1000;
    waiting->watch.fn = on_event;
    waiting->watch.arg = waiting;
    (void)snprintf(waiting->watch.workspace, sizeof(waiting->watch.workspace), "%s",
                   r->actor.workspace);
    (void)strlcpy(waiting->watch.id, r->match.params[0], sizeof(waiting->watch.id));
    waiting->asking = true;
    if (forward_ask(r, true, on_answer, waiting) != STEP_WAIT)
        return STEP_ANSWERED; /* nothing was sent: it is the gateway's own answer */
    events_watch(r->gw->events, &waiting->watch);
    return STEP_WAIT;
}
