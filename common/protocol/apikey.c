/* SPDX-License-Identifier: MIT */
/*
 * apikey - making and taking apart the text of API keys.
 */
#include "apikey.h"

#include <stdint.h>
#include <string.h>

#include "crypto/crypto.h"

#define CHECKSUM_LEN 6
#define BODY_LEN     (APIKEY_LEN - CHECKSUM_LEN)
#define PREFIX_LEN   (sizeof(APIKEY_PREFIX) - 1)

_Static_assert(PREFIX_LEN + KEY_ID_LEN + APIKEY_SECRET_LEN == BODY_LEN, "the parts fill the key");

static const char DIGITS[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* The polynomial of IEEE 802.3, reflected, four bits at a time. */
static uint32_t
crc32_ieee(const char *text, size_t len)
{
    static const uint32_t STEP[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < len; i++) {
        crc ^= (uint8_t)text[i];
        crc = crc >> 4 ^ STEP[crc & 15];
        crc = crc >> 4 ^ STEP[crc & 15];
    }
    return ~crc;
}

static void
checksum(const char *body, char out[CHECKSUM_LEN])
{
    uint32_t crc = crc32_ieee(body, BODY_LEN);
    for (int i = CHECKSUM_LEN - 1; i >= 0; i--) {
        out[i] = DIGITS[crc % 62];
        crc /= 62;
    }
}

static bool
is_base62(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z'))
            return false;
    }
    return true;
}

enum rc
apikey_parse(const char *text, size_t len, struct apikey *out)
{
    char expected[CHECKSUM_LEN];
    if (len != APIKEY_LEN || memcmp(text, APIKEY_PREFIX, PREFIX_LEN) != 0 ||
        !is_base62(text + PREFIX_LEN, len - PREFIX_LEN))
        return RC_INVALID;
    checksum(text, expected);
    if (memcmp(text + BODY_LEN, expected, CHECKSUM_LEN) != 0)
        return RC_INVALID;
    memcpy(out->id, text + PREFIX_LEN, KEY_ID_LEN);
    out->id[KEY_ID_LEN] = '\0';
    memcpy(out->secret, text + PREFIX_LEN + KEY_ID_LEN, APIKEY_SECRET_LEN);
    out->secret[APIKEY_SECRET_LEN] = '\0';
    return RC_OK;
}

/* Bytes of 248 and above are thrown away, so that each digit is equally likely. */
static void
random_base62(char *out, size_t len)
{
    uint8_t bytes[64];
    size_t done = 0;
    while (done < len) {
        crypto_random(bytes, sizeof(bytes));
        for (size_t i = 0; i < sizeof(bytes) && done < len; i++)
            if (bytes[i] < 248)
                out[done++] = DIGITS[bytes[i] % 62];
    }
    crypto_wipe(bytes, sizeof(bytes));
}

void
apikey_new_with_id(const char *id, struct apikey *out, char text[APIKEY_LEN + 1])
{
    memcpy(text, APIKEY_PREFIX, PREFIX_LEN);
    memcpy(text + PREFIX_LEN, id, KEY_ID_LEN);
    random_base62(text + PREFIX_LEN + KEY_ID_LEN, APIKEY_SECRET_LEN);
    checksum(text, text + BODY_LEN);
    text[APIKEY_LEN] = '\0';
    memcpy(out->id, id, KEY_ID_LEN);
    out->id[KEY_ID_LEN] = '\0';
    memcpy(out->secret, text + PREFIX_LEN + KEY_ID_LEN, APIKEY_SECRET_LEN);
    out->secret[APIKEY_SECRET_LEN] = '\0';
}

void
apikey_new(struct apikey *out, char text[APIKEY_LEN + 1])
{
    char id[KEY_ID_LEN];
    random_base62(id, sizeof(id));
    apikey_new_with_id(id, out, text);
}

void
apikey_wipe(struct apikey *key)
{
    crypto_wipe(key, sizeof(*key));
}
