/* SPDX-License-Identifier: MIT */
/*
 * The two kinds of messages that become leaves: what clients append, and what settlers report.
 */
#include <stdlib.h>

#include "append.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "crypto/crypto_encode.h"
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

/* An event that is longer than a leaf may be is its sender's; everything else is ours. */
static void
fail(struct call *call, const struct err *err)
{
    if (err->rc == RC_LIMIT)
        call_problem(call, PROBLEM_BODY_TOO_LARGE, NULL, err->text);
    else
        call_fail(call, err);
}

static void
answer_append(struct call *call, const struct leaf *event)
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
        call_answer(call, 200, &body);
}

/* What the log is given it keeps: an event with a credential in it is refused, and answered. */
static bool
holds_secret(struct call *call)
{
    char field[SECRETS_FIELD_MAX];
    const char *kind = secrets_find_json(call->body, field);
    struct field_errors errors = { .count = 0 };

    if (!kind)
        return false;
    field_errors_add(&errors, field, "%s", kind);
    call_problem(call, PROBLEM_SECRET_IN_TEXT, &errors,
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
leaf_count(const struct call *call)
{
    if (call->command != CMD_AUDIT_REQUEST)
        return 2;
    return cJSON_IsArray(call->body) ? (size_t)cJSON_GetArraySize(call->body) : 1;
}

/* The leaves of each call, in order; returns how many. */
static size_t
make_leaves(struct call **calls, size_t n, struct leaf *leaves)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        struct call *call = calls[i];
        if (call->command == CMD_AUDIT_REQUEST) {
            for (const cJSON *event = first_event(call->body); event;
                 event = next_event(call->body, event))
                leaf_of_request(call, event, &leaves[count++]);
        } else if (holds_secret(call)) {
            leaf_of_append(call, PROBLEM_SECRET_IN_TEXT, &leaves[count++]);
        } else {
            leaf_of_event(call, &leaves[count++]);
            leaf_of_append(call, PROBLEM_COUNT, &leaves[count++]);
        }
    }
    return count;
}

static void
settle(struct call **calls, size_t n, const struct leaf *leaves, size_t count)
{
    for (size_t i = 0; i < n; i++)
        if (calls[i]->command == CMD_AUDIT_REQUEST)
            calls[i]->result = (struct result){ .rc = RC_OK, .status = 200, .code = PROBLEM_COUNT };
    for (size_t i = 0; i < count; i++)
        if (leaves[i].kind == LEAF_EVENT)
            answer_append(leaves[i].call, &leaves[i]);
}

/* All in one transaction; if one of them is at fault, each alone. */
static void
store(struct worker *w, struct call **calls, size_t n, size_t max_leaves)
{
    struct audit *audit = worker_state(w);
    AUTO(free) struct leaf *leaves = calloc(max_leaves + 1, sizeof(*leaves));
    struct err err = { .rc = RC_TEMP, .text = "no memory" };
    size_t count;
    enum rc rc = RC_TEMP;

    if (leaves) {
        count = make_leaves(calls, n, leaves);
        rc = append_leaves(audit, worker_db(w), leaves, count, NULL, calls[0]->mem, &err);
        stop_if_config(rc, &err);
        if (rc == RC_OK) {
            settle(calls, n, leaves, count);
            return;
        }
    }
    if (rc == RC_TEMP || n == 1) {
        for (size_t i = 0; i < n; i++)
            fail(calls[i], &err);
        return;
    }
    for (size_t i = 0; i < n; i++)
        store(w, &calls[i], 1, leaf_count(calls[i]));
}

/* As many at once as make a transaction of a good size. */
static void
store_all(struct worker *w, struct call **calls, size_t n)
{
    for (size_t from = 0, to = 0; from < n; from = to) {
        size_t leaves = 0, bytes = 0;
        while (to < n && (to == from || (leaves + leaf_count(calls[to]) <= LEAVES_MAX &&
                                         bytes + calls[to]->payload_len <= BYTES_MAX))) {
            leaves += leaf_count(calls[to]);
            bytes += calls[to++]->payload_len;
        }
        store(w, &calls[from], to - from, leaves);
    }
}

void
audit_handle_append(struct worker *w, struct call **calls, size_t n)
{
    store_all(w, calls, n);
}

void
audit_handle_request(struct worker *w, struct call **calls, size_t n)
{
    store_all(w, calls, n);
}
