/* SPDX-License-Identifier: MIT */
/*
 * jwt - the signed tokens of NATS: JWTs with the algorithm "ed25519-nkey", and no other.
 *
 * Shape:   base64url(header) "." base64url(claims) "." base64url(signature), where the header is
 *          {"typ":"JWT","alg":"ed25519-nkey"} and the claims' "iss" is the signer's NKey
 * Errors:  RC_CORRUPT  malformed, another algorithm, or a signature that its own issuer did not make
 *          RC_LIMIT    larger than JWT_MAX
 * Source:  github.com/nats-io/jwt version 2; RFC 7519, RFC 8037
 */
#ifndef GANTRY_GATEWAY_LOGINS_JWT_H
#define GANTRY_GATEWAY_LOGINS_JWT_H

#include "base/buf.h"
#include "base/rc.h"
#include "crypto/crypto.h"
#include "json/json.h"
#include "logins/nkey.h"

#define JWT_MAX 65536 /* bytes of a token */

/* Append the token over claims (compact JSON, which must name the signer as "iss") to out. */
enum rc jwt_sign(const struct crypto_signer *signer, const char *claims, size_t len,
                 struct buf *out);

/* Check the signature against the key that "iss" names, which the caller must then judge: anyone
 * can sign with a key of their own. *claims is owned by the caller. */
enum rc jwt_verify(const char *token, size_t len, cJSON **claims, enum nkey_kind *issuer_kind,
                   struct err *err);

#endif
