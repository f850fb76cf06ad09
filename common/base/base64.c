/* SPDX-License-Identifier: MIT */
#include "base/base64.h"

#include <string.h>

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
base64_encode(const uint8_t *bytes, size_t len, char *text)
{
    for (size_t i = 0; i < len; i += 3) {
        size_t have = len - i < 3 ? len - i : 3;
        uint32_t group = (uint32_t)bytes[i] << 16 | (have > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                         (have > 2 ? bytes[i + 2] : 0);
        *text++ = ALPHABET[group >> 18];
        *text++ = ALPHABET[group >> 12 & 63];
        *text++ = have > 1 ? ALPHABET[group >> 6 & 63] : '=';
        *text++ = have > 2 ? ALPHABET[group & 63] : '=';
    }
    *text = '\0';
}

enum rc
base64_decode(const char *text, size_t len, uint8_t *bytes, size_t cap, size_t *out_len)
{
    size_t pad = 0, have;

    if (len % 4 != 0)
        return RC_INVALID;
    while (pad < 2 && pad < len && text[len - 1 - pad] == '=')
        pad++;
    have = len / 4 * 3 - pad;
    if (have > cap)
        return RC_INVALID;
    for (size_t i = 0, at = 0; i < len; i += 4) {
        uint32_t group = 0;
        for (size_t j = 0; j < 4; j++) {
            const char *found =
                i + j < len - pad && text[i + j] != '\0' ? strchr(ALPHABET, text[i + j]) : NULL;
            if (!found && i + j < len - pad)
                return RC_INVALID;
            group = group << 6 | (found ? (uint32_t)(found - ALPHABET) : 0);
        }
        for (unsigned j = 0; j < 3; j++) {
            uint8_t byte = (uint8_t)(group >> (16 - 8 * j));
            if (at < have)
                bytes[at++] = byte;
            else if (byte != 0) /* bits that no encoder leaves: two texts for the same bytes */
                return RC_INVALID;
        }
    }
    *out_len = have;
    return RC_OK;
}
