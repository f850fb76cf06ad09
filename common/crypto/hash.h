/* SPDX-License-Identifier: MIT */
/*
 * hash - SHA-256 and HMAC-SHA-256; the one door to OpenSSL's digests.
 *
 * OpenSSL picks the processor's SHA instructions. Its low-level functions are used on purpose: the
 * state lives on the stack, nothing is allocated and nothing can fail, and hashing the two children
 * of a tree node costs a third of what it costs through an EVP context.
 *
 * Units:   bytes
 * Threads: any
 * Source:  FIPS 180-4, RFC 2104
 */
#ifndef GANTRY_CRYPTO_HASH_H
#define GANTRY_CRYPTO_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HASH_LEN      32 /* bytes */
#define HASH_TEXT_MAX 65 /* 64 hexadecimal digits and a NUL */

struct hash_part {
    const void *data;
    size_t len;
};

/* The digest of the parts one after the other. out may be one of the parts. */
void hash_sha256(const struct hash_part *parts, size_t count, uint8_t out[HASH_LEN]);
void hash_sha256_bytes(const void *data, size_t len, uint8_t out[HASH_LEN]);

void hmac_sha256(const uint8_t *key, size_t key_len, const struct hash_part *parts, size_t count,
                 uint8_t out[HASH_LEN]);

/* Compare in a time that does not depend on where they differ. */
bool hash_equal(const uint8_t a[HASH_LEN], const uint8_t b[HASH_LEN]);

#endif
