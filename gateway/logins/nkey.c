/* SPDX-License-Identifier: MIT */
#include "logins/nkey.h"

#include <string.h>

#define PUBLIC_RAW 35 /* kind, key, checksum */
#define SEED_RAW   36
#define SEED_KIND  (18u << 3)

static const uint8_t KIND_BYTE[NKEY_KIND_COUNT] = {
    [NKEY_ACCOUNT] = 0 << 3,
    [NKEY_USER] = 20 << 3,
    [NKEY_SERVER] = 13 << 3,
};
static const char BASE32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

static uint16_t
crc16(const uint8_t *bytes, size_t len)
{
    unsigned crc = 0;
    for (size_t i = 0; i < len; i++) {
        crc ^= (unsigned)bytes[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc << 1 ^ (crc & 0x8000 ? 0x1021u : 0)) & 0xffff;
    }
    return (uint16_t)crc;
}

static void
base32_encode(const uint8_t *bytes, size_t len, char *text)
{
    unsigned bits = 0, value = 0;
    for (size_t i = 0; i < len; i++) {
        value = (value << 8 | bytes[i]) & 0xfff;
        bits += 8;
        for (; bits >= 5; bits -= 5)
            *text++ = BASE32[value >> (bits - 5) & 31];
    }
    if (bits > 0)
        *text++ = BASE32[value << (5 - bits) & 31];
    *text = '\0';
}

/* Exactly len bytes from exactly the characters that they take; spare bits must be zero, so that a
 * key has one text only. */
static enum rc
base32_decode(const char *text, uint8_t *bytes, size_t len)
{
    size_t chars = (len * 8 + 4) / 5;
    unsigned bits = 0, value = 0;
    if (strnlen(text, chars + 1) != chars)
        return RC_INVALID;
    for (size_t i = 0; i < chars; i++) {
        const char *at = memchr(BASE32, text[i], 32);
        if (!at)
            return RC_INVALID;
        value = (value << 5 | (unsigned)(at - BASE32)) & 0xfff;
        bits += 5;
        if (bits >= 8) {
            bits -= 8;
            *bytes++ = (uint8_t)(value >> bits);
        }
    }
    return (value & ((1u << bits) - 1)) == 0 ? RC_OK : RC_INVALID;
}

static void
encode(uint8_t *raw, size_t len, char *text)
{
    uint16_t crc = crc16(raw, len - 2);
    raw[len - 2] = (uint8_t)(crc & 0xff);
    raw[len - 1] = (uint8_t)(crc >> 8);
    base32_encode(raw, len, text);
}

static enum rc
decode(const char *text, uint8_t *raw, size_t len)
{
    if (base32_decode(text, raw, len) != RC_OK)
        return RC_INVALID;
    uint16_t crc = crc16(raw, len - 2);
    return raw[len - 2] == (crc & 0xff) && raw[len - 1] == crc >> 8 ? RC_OK : RC_INVALID;
}

static enum rc
find_kind(uint8_t byte, enum nkey_kind *kind)
{
    for (unsigned i = 0; i < NKEY_KIND_COUNT; i++) {
        if (KIND_BYTE[i] == byte) {
            *kind = (enum nkey_kind)i;
            return RC_OK;
        }
    }
    return RC_INVALID;
}

void
nkey_encode(enum nkey_kind kind, const uint8_t public_key[CRYPTO_PUBLIC_LEN],
            char text[NKEY_TEXT_MAX])
{
    uint8_t raw[PUBLIC_RAW] = { KIND_BYTE[kind] };
    memcpy(raw + 1, public_key, CRYPTO_PUBLIC_LEN);
    encode(raw, sizeof(raw), text);
}

enum rc
nkey_decode(const char *text, enum nkey_kind *kind, uint8_t public_key[CRYPTO_PUBLIC_LEN])
{
    uint8_t raw[PUBLIC_RAW];
    enum nkey_kind found;
    if (decode(text, raw, sizeof(raw)) != RC_OK || find_kind(raw[0], &found) != RC_OK)
        return RC_INVALID;
    *kind = found;
    memcpy(public_key, raw + 1, CRYPTO_PUBLIC_LEN);
    return RC_OK;
}

void
nkey_seed_encode(enum nkey_kind kind, const uint8_t seed[CRYPTO_SEED_LEN], char text[NKEY_SEED_MAX])
{
    uint8_t raw[SEED_RAW] = { (uint8_t)(SEED_KIND | KIND_BYTE[kind] >> 5),
                              (uint8_t)((KIND_BYTE[kind] & 31) << 3) };
    memcpy(raw + 2, seed, CRYPTO_SEED_LEN);
    encode(raw, sizeof(raw), text);
    crypto_wipe(raw, sizeof(raw));
}

enum rc
nkey_seed_decode(const char *text, enum nkey_kind *kind, uint8_t seed[CRYPTO_SEED_LEN])
{
    uint8_t raw[SEED_RAW];
    enum nkey_kind found = NKEY_KIND_COUNT;
    enum rc rc = decode(text, raw, sizeof(raw));
    if (rc == RC_OK && (raw[0] & 0xf8) != SEED_KIND)
        rc = RC_INVALID;
    if (rc == RC_OK)
        rc = find_kind((uint8_t)((raw[0] & 7) << 5 | raw[1] >> 3), &found);
    if (rc == RC_OK) {
        *kind = found;
        memcpy(seed, raw + 2, CRYPTO_SEED_LEN);
    }
    crypto_wipe(raw, sizeof(raw));
    return rc;
}
