/* SPDX-License-Identifier: MIT */
/*
 * crypto - the one door to libsodium and libargon2: signatures, sealing, keyed hashes, passwords.
 *
 * Units:   bytes
 * Errors:  RC_DENIED a signature or tag that does not fit · RC_TEMP no memory for Argon2
 * Source:  RFC 8032 (Ed25519), RFC 9106 (Argon2id, v1.3), XChaCha20-Poly1305 (libsodium), BLAKE2b
 * Threads: any, after crypto_init()
 */
#ifndef GANTRY_CRYPTO_CRYPTO_H
#define GANTRY_CRYPTO_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rc.h"
#include "crypto/hash.h"

#define CRYPTO_KEY_LEN    32
#define CRYPTO_HASH_LEN   32
#define CRYPTO_SEED_LEN   32
#define CRYPTO_PUBLIC_LEN 32
#define CRYPTO_SIG_LEN    64
#define CRYPTO_SEAL_EXTRA 40 /* nonce 24 + tag 16 */
#define CRYPTO_PWHASH_MAX 128

enum rc crypto_init(struct err *err);
void crypto_random(void *out, size_t len);
void crypto_wipe(void *secret, size_t len);
bool crypto_equal(const void *a, const void *b, size_t len); /* constant time */

/* BLAKE2b-256 under a key (keyed hash of API keys in caches, Redis keys of content). */
void crypto_keyed_hash(const uint8_t key[CRYPTO_KEY_LEN], const void *data, size_t len,
                       uint8_t out[CRYPTO_HASH_LEN]);
/* The same of the parts one after the other: a MAC, to be compared by crypto_equal(). */
void crypto_mac(const uint8_t key[CRYPTO_KEY_LEN], const struct hash_part *parts, size_t count,
                uint8_t out[CRYPTO_HASH_LEN]);
/* A subkey for one purpose: keyed hash of the label. */
void crypto_subkey(const uint8_t key[CRYPTO_KEY_LEN], const char *label,
                   uint8_t out[CRYPTO_KEY_LEN]);

/* Ed25519, from the 32-byte seed. (crypto_sign is a name of libsodium.) */
struct crypto_signer {
    uint8_t public_key[CRYPTO_PUBLIC_LEN];
    uint8_t secret[64];
};
void crypto_signer_init(struct crypto_signer *signer, const uint8_t seed[CRYPTO_SEED_LEN]);
void crypto_signature(const struct crypto_signer *signer, const void *data, size_t len,
                      uint8_t sig[CRYPTO_SIG_LEN]);
enum rc crypto_verify(const uint8_t public_key[CRYPTO_PUBLIC_LEN], const void *data, size_t len,
                      const uint8_t sig[CRYPTO_SIG_LEN]);

/* XChaCha20-Poly1305 with a random nonce in front; context binds the box to its place (e.g.
 * "job:<ws>:<id>:params"). sealed has room for len + CRYPTO_SEAL_EXTRA. */
void crypto_seal(const uint8_t key[CRYPTO_KEY_LEN], const char *context, const void *data,
                 size_t len, uint8_t *sealed);
enum rc crypto_open(const uint8_t key[CRYPTO_KEY_LEN], const char *context, const uint8_t *sealed,
                    size_t sealed_len, uint8_t *data /* sealed_len - CRYPTO_SEAL_EXTRA */);

/* Argon2id, m=19 MiB, t=2, p=1 (OWASP's minimum, contract 4.2), PHC string. Blocks for 20 ms. */
enum rc crypto_password_hash(const void *secret, size_t len, char out[CRYPTO_PWHASH_MAX],
                             struct err *err);
/* RC_OK match · RC_DENIED no match · RC_TEMP no memory */
enum rc crypto_password_verify(const char *phc, const void *secret, size_t len);

#endif
