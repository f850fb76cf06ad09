/* SPDX-License-Identifier: MIT */
#include "requests/routes.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hex.h"
#include "base/utf8.h"
#include "protocol/apikey.h"
#include "requests/handlers.h"

static const struct route_param ID[] = { { "id", MEMBER_UUID, "the memory's id" } };
static const struct route_param HISTORY[] = {
    { "history", MEMBER_INT, "earlier versions to give with it, 0 to 20" },
};
static const struct route_param KEY_ID[] = { { "key_id", MEMBER_KEY_ID, "the key's id" } };

static const struct route_param WEBHOOK_ID[] = { { "id", MEMBER_UUID, "the webhook's id" } };
/* Of any form: what is no hook is answered alike. */
static const struct route_param HOOK_ID[] = { { "id", MEMBER_STRING, "the hook's id" } };
static const char *const HOOK_RECORD[] = { "id", "path", NULL };
static const struct route_param DELIVERY[] = {
    { "id", MEMBER_UUID, "the webhook's id" },
    { "delivery_id", MEMBER_UUID, "the delivery's id" },
};
static const struct route_param LIST_DELIVERIES[] = {
    { "state", MEMBER_STRING, "only deliveries in this state" },
    { "cursor", MEMBER_STRING, "next_cursor of the page before" },
    { "limit", MEMBER_INT, "deliveries on a page, 1 to 100" },
};
static const char *const WEBHOOK_RECORD[] = { "id", "url", "public_key", "enabled", NULL };
static const char *const ROTATED_RECORD[] = { "id", "public_key", "previous_valid_until", NULL };
static const char *const DELIVERY_RECORD[] = { "id", "state", NULL };

static const struct route_param SECRET_NAME[] = { { "name", MEMBER_STRING, "the secret's name" } };
static const struct route_param JOB_ID[] = { { "id", MEMBER_UUID, "the job's id" } };
static const struct route_param WAIT_JOB[] = {
    { "wait", MEMBER_INT, "seconds to wait for the job's next state, 0 to 60" },
};
static const struct route_param LIST_JOBS[] = {
    { "status", MEMBER_STRING, "only jobs in this state" },
    { "cursor", MEMBER_STRING, "next_cursor of the page before" },
    { "limit", MEMBER_INT, "jobs on a page, 1 to 100" },
};

static const struct route_param LIST_MEMORIES[] = {
    { "scope", MEMBER_STRING, "only this scope" },
    { "cursor", MEMBER_STRING, "next_cursor of the page before" },
    { "limit", MEMBER_INT, "items on a page, 1 to 100" },
};

static const char *const INGEST_RECORD[] = { "status",       "message",       "id",
                                             "tenant_id",    "content_hash",  "deduplicated",
                                             "facts_stored", "facts_skipped", NULL };
static const char *const EXECUTE_RECORD[] = { "job_ids", "queue_depth", "policy", NULL };
static const char *const DECIDE_RECORD[] = { "id", "state", NULL };
static const char *const FORGET_RECORD[] = { "status", "deleted", NULL };
static const char *const KEY_RECORD[] = { "key_id", "role", "expires_at", "previous_valid_until",
                                          NULL };

static const struct route_param EVENT_ID[] = { { "event_id", MEMBER_UUID, "the event's id" } };
static const struct route_param LEAF_INDEX[] = {
    { "leaf_index", MEMBER_INT, "the event's place in the log" },
};
static const struct route_param TREE_SIZE[] = {
    { "tree_size", MEMBER_INT, "size of the tree to prove it in; absent = the current one" },
};
static const struct route_param TWO_SIZES[] = {
    { "from", MEMBER_INT, "size of the older tree" },
    { "to", MEMBER_INT, "size of the newer tree; absent = the current one" },
};
static const struct route_param LIST_AUDIT[] = {
    { "limit", MEMBER_INT, "items on a page, 1 to 100" },
    { "cursor", MEMBER_STRING, "next_cursor of the page before" },
    { "action", MEMBER_STRING, "only this action" },
    { "status", MEMBER_STRING, "only this status, or decision of an appended event" },
    { "actor", MEMBER_STRING, "only this actor: a key id, or that of an appended event" },
    { "from", MEMBER_STRING, "only at or after this time" },
    { "to", MEMBER_STRING, "only before this time" },
};
static const char *const APPEND_RECORD[] = { "status",     "message",   "event_id",
                                             "leaf_index", "leaf_hash", NULL };

static const struct route_param SEQ[] = { { "seq", MEMBER_INT, "the letter's number" } };
static const struct route_param LIST_LETTERS[] = {
    { "program", MEMBER_STRING, "only letters of this program" },
    { "cursor", MEMBER_STRING, "next_cursor of the page before" },
    { "limit", MEMBER_INT, "letters on a page, 1 to 100" },
};
static const char *const REPLAY_RECORD[] = { "status", "seq", NULL };

static const struct route_param PAGE_FILE[] = { { "file", MEMBER_STRING, "a file's name" } };

static const struct route_param VERSION[] = { { "version", MEMBER_INT, "the version's number" } };
static const struct route_param LIST_VERSIONS[] = {
    { "cursor", MEMBER_STRING, "next_cursor of the page before" },
    { "limit", MEMBER_INT, "versions on a page, 1 to 100" },
};

static const struct route_param LIST_APPROVALS[] = {
    { "state", MEMBER_STRING,
      "waiting (the default), approved, denied, expired, cancelled, failed, or all" },
    { "cursor", MEMBER_STRING, "next_cursor of the page before" },
    { "limit", MEMBER_INT, "approvals on a page, 1 to 100" },
};

#define PARAMS(list)  .params = (list), .n_params = ARRAY_LEN(list)
#define QUERIES(list) .queries = (list), .n_queries = ARRAY_LEN(list)

/* clang-format off */
const struct route ROUTES[] = {
    { METHOD_POST, "/webhook/memory/ingest", SCOPE_MEMORY_WRITE, ROUTE_COMMAND,
      ROUTE_IDEMPOTENT | ROUTE_SECRETS | ROUTE_NAMED, CMD_MEMORY_INGEST, "memory_ingest", 200,
      .replay = replay_scope, .location = "/memory", .id_name = "id", .record = INGEST_RECORD,
      .answer = "Ingested", .summary = "Store a memory" },
    { METHOD_POST, "/webhook/memory/search", SCOPE_MEMORY_READ, ROUTE_QUERY,
      ROUTE_NAMED, CMD_MEMORY_SEARCH, "memory_search", 200,
      .answer = "Found", .summary = "Search memories" },
    { METHOD_GET, "/memory", SCOPE_MEMORY_READ, ROUTE_QUERY,
      0, CMD_MEMORY_LIST, "memory_list", 200, QUERIES(LIST_MEMORIES),
      .answer = "MemoryPage", .summary = "List memories, newest first" },
    { METHOD_GET, "/memory/{id}", SCOPE_MEMORY_READ, ROUTE_QUERY,
      0, CMD_MEMORY_GET, "memory_get", 200, PARAMS(ID), QUERIES(HISTORY),
      .answer = "Memory", .summary = "Read a memory" },
    { METHOD_PATCH, "/memory/{id}", SCOPE_MEMORY_WRITE, ROUTE_COMMAND,
      ROUTE_SECRETS, CMD_MEMORY_PATCH, "memory_patch", 200, PARAMS(ID),
      .location = "/memory", .id_name = "id",
      .answer = "Memory", .summary = "Change a memory; its history is kept" },
    { METHOD_DELETE, "/memory/{id}", SCOPE_MEMORY_DELETE, ROUTE_COMMAND,
      0, CMD_MEMORY_DELETE, "memory_delete", 204, PARAMS(ID),
      .location = "/memory", .id_name = "id",
      .summary = "Delete a memory" },
    { METHOD_POST, "/memory/forget", SCOPE_MEMORY_DELETE, ROUTE_COMMAND,
      ROUTE_IDEMPOTENT | ROUTE_NAMED, CMD_MEMORY_FORGET, "memory_forget", 200,
      .location = "/memory", .id_name = "id", .record = FORGET_RECORD,
      .answer = "Forgotten", .summary = "Delete every memory of a scope" },

    { METHOD_POST, "/webhook/audit/append", SCOPE_AUDIT_WRITE, ROUTE_COMMAND,
      ROUTE_IDEMPOTENT | ROUTE_SECRETS | ROUTE_NAMED, CMD_AUDIT_APPEND, "audit_append", 200,
      .location = "/ai/audit/events", .id_name = "event_id", .record = APPEND_RECORD,
      .answer = "Appended", .summary = "Record an event in the audit log" },
    { METHOD_GET, "/ai/audit", SCOPE_AUDIT_READ, ROUTE_QUERY,
      0, CMD_AUDIT_LIST, "audit_list", 200, QUERIES(LIST_AUDIT),
      .answer = "AuditPage", .summary = "List audit events, newest first" },
    { METHOD_GET, "/ai/audit/events/{event_id}", SCOPE_AUDIT_READ, ROUTE_QUERY,
      0, CMD_AUDIT_EVENT, "audit_event", 200, PARAMS(EVENT_ID),
      .answer = "AuditEvent", .summary = "Read an audit event" },
    { METHOD_GET, "/ai/audit/checkpoint", SCOPE_AUDIT_READ, ROUTE_QUERY,
      ROUTE_RAW, CMD_AUDIT_CHECKPOINT, "audit_checkpoint", 200,
      .content_type = "text/plain; charset=utf-8",
      .summary = "The log's signed checkpoint (C2SP tlog-checkpoint)" },
    { METHOD_GET, "/ai/audit/consistency", SCOPE_AUDIT_READ, ROUTE_QUERY,
      0, CMD_AUDIT_CONSISTENCY, "audit_consistency", 200, QUERIES(TWO_SIZES),
      .answer = "ConsistencyProof", .summary = "Prove that the log only grew (RFC 6962)" },
    { METHOD_GET, "/ai/audit/{leaf_index}/proof", SCOPE_AUDIT_READ, ROUTE_QUERY,
      0, CMD_AUDIT_PROOF, "audit_proof", 200, PARAMS(LEAF_INDEX), QUERIES(TREE_SIZE),
      .answer = "InclusionProof", .summary = "Prove that an event is in the log (RFC 6962)" },

    { METHOD_POST, "/webhook/executor/run", SCOPE_ACTIONS_EXECUTE, ROUTE_COMMAND,
      ROUTE_IDEMPOTENT | ROUTE_NAMED | ROUTE_JOBS | ROUTE_AGAIN, CMD_EXECUTOR_RUN, "executor_run",
      200, .allow = task_allow, .stored = task_stored, .location = "/ai/jobs", .id_name = "job_id",
      .answer = "Ran", .summary = "Run a task in the sandbox and wait for its result" },
    { METHOD_GET, "/ai/actions", SCOPE_ACTIONS_PREVIEW, ROUTE_QUERY,
      0, CMD_ACTIONS_LIST, "actions_list", 200,
      .answer = "Actions", .summary = "The actions, their parameters, and which are allowed here" },
    { METHOD_POST, "/ai/preview", SCOPE_ACTIONS_PREVIEW, ROUTE_LOCAL,
      ROUTE_NAMED | ROUTE_JOBS, CMD_COUNT, "preview", 200, .local = preview_make,
      .answer = "Preview", .summary = "What an action would do; nothing runs" },
    { METHOD_POST, "/ai/execute", SCOPE_ACTIONS_EXECUTE, ROUTE_LOCAL,
      ROUTE_IDEMPOTENT | ROUTE_NAMED | ROUTE_JOBS, CMD_COUNT, "execute", 202,
      .allow = execute_allow, .local = execute_queue, .record = EXECUTE_RECORD,
      .answer = "Queued", .summary = "Queue actions, or what a preview showed" },
    { METHOD_GET, "/ai/jobs", SCOPE_ACTIONS_PREVIEW, ROUTE_QUERY,
      ROUTE_NAMED | ROUTE_JOBS, CMD_JOBS_LIST, "jobs_list", 200, QUERIES(LIST_JOBS),
      .answer = "JobPage", .summary = "The workspace's jobs, newest first" },
    { METHOD_GET, "/ai/jobs/{id}", SCOPE_ACTIONS_PREVIEW, ROUTE_QUERY,
      ROUTE_JOBS, CMD_JOBS_GET, "jobs_get", 200, PARAMS(JOB_ID), QUERIES(WAIT_JOB), .local = job_wait,
      .answer = "Job", .summary = "One job" },
    { METHOD_DELETE, "/ai/jobs/{id}", SCOPE_ACTIONS_EXECUTE, ROUTE_QUERY,
      ROUTE_JOBS, CMD_JOBS_CANCEL, "jobs_cancel", 200, PARAMS(JOB_ID), .local = job_cancel,
      .answer = "Job", .summary = "Cancel a job: its processes are gone within a second" },

    { METHOD_GET, "/ai/events", SCOPE_ACTIONS_PREVIEW, ROUTE_LOCAL,
      0, CMD_COUNT, "events_listen", 200, .local = events_listen, .content_type = "text/event-stream",
      .summary = "What happens in the workspace, as server-sent events" },

    { METHOD_POST, "/mcp", SCOPE_ACTIONS_PREVIEW, ROUTE_LOCAL,
      ROUTE_RPC, CMD_COUNT, "mcp", 200, .allow = mcp_admit, .local = mcp_post,
      .answer = "RpcMessage", .summary = "The Model Context Protocol (Streamable HTTP)" },

    { METHOD_POST, "/keys", SCOPE_KEYS_MANAGE, ROUTE_LOCAL,
      ROUTE_IDEMPOTENT | ROUTE_SECRETS, CMD_COUNT, "key_create", 201, .local = key_create, .record = KEY_RECORD,
      .answer = "NewKey", .summary = "Create a key; it is shown once" },
    { METHOD_GET, "/keys", SCOPE_KEYS_MANAGE, ROUTE_LOCAL,
      0, CMD_COUNT, "key_list", 200, .local = key_list,
      .answer = "KeyList", .summary = "List the workspace's keys" },
    { METHOD_POST, "/keys/{key_id}/rotate", SCOPE_KEYS_MANAGE, ROUTE_LOCAL,
      ROUTE_IDEMPOTENT | ROUTE_BODY_EMPTY, CMD_COUNT, "key_rotate", 200, PARAMS(KEY_ID),
      .local = key_rotate, .record = KEY_RECORD,
      .answer = "NewKey", .summary = "Give a key a new secret; the old one stays valid for a while" },
    { METHOD_DELETE, "/keys/{key_id}", SCOPE_KEYS_MANAGE, ROUTE_LOCAL,
      0, CMD_COUNT, "key_revoke", 204, PARAMS(KEY_ID), .local = key_revoke,
      .summary = "Revoke a key" },

    { METHOD_PUT, "/secrets/{name}", SCOPE_SECRETS_MANAGE, ROUTE_QUERY,
      ROUTE_SECRET, CMD_SECRETS_PUT, "secrets_put", 200, PARAMS(SECRET_NAME),
      .answer = "Secret", .summary = "Set a secret that connector actions use; it is never shown again" },
    { METHOD_GET, "/secrets", SCOPE_SECRETS_MANAGE, ROUTE_QUERY,
      0, CMD_SECRETS_LIST, "secrets_list", 200,
      .answer = "SecretList", .summary = "The workspace's secrets: names and times, no values" },
    { METHOD_GET, "/secrets/{name}", SCOPE_SECRETS_MANAGE, ROUTE_QUERY,
      0, CMD_SECRETS_GET, "secrets_get", 200, PARAMS(SECRET_NAME),
      .answer = "Secret", .summary = "When a secret was set, not its value" },
    { METHOD_DELETE, "/secrets/{name}", SCOPE_SECRETS_MANAGE, ROUTE_QUERY,
      0, CMD_SECRETS_DELETE, "secrets_delete", 204, PARAMS(SECRET_NAME),
      .summary = "Delete a secret" },

    { METHOD_GET, "/policy", SCOPE_ACTIONS_PREVIEW, ROUTE_LOCAL,
      0, CMD_COUNT, "policy_get", 200, .local = policy_get,
      .answer = "Policy", .summary = "The workspace's policy: its latest version" },
    { METHOD_PUT, "/policy", SCOPE_POLICY_MANAGE, ROUTE_LOCAL,
      ROUTE_SECRETS, CMD_COUNT, "policy_put", 200, .local = policy_put_route,
      .answer = "Policy", .summary = "Set the policy; earlier versions are kept" },
    { METHOD_GET, "/policy/versions", SCOPE_ACTIONS_PREVIEW, ROUTE_LOCAL,
      0, CMD_COUNT, "policy_versions", 200, QUERIES(LIST_VERSIONS), .local = policy_versions,
      .answer = "PolicyVersionPage", .summary = "The policy's versions, newest first" },
    { METHOD_GET, "/policy/versions/{version}", SCOPE_ACTIONS_PREVIEW, ROUTE_LOCAL,
      0, CMD_COUNT, "policy_version", 200, PARAMS(VERSION), .local = policy_version,
      .answer = "Policy", .summary = "A version of the policy" },
    { METHOD_POST, "/policy/test", SCOPE_ACTIONS_PREVIEW, ROUTE_LOCAL,
      ROUTE_NAMED, CMD_COUNT, "policy_test", 200, .local = policy_test,
      .answer = "PolicyTest", .summary = "What the policy decides about an action, and why; nothing runs" },
    { METHOD_POST, "/webhooks", SCOPE_WEBHOOKS_MANAGE, ROUTE_QUERY,
      ROUTE_IDEMPOTENT | ROUTE_SECRETS, CMD_WEBHOOKS_CREATE, "webhooks_create", 201, .record = WEBHOOK_RECORD,
      .answer = "NewWebhook", .summary = "Have events delivered to a URL; the secret is shown once" },
    { METHOD_GET, "/webhooks", SCOPE_WEBHOOKS_MANAGE, ROUTE_QUERY,
      0, CMD_WEBHOOKS_LIST, "webhooks_list", 200,
      .answer = "WebhookList", .summary = "The workspace's webhooks" },
    { METHOD_GET, "/webhooks/{id}", SCOPE_WEBHOOKS_MANAGE, ROUTE_QUERY,
      0, CMD_WEBHOOKS_GET, "webhooks_get", 200, PARAMS(WEBHOOK_ID),
      .answer = "Webhook", .summary = "One webhook" },
    { METHOD_PATCH, "/webhooks/{id}", SCOPE_WEBHOOKS_MANAGE, ROUTE_QUERY,
      ROUTE_SECRETS, CMD_WEBHOOKS_CHANGE, "webhooks_change", 200, PARAMS(WEBHOOK_ID),
      .answer = "Webhook", .summary = "Change a webhook, disable it, or enable it again" },
    { METHOD_DELETE, "/webhooks/{id}", SCOPE_WEBHOOKS_MANAGE, ROUTE_QUERY,
      0, CMD_WEBHOOKS_DELETE, "webhooks_delete", 204, PARAMS(WEBHOOK_ID),
      .summary = "Delete a webhook and its deliveries" },
    { METHOD_POST, "/webhooks/{id}/rotate", SCOPE_WEBHOOKS_MANAGE, ROUTE_QUERY,
      ROUTE_IDEMPOTENT | ROUTE_BODY_EMPTY, CMD_WEBHOOKS_ROTATE, "webhooks_rotate", 200, PARAMS(WEBHOOK_ID),
      .record = ROTATED_RECORD, .answer = "RotatedWebhook",
      .summary = "A new signing secret; the one before signs as well for a while" },
    { METHOD_POST, "/webhooks/{id}/test", SCOPE_WEBHOOKS_MANAGE, ROUTE_QUERY,
      ROUTE_IDEMPOTENT | ROUTE_BODY_EMPTY, CMD_WEBHOOKS_TEST, "webhooks_test", 200, PARAMS(WEBHOOK_ID),
      .record = DELIVERY_RECORD, .answer = "QueuedDelivery", .summary = "Send a delivery of the type webhook.test" },
    { METHOD_GET, "/webhooks/{id}/deliveries", SCOPE_WEBHOOKS_MANAGE, ROUTE_QUERY,
      0, CMD_WEBHOOKS_DELIVERIES, "webhooks_deliveries", 200, PARAMS(WEBHOOK_ID), QUERIES(LIST_DELIVERIES),
      .answer = "DeliveryPage", .summary = "What was and will be delivered, newest first" },
    { METHOD_POST, "/webhooks/{id}/deliveries/{delivery_id}/replay", SCOPE_WEBHOOKS_MANAGE, ROUTE_QUERY,
      ROUTE_IDEMPOTENT | ROUTE_BODY_EMPTY, CMD_WEBHOOKS_REPLAY, "webhooks_replay", 200, PARAMS(DELIVERY),
      .record = DELIVERY_RECORD, .answer = "QueuedDelivery", .summary = "Send a delivery again" },

    { METHOD_GET, "/ai/approvals", SCOPE_ACTIONS_APPROVE, ROUTE_LOCAL,
      0, CMD_COUNT, "approvals_list", 200, QUERIES(LIST_APPROVALS), .local = approvals_list,
      .answer = "ApprovalPage", .summary = "Actions that wait for an approval, newest first" },
    { METHOD_GET, "/ai/approvals/{id}", SCOPE_ACTIONS_APPROVE, ROUTE_LOCAL,
      0, CMD_COUNT, "approvals_get", 200, PARAMS(JOB_ID), .local = approvals_get,
      .answer = "Approval", .summary = "What exactly waits for an approval" },
    { METHOD_POST, "/ai/approvals/{id}", SCOPE_ACTIONS_APPROVE, ROUTE_LOCAL,
      ROUTE_IDEMPOTENT, CMD_COUNT, "approvals_decide", 200, PARAMS(JOB_ID), .local = approvals_decide, .record = DECIDE_RECORD,
      .answer = "Approval", .summary = "Approve or deny an action that somebody else has asked for" },
    { METHOD_POST, "/hooks", SCOPE_WEBHOOKS_MANAGE, ROUTE_QUERY,
      ROUTE_IDEMPOTENT | ROUTE_SECRET, CMD_HOOKS_CREATE, "hooks_create", 201, .record = HOOK_RECORD,
      .answer = "NewHook", .summary = "Let a service that cannot send a key have a command executed" },
    { METHOD_GET, "/hooks", SCOPE_WEBHOOKS_MANAGE, ROUTE_QUERY,
      0, CMD_HOOKS_LIST, "hooks_list", 200, .answer = "HookList", .summary = "The workspace's hooks" },
    { METHOD_DELETE, "/hooks/{id}", SCOPE_WEBHOOKS_MANAGE, ROUTE_QUERY,
      0, CMD_HOOKS_DELETE, "hooks_delete", 204, PARAMS(HOOK_ID), .summary = "Delete a hook" },
    { METHOD_POST, "/hooks/{id}/rotate", SCOPE_WEBHOOKS_MANAGE, ROUTE_QUERY,
      ROUTE_IDEMPOTENT | ROUTE_BODY_EMPTY | ROUTE_SECRET, CMD_HOOKS_ROTATE, "hooks_rotate", 200, PARAMS(HOOK_ID),
      .record = HOOK_RECORD, .answer = "NewHook",
      .summary = "Another secret; the one before is taken as well for a while" },
    { METHOD_POST, "/hooks/{id}", SCOPE_NONE, ROUTE_LOCAL,
      ROUTE_OPEN | ROUTE_NO_RATE, CMD_COUNT, NULL, 200, PARAMS(HOOK_ID), .local = hook_take,
      .answer = "HookTaken", .summary = "What a service sends, with its signature instead of a key" },

    { METHOD_GET, "/healthz", SCOPE_NONE, ROUTE_LOCAL,
      ROUTE_OPEN | ROUTE_NO_RATE, CMD_COUNT, NULL, 200, .local = health_live,
      .answer = "Alive", .summary = "The process is alive" },
    { METHOD_GET, "/readyz", SCOPE_NONE, ROUTE_LOCAL,
      ROUTE_OPEN | ROUTE_NO_RATE, CMD_COUNT, NULL, 200, .local = health_ready,
      .answer = "Ready", .summary = "Each dependency's state; 503 if not ready" },
    { METHOD_GET, "/openapi.json", SCOPE_NONE, ROUTE_LOCAL,
      ROUTE_OPEN | ROUTE_NO_RATE, CMD_COUNT, NULL, 200, .local = openapi_get,
      .answer = "Document", .summary = "This document" },

    { METHOD_GET, "/whoami", SCOPE_ACTIONS_PREVIEW, ROUTE_LOCAL,
      0, CMD_COUNT, "whoami", 200, .local = whoami_get,
      .answer = "WhoAmI", .summary = "The key's workspace, role and scopes" },
    { METHOD_GET, "/ai/overview", SCOPE_ACTIONS_PREVIEW, ROUTE_LOCAL,
      0, CMD_COUNT, "overview", 200, .local = overview_get,
      .answer = "Overview", .summary = "How the workspace's requests and the programs fare" },

    { METHOD_GET, "/ai/dead-letters", SCOPE_JOBS_MANAGE, ROUTE_LOCAL,
      0, CMD_COUNT, "letters_list", 200, QUERIES(LIST_LETTERS), .local = letters_list,
      .answer = "DeadLetterPage", .summary = "The workspace's dead letters, oldest first" },
    { METHOD_GET, "/ai/dead-letters/{seq}", SCOPE_JOBS_MANAGE, ROUTE_LOCAL,
      0, CMD_COUNT, "letters_get", 200, PARAMS(SEQ), .local = letters_get,
      .answer = "DeadLetter", .summary = "A dead letter with its payload" },
    { METHOD_POST, "/ai/dead-letters/{seq}/replay", SCOPE_JOBS_MANAGE, ROUTE_LOCAL,
      ROUTE_IDEMPOTENT | ROUTE_NAMED | ROUTE_BODY_EMPTY, CMD_COUNT, "letters_replay", 200,
      PARAMS(SEQ), .local = letters_replay, .record = REPLAY_RECORD,
      .answer = "Replayed", .summary = "Send a dead letter again, and remove it" },
    { METHOD_DELETE, "/ai/dead-letters/{seq}", SCOPE_JOBS_MANAGE, ROUTE_LOCAL,
      0, CMD_COUNT, "letters_discard", 204, PARAMS(SEQ), .local = letters_discard,
      .summary = "Discard a dead letter" },

    { METHOD_GET, "/docs", SCOPE_NONE, ROUTE_LOCAL,
      ROUTE_OPEN | ROUTE_NO_RATE | ROUTE_RAW | ROUTE_PAGE, CMD_COUNT, NULL, 200, .local = docs_get,
      .content_type = "text/html; charset=utf-8", .summary = "The OpenAPI document as a page" },
    { METHOD_GET, "/console", SCOPE_NONE, ROUTE_LOCAL,
      ROUTE_OPEN | ROUTE_NO_RATE | ROUTE_RAW | ROUTE_PAGE, CMD_COUNT, NULL, 200,
      .local = console_get, .content_type = "text/html; charset=utf-8", .summary = "The console" },
    { METHOD_GET, "/console/{file}", SCOPE_NONE, ROUTE_LOCAL,
      ROUTE_OPEN | ROUTE_NO_RATE | ROUTE_RAW | ROUTE_PAGE, CMD_COUNT, NULL, 200, PARAMS(PAGE_FILE),
      .local = console_get, .content_type = "text/html; charset=utf-8",
      .summary = "A file of the console" },
};
/* clang-format on */
const size_t N_ROUTES = ARRAY_LEN(ROUTES);

static const char *const METHODS[METHOD_COUNT] = { "GET", "POST", "PUT", "PATCH", "DELETE" };

const char *
method_name(enum http_method method)
{
    return method < METHOD_COUNT ? METHODS[method] : "OTHER";
}

void
route_allowed_text(unsigned allowed, char text[64])
{
    size_t len = 0;
    text[0] = '\0';
    for (unsigned m = 0; m < METHOD_COUNT && len < 64; m++)
        if (allowed & 1u << m)
            len += (size_t)snprintf(text + len, 64 - len, "%s%s", len ? ", " : "",
                                    m == METHOD_GET ? "GET, HEAD" : METHODS[m]);
}

enum rc
percent_decode(const char *text, size_t len, bool plus_is_space, char *out, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 2 < len ? hex_value(text[i + 1]) : -1;
            int low = i + 2 < len ? hex_value(text[i + 2]) : -1;
            if (high < 0 || low < 0)
                return RC_INVALID;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c == '\0' || n + 1 >= cap)
            return RC_INVALID;
        out[n++] = c;
    }
    out[n] = '\0';
    return utf8_valid(out, n) ? RC_OK : RC_INVALID;
}

static bool
param_fits(enum member_type type, const char *text)
{
    size_t len = strlen(text);
    switch (type) {
    case MEMBER_STRING:
        return len > 0;
    case MEMBER_INT:
        return len > 0 && len <= 15 && strspn(text, "0123456789") == len &&
               (text[0] != '0' || len == 1);
    case MEMBER_UUID: {
        char id[ID_TEXT_MAX];
        return id_parse(text, len, id) == RC_OK;
    }
    case MEMBER_KEY_ID:
        return len == KEY_ID_LEN && strspn(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                 "abcdefghijklmnopqrstuvwxyz") == len;
    }
    return false;
}

static void
take_param(const struct route_param *param, const char *text, size_t len, struct route_match *out,
           char value[PATH_PARAM_MAX])
{
    if (percent_decode(text, len, false, value, PATH_PARAM_MAX) != RC_OK ||
        !param_fits(param->type, value)) {
        value[0] = '\0';
        out->malformed = true;
    } else if (param->type == MEMBER_UUID) {
        (void)id_parse(value, strlen(value), value);
    }
}

/* Literal up to a parameter, which is a whole segment and is decoded into params. */
static bool
fits(const struct route *route, const char *path, size_t len, struct route_match *out)
{
    const char *t = route->path;
    const char *end = path + len;
    for (size_t n = 0;; n++) {
        while (path < end && *t && *t == *path && *t != '{') {
            t++;
            path++;
        }
        if (*t != '{' || n == route->n_params)
            return *t == '\0' && path == end;
        const char *slash = memchr(path, '/', (size_t)(end - path));
        size_t have = slash ? (size_t)(slash - path) : (size_t)(end - path);
        if (have == 0)
            return false;
        take_param(&route->params[n], path, have, out, out->params[n]);
        t += strcspn(t, "/");
        path += have;
    }
}

void
route_find(enum http_method method, const char *path, size_t len, struct route_match *out)
{
    struct route_match loose = { .malformed = true };
    *out = (struct route_match){ 0 };
    for (size_t i = 0; i < N_ROUTES; i++) {
        struct route_match try = { 0 };
        if (!fits(&ROUTES[i], path, len, &try))
            continue;
        struct route_match *found = try.malformed ? &loose : out;
        found->allowed |= 1u << ROUTES[i].method;
        if (ROUTES[i].method != method || found->route)
            continue;
        found->route = &ROUTES[i];
        memcpy(found->params, try.params, sizeof(found->params));
    }
    /* "/memory/forget" is not a memory whose id is wrong. */
    if (!out->allowed)
        *out = loose;
}
