/* SPDX-License-Identifier: MIT */
#include "sandbox/verdict.h"

#include <signal.h>

#define EXIT_BY_SIGNAL 128 /* bwrap and shells: 128 + number of the signal */

const char *
outcome_name(enum outcome outcome)
{
#define OUTCOME_TEXT(name, text) text,
    static const char *const NAMES[] = { OUTCOME_TABLE(OUTCOME_TEXT) };
#undef OUTCOME_TEXT

    return outcome < OUTCOME_COUNT ? NAMES[outcome] : "fault";
}

uint64_t
verdict_cpu_ms(const struct facts *facts)
{
    return facts->cpu_sample_ms > facts->cpu_ms ? facts->cpu_sample_ms : facts->cpu_ms;
}

enum outcome
verdict_decide(const struct facts *facts, const struct limits *limits)
{
    int number = facts->exit_code - EXIT_BY_SIGNAL;

    if (facts->oom_kills > 0)
        return OUTCOME_MEMORY_LIMIT;
    if (facts->killed)
        return facts->kill_reason;
    if (!facts->exited)
        return OUTCOME_FAULT;
    if (facts->exit_code == 0)
        return OUTCOME_OK;
    /* It failed by itself: from here on a limit that it ran into is the better answer. */
    if (number == SIGXCPU || verdict_cpu_ms(facts) > limits->cpu_ms)
        return OUTCOME_CPU_LIMIT;
    if (facts->memory_peak_bytes > limits->memory_bytes ||
        (limits->memory_exit && facts->exit_code == limits->memory_exit))
        return OUTCOME_MEMORY_LIMIT;
    if (facts->forks_refused > 0)
        return OUTCOME_PROCESS_LIMIT;
    return number > 0 && number <= SIGRTMAX ? OUTCOME_SIGNALED : OUTCOME_NONZERO_EXIT;
}
