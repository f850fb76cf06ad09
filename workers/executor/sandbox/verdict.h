/* SPDX-License-Identifier: MIT */
/*
 * verdict - facts about a finished sandbox -> the outcome of the task, or a fault of ours. Pure.
 *
 * The outcome of a task is not the outcome of a command: a program that exits 1 is a successful
 * command with a result. Only an exit-code document of bwrap, or a kill of ours, means that the task
 * ran; anything else is our fault, is told nobody, and the command is tried again.
 *
 * Source: contract 4.3 (outcomes); isolate's split of program and internal errors
 */
#ifndef GANTRY_EXECUTOR_SANDBOX_VERDICT_H
#define GANTRY_EXECUTOR_SANDBOX_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "sandbox/limits.h"

/* clang-format off */
#define OUTCOME_TABLE(X)                          \
    X(OUTCOME_OK,            "ok")                \
    X(OUTCOME_NONZERO_EXIT,  "nonzero_exit")      \
    X(OUTCOME_SIGNALED,      "signaled")          \
    X(OUTCOME_TIMEOUT,       "timeout")           \
    X(OUTCOME_CPU_LIMIT,     "cpu_limit")         \
    X(OUTCOME_MEMORY_LIMIT,  "memory_limit")      \
    X(OUTCOME_PROCESS_LIMIT, "process_limit")     \
    X(OUTCOME_OUTPUT_LIMIT,  "output_limit")      \
    X(OUTCOME_CANCELLED,     "cancelled")         \
    X(OUTCOME_FAULT,         "fault") /* ours: never answered, the command is retried */
/* clang-format on */

#define OUTCOME_ENUM(name, text) name,
enum outcome { OUTCOME_TABLE(OUTCOME_ENUM) OUTCOME_COUNT };
#undef OUTCOME_ENUM

const char *outcome_name(enum outcome outcome);

struct facts {
    bool killed; /* by us, for the reason below */
    enum outcome kill_reason;
    bool exited;   /* bwrap gave an exit-code document */
    int exit_code; /* of the handler; 128 + n for signal n */
    uint64_t memory_peak_bytes;
    uint64_t cpu_ms;        /* of what was waited for */
    uint64_t cpu_sample_ms; /* the most that a look at the living tree has counted */
    uint64_t oom_kills;     /* of its cgroup */
    uint64_t forks_refused;
};

/* The processor time that the tree has used. The kernel reaps a killed namespace without counting it to anybody: then the
 * last look, taken just before the kill, is what there is. */
uint64_t verdict_cpu_ms(const struct facts *facts);

enum outcome verdict_decide(const struct facts *facts, const struct limits *limits);

#endif
