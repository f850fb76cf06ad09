/* SPDX-License-Identifier: MIT */
#include "crypto/hash.h"

#include <string.h>

/* The low-level functions are deprecated in favour of EVP; hash.h says why they are used. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/sha.h>

#define BLOCK_LEN 64

void
hash_sha256(const struct hash_part *parts, size_t count, uint8_t out[HASH_LEN])
{
    SHA256_CTX state;

    SHA256_Init(&state);
    for (size_t i = 0; i < count; i++)
        SHA256_Update(&state, parts[i].data, parts[i].len);
    SHA256_Final(out, &state);
}

void
hash_sha256_bytes(const void *data, size_t len, uint8_t out[HASH_LEN])
{
    struct hash_part part = { data, len };

    hash_sha256(&part, 1, out);
}

void
hmac_sha256(const uint8_t *key, size_t key_len, const struct hash_part *parts, size_t count,
            uint8_t out[HASH_LEN])
{
    uint8_t block[BLOCK_LEN] = { 0 }, pad[BLOCK_LEN], inner[HASH_LEN];
    SHA256_CTX state;

    if (key_len > BLOCK_LEN)
        hash_sha256_bytes(key, key_len, block);
    else if (key_len > 0)
        memcpy(block, key, key_len);

    for (size_t i = 0; i < BLOCK_LEN; i++)
        pad[i] = block[i] ^ 0x36;
    SHA256_Init(&state);
    SHA256_Update(&state, pad, BLOCK_LEN);
    for (size_t i = 0; i < count; i++)
        SHA256_Update(&state, parts[i].data, parts[i].len);
    SHA256_Final(inner, &state);

    for (size_t i = 0; i < BLOCK_LEN; i++)
        pad[i] = block[i] ^ 0x5c;
    SHA256_Init(&state);
    SHA256_Update(&state, pad, BLOCK_LEN);
    SHA256_Update(&state, inner, HASH_LEN);
    SHA256_Final(out, &state);

    OPENSSL_cleanse(block, sizeof(block));
    OPENSSL_cleanse(pad, sizeof(pad));
    OPENSSL_cleanse(inner, sizeof(inner));
    OPENSSL_cleanse(&state, sizeof(state));
}

bool
hash_equal(const uint8_t a[HASH_LEN], const uint8_t b[HASH_LEN])
{
    return CRYPTO_memcmp(a, b, HASH_LEN) == 0;
}
