/* SPDX-License-Identifier: MIT */
#include "settings.h"

#include <stddef.h>

#include "base/cleanup.h"

#define AT(member) offsetof(struct settings, member)

static const char *const LEVELS[] = { "debug", "info", "warn", "error", "fatal", NULL };
static const char *const POLICIES[] = { "none", "default", NULL }; /* enum policy_choice */
static const char *const FORMATS[] = { "json", "text", NULL };
static const char *const NATS_SCHEMES[] = { "nats", "tls", NULL };
static const char *const POSTGRES_SCHEMES[] = { "postgresql", "postgres", NULL };
static const char *const REDIS_SCHEMES[] = { "redis", "rediss", "unix", NULL };

/* clang-format off */
static const struct conf_item ITEMS[] = {
    { .name = "LISTEN_ADDR", .type = CONF_STRING, .offset = AT(listen_addr), .default_text = "127.0.0.1:8080", .max = 128,
      .help = "address and port of the HTTP service" },
    { .name = "ADMIN_LISTEN_ADDR", .type = CONF_STRING, .offset = AT(admin_listen_addr), .default_text = "127.0.0.1:9090", .max = 128,
      .help = "address and port of /metrics and /debug/status; never expose it" },
    { .name = "NATS_URL", .type = CONF_URL, .offset = AT(nats_url), .choices = NATS_SCHEMES,
      .help = "NATS servers, with the gateway's user and password" },
    { .name = "NATS_TLS_CA", .type = CONF_STRING, .offset = AT(nats_tls_ca), .flags = CONF_OPTIONAL,
      .help = "file with the certificate authority of the NATS server" },
    { .name = "NATS_TLS_CERT", .type = CONF_STRING, .offset = AT(nats_tls_cert), .flags = CONF_OPTIONAL,
      .help = "file with the client certificate for NATS" },
    { .name = "NATS_TLS_KEY", .type = CONF_STRING, .offset = AT(nats_tls_key), .flags = CONF_OPTIONAL,
      .help = "file with the client certificate's private key" },
    { .name = "CALLOUT_NATS_URL", .type = CONF_URL, .offset = AT(callout_nats_url), .choices = NATS_SCHEMES, .flags = CONF_OPTIONAL,
      .help = "NATS with the user callout, which decides whether an API key may log in; unset = no logins" },
    { .name = "CALLOUT_ISSUER_KEY", .type = CONF_KEY32, .offset = AT(callout_issuer_key), .flags = CONF_OPTIONAL,
      .help = "Ed25519 seed that signs NATS logins; --print-callout-issuer prints its public NKey" },
    { .name = "KICK_NATS_URL", .type = CONF_URL, .offset = AT(kick_nats_url), .choices = NATS_SCHEMES, .flags = CONF_OPTIONAL,
      .help = "NATS with the user kick, which ends the connections of revoked keys" },
    { .name = "ALLOW_PLAINTEXT", .type = CONF_BOOL, .offset = AT(allow_plaintext), .default_text = "0",
      .help = "1 = do not warn about unencrypted connections to other machines" },
    { .name = "DATABASE_URL", .type = CONF_URL, .offset = AT(database_url), .choices = POSTGRES_SCHEMES,
      .help = "PostgreSQL with the role gantry_gateway" },
    { .name = "REDIS_URL", .type = CONF_URL, .offset = AT(redis_url), .choices = REDIS_SCHEMES,
      .help = "Redis with the gateway's ACL user; rediss:// for TLS, unix:// for a socket" },
    { .name = "ACTOR_SIGNING_KEY", .type = CONF_KEY32, .offset = AT(actor_signing_key),
      .help = "key from which each worker's ACTOR_KEY is derived; signs who sent a command" },
    { .name = "DATA_KEY", .type = CONF_KEY32, .offset = AT(data_key),
      .help = "encrypts job results and preview parameters in Redis" },
    { .name = "ALLOW_ACTIONS_DEFAULT", .type = CONF_STRING, .offset = AT(allow_actions_default), .default_text = "", .max = 4096,
      .help = "comma-separated actions for workspaces that have no list of their own; empty = none" },
    { .name = "POLICY_DEFAULT", .type = CONF_CHOICE, .offset = AT(policy_default), .default_text = "none", .choices = POLICIES,
      .help = "the policy of workspaces that have set none: none, or default (the one that comes along)" },
    { .name = "CONNECTOR_ENABLED", .type = CONF_BOOL, .offset = AT(connector_enabled), .default_text = "0",
      .help = "1 = a gantry-connector runs: send it its actions" },
    { .name = "CONNECTOR_ACTIONS_DIR", .type = CONF_STRING, .offset = AT(connector_actions_dir), .default_text = "", .max = 1024,
      .help = "folder of the actions; empty = the one beside the program" },
    { .name = "REGION", .type = CONF_STRING, .offset = AT(region), .default_text = "", .max = 64,
      .help = "region that is written into audit events" },
    { .name = "TRUSTED_PROXIES", .type = CONF_STRING, .offset = AT(trusted_proxies), .default_text = "127.0.0.0/8,::1/128", .max = 1024,
      .help = "networks whose X-Forwarded-For and X-Forwarded-Proto headers are trusted" },
    { .name = "CORS_ORIGINS", .type = CONF_STRING, .offset = AT(cors_origins), .default_text = "", .max = 4096,
      .help = "comma-separated origins of web pages that may send requests from a browser, such as "
      "https://app.example; empty = none" },
    { .name = "RATE_LIMIT_PER_MINUTE", .type = CONF_INT, .offset = AT(rate_limit_per_minute), .default_text = "600", .max = 100000000,
      .help = "requests per minute of one workspace; 0 = no limit" },
    { .name = "RATE_LIMIT_KEY_PER_MINUTE", .type = CONF_INT, .offset = AT(rate_limit_key_per_minute), .default_text = "0", .max = 100000000,
      .help = "requests per minute of one key; 0 = no limit" },
    { .name = "MAX_BODY_BYTES", .type = CONF_INT, .offset = AT(max_body_bytes), .default_text = "524288", .min = 1024, .max = 1000000,
      .help = "largest request body" },
    { .name = "SYNC_WAIT_MS", .type = CONF_INT, .offset = AT(sync_wait_ms), .default_text = "10000", .max = 60000,
      .help = "how long a request waits for its worker, unless it has Prefer: wait=N" },
    { .name = "IDEMPOTENCY_TTL_SECONDS", .type = CONF_INT, .offset = AT(idempotency_ttl_seconds), .default_text = "86400", .min = 60, .max = 2592000,
      .help = "how long the answer for an idempotency key is kept" },
    { .name = "JOB_RETENTION_DAYS", .type = CONF_INT, .offset = AT(job_retention_days), .default_text = "7", .min = 1, .max = 365,
      .help = "how long an ended job is kept" },
    { .name = "REDIS_SHARE_BYTES", .type = CONF_INT, .offset = AT(redis_share_bytes), .default_text = "134217728", .min = 1048576, .max = 1099511627776,
      .help = "Redis memory for one workspace's previews and job results; beyond it, 503" },
    { .name = "IDEMPOTENCY_SHARE_BYTES", .type = CONF_INT, .offset = AT(idempotency_share_bytes), .default_text = "268435456", .min = 1048576, .max = 1099511627776,
      .help = "Redis memory for one workspace's idempotency records; beyond it, new keys get 503" },
    { .name = "MAX_CONNECTIONS", .type = CONF_INT, .offset = AT(max_connections), .default_text = "8192", .min = 16, .max = 200000,
      .help = "HTTP connections at once; one more closes the longest idle one, or waits" },
    { .name = "MAX_CONNECTIONS_PER_ADDRESS", .type = CONF_INT, .offset = AT(max_connections_per_address), .default_text = "256", .min = 1, .max = 200000,
      .help = "HTTP connections of one address (IPv6: one /64) that is not in TRUSTED_PROXIES" },
    { .name = "MAX_BUFFERED_BYTES", .type = CONF_INT, .offset = AT(max_buffered_bytes), .default_text = "268435456", .min = 1048576, .max = 68719476736,
      .help = "request bodies in memory at once; beyond it, 503. The same amount again for answers "
      "that clients do not read; beyond it, the oldest such connections are closed" },
    { .name = "MAX_WORKSPACE_REQUESTS", .type = CONF_INT, .offset = AT(workspace_requests), .default_text = "4096", .min = 1, .max = 200000,
      .help = "requests of one workspace in progress at once, at most half of the connections; beyond it, 503" },
    { .name = "MAX_WORKSPACE_BUFFERED_BYTES", .type = CONF_INT, .offset = AT(workspace_buffered_bytes), .default_text = "67108864", .min = 1024, .max = 68719476736,
      .help = "request bodies of one workspace in memory, at most half of MAX_BUFFERED_BYTES; beyond it, 503" },
    { .name = "MAX_WORKSPACE_LISTENERS", .type = CONF_INT, .offset = AT(workspace_listeners), .default_text = "1000", .min = 1, .max = 200000,
      .help = "GET /ai/events streams of one workspace at once, at most a quarter of the "
      "connections; beyond it, 503" },
    { .name = "MAX_KEY_LISTENERS", .type = CONF_INT, .offset = AT(key_listeners), .default_text = "100", .min = 1, .max = 200000,
      .help = "GET /ai/events streams of one key at once; beyond it, 503" },
    { .name = "MAX_WORKSPACE_NATS_CONNECTIONS", .type = CONF_INT, .offset = AT(workspace_nats_connections), .default_text = "1000", .min = 1, .max = 9000,
      .help = "NATS connections of one workspace's keys; beyond it, the newest are closed" },
    { .name = "CONNECTION_TIMEOUT_SECONDS", .type = CONF_INT, .offset = AT(connection_timeout_seconds), .default_text = "60", .min = 1, .max = 3600,
      .help = "a connection without a request is closed after this time" },
    { .name = "HEAD_TIMEOUT_SECONDS", .type = CONF_INT, .offset = AT(head_timeout_seconds), .default_text = "5", .min = 1, .max = 300,
      .help = "time in which the request line and headers must arrive" },
    { .name = "BODY_TIMEOUT_SECONDS", .type = CONF_INT, .offset = AT(body_timeout_seconds), .default_text = "10", .min = 1, .max = 300,
      .help = "time in which a body must arrive, plus one second for each 4 KiB received" },
    { .name = "KEY_HASH_THREADS", .type = CONF_INT, .offset = AT(key_hash_threads), .default_text = "2", .min = 1, .max = 64,
      .help = "threads that check keys that are not cached (Argon2id, 20 ms and 19 MiB each)" },
    TRACE_CONF_ITEMS(AT(trace)),
    { .name = "LOG_LEVEL", .type = CONF_CHOICE, .offset = AT(log_level), .default_text = "info", .choices = LEVELS,
      .help = "lowest level that is logged" },
    { .name = "LOG_FORMAT", .type = CONF_CHOICE, .offset = AT(log_format), .default_text = "json", .choices = FORMATS,
      .help = "format of log lines" },
};
/* clang-format on */

const struct conf_table SETTINGS = { ITEMS, ARRAY_LEN(ITEMS), NULL };
