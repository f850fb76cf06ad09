/* SPDX-License-Identifier: MIT */
/*
 * actor - the gateway's word about who sent a command: the header Gantry-Actor.
 *
 * Shape:  2,<command id>,<key id>,<role>,<accepted ms>,<request id>,<idempotency hash>,[<approval>,]<MAC>
 *         request id and hash may be empty; no field can hold a comma. The MAC is keyed BLAKE2b-256 in
 *         base64url over: the header up to its last comma, inclusive; NUL; the subject; NUL; the
 *         payload. Header and subject hold no NUL, so no two claims give the same bytes: a claim
 *         fits one command, one workspace and one payload.
 * Keys:   the gateway derives one for each program from ACTOR_SIGNING_KEY, and each worker holds its
 *         own and no other (docs/security.md). One before it is accepted too, for a rotation.
 * Errors: RC_CORRUPT  any claim that is malformed or does not fit (the message is a dead letter)
 * Source: contract section 5; RFC 7693 (BLAKE2)
 */
#ifndef GANTRY_PROTOCOL_ACTOR_H
#define GANTRY_PROTOCOL_ACTOR_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/rc.h"
#include "crypto/crypto.h"
#include "principal.h"

#define ACTOR_WIRE_MAX     1024
#define ACTOR_APPROVAL_MAX 40

struct actor_claim {
    char command_id[ID_TEXT_MAX];
    char key_id[KEY_ID_LEN + 1];
    enum role role;
    int64_t accepted_ms; /* when the gateway had read the request; wall time */
    char request_id[REQUEST_ID_MAX];
    /* "VERSION.KEY": under which version of the policy whose key approved it; "" = nobody */
    char approval[ACTOR_APPROVAL_MAX];
    char idem_hash[65]; /* "" when the request had no idempotency key */
};

/* The keys of the claims that a worker believes. A key of zeros only is not set: no claim is believed by it. */
struct actor_keys {
    uint8_t now[CRYPTO_KEY_LEN];
    uint8_t before[CRYPTO_KEY_LEN];
    uint8_t signer[CRYPTO_PUBLIC_LEN]; /* of the claims of a gateway before the MAC */
};

/* The key that the gateway shares with one program. */
void actor_key(const uint8_t signing_key[CRYPTO_KEY_LEN], const char *program,
               uint8_t out[CRYPTO_KEY_LEN]);

enum rc actor_write(const uint8_t key[CRYPTO_KEY_LEN], const struct actor_claim *claim,
                    const char *subject, const void *payload, size_t len, char wire[ACTOR_WIRE_MAX],
                    struct err *err);
enum rc actor_verify(const struct actor_keys *keys, const char *wire, const char *subject,
                     const void *payload, size_t len, struct actor_claim *out, struct err *err);

/* actor_signed.c: the form before: base64url(JSON) "." base64url(Ed25519 signature). Goes one release
 * after the one that brought the MAC. */
enum rc actor_verify_signed(const uint8_t public_key[CRYPTO_PUBLIC_LEN], const char *wire,
                            const char *subject, const void *payload, size_t len,
                            struct actor_claim *out, struct err *err);

#endif
