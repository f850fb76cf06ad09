/* SPDX-License-Identifier: MIT */
/*
 * nkey - the text form of NATS's Ed25519 keys.
 *
 * Shape:   base32 (RFC 4648, no padding) of a kind byte, 32 key bytes and their CRC-16/XMODEM in
 *          little-endian order: 56 characters that start with A (account), U (user) or N (server).
 *          A seed carries 'S' and its kind in two leading bytes: 58 characters from "SA", "SU", "SN".
 * Errors:  RC_INVALID  not of the shape, an unknown kind, or a wrong checksum
 * Source:  github.com/nats-io/nkeys (strkey encoding), RFC 8032
 */
#ifndef GANTRY_GATEWAY_LOGINS_NKEY_H
#define GANTRY_GATEWAY_LOGINS_NKEY_H

#include <stdint.h>

#include "base/rc.h"
#include "crypto/crypto.h"

#define NKEY_TEXT_MAX 57 /* a public key and its NUL */
#define NKEY_SEED_MAX 59 /* a seed and its NUL; wipe after use */

enum nkey_kind { NKEY_ACCOUNT, NKEY_USER, NKEY_SERVER, NKEY_KIND_COUNT };

void nkey_encode(enum nkey_kind kind, const uint8_t public_key[CRYPTO_PUBLIC_LEN],
                 char text[NKEY_TEXT_MAX]);
enum rc nkey_decode(const char *text, enum nkey_kind *kind, uint8_t public_key[CRYPTO_PUBLIC_LEN]);

void nkey_seed_encode(enum nkey_kind kind, const uint8_t seed[CRYPTO_SEED_LEN],
                      char text[NKEY_SEED_MAX]);
enum rc nkey_seed_decode(const char *text, enum nkey_kind *kind, uint8_t seed[CRYPTO_SEED_LEN]);

#endif
