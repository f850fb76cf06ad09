/* SPDX-License-Identifier: MIT */
/*
 * crypto - the door to libsodium and libargon2.
 */
#include "crypto/crypto.h"

#include <argon2.h>
#include <sodium.h>
#include <string.h>

#define ARGON2_PASSES     2
#define ARGON2_MEMORY_KIB (19 * 1024)
#define ARGON2_LANES      1 /* one lane: the library starts no thread of its own */
#define ARGON2_SALT_LEN   16
#define NONCE_LEN         crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_LEN           crypto_aead_xchacha20poly1305_ietf_ABYTES

_Static_assert(NONCE_LEN + TAG_LEN == CRYPTO_SEAL_EXTRA, "the header names the true overhead");
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
crypto_mac(const uint8_t key[CRYPTO_KEY_LEN], const struct hash_part *parts, size_t count,
           uint8_t out[CRYPTO_HASH_LEN])
{
    crypto_generichash_state state;
    (void)crypto_generichash_init(&state, key, CRYPTO_KEY_LEN, CRYPTO_HASH_LEN);
    for (size_t i = 0; i < count; i++)
        (void)crypto_generichash_update(&state, parts[i].data, parts[i].len);
    (void)crypto_generichash_final(&state, out, CRYPTO_HASH_LEN);
    sodium_memzero(&state, sizeof(state));
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
    uint8_t salt[ARGON2_SALT_LEN];
    char text[CRYPTO_PWHASH_MAX];

    randombytes_buf(salt, sizeof(salt));
    int code = argon2id_hash_encoded(ARGON2_PASSES, ARGON2_MEMORY_KIB, ARGON2_LANES, secret, len,
                                     salt, sizeof(salt), CRYPTO_HASH_LEN, text, sizeof(text));
    if (code != ARGON2_OK)
        return err_set(err, code == ARGON2_MEMORY_ALLOCATION_ERROR ? RC_TEMP : RC_BUG,
                       "Argon2id: %s", argon2_error_message(code));
    memcpy(out, text, sizeof(text));
    return RC_OK;
}

/* A string that cannot be decoded never matches. The library compares in constant time. */
enum rc
crypto_password_verify(const char *phc, const void *secret, size_t len)
{
    int code = argon2id_verify(phc, secret, len);

    if (code == ARGON2_OK)
        return RC_OK;
    return code == ARGON2_MEMORY_ALLOCATION_ERROR ? RC_TEMP : RC_DENIED;
}
