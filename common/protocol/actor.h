/* SPDX-License-Identifier: MIT */
/*
 * actor - the gateway's signed word about who sent a command: the header Gantry-Actor.
 *
 * Shape:  base64url(claim) "." base64url(signature); claim is the compact JSON
 *         {"id":command id,"kid":key id,"role":role,"at":accepted ms,"rid":request id,
 *          "idem":hex hash of the idempotency key or absent}
 *         The Ed25519 signature covers "gantry-actor-v1\n" subject "\n" hex SHA-256 of the payload
 *         "\n" claim bytes: a claim fits one command, one workspace and one payload.
 * Errors: RC_CORRUPT  any claim that is malformed or does not fit (the message is a dead letter)
 * Source: contract section 5. Workers hold only the public key.
 */
#ifndef GANTRY_ACTOR_H
#define GANTRY_ACTOR_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/rc.h"
#include "crypto/crypto.h"
#include "principal.h"

#define ACTOR_WIRE_MAX 1024

struct actor_claim {
    char command_id[ID_TEXT_MAX];
    char key_id[KEY_ID_LEN + 1];
    enum role role;
    int64_t accepted_ms; /* when the gateway had read the request; wall time */
    char request_id[REQUEST_ID_MAX];
    char idem_hash[65]; /* "" when the request had no idempotency key */
};

enum rc actor_sign(const struct crypto_signer *signer, const struct actor_claim *claim,
                   const char *subject, const void *payload, size_t len, char wire[ACTOR_WIRE_MAX],
                   struct err *err);
enum rc actor_verify(const uint8_t public_key[CRYPTO_PUBLIC_LEN], const char *wire,
                     const char *subject, const void *payload, size_t len, struct actor_claim *out,
                     struct err *err);

#endif
