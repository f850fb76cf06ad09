/* SPDX-License-Identifier: MIT */
/*
 * base64 - the standard alphabet with padding, as signed notes use it (id.h has base64url).
 *
 * Errors: RC_INVALID  not canonical base64, or more than cap bytes
 * Source: RFC 4648 section 4
 */
#ifndef GANTRY_BASE64_H
#define GANTRY_BASE64_H

#include <stddef.h>
#include <stdint.h>

#include "base/rc.h"

#define BASE64_LEN(n) (((n) + 2) / 3 * 4 + 1) /* with the NUL */

void base64_encode(const uint8_t *bytes, size_t len, char *text);
enum rc base64_decode(const char *text, size_t len, uint8_t *bytes, size_t cap, size_t *out_len);

#endif
