/* SPDX-License-Identifier: MIT */
/*
 * older - reads what workers of earlier versions say; they are there until an upgrade is complete.
 *
 * Shape: version 1 of the .done event is {"status":200,"body":{...}} with body last, and no Gantry-Status.
 *        Versions before Gantry-Job-Status leave a job's state to its document.
 * Errors: RC_CORRUPT: the event is malformed
 */
#ifndef GANTRY_GATEWAY_EFFECTS_OLDER_H
#define GANTRY_GATEWAY_EFFECTS_OLDER_H

#include "json/json.h"
#include "requests/answer.h"

/* An event of version 1. Its body is not read: it may hold what our reader of JSON refuses (U+0000 in a
 * task's output). out->body is borrowed from text, out->code from *doc, which the caller frees. */
enum rc older_done(const char *text, size_t len, cJSON **doc, struct worker_answer *out);

/* The state of a job: of what its command was answered ("outcome"), or of the job itself ("status").
 * Static; NULL: it says none. */
const char *older_job_status(const char *body, size_t len);

#endif
