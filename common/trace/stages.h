/* SPDX-License-Identifier: MIT */
/*
 * stages - the one place where a stage of a command is recorded: its histogram and its span come from the
 * same two times.
 *
 * Source:  semantic conventions of messaging (NATS), database and HTTP spans
 * Threads: the loop's thread only
 */
#ifndef GANTRY_TRACE_STAGES_H
#define GANTRY_TRACE_STAGES_H

#include "protocol/command.h"
#include "protocol/series.h"
#include "trace/tracer.h"

struct stages {
    struct tracer *tracer;     /* borrowed */
    struct series_set *series; /* borrowed */
    struct histogram *cells[CMD_COUNT][STAGE_COUNT];
};

struct stage_record {
    enum stage stage;
    enum command command;
    const struct trace *trace;
    uint64_t id;     /* of the span, when somebody else was told of it; 0 = a new one */
    uint64_t parent; /* 0 = the trace's span */
    const char *workspace, *message_id;
    int64_t start_us, end_us; /* monotonic */
    const char *error;        /* NULL = it went well */
    const char *system;       /* of STAGE_DATABASE: "postgresql", "redis" */
};

void stages_record(struct stages *stages, const struct stage_record *record);

/* A command that a worker has settled: a span of the whole, which its stages have as their parent. */
struct stage_process {
    enum command command;
    const char *program, *workspace, *message_id, *request_id;
    const struct trace *trace;
    int64_t start_us, end_us;
    const char *error;
    int status; /* what the caller was answered; 0 = unknown */
    uint64_t deliveries;
};
void stages_process(struct stages *stages, const struct stage_process *process);

#endif
