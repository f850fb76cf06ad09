/* SPDX-License-Identifier: MIT */
/*
 * limits - how much one task may use, and the bounds that no manifest can go beyond.
 *
 * Every limit holds for the task as a whole (its process tree and its tmpfs folders), except where
 * the comment says "each process".
 *
 * Units:  bytes, milliseconds, counts
 * Source: contract section 6
 */
#ifndef GANTRY_EXECUTOR_SANDBOX_LIMITS_H
#define GANTRY_EXECUTOR_SANDBOX_LIMITS_H

#include <stdint.h>

#define LIMIT_WALL_MS_DEFAULT    30000
#define LIMIT_WALL_MS_MAX        600000
#define LIMIT_OUTPUT_KEPT        65536  /* of stdout and of stderr; more is cut and `truncated` */
#define LIMIT_RESULT_BYTES       262144 /* of `result`, as JSON */
#define LIMIT_INPUT_BYTES        524288 /* of the task as JSON */
#define LIMIT_AS_HEADROOM        (UINT64_C(1) << 30) /* address space beyond memory_bytes */
#define LIMIT_PROCESSES_HEADROOM 16
#define LIMIT_TICK_MS            20 /* between two samples of a task's tree */

struct limits {
    uint32_t wall_ms;
    uint32_t wall_max_ms;  /* the most that a request's timeout_seconds may ask for */
    uint32_t cpu_ms;       /* processor time of the tree */
    uint64_t memory_bytes; /* resident anonymous and shared memory, plus what the tmpfs hold */
    uint32_t processes;    /* processes and zombies, not counting bubblewrap's own */
    uint64_t tmp_bytes;    /* of /tmp, and as much again of /work */
    uint64_t file_bytes;   /* of one file */
    uint32_t open_files;   /* each process */
    uint8_t memory_exit;   /* by this code the handler says that it was refused memory; 0 = never */
    uint64_t output_bytes; /* stdout and stderr together; beyond it the task is killed */
};

#endif
