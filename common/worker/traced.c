/* SPDX-License-Identifier: MIT */
/*
 * traced - the trace of a delivery, and the stages that it passes.
 */
#include <string.h>

#include "base/clock.h"
#include "worker_own.h"

/* Who has a claim of the gateway, or is a program, has been sampled by it. */
void
delivery_trace(struct delivery *delivery, bool trusted)
{
    char id[ID_TEXT_MAX];
    const char *request = delivery->call.request_id;
    bool implied = trusted && id_parse(request, strlen(request), id) == RC_OK;
    const struct trace_headers headers = { delivery->trace_parent, delivery->trace_state, trusted,
                                           implied ? id : NULL };
    if (delivery->call.command != CMD_AUDIT_REQUEST) /* each of its events has one */
        trace_begin(delivery->w->tracer, &headers, &delivery->call.trace);
}

/* The server's clock says since when a command waits; ours may differ, so never before zero and never
 * after its arrival. */
void
delivery_ready(struct delivery *delivery)
{
    const struct call *call = &delivery->call;
    int64_t now_us = clock_mono_us();
    delivery->ready_us = now_us;
    if (delivery->attempts)
        return;
    delivery->ready_us = delivery->arrived_us;
    if (!call->stream_ns || call->deliveries > 1)
        return;
    int64_t waited_us = clock_wall_us() - call->stream_ns / 1000;
    if (waited_us > now_us - delivery->arrived_us && waited_us < now_us)
        delivery->ready_us = now_us - waited_us;
}

static const char *
error_of(const struct delivery *delivery)
{
    const struct result *result = &delivery->call.result;
    if (delivery->reason)
        return "dead_letter";
    return result->status < 500           ? NULL
           : result->code < PROBLEM_COUNT ? problem_name(result->code)
                                          : "internal";
}

void
delivery_record(struct delivery *delivery, enum stage stage, int64_t start_us, int64_t end_us)
{
    struct worker *w = delivery->w;
    const struct call *call = &delivery->call;
    if (!delivery->route)
        return;
    const struct stage_record record = {
        .stage = stage,
        .command = call->command,
        .trace = &call->trace,
        .id = stage == STAGE_AUDIT ? delivery->audit_span : 0,
        .parent = stage == STAGE_QUEUE ? call->trace.parent : 0,
        .workspace = call->actor.workspace,
        .message_id = stage == STAGE_AUDIT ? delivery->audit_id : call->id,
        .start_us = start_us,
        .end_us = end_us,
        .system = w->spec->statements ? "postgresql" : "redis",
    };
    stages_record(&w->stages, &record);
}

/* After the handler, or what it started. */
void
delivery_record_handled(struct delivery *delivery)
{
    struct call *call = &delivery->call;
    int64_t end_us = delivery->handled_us ? delivery->handled_us : clock_mono_us();
    delivery_record(delivery, STAGE_HANDLER, delivery->handed_us, end_us);
    if (call->database_us > 0)
        delivery_record(delivery, STAGE_DATABASE, call->database_start_us,
                        call->database_start_us + call->database_us);
    call->database_us = 0;
    delivery->handled_us = 0;
}

static const cJSON *
first_event(const struct delivery *delivery)
{
    return cJSON_IsArray(delivery->doc) ? delivery->doc->child : delivery->doc;
}

static const cJSON *
next_event(const struct delivery *delivery, const cJSON *event)
{
    return cJSON_IsArray(delivery->doc) ? event->next : NULL;
}

/* A message of request events has one trace for each of them. */
static void
record_events(struct delivery *delivery, const struct stage_process *message)
{
    for (const cJSON *one = first_event(delivery); one; one = next_event(delivery, one)) {
        const struct trace_headers headers = { json_string(one, TRACEPARENT_HEADER), NULL, true,
                                               NULL };
        struct stage_process process = *message;
        struct trace trace;
        if (!headers.parent)
            continue;
        trace_begin(delivery->w->tracer, &headers, &trace);
        process.trace = &trace;
        process.message_id = json_string(one, "event_id");
        process.request_id = json_string(one, "request_id");
        stages_process(&delivery->w->stages, &process);
    }
}

void
delivery_record_all(struct delivery *delivery)
{
    const struct call *call = &delivery->call;
    struct stage_process process = {
        .command = call->command,
        .program = delivery->w->spec->name,
        .workspace = call->actor.workspace,
        .message_id = call->id,
        .request_id = call->request_id,
        .trace = &call->trace,
        .start_us = delivery->arrived_us,
        .end_us = delivery->settled_us ? delivery->settled_us : clock_mono_us(),
        .error = error_of(delivery),
        .status = call->result.status,
        .deliveries = call->deliveries,
    };
    if (!delivery->route || !tracer_on(delivery->w->tracer))
        return;
    if (call->command == CMD_AUDIT_REQUEST)
        record_events(delivery, &process);
    else
        stages_process(&delivery->w->stages, &process);
}

static const char *
or_empty(const char *text)
{
    return text ? text : "";
}

void
delivery_log(const struct delivery *delivery)
{
    const struct call *call = &delivery->call;
    struct trace_parent trace;
    if (call->command != CMD_AUDIT_REQUEST || !delivery->doc) {
        log_fields(LOG_DEBUG, "settled", CALL_FIELDS(call), NULL);
        return;
    }
    for (const cJSON *one = first_event(delivery); one; one = next_event(delivery, one)) {
        if (!trace_parent_read(json_string(one, TRACEPARENT_HEADER), &trace))
            trace.id[0] = '\0';
        log_fields(LOG_DEBUG, "settled", "trace_id", trace.id, "request_id",
                   or_empty(json_string(one, "request_id")), "workspace", call->actor.workspace,
                   "route", command_info(call->command)->tail, "id",
                   or_empty(json_string(one, "event_id")), NULL);
    }
}
