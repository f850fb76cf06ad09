/* SPDX-License-Identifier: MIT */
/*
 * settings - the gateway's configuration, from the environment (contract, section 3).
 *
 * Units: *_ms milliseconds, *_bytes bytes
 */
#ifndef GANTRY_GATEWAY_SETTINGS_H
#define GANTRY_GATEWAY_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "crypto/crypto.h"
#include "process/conf.h"
#include "trace/trace_conf.h"

enum policy_choice { POLICY_NONE, POLICY_SHIPPED };

struct settings {
    int policy_default; /* enum policy_choice */
    bool connector_enabled;
    char *connector_actions_dir;
    char *listen_addr;
    char *admin_listen_addr;
    char *nats_url;
    char *nats_tls_ca, *nats_tls_cert, *nats_tls_key;
    char *callout_nats_url, *kick_nats_url; /* NULL: no logins over NATS */
    uint8_t callout_issuer_key[CRYPTO_SEED_LEN];
    bool allow_plaintext;
    char *cors_origins;
    int64_t workspace_listeners, key_listeners;
    char *database_url;
    char *redis_url;
    uint8_t actor_signing_key[CRYPTO_KEY_LEN];
    uint8_t data_key[CRYPTO_KEY_LEN];
    char *allow_actions_default;
    char *region;
    char *trusted_proxies;
    int64_t rate_limit_per_minute;     /* a workspace; 0 = off */
    int64_t rate_limit_key_per_minute; /* a key; 0 = off */
    int64_t max_body_bytes;
    int64_t sync_wait_ms;
    int64_t idempotency_ttl_seconds;
    int64_t job_retention_days;
    int64_t redis_share_bytes; /* of one workspace: previews and results */
    int64_t idempotency_share_bytes;
    int64_t max_connections;
    int64_t max_buffered_bytes;
    int64_t workspace_requests; /* of one workspace, as the next two */
    int64_t workspace_buffered_bytes;
    int64_t workspace_nats_connections;
    int64_t max_connections_per_address;
    int64_t connection_timeout_seconds;
    int64_t head_timeout_seconds;
    int64_t body_timeout_seconds;
    int64_t key_hash_threads;
    struct trace_conf trace;
    int log_level;  /* enum log_level */
    int log_format; /* enum log_format */
};

extern const struct conf_table SETTINGS;

#endif
