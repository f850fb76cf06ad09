/* SPDX-License-Identifier: MIT */
#include "event.h"

#include <string.h>

#include "audit_event.h"
#include "cleanup.h"
#include "clock.h"
#include "redact.h"

#define EVENT_MAX (256u << 10) /* bytes of one event; a payload may be 64 KiB, escaped */
#define NONCE_LEN 16

const char *
leaf_kind_name(enum leaf_kind kind)
{
    static const char *const NAMES[] = { "request", "event", "prune" };

    return NAMES[kind];
}

void
leaf_of_request(struct job *job, const cJSON *body, struct leaf *out)
{
    const char *key = json_string(body, "key_id");
    int64_t time_ms = job->accepted_ms;

    (void)clock_parse(json_string(body, "time"), &time_ms);
    *out = (struct leaf){
        .kind = LEAF_REQUEST,
        .job = job,
        .body = body,
        .workspace = job->actor.workspace,
        .event_id = json_string(body, "event_id"),
        .actor = key ? key : json_string(body, "actor_type"),
        .action = json_string(body, "action"),
        .status = json_string(body, "status"),
        .problem = PROBLEM_COUNT,
        .time_ms = time_ms,
    };
}

void
leaf_of_event(struct job *job, struct leaf *out)
{
    *out = (struct leaf){
        .kind = LEAF_EVENT,
        .job = job,
        .workspace = job->actor.workspace,
        .event_id = job->id,
        .actor = json_string(job->body, "actor"),
        .action = json_string(job->body, "action"),
        .status = json_string(job->body, "decision"),
        .problem = PROBLEM_COUNT,
        .time_ms = job->accepted_ms,
    };
}

void
leaf_of_append(struct job *job, enum problem_code problem, struct leaf *out)
{
    *out = (struct leaf){
        .kind = LEAF_REQUEST,
        .job = job,
        .workspace = job->actor.workspace,
        .event_id = job->id,
        .actor = job->actor.key_id[0] ? job->actor.key_id : "nats",
        .action = "audit.append",
        .status = problem == PROBLEM_COUNT ? "success" : "failed",
        .problem = problem,
        .time_ms = job->accepted_ms,
    };
}

static void
put_text(struct json_writer *w, const char *name, const char *text)
{
    if (text && *text)
        json_put_string(w, name, text);
    else
        json_put_null(w, name);
}

static void
put_member(struct json_writer *w, const char *name, const cJSON *body)
{
    const cJSON *item = json_member(body, name);

    if (item)
        json_put_doc(w, name, item);
    else
        json_put_null(w, name);
}

/* HMAC of a digest that came as text: whoever has the log cannot try out guesses. */
static void
put_hmac(struct json_writer *w, const char *name, const struct audit *audit, const char *label,
         const char *sha256)
{
    char hex[HASH_TEXT_MAX];
    uint8_t hash[HASH_LEN];

    if (!sha256 || !*sha256) {
        json_put_null(w, name);
        return;
    }
    const struct hash_part parts[] = { { label, strlen(label) + 1 }, { sha256, strlen(sha256) } };
    hmac_sha256(audit->hash_key, sizeof(audit->hash_key), parts, 2, hash);
    hex_encode(hash, sizeof(hash), hex);
    json_put_string(w, name, hex);
}

static void
put_nonce(struct json_writer *w)
{
    uint8_t nonce[NONCE_LEN];
    char hex[2 * NONCE_LEN + 1];

    crypto_random(nonce, sizeof(nonce));
    hex_encode(nonce, sizeof(nonce), hex);
    json_put_string(w, "nonce", hex);
}

static void
put_workspace(struct json_writer *w, const char *workspace)
{
    if (strcmp(workspace, AUDIT_NO_WORKSPACE) == 0)
        json_put_null(w, "workspace_id");
    else
        json_put_string(w, "workspace_id", workspace);
}

/* What a settler told us (audit_event.h), with our own members. */
static void
write_request(struct json_writer *w, const struct audit *audit, const struct leaf *leaf,
              int64_t recorded_ms)
{
    const cJSON *body = leaf->body;

    put_member(w, "action", body);
    put_text(w, "actor_id", json_string(body, "key_id"));
    put_member(w, "actor_type", body);
    put_member(w, "client", body);
    put_member(w, "count", body);
    put_member(w, "decision", body);
    put_member(w, "duration_ms", body);
    put_member(w, "error_reason", body);
    json_put_string(w, "event_id", leaf->event_id);
    put_member(w, "http_status", body);
    put_hmac(w, "idempotency_key_hash", audit, "idempotency",
             json_string(body, "idempotency_key_sha256"));
    put_member(w, "key_id", body);
    put_nonce(w);
    put_hmac(w, "params_hash", audit, "params", json_string(body, "params_sha256"));
    put_member(w, "params_prefix64", body);
    put_text(w, "program", leaf->job->program);
    json_put_time(w, "recorded_at", recorded_ms);
    put_member(w, "region", body);
    put_member(w, "request_id", body);
    put_member(w, "status", body);
    put_member(w, "target", body);
    json_put_time(w, "time", leaf->time_ms);
    json_put_string(w, "type", "request");
    json_put_int(w, "v", 1);
    put_workspace(w, leaf->workspace);
}

/* The request that appended an event: settled here, so written here. */
static void
write_append(struct json_writer *w, const struct audit *audit, const struct leaf *leaf,
             int64_t recorded_ms)
{
    const struct job *job = leaf->job;
    char params[AUDIT_DIGEST_MAX] = "";

    if (audit_digest_json(job->body, params) != RC_OK)
        params[0] = '\0';
    json_put_string(w, "action", leaf->action);
    put_text(w, "actor_id", job->actor.key_id);
    json_put_string(w, "actor_type", job->direct ? "nats" : "key");
    json_put_null(w, "client");
    json_put_int(w, "count", 1);
    json_put_string(w, "decision", "allowed");
    json_put_int(w, "duration_ms",
                 recorded_ms > job->accepted_ms ? recorded_ms - job->accepted_ms : 0);
    bool refused = leaf->problem != PROBLEM_COUNT;
    put_text(w, "error_reason", refused ? problem_name(leaf->problem) : NULL);
    json_put_string(w, "event_id", leaf->event_id);
    if (job->direct)
        json_put_null(w, "http_status");
    else
        json_put_int(w, "http_status", refused ? problem_http(leaf->problem) : 200);
    put_hmac(w, "idempotency_key_hash", audit, "idempotency", job->idem_hash);
    put_text(w, "key_id", job->actor.key_id);
    put_nonce(w);
    put_hmac(w, "params_hash", audit, "params", params);
    json_put_null(w, "params_prefix64");
    json_put_string(w, "program", "audit");
    json_put_time(w, "recorded_at", recorded_ms);
    put_text(w, "region", audit->region);
    put_text(w, "request_id", job->request_id);
    json_put_string(w, "status", leaf->status);
    if (refused) /* it may be what was refused */
        json_put_null(w, "target");
    else
        put_member(w, "target", job->body);
    json_put_time(w, "time", leaf->time_ms);
    json_put_string(w, "type", "request");
    json_put_int(w, "v", 1);
    put_workspace(w, leaf->workspace);
}

static enum rc
put_payload(struct json_writer *w, const cJSON *body)
{
    const cJSON *payload = json_member(body, "payload");
    AUTO(buf) struct buf canonical = { 0 };
    enum rc rc;

    buf_init(&canonical, EVENT_MAX);
    if (!payload) {
        json_object(w, "payload");
        json_close(w);
        return RC_OK;
    }
    if ((rc = json_canonical(payload, NULL, &canonical)) == RC_OK)
        json_put_raw(w, "payload", buf_text(&canonical), canonical.len);
    return rc;
}

static enum rc
write_event(struct json_writer *w, const struct audit *audit, const struct leaf *leaf,
            int64_t recorded_ms)
{
    const struct job *job = leaf->job;
    enum rc rc;

    put_member(w, "action", job->body);
    put_member(w, "actor", job->body);
    put_text(w, "actor_id", job->actor.key_id);
    json_put_string(w, "actor_type", job->direct ? "nats" : "key");
    put_member(w, "decision", job->body);
    json_put_string(w, "event_id", leaf->event_id);
    put_text(w, "key_id", job->actor.key_id);
    put_nonce(w);
    if ((rc = put_payload(w, job->body)) != RC_OK)
        return rc;
    json_put_time(w, "recorded_at", recorded_ms);
    put_text(w, "region", audit->region);
    put_text(w, "request_id", job->request_id);
    put_member(w, "target", job->body);
    json_put_time(w, "time", leaf->time_ms);
    json_put_string(w, "type", "event");
    json_put_int(w, "v", 1);
    put_workspace(w, leaf->workspace);
    return RC_OK;
}

static void
write_prune(struct json_writer *w, const struct leaf *leaf, const struct prune *prune,
            int64_t recorded_ms)
{
    json_put_string(w, "action", leaf->action);
    json_put_time(w, "before", prune->before_ms);
    json_put_string(w, "event_id", leaf->event_id);
    put_nonce(w);
    json_put_string(w, "reason", "retention");
    json_put_time(w, "recorded_at", recorded_ms);
    json_put_int(w, "retention_seconds", prune->retention_ms / 1000);
    json_put_time(w, "time", leaf->time_ms);
    json_put_string(w, "type", "prune");
    json_put_int(w, "up_to", (int64_t)prune->up_to);
    json_put_int(w, "v", 1);
    json_put_null(w, "workspace_id");
}

enum rc
event_build(const struct audit *audit, struct leaf *leaf, const struct prune *prune,
            int64_t recorded_ms, struct arena *mem)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    enum rc rc = RC_OK;

    buf_init(&out, EVENT_MAX);
    json_begin(&w, &out);
    json_object(&w, NULL);
    if (leaf->kind == LEAF_PRUNE)
        write_prune(&w, leaf, prune, recorded_ms);
    else if (leaf->kind == LEAF_EVENT)
        rc = write_event(&w, audit, leaf, recorded_ms);
    else if (!leaf->body)
        write_append(&w, audit, leaf, recorded_ms);
    else
        write_request(&w, audit, leaf, recorded_ms);
    json_close(&w);
    if (rc == RC_OK)
        rc = json_end(&w);
    if (rc != RC_OK)
        return rc;
    leaf->event = arena_strndup(mem, buf_text(&out), out.len);
    if (!leaf->event)
        return RC_LIMIT;
    leaf->len = out.len;
    merkle_leaf(leaf->event, leaf->len, leaf->hash);
    return RC_OK;
}
