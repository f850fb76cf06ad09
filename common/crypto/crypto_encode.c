/* SPDX-License-Identifier: MIT */
#include "crypto/crypto_encode.h"

#include <ctype.h>
#include <sodium.h>

#define STANDARD sodium_base64_VARIANT_ORIGINAL
#define URL_SAFE sodium_base64_VARIANT_URLSAFE_NO_PADDING

void
hex_encode(const uint8_t *bytes, size_t len, char *text)
{
    (void)sodium_bin2hex(text, HEX_LEN(len), bytes, len);
}

enum rc
hex_decode(const char *text, size_t len, uint8_t *bytes)
{
    size_t out_len;
    if (len % 2 != 0)
        return RC_INVALID;
    for (size_t i = 0; i < len; i++)
        if (!isxdigit((unsigned char)text[i]))
            return RC_INVALID;
    return sodium_hex2bin(bytes, len / 2, text, len, NULL, &out_len, NULL) == 0 ? RC_OK
                                                                                : RC_INVALID;
}

static enum rc
decode(const char *text, size_t len, int variant, uint8_t *bytes, size_t cap, size_t *out_len)
{
    size_t n;
    if (sodium_base642bin(bytes, cap, text, len, NULL, &n, NULL, variant) != 0)
        return RC_INVALID;
    *out_len = n;
    return RC_OK;
}

void
base64_encode(const uint8_t *bytes, size_t len, char *text)
{
    (void)sodium_bin2base64(text, BASE64_LEN(len), bytes, len, STANDARD);
}

enum rc
base64_decode(const char *text, size_t len, uint8_t *bytes, size_t cap, size_t *out_len)
{
    return decode(text, len, STANDARD, bytes, cap, out_len);
}

void
base64url_encode(const uint8_t *bytes, size_t len, char *text)
{
    (void)sodium_bin2base64(text, BASE64URL_LEN(len), bytes, len, URL_SAFE);
}

enum rc
base64url_decode(const char *text, size_t len, uint8_t *bytes, size_t cap, size_t *out_len)
{
    return decode(text, len, URL_SAFE, bytes, cap, out_len);
}
