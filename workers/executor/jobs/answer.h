/* SPDX-License-Identifier: MIT */
/*
 * answer - the answer to a task, as the contract shows it.
 *
 * Shape: {"status":"success"|"failed","outcome":…,["job_id":…,]
 *         "output":{"exit_code":int|null,"stdout":…,"stderr":…,"result":…,"truncated":bool},
 *         "usage":{"wall_ms":…,"cpu_ms":…,"max_rss_bytes":…}}
 *        What is not UTF-8 in stdout and stderr becomes U+FFFD. `result` is the JSON text that the
 *        handler wrote, as it stands; when it cannot be passed on (malformed, a member twice, U+0000,
 *        too deep, too long) it is null and the last line of `stderr` says why. `truncated`: something
 *        was cut or left out for its size; a handler says so by a member `left_out` of its result.
 */
#ifndef GANTRY_EXECUTOR_JOBS_ANSWER_H
#define GANTRY_EXECUTOR_JOBS_ANSWER_H

#include "base/buf.h"
#include "base/rc.h"
#include "protocol/jobs.h"
#include "sandbox/manifest.h"
#include "sandbox/run.h"

/* 64 KiB of control characters are six times as long in JSON, twice; then the result. */
#define ANSWER_BYTES_MAX (2 * 6 * LIMIT_OUTPUT_KEPT + LIMIT_RESULT_BYTES + 4096)

/* RC_LIMIT when out has no room; job_id may be NULL (--run-one). */
enum rc answer_write(const struct action *action, const struct run_result *result,
                     const char *job_id, struct buf *out);
/* The object "output" of it, which is what is recorded. */
enum rc answer_output(const struct action *action, const struct run_result *result,
                      struct buf *out);
struct job_usage answer_usage(const struct run_result *result);

#endif
