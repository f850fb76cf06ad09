/* SPDX-License-Identifier: MIT */
/*
 * The two kinds of messages that become leaves: what clients append, and what settlers report.
 */
#include <stdlib.h>

#include "append.h"
#include "audit_event.h"
#include "cleanup.h"
#include "clock.h"
#include "log.h"
#include "secrets.h"

#define ANSWER_MAX 1024

/* A log that is not the one we signed, or that we may not read: no more leaves until a person has
 * looked. The supervisor does not restart this exit code. */
static void
stop_if_config(enum rc rc, const struct err *err)
{
    if (rc != RC_CONFIG)
        return;
    log_fatal("the audit log cannot be continued: %s", err->text);
    exit(EXIT_CONFIG);
}

static void
answer_append(struct job *job, const struct leaf *event)
{
    char hex[HASH_TEXT_MAX];
    AUTO(buf) struct buf body = { 0 };
    struct json_writer w;

    buf_init(&body, ANSWER_MAX);
    hex_encode(event->hash, HASH_LEN, hex);
    json_begin(&w, &body);
    json_object(&w, NULL);
    json_put_string(&w, "status", "success");
    json_put_string(&w, "message", "Audit event recorded");
    json_put_string(&w, "event_id", event->event_id);
    json_put_int(&w, "leaf_index", (int64_t)event->index);
    json_put_string(&w, "leaf_hash", hex);
    json_close(&w);
    if (json_end(&w) == RC_OK)
        job_answer(job, 200, &body);
}

/* What the log is given it keeps: an event with a credential in it is refused, and answered. */
static bool
holds_secret(struct job *job)
{
    char field[SECRETS_FIELD_MAX];
    const char *kind = secrets_find_json(job->body, field);
    struct field_errors errors = { .count = 0 };

    if (!kind)
        return false;
    field_errors_add(&errors, field, "%s", kind);
    job_problem(job, PROBLEM_SECRET_IN_TEXT, &errors,
                "The event holds what looks like a credential");
    return true;
}

/* One or two leaves for each job, in order; returns how many. */
static size_t
make_leaves(struct job **jobs, size_t n, struct leaf *leaves)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        struct job *job = jobs[i];
        if (job->command == CMD_AUDIT_REQUEST) {
            leaf_of_request(job, &leaves[count++]);
        } else if (holds_secret(job)) {
            leaf_of_append(job, PROBLEM_SECRET_IN_TEXT, &leaves[count++]);
        } else {
            leaf_of_event(job, &leaves[count++]);
            leaf_of_append(job, PROBLEM_COUNT, &leaves[count++]);
        }
    }
    return count;
}

static void
settle(const struct leaf *leaves, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct job *job = leaves[i].job;
        if (leaves[i].kind == LEAF_EVENT)
            answer_append(job, &leaves[i]);
        else if (job->command == CMD_AUDIT_REQUEST)
            job->result = (struct result){ .rc = RC_OK, .status = 200, .code = PROBLEM_COUNT };
    }
}

/* All in one transaction; if one of them is at fault, each alone. */
static void
store(struct worker *w, struct job **jobs, size_t n)
{
    struct audit *audit = worker_state(w);
    AUTO(free) struct leaf *leaves = calloc(2 * n, sizeof(*leaves));
    struct err err = { .rc = RC_TEMP, .text = "no memory" };
    size_t count;
    enum rc rc = RC_TEMP;

    if (leaves) {
        count = make_leaves(jobs, n, leaves);
        rc = append_leaves(audit, worker_db(w), leaves, count, NULL, jobs[0]->mem, &err);
        stop_if_config(rc, &err);
        if (rc == RC_OK) {
            settle(leaves, count);
            return;
        }
    }
    if (rc == RC_TEMP || n == 1) {
        for (size_t i = 0; i < n; i++)
            job_fail(jobs[i], &err);
        return;
    }
    for (size_t i = 0; i < n; i++)
        store(w, &jobs[i], 1);
}

void
audit_handle_append(struct worker *w, struct job **jobs, size_t n)
{
    store(w, jobs, n);
}

/* An intent waits for the event that tells how it ended. */
static bool
waits(const struct job *job)
{
    return json_bool(job->body, "intent", false) &&
           clock_wall_ms() < job->accepted_ms + AUDIT_INTENT_MS;
}

void
audit_handle_request(struct worker *w, struct job **jobs, size_t n)
{
    static const struct err later = { .rc = RC_TEMP };
    AUTO(free) struct job **now = calloc(n, sizeof(struct job *));
    size_t count = 0;

    for (size_t i = 0; i < n; i++)
        if (!now || waits(jobs[i]))
            job_fail(jobs[i], &later);
        else
            now[count++] = jobs[i];
    if (count > 0)
        store(w, now, count);
}
