/* SPDX-License-Identifier: MIT */
#include "effects/forward.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "effects/connectors.h"
#include "effects/lists.h"
#include "effects/older.h"
#include "effects/waiters.h"
#include "events/events.h"
#include "gateway.h"
#include "policy/hold.h"
#include "protocol/actor.h"
#include "protocol/answer_list.h"
#include "requests/answer.h"
#include "requests/checks.h"
#include "requests/traced.h"

/*
 * Theory of operation of a command: the request is put among the waiters, then published. Two things
 * can come: the PubAck, and the .done event (it may overtake the PubAck). The answer leaves when
 * the PubAck is there and either the event or the end of the wait. An event proves that the command
 * was stored, so it also stands for a PubAck that got lost.
 */
#define QUERY_MIN_MS 1000
#define LEAST_MS     100         /* for another step of a query whose time is nearly over */
#define CHANGE_BYTES (64u << 10) /* of an answer to a change, until a larger one was seen */
/* Who waits for an answer does not know the id yet, and the program makes the record too: only a command
 * that takes longer is shown as pending. */
#define SHOW_MS 25

enum rc
forward_sign(const struct request *r, enum command command, const char *id, const char *payload,
             size_t len, struct forward_head *head, struct err *err)
{
    struct actor_claim claim = { .role = r->actor.role, .accepted_ms = r->accepted_ms };
    (void)snprintf(claim.command_id, sizeof(claim.command_id), "%s", id ? id : r->id);
    memcpy(claim.key_id, r->actor.key_id, sizeof(claim.key_id));
    /* A repeat has an event of its own that names it; the command's is that of the first request. */
    if (request_is_first(r))
        memcpy(claim.request_id, r->request_id, sizeof(claim.request_id));
    memcpy(claim.idem_hash, r->idem.hash, sizeof(claim.idem_hash));
    command_subject(head->subject, r->actor.workspace, command);
    return actor_write(r->gw->actor_keys[command], &claim, head->subject, payload, len, head->actor,
                       err);
}

static enum step
unavailable(struct request *r, const char *what)
{
    answer_header(r, "Retry-After", "1");
    return answer_problem(r, PROBLEM_UNAVAILABLE, "%s", what);
}

/* Of a query that was not sent. */
static enum step
unasked(struct request *r, enum rc rc)
{
    return rc == RC_BUG ? answer_problem(r, PROBLEM_INTERNAL, "the request cannot be signed")
                        : unavailable(r, "NATS is unavailable");
}

static struct worker_answer
answer_of(const struct bus_msg *msg, int status)
{
    return (struct worker_answer){ .status = status,
                                   .code = bus_msg_header(msg, ERROR_HEADER),
                                   .job_status =
                                       jobs_status_named(bus_msg_header(msg, JOB_STATUS_HEADER)),
                                   .body = msg->data,
                                   .len = msg->len };
}

/* --- queries ---------------------------------------------------------------------------------- */

enum step
forward_reply(struct request *r, enum rc rc, const struct bus_msg *msg, const struct err *err)
{
    enum step step;
    traced_hop_end(r, STAGE_REPLY, r->route->command, &r->hop, r->id,
                   rc == RC_OK ? NULL : "unavailable");
    if (rc == RC_OK) {
        const char *code = bus_msg_header(msg, ERROR_STATUS_HEADER);
        const char *good = bus_msg_header(msg, STATUS_HEADER);
        int status = code   ? (int)strtol(code, NULL, 10)
                     : good ? (int)strtol(good, NULL, 10)
                            : r->route->success;
        if (status != 503) /* a worker that cannot audit says so with a 503 */
            r->effect = EFFECT_SETTLED;
        if (!code && r->route->content_type)
            step = answer_raw(r, status, r->route->content_type, msg->data, msg->len);
        else {
            struct worker_answer answer = answer_of(msg, status);
            step = answer_worker(r, &answer);
        }
    } else if (r->ask.unasked) {
        step = unasked(r, rc);
    } else if (r->ask.crowded) {
        answer_header(r, "Retry-After", "1");
        step = answer_problem(r, PROBLEM_UNAVAILABLE, "%s", room_full(r));
    } else if (clock_mono_us() - r->start_us >= (int64_t)r->wait_ms * 1000) {
        step = answer_problem(r, PROBLEM_TIMEOUT, "gantry-%s did not answer within %u ms",
                              command_info(r->route->command)->program, r->wait_ms);
    } else {
        log_fields(LOG_DEBUG, "a query found no answer", REQUEST_FIELDS(r), "why",
                   err ? err->text : "", NULL);
        answer_header(r, "Retry-After", "1");
        step = answer_problem(r, PROBLEM_UNAVAILABLE, "no gantry-%s answers at the moment",
                              command_info(r->route->command)->program);
    }
    return step;
}

static void
on_reply(void *arg, enum rc rc, const struct bus_msg *msg, const struct err *err)
{
    struct request *r = arg;
    request_continue(r, forward_reply(r, rc, msg, err));
}

/* --- asking, with room for the answer ----------------------------------------------------------- */

static void on_room(void *arg, bool granted);

/* A core request that is no read: its answer comes in any size. Asked again for its size alone, the change
 * would be made without an event, and the second question might find no room. */
static bool
is_change(const struct request *r)
{
    return r->route->method != METHOD_GET && r->route->command != CMD_MEMORY_SEARCH;
}

static uint32_t
left_ms(const struct request *r)
{
    int64_t left = (int64_t)r->wait_ms - (clock_mono_us() - r->ask.begun_us) / 1000;
    return left > LEAST_MS ? (uint32_t)left : LEAST_MS;
}

static void
answered(struct request *r, enum rc rc, const struct bus_msg *msg, const struct err *err)
{
    bus_reply_fn *fn = r->ask.fn;
    r->ask.fn = NULL;
    fn(r->ask.arg, rc, msg, err);
}

/* The answer, or how large it would be. */
static void
on_asked(void *arg, enum rc rc, const struct bus_msg *msg, const struct err *err)
{
    struct request *r = arg;
    const char *size = rc == RC_OK ? bus_msg_header(msg, ANSWER_SIZE_HEADER) : NULL;
    unsigned long bytes = size ? strtoul(size, NULL, 10) : 0;
    if (rc == RC_OK)
        room_learn(r->gw->room, r->actor.workspace, r->route->command, size ? bytes : msg->len);
    room_leave(r);
    bool late = clock_mono_us() - r->ask.begun_us >= (int64_t)r->wait_ms * 1000;
    if (size && late)
        answered(r, RC_TEMP, NULL, err);
    else if (!size)
        answered(r, rc, msg, err);
    else if (room_enter(r, bytes + bytes / 8, left_ms(r), on_room, r))
        on_room(r, true);
}

/* RC_BUG: it cannot be signed. It answers nothing: whoever waits has to hear of it, too. */
static enum rc
ask(struct request *r, struct err *err)
{
    struct forward_head head;
    size_t len;
    const char *payload = request_payload(r, &len);
    if (forward_sign(r, r->route->command, NULL, payload, len, &head, err) != RC_OK)
        return RC_BUG;
    char parent[TRACEPARENT_MAX];
    char most[40];
    struct bus_header headers[3 + TRACED_HEADERS_MAX] = { { ACTOR_HEADER, head.actor },
                                                          { ANSWER_MAX_HEADER, most },
                                                          { UNRECORDED_HEADER, "gateway" } };
    (void)snprintf(most, sizeof(most), "%zu %u", is_change(r) ? 0 : r->room.bytes, left_ms(r));
    traced_hop_begin(r, &r->hop);
    size_t n = traced_headers(r, r->hop.span, parent, headers, r->ask.unrecorded ? 3 : 2);
    struct bus_out out = {
        .subject = head.subject, .headers = headers, .n_headers = n, .data = payload, .len = len
    };
    r->effect = EFFECT_SENT;
    return bus_request(r->gw->bus, &out, left_ms(r), on_asked, r, err) == RC_OK ? RC_OK : RC_TEMP;
}

static void
on_room(void *arg, bool granted)
{
    struct request *r = arg;
    struct err err = { 0 };
    enum rc rc = granted ? ask(r, &err) : err_set(&err, RC_TEMP, "no room for its answer");
    if (rc == RC_OK)
        return;
    room_leave(r);
    r->ask.crowded = !granted;
    r->ask.unasked = granted;
    answered(r, rc, NULL, &err);
}

enum step
forward_ask(struct request *r, bool unrecorded, bus_reply_fn *fn, void *arg)
{
    if (r->wait_ms < QUERY_MIN_MS)
        r->wait_ms = QUERY_MIN_MS;
    r->ask = (struct request_ask){ .unrecorded = unrecorded, .fn = fn, .arg = arg };
    r->ask.begun_us = clock_mono_us();
    size_t bytes = room_expected(r->gw->room, r->actor.workspace, r->route->command);
    if (is_change(r) && bytes < CHANGE_BYTES)
        bytes = CHANGE_BYTES;
    if (!room_enter(r, bytes, r->wait_ms, on_room, r))
        return STEP_WAIT;
    struct err err = { 0 };
    enum rc rc = ask(r, &err);
    if (rc == RC_OK)
        return STEP_WAIT;
    room_leave(r);
    return unasked(r, rc);
}

enum step
forward_query(struct request *r)
{
    return forward_ask(r, false, on_reply, r);
}

/* --- commands --------------------------------------------------------------------------------- */

static enum rc
read_done(const struct bus_msg *msg, cJSON **doc, struct worker_answer *out)
{
    const char *status = bus_msg_header(msg, STATUS_HEADER);
    if (!status)
        return older_done(msg->data, msg->len, doc, out);
    *out = answer_of(msg, (int)strtol(status, NULL, 10));
    return RC_OK;
}

static void
go_on(struct request *r, enum step step)
{
    waiters_remove(r);
    request_timer_stop(r);
    request_continue(r, step);
}

/* answer: NULL = malformed */
static void
answer_waiters(struct gateway *gw, const char *workspace, const char *id,
               const struct worker_answer *answer)
{
    struct request *r;
    lists_done(gw->lists, id);
    while ((r = waiters_find(gw->waiters, workspace, id)) != NULL) {
        bool stored = r->effect == EFFECT_STORED;
        waiters_remove(r);
        r->effect = EFFECT_SETTLED;
        if (answer)
            (void)answer_worker(r, answer);
        else
            (void)answer_problem(r, PROBLEM_INTERNAL, "a worker's answer is malformed");
        if (stored)
            go_on(r, STEP_ANSWERED);
    }
}

static bool
is_event(const struct bus_msg *msg, const char *name)
{
    const char *event = bus_msg_header(msg, EVENT_HEADER);
    return event && strcmp(event, name) == 0;
}

void
forward_done(struct gateway *gw, const struct bus_msg *msg)
{
    AUTO(json) cJSON *doc = NULL;
    char workspace[WORKSPACE_TEXT_MAX];
    char family[16];
    char id[ID_TEXT_MAX];
    struct worker_answer answer;
    if (!is_event(msg, "done") || done_parse(msg->subject, workspace, family, id) != RC_OK)
        return;
    bool good = read_done(msg, &doc, &answer) == RC_OK;
    if (good && !answer.job_status && answer.status < 300 && strcmp(family, "job") == 0)
        answer.job_status = older_job_status(answer.body, answer.len);
    if (good)
        events_done(gw->events, workspace, family, id, &answer);
    answer_waiters(gw, workspace, id, good ? &answer : NULL);
}

void
forward_answers(struct gateway *gw, const struct bus_msg *msg)
{
    char workspace[WORKSPACE_TEXT_MAX];
    char family[16];
    struct listed_answer one;
    const char *text = msg->data;
    size_t left = msg->len;
    if (!is_event(msg, "answers") || answers_parse(msg->subject, workspace, family) != RC_OK)
        return;
    while (left > 0 && answer_list_next(&text, &left, &one) == RC_OK) {
        const struct worker_answer answer = { .status = one.status,
                                              .code = one.code[0] ? one.code : NULL,
                                              .body = one.body,
                                              .len = one.len };
        events_done(gw->events, workspace, family, one.id, &answer);
        answer_waiters(gw, workspace, one.id, &answer);
    }
}

static void
wait_ran_out(struct request *r)
{
    go_on(r, answer_accepted(r));
}

/* It is stored: wait for its event, for as long as the client wants. */
static void
wait_on(struct request *r)
{
    int64_t waited_ms = (clock_mono_us() - r->start_us) / 1000;
    if (r->respond_async || waited_ms >= (int64_t)r->wait_ms)
        wait_ran_out(r);
    else
        request_timer(r, (uint32_t)((int64_t)r->wait_ms - waited_ms), wait_ran_out);
}

static void
show(struct request *r)
{
    r->route->stored(r);
    wait_on(r);
}

static void
on_ack(void *arg, enum rc rc, bool duplicate, const struct err *err)
{
    struct request *r = arg;
    (void)duplicate;
    bool overtaken = r->effect == EFFECT_SETTLED;
    traced_hop_end(r, STAGE_PUBLISH, r->route->command, &r->hop, r->id,
                   rc == RC_OK || overtaken ? NULL : "unavailable");
    if (rc == RC_OK) {
        if (!overtaken)
            r->effect = EFFECT_STORED;
        r->gw->count.published_total++;
    }
    if (overtaken) { /* by the event, which stands for it */
        go_on(r, STEP_ANSWERED);
        return;
    }
    if (rc != RC_OK) {
        r->gw->count.publish_failed_total++;
        if (rc == RC_LIMIT)
            full_note(r->gw, FULL_QUEUE, r->actor.workspace);
        log_fields(LOG_WARN, "a command was not acknowledged; answered 503", REQUEST_FIELDS(r),
                   "why", err ? err->text : "", NULL);
        go_on(r, unavailable(r, rc == RC_LIMIT ? "the workspace's queue is full"
                                               : "the command could not be stored in time"));
        return;
    }
    if (!r->route->stored)
        wait_on(r);
    else if (r->respond_async || r->wait_ms <= SHOW_MS)
        show(r);
    else
        request_timer(r, SHOW_MS, show);
}

static void
shorten_wait(struct request *r)
{
    int64_t until_ms = (clock_mono_us() - r->start_us) / 1000 + FORWARD_DRAIN_MS;
    if ((int64_t)r->wait_ms <= until_ms)
        return;
    r->wait_ms = (uint32_t)until_ms;
    if (r->effect != EFFECT_STORED)
        return;
    if (r->route->stored)
        show(r); /* its timer may not have done so yet; shown twice, it stays as it is */
    else
        wait_on(r);
}

void
forward_drain(struct gateway *gw)
{
    waiters_each(gw->waiters, shorten_wait);
}

/* Of a task the route does not say whose it is. */
static enum command
command_of(const struct request *r)
{
    if (r->route->command != CMD_EXECUTOR_RUN)
        return r->route->command;
    return connectors_command(r->gw->connectors, json_string(json_member(r->doc, "task"), "type"));
}

static enum step
forward_command(struct request *r)
{
    if (r->decision && r->decision->outcome == POLICY_APPROVAL && r->idem.hold != IDEM_REPLAYED)
        return hold_command(r);
    struct forward_head head;
    struct err err = { 0 };
    char msg_id[LISTS_MSG_ID_MAX];
    char again[ID_TEXT_MAX];
    size_t len;
    const char *payload = request_payload(r, &len);
    if (forward_sign(r, command_of(r), NULL, payload, len, &head, &err) != RC_OK)
        return answer_problem(r, PROBLEM_INTERNAL, "the request cannot be signed");
    traced_hop_begin(r, &r->hop);
    if (!bus_connected(r->gw->bus))
        return unavailable(r, "NATS is unavailable");
    if (r->idem.hold == IDEM_REPLAYED) {
        id_new(again); /* a repeat must not be taken for a duplicate: its answer would never come */
        (void)snprintf(msg_id, sizeof(msg_id), "%s.%s", r->id, again);
    } else
        (void)snprintf(msg_id, sizeof(msg_id), "%s.%lld", r->id, (long long)r->idem.attempt);
    r->effect = EFFECT_SENT;
    /* Who does not want to wait gets 202, also when the event would overtake the PubAck. */
    if (r->idem.hold == IDEM_REPLAYED || (!r->respond_async && r->wait_ms > 0))
        waiters_add(r->gw->waiters, r);
    lists_add(r->gw->lists, r, &head, msg_id, on_ack);
    return STEP_WAIT;
}

enum step
forward_request(struct request *r)
{
    switch (r->route->kind) {
    case ROUTE_COMMAND:
        return forward_command(r);
    case ROUTE_QUERY:
        return r->route->local ? r->route->local(r) : forward_query(r);
    case ROUTE_LOCAL:
        return r->route->local(r);
    }
    return answer_problem(r, PROBLEM_INTERNAL, "the route is of no kind");
}
