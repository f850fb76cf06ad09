/* SPDX-License-Identifier: MIT */
/*
 * audit_event - what a settler tells the audit log about one request or command.
 *
 * The program that settles a request publishes one such message to
 * gantry.v1.<workspace>.audit.request.<program> and waits for its PubAck before the answer leaves
 * (architecture, decision 9). The audit worker takes the workspace and the program from the
 * subject, adds a nonce and the time of recording, replaces the two plain SHA-256 digests by
 * HMACs under its own key, and appends the canonical bytes to the log. (workspace, event_id) is
 * recorded once, however often the message comes; publish with Nats-Msg-Id "<event_id>.audit".
 *
 * Shape:   {"v":1,"type":"request","event_id":uuid, …the members below}; absent ones are null
 * Units:   *_ms milliseconds, wall times UTC; digests as 64 hexadecimal digits
 * Errors:  RC_INVALID  a member that must be there is missing or is not of its shape
 *          RC_LIMIT    out has no room (give it AUDIT_EVENT_MAX)
 * Source:  issue of the audit log, contract 7.3 and 7.4
 */
#ifndef GANTRY_PROTOCOL_AUDIT_EVENT_H
#define GANTRY_PROTOCOL_AUDIT_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/rc.h"
#include "json/json.h"

#define AUDIT_EVENT_MAX  16384 /* bytes of one request event on the wire */
#define AUDIT_INTENT_MS  30000 /* of AUDIT's own time: an end within it is waited for */
#define AUDIT_DIGEST_MAX 65    /* 64 hexadecimal digits and a NUL */
#define AUDIT_PREFIX_MAX 257   /* 64 characters of at most 4 bytes, and a NUL */

/* The workspace token of events that belong to none (refusals without a valid key, prune leaves).
 * No workspace can have this name: a name starts with a letter or a digit. */
#define AUDIT_NO_WORKSPACE "_none"

/* The caller: a key (over HTTP, or named by the server for core requests); a direct NATS client of
 * the workspace, whose key the server does not name; nobody with a valid key; an operator; a program of ours
 * by itself. */
enum audit_actor {
    AUDIT_ACTOR_KEY,
    AUDIT_ACTOR_NATS,
    AUDIT_ACTOR_ANONYMOUS,
    AUDIT_ACTOR_OPERATOR,
    AUDIT_ACTOR_PROGRAM
};

/* The outcome: done; allowed but failed (4xx of content, 5xx, task failed); refused. */
enum audit_status { AUDIT_SUCCESS, AUDIT_FAILED, AUDIT_DENIED, AUDIT_UNKNOWN };

struct audit_request_event {
    const char *event_id;   /* must: UUID; the command's id, or a new one for what became none */
    enum audit_actor actor; /* with AUDIT_ACTOR_NATS give no key_id */
    const char *key_id;     /* NULL when unknown */
    const char *request_id; /* NULL for direct clients without one */
    const char *action;     /* must: "memory.ingest", "GET /ai/jobs/{id}": a name from a table */
    const char *target; /* scope, object id or action name; NULL; redacted and cut when written */
    enum audit_status status;
    int http_status;                /* what a waiting caller gets; 0 for direct clients */
    const char *error_code;         /* problem code, or the task's outcome; NULL on success */
    int64_t duration_ms;            /* from the accept time; negative when unknown */
    const char *idempotency_sha256; /* of the client's key, audit_digest(); NULL */
    const char *params_sha256;      /* of the canonical body, audit_digest_json(); NULL */
    const char *params_prefix64;    /* actions only: audit_params_prefix(); NULL */
    const char *policy;             /* actions: what the policy decided, a JSON object; NULL */
    const char *decision;           /* NULL = "denied" for AUDIT_DENIED, else "allowed" */
    const char *region;             /* REGION, NULL or "" */
    const char *client;             /* counted refusals: the client's address; else NULL */
    const char *traceparent;        /* of the span that sends it; NULL = none */
    int64_t time_ms;                /* when the request was accepted */
    int64_t count;                  /* counted refusals: how many; else 0, written as 1 */
    /* Written before the effect, with the id of the event that will tell how it ended; it is recorded
     * only if that one is not among what AUDIT received within AUDIT_INTENT_MS (workers/audit). */
    bool intent;
};

/* Append the message to out. */
enum rc audit_event_write(const struct audit_request_event *event, struct buf *out);

/* SHA-256 of some bytes, and of doc's RFC 8785 bytes without client_request_id, as text. */
void audit_digest(const void *data, size_t len, char hex[AUDIT_DIGEST_MAX]);
enum rc audit_digest_json(const cJSON *doc, char hex[AUDIT_DIGEST_MAX]);

/* The first 64 characters of the compact JSON of an action's params, after redaction of every
 * string that looks like a credential and of everything under a member named like one. */
enum rc audit_params_prefix(const cJSON *params, char prefix[AUDIT_PREFIX_MAX]);

#endif
