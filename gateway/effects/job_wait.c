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
#include "effects/older.h"
#include "events/events.h"
#include "gateway.h"
#include "requests/answer.h"
#include "requests/handlers.h"

struct waiting {
    struct request *r; /* borrowed: its owner */
    struct job_watch watch;
    bool asking;
    bool told; /* something changed while it was asked for */
    bool hurry;
    const char *status; /* static: as it was at first; "" = not known yet */
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

/* "" if the answer is about no job. */
static const char *
state_of(const struct request *r)
{
    const char *status = r->job_status;
    if (!status && r->answer.status == 200)
        status = older_job_status(buf_text(&r->answer.body), r->answer.body.len);
    return status ? status : "";
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
    waiting->asking = false;
    (void)forward_reply(r, rc, msg, err);
    const char *status = state_of(r);
    bool lasts = strcmp(status, "pending") == 0 || strcmp(status, "running") == 0 ||
                 strcmp(status, JOB_WAITING) == 0;
    bool changed = waiting->status[0] && strcmp(waiting->status, status) != 0;
    int64_t left_ms = waiting->until_ms - clock_mono_ms();
    waiting->status = status;
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
    waiting->status = "";
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
