/* SPDX-License-Identifier: MIT */
#include "event.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "crypto/crypto_encode.h"
#include "protocol/audit_event.h"
#include "validate/redact.h"

const char *
leaf_kind_name(enum leaf_kind kind)
{
    static const char *const NAMES[] = { "request", "event", "prune", "correction" };

    return NAMES[kind];
}

/* The search begins after the field found last: members mostly come in this order. */
static void
find_fields(const cJSON *body, const cJSON *fields[FIELD_COUNT])
{
    static const char *const NAMES[FIELD_COUNT] = {
        [FIELD_EVENT_ID] = "event_id",
        [FIELD_ACTOR_TYPE] = "actor_type",
        [FIELD_KEY_ID] = "key_id",
        [FIELD_REQUEST_ID] = "request_id",
        [FIELD_ACTION] = "action",
        [FIELD_TARGET] = "target",
        [FIELD_DECISION] = "decision",
        [FIELD_STATUS] = "status",
        [FIELD_HTTP_STATUS] = "http_status",
        [FIELD_ERROR_REASON] = "error_reason",
        [FIELD_DURATION] = "duration_ms",
        [FIELD_IDEMPOTENCY] = "idempotency_key_sha256",
        [FIELD_PARAMS] = "params_sha256",
        [FIELD_PREFIX] = "params_prefix64",
        [FIELD_REGION] = "region",
        [FIELD_CLIENT] = "client",
        [FIELD_TIME] = "time",
        [FIELD_ITEMS] = "count",
        [FIELD_POLICY] = "policy",
        [FIELD_TRACE] = "traceparent",
    };
    unsigned from = 0;

    for (const cJSON *one = body->child; one; one = one->next)
        for (unsigned i = 0; i < FIELD_COUNT; i++) {
            unsigned field = (from + i) % FIELD_COUNT;
            if (strcmp(one->string, NAMES[field]) != 0)
                continue;
            fields[field] = one;
            from = field + 1;
            break;
        }
}

/* NULL when absent or null. */
static const char *
field_text(const struct leaf *leaf, enum request_field field)
{
    return cJSON_GetStringValue(leaf->fields[field]);
}

void
leaf_of_request(struct call *call, const cJSON *body, struct leaf *out)
{
    *out = (struct leaf){
        .kind = LEAF_REQUEST,
        .call = call,
        .reported = true,
        .body = body,
        .workspace = call->actor.workspace,
        .problem = PROBLEM_COUNT,
        .time_ms = call->accepted_ms,
    };
    find_fields(body, out->fields);
    out->event_id = field_text(out, FIELD_EVENT_ID);
    const char *key = field_text(out, FIELD_KEY_ID);
    out->actor = key ? key : field_text(out, FIELD_ACTOR_TYPE);
    out->action = field_text(out, FIELD_ACTION);
    out->status = field_text(out, FIELD_STATUS);
    (void)clock_parse(field_text(out, FIELD_TIME), &out->time_ms);
    out->announced = json_bool(body, "intent", false);
}

void
leaf_of_event(struct call *call, struct leaf *out)
{
    *out = (struct leaf){
        .kind = LEAF_EVENT,
        .call = call,
        .workspace = call->actor.workspace,
        .event_id = call->id,
        .actor = json_string(call->body, "actor"),
        .action = json_string(call->body, "action"),
        .status = json_string(call->body, "decision"),
        .problem = PROBLEM_COUNT,
        .time_ms = call->accepted_ms,
    };
}

void
leaf_of_append(struct call *call, enum problem_code problem, struct leaf *out)
{
    *out = (struct leaf){
        .kind = LEAF_REQUEST,
        .call = call,
        .workspace = call->actor.workspace,
        .event_id = call->id,
        .actor = call->actor.key_id[0] ? call->actor.key_id : "nats",
        .action = "audit.append",
        .status = problem == PROBLEM_COUNT ? "success" : "failed",
        .problem = problem,
        .time_ms = call->accepted_ms,
    };
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
put_nonce(struct json_writer *w, const struct leaf *leaf)
{
    char hex[2 * NONCE_LEN + 1];

    hex_encode(leaf->nonce, NONCE_LEN, hex);
    json_put_string(w, "nonce", hex);
}

static void
put_field(struct json_writer *w, const char *name, const struct leaf *leaf,
          enum request_field field)
{
    if (leaf->fields[field])
        json_put_doc(w, name, leaf->fields[field]);
    else
        json_put_null(w, name);
}

static void
put_trace(struct json_writer *w, const char *id)
{
    if (*id)
        json_put_string(w, "trace_id", id);
    else
        json_put_null(w, "trace_id");
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
    struct trace_parent trace;
    if (!trace_parent_read(field_text(leaf, FIELD_TRACE), &trace))
        trace.id[0] = '\0';
    put_field(w, "action", leaf, FIELD_ACTION);
    json_put_string_or_null(w, "actor_id", field_text(leaf, FIELD_KEY_ID));
    put_field(w, "actor_type", leaf, FIELD_ACTOR_TYPE);
    put_field(w, "client", leaf, FIELD_CLIENT);
    if (leaf->kind == LEAF_CORRECTION)
        json_put_int(w, "corrects", (int64_t)leaf->corrects);
    put_field(w, "count", leaf, FIELD_ITEMS);
    put_field(w, "decision", leaf, FIELD_DECISION);
    put_field(w, "duration_ms", leaf, FIELD_DURATION);
    put_field(w, "error_reason", leaf, FIELD_ERROR_REASON);
    json_put_string(w, "event_id", leaf->event_id);
    put_field(w, "http_status", leaf, FIELD_HTTP_STATUS);
    put_hmac(w, "idempotency_key_hash", audit, "idempotency", field_text(leaf, FIELD_IDEMPOTENCY));
    put_field(w, "key_id", leaf, FIELD_KEY_ID);
    put_nonce(w, leaf);
    put_hmac(w, "params_hash", audit, "params", field_text(leaf, FIELD_PARAMS));
    put_field(w, "params_prefix64", leaf, FIELD_PREFIX);
    if (leaf->fields[FIELD_POLICY])
        put_field(w, "policy", leaf, FIELD_POLICY);
    json_put_string_or_null(w, "program", leaf->call->program);
    json_put_time(w, "recorded_at", recorded_ms);
    put_field(w, "region", leaf, FIELD_REGION);
    put_field(w, "request_id", leaf, FIELD_REQUEST_ID);
    put_field(w, "status", leaf, FIELD_STATUS);
    put_field(w, "target", leaf, FIELD_TARGET);
    json_put_time(w, "time", leaf->time_ms);
    put_trace(w, trace.id);
    json_put_string(w, "type", leaf_kind_name(leaf->kind));
    json_put_int(w, "v", 1);
    put_workspace(w, leaf->workspace);
}

/* The request that appended an event: settled here, so written here. */
static void
write_append(struct json_writer *w, const struct audit *audit, const struct leaf *leaf,
             int64_t recorded_ms)
{
    const struct call *call = leaf->call;
    char params[AUDIT_DIGEST_MAX] = "";

    if (audit_digest_json(call->body, params) != RC_OK)
        params[0] = '\0';
    json_put_string(w, "action", leaf->action);
    json_put_string_or_null(w, "actor_id", call->actor.key_id);
    json_put_string(w, "actor_type", call->direct ? "nats" : "key");
    json_put_null(w, "client");
    json_put_int(w, "count", 1);
    json_put_string(w, "decision", "allowed");
    json_put_int(w, "duration_ms",
                 recorded_ms > call->accepted_ms ? recorded_ms - call->accepted_ms : 0);
    bool refused = leaf->problem != PROBLEM_COUNT;
    json_put_string_or_null(w, "error_reason", refused ? problem_name(leaf->problem) : NULL);
    json_put_string(w, "event_id", leaf->event_id);
    if (call->direct)
        json_put_null(w, "http_status");
    else
        json_put_int(w, "http_status", refused ? problem_http(leaf->problem) : 200);
    put_hmac(w, "idempotency_key_hash", audit, "idempotency", call->idem_hash);
    json_put_string_or_null(w, "key_id", call->actor.key_id);
    put_nonce(w, leaf);
    put_hmac(w, "params_hash", audit, "params", params);
    json_put_null(w, "params_prefix64");
    json_put_string(w, "program", "audit");
    json_put_time(w, "recorded_at", recorded_ms);
    json_put_string_or_null(w, "region", audit->region);
    json_put_string_or_null(w, "request_id", call->request_id);
    json_put_string(w, "status", leaf->status);
    if (refused) /* it may be what was refused */
        json_put_null(w, "target");
    else
        put_member(w, "target", call->body);
    json_put_time(w, "time", leaf->time_ms);
    put_trace(w, call->trace.id);
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
    const struct call *call = leaf->call;
    enum rc rc;

    put_member(w, "action", call->body);
    put_member(w, "actor", call->body);
    json_put_string_or_null(w, "actor_id", call->actor.key_id);
    json_put_string(w, "actor_type", call->direct ? "nats" : "key");
    put_member(w, "decision", call->body);
    json_put_string(w, "event_id", leaf->event_id);
    json_put_string_or_null(w, "key_id", call->actor.key_id);
    put_nonce(w, leaf);
    if ((rc = put_payload(w, call->body)) != RC_OK)
        return rc;
    json_put_time(w, "recorded_at", recorded_ms);
    json_put_string_or_null(w, "region", audit->region);
    json_put_string_or_null(w, "request_id", call->request_id);
    put_member(w, "target", call->body);
    json_put_time(w, "time", leaf->time_ms);
    put_trace(w, call->trace.id);
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
    put_nonce(w, leaf);
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
            int64_t recorded_ms, struct buf *scratch, struct arena *mem)
{
    struct json_writer w;
    enum rc rc = RC_OK;

    buf_reset(scratch);
    json_begin(&w, scratch);
    json_object(&w, NULL);
    if (leaf->kind == LEAF_PRUNE)
        write_prune(&w, leaf, prune, recorded_ms);
    else if (leaf->kind == LEAF_EVENT)
        rc = write_event(&w, audit, leaf, recorded_ms);
    else if (!leaf->reported)
        write_append(&w, audit, leaf, recorded_ms);
    else
        write_request(&w, audit, leaf, recorded_ms);
    json_close(&w);
    if (rc == RC_OK)
        rc = json_end(&w);
    if (rc != RC_OK)
        return rc;
    leaf->event = arena_strndup(mem, buf_text(scratch), scratch->len);
    if (!leaf->event)
        return RC_LIMIT;
    leaf->len = scratch->len;
    merkle_leaf(leaf->event, leaf->len, leaf->hash);
    return RC_OK;
}
