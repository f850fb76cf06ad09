/* SPDX-License-Identifier: MIT */
/*
 * progress - a bar on the terminal for long work: share done, rate, time left.
 *
 * Written to standard error, and only if that is a terminal; at most ten times a second.
 */
#ifndef GANTRY_CLI_PROGRESS_H
#define GANTRY_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *what; /* borrowed: "verifying" */
    uint64_t total;   /* 0 = unknown */
    int64_t start_ms, next_ms;
    bool shown, on;
};

void progress_begin(struct progress *progress, const char *what, uint64_t total);
void progress_show(struct progress *progress, uint64_t done);
void progress_end(struct progress *progress); /* leaves an empty line behind */

#endif
