/* SPDX-License-Identifier: MIT */
/*
 * login - the tokens of NATS's auth callout: what the server asks, and what it is answered.
 *
 * The request is a token that the server signed with its own key. Its answer is a token signed with
 * the issuer's key that server.conf names, and holds either a refusal or a second token: the user,
 * with the account to be placed in and exactly the subjects that the key's scopes allow
 * (COMMAND_TABLE). Pure functions, apart from the clock.
 *
 * Errors: RC_CORRUPT  no request that a server has made
 * Source: contract section 5; nats-server's auth callout (ADR-26), JWT claims of version 2
 */
#ifndef GANTRY_GATEWAY_LOGINS_LOGIN_H
#define GANTRY_GATEWAY_LOGINS_LOGIN_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/rc.h"
#include "crypto/crypto.h"
#include "json/json.h"
#include "logins/nkey.h"
#include "protocol/principal.h"

#define LOGIN_ACCOUNT   "CLIENTS" /* of nats/server.conf */
#define LOGIN_TOKEN_MAX 16384     /* bytes of an answer */
#define LOGIN_HOST_MAX  64

struct login_request {
    char server_id[NKEY_TEXT_MAX];
    char user_nkey[NKEY_TEXT_MAX];
    char host[LOGIN_HOST_MAX]; /* the client's address */
    const char *key;           /* the API key that it showed, or NULL; owned by doc, secret */
    cJSON *doc;                /* owned: login_request_wipe() */
};

enum rc login_read(const char *token, size_t len, struct login_request *out, struct err *err);
void login_request_wipe(struct login_request *request);

/* Who answers: the issuer's key and its name. */
struct login_issuer {
    struct crypto_signer signer;
    char nkey[NKEY_TEXT_MAX];
};
void login_issuer_init(struct login_issuer *issuer, const uint8_t seed[CRYPTO_SEED_LEN]);

/* The token for a valid key; expires_ms 0 = the key never expires. */
enum rc login_accept(const struct login_issuer *issuer, const struct login_request *request,
                     const struct principal *who, int64_t expires_ms, struct buf *out);
/* The token that refuses; the server logs `why`, the client learns nothing. */
enum rc login_refuse(const struct login_issuer *issuer, const struct login_request *request,
                     const char *why, struct buf *out);

#endif
