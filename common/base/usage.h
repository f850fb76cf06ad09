/* SPDX-License-Identifier: MIT */
/*
 * usage - what this process uses of the machine, for the metrics process_*.
 *
 * Units:   *_us microseconds, *_bytes bytes
 * Errors:  none; what the kernel does not tell is 0
 * Source:  proc(5), getrusage(2); names as Prometheus' client libraries have them
 */
#ifndef GANTRY_BASE_USAGE_H
#define GANTRY_BASE_USAGE_H

#include <stdint.h>

struct usage {
    uint64_t cpu_us;
    uint64_t resident_bytes, virtual_bytes;
    uint64_t open_fds, max_fds;
};

void usage_read(struct usage *out);

#endif
