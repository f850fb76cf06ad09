/* SPDX-License-Identifier: MIT */
/*
 * crypto - the door to libsodium.
 *
 * Argon2id is libsodium's too: it uses the processor's vector instructions where they exist, which
 * takes two thirds of the reference library's time, and its PHC strings are the same.
 */
#include "crypto.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#define PWHASH_PASSES       2
#define PWHASH_MEMORY_BYTES ((size_t)19 * 1024 * 1024)
#define NONCE_LEN           crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_LEN             crypto_aead_xchacha20poly1305_ietf_ABYTES

_Static_assert(NONCE_LEN + TAG_LEN == CRYPTO_SEAL_EXTRA, "the header names the true overhead");
_Static_assert(crypto_pwhash_STRBYTES == CRYPTO_PWHASH_MAX, "a PHC string fits");
_Static_assert(crypto_sign_SECRETKEYBYTES == 64, "the signer has room for the secret");

enum rc
crypto_init(struct err *err)
{
    if (sodium_init() < 0)
        return err_set(err, RC_BUG, "libsodium does not start");
    return RC_OK;
}

void
crypto_random(void *out, size_t len)
{
    randombytes_buf(out, len);
}

void
crypto_wipe(void *secret, size_t len)
{
    sodium_memzero(secret, len);
}

bool
crypto_equal(const void *a, const void *b, size_t len)
{
    return sodium_memcmp(a, b, len) == 0;
}

void
crypto_keyed_hash(const uint8_t key[CRYPTO_KEY_LEN], const void *data, size_t len,
                  uint8_t out[CRYPTO_HASH_LEN])
{
    (void)crypto_generichash(out, CRYPTO_HASH_LEN, data, len, key, CRYPTO_KEY_LEN);
}

void
crypto_subkey(const uint8_t key[CRYPTO_KEY_LEN], const char *label, uint8_t out[CRYPTO_KEY_LEN])
{
    crypto_keyed_hash(key, label, strlen(label), out);
}

void
crypto_signer_init(struct crypto_signer *signer, const uint8_t seed[CRYPTO_SEED_LEN])
{
    (void)crypto_sign_seed_keypair(signer->public_key, signer->secret, seed);
}

void
crypto_signature(const struct crypto_signer *signer, const void *data, size_t len,
                 uint8_t sig[CRYPTO_SIG_LEN])
{
    (void)crypto_sign_detached(sig, NULL, data, len, signer->secret);
}

enum rc
crypto_verify(const uint8_t public_key[CRYPTO_PUBLIC_LEN], const void *data, size_t len,
              const uint8_t sig[CRYPTO_SIG_LEN])
{
    return crypto_sign_verify_detached(sig, data, len, public_key) == 0 ? RC_OK : RC_DENIED;
}

void
crypto_seal(const uint8_t key[CRYPTO_KEY_LEN], const char *context, const void *data, size_t len,
            uint8_t *sealed)
{
    randombytes_buf(sealed, NONCE_LEN);
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(sealed + NONCE_LEN, NULL, data, len,
                                                     (const uint8_t *)context, strlen(context),
                                                     NULL, sealed, key);
}

enum rc
crypto_open(const uint8_t key[CRYPTO_KEY_LEN], const char *context, const uint8_t *sealed,
            size_t sealed_len, uint8_t *data)
{
    if (sealed_len < CRYPTO_SEAL_EXTRA)
        return RC_DENIED;
    int bad = crypto_aead_xchacha20poly1305_ietf_decrypt(
        data, NULL, NULL, sealed + NONCE_LEN, sealed_len - NONCE_LEN, (const uint8_t *)context,
        strlen(context), sealed, key);
    return bad ? RC_DENIED : RC_OK;
}

enum rc
crypto_password_hash(const void *secret, size_t len, char out[CRYPTO_PWHASH_MAX], struct err *err)
{
    if (crypto_pwhash_str_alg(out, secret, len, PWHASH_PASSES, PWHASH_MEMORY_BYTES,
                              crypto_pwhash_ALG_ARGON2ID13) != 0)
        return err_set(err, RC_TEMP, "no memory for Argon2id");
    return RC_OK;
}

/* libsodium reports a mismatch as EINVAL and a failed allocation as ENOMEM; a string that cannot be
 * decoded sets neither and never matches. */
enum rc
crypto_password_verify(const char *phc, const void *secret, size_t len)
{
    errno = 0;
    if (crypto_pwhash_str_verify(phc, secret, len) == 0)
        return RC_OK;
    return errno == ENOMEM ? RC_TEMP : RC_DENIED;
}
