/* SPDX-License-Identifier: MIT */
/*
 * The two kinds of messages that become leaves: what clients append, and what settlers report.
 */
#include <stdlib.h>

#include "append.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "protocol/audit_event.h"
#include "validate/secrets.h"

#define ANSWER_MAX 1024
#define LEAVES_MAX 2048 /* of one transaction, if it is not one message */
#define BYTES_MAX  (16u << 20)

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

/* The events of an audit.request body: itself, or the items of an array. */
static const cJSON *
first_event(const cJSON *body)
{
    return cJSON_IsArray(body) ? body->child : body;
}

static const cJSON *
next_event(const cJSON *body, const cJSON *event)
{
    return cJSON_IsArray(body) ? event->next : NULL;
}

static size_t
leaf_count(const struct job *job)
{
    if (job->command != CMD_AUDIT_REQUEST)
        return 2;
    return cJSON_IsArray(job->body) ? (size_t)cJSON_GetArraySize(job->body) : 1;
}

/* The leaves of each job, in order; returns how many. */
static size_t
make_leaves(struct job **jobs, size_t n, struct leaf *leaves)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        struct job *job = jobs[i];
        if (job->command == CMD_AUDIT_REQUEST) {
            for (const cJSON *event = first_event(job->body); event;
                 event = next_event(job->body, event))
                leaf_of_request(job, event, &leaves[count++]);
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
settle(struct job **jobs, size_t n, const struct leaf *leaves, size_t count)
{
    for (size_t i = 0; i < n; i++)
        if (jobs[i]->command == CMD_AUDIT_REQUEST)
            jobs[i]->result = (struct result){ .rc = RC_OK, .status = 200, .code = PROBLEM_COUNT };
    for (size_t i = 0; i < count; i++)
        if (leaves[i].kind == LEAF_EVENT)
            answer_append(leaves[i].job, &leaves[i]);
}

/* All in one transaction; if one of them is at fault, each alone. */
static void
store(struct worker *w, struct job **jobs, size_t n, size_t max_leaves)
{
    struct audit *audit = worker_state(w);
    AUTO(free) struct leaf *leaves = calloc(max_leaves + 1, sizeof(*leaves));
    struct err err = { .rc = RC_TEMP, .text = "no memory" };
    size_t count;
    enum rc rc = RC_TEMP;

    if (leaves) {
        count = make_leaves(jobs, n, leaves);
        rc = append_leaves(audit, worker_db(w), leaves, count, NULL, jobs[0]->mem, &err);
        stop_if_config(rc, &err);
        if (rc == RC_OK) {
            settle(jobs, n, leaves, count);
            return;
        }
    }
    if (rc == RC_TEMP || n == 1) {
        for (size_t i = 0; i < n; i++)
            job_fail(jobs[i], &err);
        return;
    }
    for (size_t i = 0; i < n; i++)
        store(w, &jobs[i], 1, leaf_count(jobs[i]));
}

/* As many at once as make a transaction of a good size. */
static void
store_all(struct worker *w, struct job **jobs, size_t n)
{
    for (size_t from = 0, to = 0; from < n; from = to) {
        size_t leaves = 0, bytes = 0;
        while (to < n && (to == from || (leaves + leaf_count(jobs[to]) <= LEAVES_MAX &&
                                         bytes + jobs[to]->payload_len <= BYTES_MAX))) {
            leaves += leaf_count(jobs[to]);
            bytes += jobs[to++]->payload_len;
        }
        store(w, &jobs[from], to - from, leaves);
    }
}

void
audit_handle_append(struct worker *w, struct job **jobs, size_t n)
{
    store_all(w, jobs, n);
}

/* An intent waits for the event that tells how it ended. */
static bool
waits(const struct job *job)
{
    for (const cJSON *event = first_event(job->body); event; event = next_event(job->body, event))
        if (json_bool(event, "intent", false))
            return clock_wall_ms() < job->accepted_ms + AUDIT_INTENT_MS;
    return false;
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
        store_all(w, now, count);
}
