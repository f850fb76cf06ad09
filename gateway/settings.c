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
    { "LISTEN_ADDR", CONF_STRING, AT(listen_addr), "127.0.0.1:8080", 0, 128, NULL, 0,
      "address and port of the HTTP service" },
    { "ADMIN_LISTEN_ADDR", CONF_STRING, AT(admin_listen_addr), "127.0.0.1:9090", 0, 128, NULL, 0,
      "address and port of /metrics and /debug/status; never expose it" },
    { "NATS_URL", CONF_URL, AT(nats_url), NULL, 0, 0, NATS_SCHEMES, 0,
      "NATS servers, with the gateway's user and password" },
    { "NATS_TLS_CA", CONF_STRING, AT(nats_tls_ca), NULL, 0, 0, NULL, CONF_OPTIONAL,
      "file with the certificate authority of the NATS server" },
    { "NATS_TLS_CERT", CONF_STRING, AT(nats_tls_cert), NULL, 0, 0, NULL, CONF_OPTIONAL,
      "file with the client certificate for NATS" },
    { "NATS_TLS_KEY", CONF_STRING, AT(nats_tls_key), NULL, 0, 0, NULL, CONF_OPTIONAL,
      "file with the client certificate's private key" },
    { "CALLOUT_NATS_URL", CONF_URL, AT(callout_nats_url), NULL, 0, 0, NATS_SCHEMES, CONF_OPTIONAL,
      "NATS with the user callout, which decides whether an API key may log in; unset = no logins" },
    { "CALLOUT_ISSUER_KEY", CONF_KEY32, AT(callout_issuer_key), NULL, 0, 0, NULL, CONF_OPTIONAL,
      "Ed25519 seed that signs NATS logins; --print-callout-issuer prints its public NKey" },
    { "KICK_NATS_URL", CONF_URL, AT(kick_nats_url), NULL, 0, 0, NATS_SCHEMES, CONF_OPTIONAL,
      "NATS with the user kick, which ends the connections of revoked keys" },
    { "ALLOW_PLAINTEXT", CONF_BOOL, AT(allow_plaintext), "0", 0, 0, NULL, 0,
      "1 = do not warn about unencrypted connections to other machines" },
    { "DATABASE_URL", CONF_URL, AT(database_url), NULL, 0, 0, POSTGRES_SCHEMES, 0,
      "PostgreSQL with the role gantry_gateway" },
    { "REDIS_URL", CONF_URL, AT(redis_url), NULL, 0, 0, REDIS_SCHEMES, 0,
      "Redis with the gateway's ACL user; rediss:// for TLS, unix:// for a socket" },
    { "ACTOR_SIGNING_KEY", CONF_KEY32, AT(actor_signing_key), NULL, 0, 0, NULL, 0,
      "key from which each worker's ACTOR_KEY is derived; signs who sent a command" },
    { "DATA_KEY", CONF_KEY32, AT(data_key), NULL, 0, 0, NULL, 0,
      "encrypts job results and preview parameters in Redis" },
    { "ALLOW_ACTIONS_DEFAULT", CONF_STRING, AT(allow_actions_default), "", 0, 4096, NULL, 0,
      "comma-separated actions for workspaces that have no list of their own; empty = none" },
    { "POLICY_DEFAULT", CONF_CHOICE, AT(policy_default), "none", 0, 0, POLICIES, 0,
      "the policy of workspaces that have set none: none, or default (the one that comes along)" },
    { "CONNECTOR_ENABLED", CONF_BOOL, AT(connector_enabled), "0", 0, 0, NULL, 0,
      "1 = a gantry-connector runs: send it its actions" },
    { "CONNECTOR_ACTIONS_DIR", CONF_STRING, AT(connector_actions_dir), "", 0, 1024, NULL, 0,
      "folder of the actions; empty = the one beside the program" },
    { "REGION", CONF_STRING, AT(region), "", 0, 64, NULL, 0,
      "region that is written into audit events" },
    { "TRUSTED_PROXIES", CONF_STRING, AT(trusted_proxies), "127.0.0.0/8,::1/128", 0, 1024, NULL, 0,
      "networks whose X-Forwarded-For and X-Forwarded-Proto headers are trusted" },
    { "CORS_ORIGINS", CONF_STRING, AT(cors_origins), "", 0, 4096, NULL, 0,
      "comma-separated origins of web pages that may send requests from a browser, such as "
      "https://app.example; empty = none" },
    { "RATE_LIMIT_PER_MINUTE", CONF_INT, AT(rate_limit_per_minute), "600", 0, 100000000, NULL, 0,
      "requests per minute of one workspace; 0 = no limit" },
    { "RATE_LIMIT_KEY_PER_MINUTE", CONF_INT, AT(rate_limit_key_per_minute), "0", 0, 100000000,
      NULL, 0, "requests per minute of one key; 0 = no limit" },
    { "MAX_BODY_BYTES", CONF_INT, AT(max_body_bytes), "524288", 1024, 1000000, NULL, 0,
      "largest request body" },
    { "SYNC_WAIT_MS", CONF_INT, AT(sync_wait_ms), "10000", 0, 60000, NULL, 0,
      "how long a request waits for its worker, unless it has Prefer: wait=N" },
    { "IDEMPOTENCY_TTL_SECONDS", CONF_INT, AT(idempotency_ttl_seconds), "86400", 60, 2592000,
      NULL, 0, "how long the answer for an idempotency key is kept" },
    { "JOB_RETENTION_DAYS", CONF_INT, AT(job_retention_days), "7", 1, 365, NULL, 0,
      "how long an ended job is kept" },
    { "REDIS_SHARE_BYTES", CONF_INT, AT(redis_share_bytes), "134217728", 1048576, 1099511627776,
      NULL, 0, "Redis memory for one workspace's previews and job results; beyond it, 503" },
    { "IDEMPOTENCY_SHARE_BYTES", CONF_INT, AT(idempotency_share_bytes), "268435456", 1048576,
      1099511627776, NULL, 0,
      "Redis memory for one workspace's idempotency records; beyond it, new keys get 503" },
    { "MAX_CONNECTIONS", CONF_INT, AT(max_connections), "8192", 16, 200000, NULL, 0,
      "HTTP connections at once; one more closes the longest idle one, or waits" },
    { "MAX_CONNECTIONS_PER_ADDRESS", CONF_INT, AT(max_connections_per_address), "256", 1, 200000,
      NULL, 0, "HTTP connections of one address (IPv6: one /64) that is not in TRUSTED_PROXIES" },
    { "MAX_BUFFERED_BYTES", CONF_INT, AT(max_buffered_bytes), "268435456", 1048576, 68719476736,
      NULL, 0, "request bodies in memory at once; beyond it, 503. The same amount again for answers "
      "that clients do not read; beyond it, the oldest such connections are closed" },
    { "MAX_WORKSPACE_REQUESTS", CONF_INT, AT(workspace_requests), "4096", 1, 200000, NULL, 0,
      "requests of one workspace in progress at once, at most half of the connections; beyond it, 503" },
    { "MAX_WORKSPACE_BUFFERED_BYTES", CONF_INT, AT(workspace_buffered_bytes), "67108864", 1024,
      68719476736, NULL, 0,
      "request bodies of one workspace in memory, at most half of MAX_BUFFERED_BYTES; beyond it, 503" },
    { "MAX_WORKSPACE_LISTENERS", CONF_INT, AT(workspace_listeners), "1000", 1, 200000, NULL, 0,
      "GET /ai/events streams of one workspace at once, at most a quarter of the "
      "connections; beyond it, 503" },
    { "MAX_KEY_LISTENERS", CONF_INT, AT(key_listeners), "100", 1, 200000, NULL, 0,
      "GET /ai/events streams of one key at once; beyond it, 503" },
    { "MAX_WORKSPACE_NATS_CONNECTIONS", CONF_INT, AT(workspace_nats_connections), "1000", 1, 9000,
      NULL, 0, "NATS connections of one workspace's keys; beyond it, the newest are closed" },
    { "CONNECTION_TIMEOUT_SECONDS", CONF_INT, AT(connection_timeout_seconds), "60", 1, 3600, NULL,
      0, "a connection without a request is closed after this time" },
    { "HEAD_TIMEOUT_SECONDS", CONF_INT, AT(head_timeout_seconds), "5", 1, 300, NULL, 0,
      "time in which the request line and headers must arrive" },
    { "BODY_TIMEOUT_SECONDS", CONF_INT, AT(body_timeout_seconds), "10", 1, 300, NULL, 0,
      "time in which a body must arrive, plus one second for each 4 KiB received" },
    { "KEY_HASH_THREADS", CONF_INT, AT(key_hash_threads), "2", 1, 64, NULL, 0,
      "threads that check keys that are not cached (Argon2id, 20 ms and 19 MiB each)" },
    TRACE_CONF_ITEMS(AT(trace)),
    { "LOG_LEVEL", CONF_CHOICE, AT(log_level), "info", 0, 0, LEVELS, 0,
      "lowest level that is logged" },
    { "LOG_FORMAT", CONF_CHOICE, AT(log_format), "json", 0, 0, FORMATS, 0, "format of log lines" },
};
/* clang-format on */

const struct conf_table SETTINGS = { ITEMS, ARRAY_LEN(ITEMS), NULL };
