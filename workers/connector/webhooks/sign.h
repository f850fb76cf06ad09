/* SPDX-License-Identifier: MIT */
/*
 * sign - signatures of Standard Webhooks: how a receiver knows that a delivery is ours.
 *
 * What is signed is "ID.TIMESTAMP.BODY". A symmetric secret ("whsec_", 24 to 64 bytes in base64) makes
 * "v1,BASE64" (HMAC-SHA-256); a private key ("whsk_", the 32 bytes of an Ed25519 seed) makes "v1a,BASE64",
 * which anybody checks who has the public key ("whpk_").
 *
 * Errors:  RC_INVALID  a secret of another form
 * Threads: any
 * Source:  Standard Webhooks 1.0
 */
#ifndef GANTRY_CONNECTOR_WEBHOOKS_SIGN_H
#define GANTRY_CONNECTOR_WEBHOOKS_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/rc.h"

#define SIGN_TEXT_MAX 96 /* of a secret or a key, with the NUL */

struct sign_message {
    const char *id;
    int64_t timestamp_s;
    const void *body;
    size_t len;
};

/* A new secret, and its public key ("" for a symmetric one). */
void sign_new(bool asymmetric, char secret[SIGN_TEXT_MAX], char public_key[SIGN_TEXT_MAX]);
/* The public key of a private one. */
enum rc sign_public(const char *secret, char public_key[SIGN_TEXT_MAX]);
/* Appends the signature, after a blank if there is one already. */
enum rc sign_add(const char *secret, const struct sign_message *message, struct buf *out);
/* Whether one of the signatures of a header is by this secret, in constant time. */
bool sign_check(const char *secret, const struct sign_message *message, const char *header);

#endif
