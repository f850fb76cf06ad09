/* SPDX-License-Identifier: MIT */
#include "trace/stages.h"

#include <stdio.h>

#include "base/cleanup.h"

/* The address of a message without its workspace: few names, which spans can be grouped by. */
static void
write_template(char out[SUBJECT_MAX], enum command command)
{
    (void)snprintf(out, SUBJECT_MAX, SUBJECT_PREFIX "{workspace}.%s", command_info(command)->tail);
}

static const struct {
    enum span_kind kind;
    const char *verb;      /* of the span's name */
    const char *operation; /* messaging.operation.type; NULL: no message */
} KINDS[] = {
    [STAGE_QUEUE] = { SPAN_INTERNAL, "queue", NULL },
    [STAGE_HANDLER] = { SPAN_INTERNAL, "handle", NULL },
    [STAGE_DATABASE] = { SPAN_CLIENT, "database", NULL },
    [STAGE_AUDIT] = { SPAN_PRODUCER, "publish", "send" },
    [STAGE_PUBLISH] = { SPAN_PRODUCER, "publish", "send" },
    [STAGE_REPLY] = { SPAN_CLIENT, "request", "send" },
};

static void export(const struct stages *stages, const struct stage_record *record)
{
    char template[SUBJECT_MAX], subject[SUBJECT_MAX], name[SUBJECT_MAX + 16];
    enum command command = record->stage == STAGE_AUDIT ? CMD_AUDIT_REQUEST : record->command;
    bool message = KINDS[record->stage].operation != NULL;
    write_template(template, command);
    command_subject(subject, record->workspace, command);
    (void)snprintf(name, sizeof(name), "%s %s", KINDS[record->stage].verb,
                   message                           ? template
                   : record->stage == STAGE_DATABASE ? record->system
                                                     : command_info(command)->tail);
    const struct span_attribute attributes[] = {
        { "gantry.stage", stage_name(record->stage), 0 },
        { "gantry.workspace", record->workspace, 0 },
        { record->stage == STAGE_DATABASE ? "db.system.name" : NULL, record->system, 0 },
        { message ? "messaging.system" : NULL, "nats", 0 },
        { message ? "messaging.operation.name" : NULL, KINDS[record->stage].verb, 0 },
        { message ? "messaging.operation.type" : NULL, KINDS[record->stage].operation, 0 },
        { message ? "messaging.destination.name" : NULL, subject, 0 },
        { message ? "messaging.destination.template" : NULL, template, 0 },
        { message && record->message_id ? "messaging.message.id" : NULL, record->message_id, 0 },
    };
    const struct span span = {
        .trace = record->trace,
        .id = record->id ? record->id : trace_span_id(stages->tracer),
        .parent = record->parent ? record->parent : record->trace->span,
        .kind = KINDS[record->stage].kind,
        .name = name,
        .start_us = record->start_us,
        .end_us = record->end_us,
        .error = record->error,
        .attributes = attributes,
        .n_attributes = ARRAY_LEN(attributes),
    };
    trace_span(stages->tracer, &span);
}

void
stages_record(struct stages *stages, const struct stage_record *record)
{
    struct histogram **cell = &stages->cells[record->command][record->stage];
    int64_t us = record->end_us > record->start_us ? record->end_us - record->start_us : 0;
    bool sampled = record->trace && record->trace->sampled;
    if (!*cell)
        *cell = series_find(stages->series, FAMILY_STAGE, command_info(record->command)->tail,
                            stage_name(record->stage));
    if (*cell)
        histogram_add(*cell, (uint64_t)us, sampled ? record->trace->id : NULL);
    if (sampled)
        export(stages, record);
}

void
stages_process(struct stages *stages, const struct stage_process *process)
{
    char template[SUBJECT_MAX], subject[SUBJECT_MAX], name[SUBJECT_MAX + 16];
    if (!process->trace->sampled)
        return;
    write_template(template, process->command);
    command_subject(subject, process->workspace, process->command);
    (void)snprintf(name, sizeof(name), "process %s", template);
    const struct span_attribute attributes[] = {
        { "messaging.system", "nats", 0 },
        { "messaging.operation.name", "process", 0 },
        { "messaging.operation.type", "process", 0 },
        { "messaging.destination.name", subject, 0 },
        { "messaging.destination.template", template, 0 },
        { "messaging.consumer.group.name", process->program, 0 },
        { process->message_id ? "messaging.message.id" : NULL, process->message_id, 0 },
        { "gantry.workspace", process->workspace, 0 },
        { process->request_id && *process->request_id ? "gantry.request_id" : NULL,
          process->request_id, 0 },
        { process->status ? "gantry.status" : NULL, NULL, process->status },
        { process->deliveries > 1 ? "gantry.deliveries" : NULL, NULL,
          (int64_t)process->deliveries },
    };
    const struct span span = {
        .trace = process->trace,
        .id = process->trace->span,
        .parent = process->trace->parent,
        .kind = SPAN_CONSUMER,
        .name = name,
        .start_us = process->start_us,
        .end_us = process->end_us,
        .error = process->error,
        .attributes = attributes,
        .n_attributes = ARRAY_LEN(attributes),
    };
    trace_span(stages->tracer, &span);
}
