/* SPDX-License-Identifier: MIT */
/*
 * crypto_encode - bytes as text and back: hexadecimal, base64, base64url; libsodium's.
 *
 * Shape:   hexadecimal lower case (both cases are read); base64 with padding, base64url without
 * Units:   bytes; every decoder takes exactly len characters. After a failure hex_decode() has
 *          written nothing, the others perhaps a part.
 * Errors:  RC_INVALID  a character of another alphabet, a length or bits that no encoder leaves,
 *                      or more bytes than there is room for
 * Source:  RFC 4648 sections 4, 5 and 8
 */
#ifndef GANTRY_CRYPTO_CRYPTO_ENCODE_H
#define GANTRY_CRYPTO_CRYPTO_ENCODE_H

#include <stddef.h>
#include <stdint.h>

#include "base/rc.h"

#define HEX_LEN(n)       ((n)*2 + 1)             /* characters of n bytes, with the NUL */
#define BASE64_LEN(n)    (((n) + 2) / 3 * 4 + 1) /* with the NUL */
#define BASE64URL_LEN(n) (((n)*4 + 2) / 3 + 1)   /* with the NUL */

void hex_encode(const uint8_t *bytes, size_t len, char *text);
enum rc hex_decode(const char *text, size_t len, uint8_t *bytes /* len / 2 */);

void base64_encode(const uint8_t *bytes, size_t len, char *text);
enum rc base64_decode(const char *text, size_t len, uint8_t *bytes, size_t cap, size_t *out_len);

void base64url_encode(const uint8_t *bytes, size_t len, char *text);
enum rc base64url_decode(const char *text, size_t len, uint8_t *bytes, size_t cap, size_t *out_len);

#endif
