/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "worker_own.h"

/*
 * Settling: what becomes of a delivery, step by step. STEPS says what each state does when it is
 * entered and where it leads when it is done; delivery_enter() is the only place that moves one.
 *
 *   command   with the handler -> answering -> auditing -> acking -> gone
 *   request   with the handler -> auditing -> answering -> gone
 *   failed    with the handler -> held -> queued, again and again
 *   rejected  auditing -> dead lettering -> answering -> acking (as a termination) -> gone; where the
 *             program remembers refusals: with its handler for them first, in the workspace's turn
 *   list      opened, or taking apart -> acking -> gone (list.c)
 *
 * Many deliveries are in these steps at once; each step publishes, and is done when its confirmation
 * comes. A step that fails is tried again with growing delay; a crash anywhere redelivers the
 * message, and every step absorbs its repetition (command_done, the event's id, the dead letter's
 * Nats-Msg-Id). A command is answered as soon as its effect is durable: until its event is stored it
 * is not acknowledged, so a crash brings it again and the event with it.
 */
#define RETRY_FIRST_MS 1000u
#define RETRY_MAX_MS   60000u
#define STEP_MAX_MS    30000u

static const char FAILED[] = "a request failed"; /* which a workspace can make happen at will */

static uint32_t
grown(uint32_t first_ms, uint32_t max_ms, unsigned n)
{
    uint64_t delay_ms = (uint64_t)first_ms << (n > 16 ? 16 : n);
    return delay_ms > max_ms ? max_ms : (uint32_t)delay_ms;
}

/* --- arrived, queued, with the handler -------------------------------------------------------- */

static enum delivery_state
after_arrival(struct delivery *delivery)
{
    if (delivery->is_list)
        return delivery->call.deliveries > 1 && !delivery->reason ? DELIVERY_TAKING_APART
                                                                  : DELIVERY_OPENED;
    bool to_remember = delivery->refused && delivery->consumer && delivery->w->spec->refused;
    if (to_remember || (!delivery->refused && !delivery->reason))
        return DELIVERY_QUEUED;
    return delivery->consumer && !delivery->reason ? DELIVERY_ANSWERING : DELIVERY_AUDITING;
}

static enum delivery_state
after_queue(struct delivery *delivery)
{
    (void)delivery;
    return DELIVERY_WITH_HANDLER;
}

/* What a refusal says stays; a handler has to give a result. */
static void
hand_over(struct delivery *delivery)
{
    if (delivery->refused) {
        if (delivery->attempts == 0)
            delivery->refusal = delivery->call.result;
        delivery->call.result = delivery->refusal;
        return;
    }
    delivery->call.result = (struct result){ .rc = RC_BUG, .code = PROBLEM_COUNT };
    (void)err_set(&delivery->call.result.err, RC_BUG, "the handler gave no result");
}

static bool
gives_up(struct delivery *delivery, uint32_t delay_ms)
{
    const struct worker_spec *spec = delivery->w->spec;
    if (!spec->failing || !spec->failing(delivery->w))
        delivery->waited_ms += delay_ms;
    if (delivery->waited_ms <= FAULT_NUMBER("FAULT_GIVE_UP_MS", WORKER_GIVE_UP_MS))
        return false;
    delivery->reason =
        arena_printf(&delivery->mem, "failed for 24 hours: %.200s", delivery->call.result.err.text);
    return true;
}

static enum delivery_state
after_command(struct delivery *delivery)
{
    struct call *call = &delivery->call;
    switch (rc_verdict(call->result.rc)) {
    case VERDICT_DONE: /* with a reason: rejected, and remembered */
        return delivery->reason ? DELIVERY_AUDITING : DELIVERY_ANSWERING;
    case VERDICT_RETRY:
        if (!gives_up(delivery, grown(RETRY_FIRST_MS, RETRY_MAX_MS, delivery->attempts)))
            return DELIVERY_HELD;
        break;
    case VERDICT_REJECT:
        delivery->reason = arena_strdup(&delivery->mem, call->result.err.text);
        break;
    }
    delivery_dead_letter(delivery, delivery->reason);
    return DELIVERY_AUDITING;
}

static enum delivery_state
after_request(struct delivery *delivery)
{
    struct call *call = &delivery->call;
    enum verdict verdict = rc_verdict(call->result.rc);
    if (verdict == VERDICT_RETRY) {
        (void)worker_check_health(delivery->w);
        delivery_refuse_unavailable(delivery);
    } else if (verdict == VERDICT_REJECT) {
        if (worker_may_say(delivery->w, FAILED, call->actor.workspace))
            log_fields(LOG_ERROR, FAILED, CALL_FIELDS(call), "reason", call->result.err.text, NULL);
        call_problem(call, PROBLEM_INTERNAL, NULL, "The request could not be executed.");
    }
    delivery->too_large = delivery->answer_max && call->result.body_len > delivery->answer_max;
    return DELIVERY_AUDITING;
}

static enum delivery_state
after_handler(struct delivery *delivery)
{
    struct result *result = &delivery->call.result;
    delivery_record_handled(delivery);
    if (rc_verdict(result->rc) == VERDICT_DONE && result->status == 0)
        result->rc = err_set(&result->err, RC_BUG, "the handler gave no answer");
    return delivery->consumer ? after_command(delivery) : after_request(delivery);
}

/* --- held: another attempt later -------------------------------------------------------------- */

static void
hold(struct delivery *delivery)
{
    const struct err *err = &delivery->call.result.err;
    delivery->w->metrics.calls_retried++;
    delivery->w->held++;
    delivery->consumer->held++;
    if (err->text[0]) /* a call without a reason has not failed, its time has not come */
        log_fields(err->rc == RC_CONFIG ? LOG_ERROR : LOG_WARN,
                   "failed for now: trying again later", CALL_FIELDS(&delivery->call), "reason",
                   err->text, NULL);
    delivery_wake_after(delivery, grown(RETRY_FIRST_MS, RETRY_MAX_MS, delivery->attempts++));
}

static enum delivery_state
after_held(struct delivery *delivery)
{
    delivery->w->held--;
    delivery->consumer->held--;
    return DELIVERY_QUEUED;
}

/* --- answering, auditing, dead lettering ------------------------------------------------------ */

static void
answer(struct delivery *delivery)
{
    if (!delivery->consumer) {
        delivery_reply(delivery);
    } else {
        delivery_publish_done(delivery);
        FAULT("after_answer");
    }
    delivery_done(delivery);
}

static enum delivery_state
after_answer(struct delivery *delivery)
{
    if (!delivery->consumer)
        return DELIVERY_STATES;
    return delivery->reason ? DELIVERY_ACKING : DELIVERY_AUDITING;
}

static enum delivery_state
after_audit(struct delivery *delivery)
{
    if (delivery->reason)
        return DELIVERY_DEAD_LETTERING;
    return delivery->consumer ? DELIVERY_ACKING : DELIVERY_ANSWERING;
}

static enum delivery_state
after_dead_letter(struct delivery *delivery)
{
    (void)delivery;
    return DELIVERY_ANSWERING;
}

static enum delivery_state
after_list(struct delivery *delivery)
{
    (void)delivery;
    return DELIVERY_ACKING;
}

static enum delivery_state
after_ack(struct delivery *delivery)
{
    (void)delivery;
    return DELIVERY_STATES;
}

/* --- the table -------------------------------------------------------------------------------- */

static const struct step {
    void (*enter)(struct delivery *delivery); /* begins it, and begins it again after a failure */
    enum delivery_state (*done)(struct delivery *delivery); /* DELIVERY_STATES: gone */
} STEPS[DELIVERY_STATES] = {
    [DELIVERY_ARRIVED] = { NULL, after_arrival },
    [DELIVERY_QUEUED] = { delivery_enqueue, after_queue },
    [DELIVERY_WITH_HANDLER] = { hand_over, after_handler },
    [DELIVERY_OPENED] = { list_open, after_list },
    [DELIVERY_TAKING_APART] = { list_take_apart, after_list },
    [DELIVERY_HELD] = { hold, after_held },
    [DELIVERY_ANSWERING] = { answer, after_answer },
    [DELIVERY_AUDITING] = { delivery_audit, after_audit },
    [DELIVERY_DEAD_LETTERING] = { delivery_write_dead_letter, after_dead_letter },
    [DELIVERY_ACKING] = { delivery_ack, after_ack },
};

static void
finish(struct delivery *delivery)
{
    struct worker *w = delivery->w;
    const struct result *result = &delivery->call.result;
    if (delivery->is_list) { /* its commands were counted */
        delivery_free(delivery);
        return;
    }
    int64_t settled_us = delivery->settled_us ? delivery->settled_us : clock_mono_us();
    uint64_t settle_us = (uint64_t)(settled_us - delivery->arrived_us);
    if (!delivery->consumer)
        w->metrics.requests++;
    else if (!delivery->reason)
        w->metrics.calls++;
    if (!delivery->reason && result->status >= 400)
        w->metrics.calls_failed++;
    w->metrics.settle_us += settle_us;
    service_count(delivery, settle_us);
    delivery_record_all(delivery);
    if (log_enabled(LOG_DEBUG))
        delivery_log(delivery);
    struct delivery *list = delivery->list;
    delivery_free(delivery);
    if (list)
        list_settled(list);
}

void
delivery_enter(struct delivery *delivery, enum delivery_state state)
{
    if (state == DELIVERY_STATES) {
        finish(delivery);
        return;
    }
    delivery->state = state;
    delivery->tries = 0;
    STEPS[state].enter(delivery);
}

void
delivery_done(struct delivery *delivery)
{
    delivery->awaiting = false;
    delivery_enter(delivery, STEPS[delivery->state].done(delivery));
}

void
delivery_step_again(struct delivery *delivery)
{
    STEPS[delivery->state].enter(delivery);
}

void
delivery_step_later(struct delivery *delivery)
{
    delivery->awaiting = false;
    delivery_wake_after(delivery, grown(RETRY_FIRST_MS, STEP_MAX_MS, delivery->tries++));
}

/* For another replica, or for this one after its restart. */
void
delivery_hand_back(struct delivery *delivery)
{
    if (!delivery->list) /* that goes back as a whole */
        (void)bus_settle(delivery->w->bus, delivery->msg, BUS_NAK, 0, NULL, NULL, NULL);
    delivery_free(delivery);
}

void
worker_finish(struct worker *w, struct call *call)
{
    (void)w;
    delivery_done(call->own);
}
