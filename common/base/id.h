/* SPDX-License-Identifier: MIT */
/*
 * id - identifiers: UUIDs, workspace names, request ids; hexadecimal, base64url and base62.
 *
 * Shape:  UUIDs are written in lower case with hyphens, 36 characters
 *         workspace  [a-z0-9][a-z0-9_-]{0,62}
 *         request id [A-Za-z0-9._:-]{1,128}, and not shaped like a credential
 * Errors: RC_INVALID  the text is not of the shape
 * Source: RFC 9562 (UUIDv7), RFC 4648 section 5 (base64url without padding), contract 4.1 and 5
 */
#ifndef GANTRY_BASE_ID_H
#define GANTRY_BASE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rc.h"

#define ID_TEXT_MAX        37  /* a UUID and its NUL */
#define WORKSPACE_TEXT_MAX 64  /* 63 characters and a NUL */
#define REQUEST_ID_MAX     129 /* 128 characters and a NUL */

/* A new UUIDv7 (millisecond time, then random bits, monotonic within the process). */
void id_new(char text[ID_TEXT_MAX]);
/* A new UUIDv4: all random. */
void id_new_random(char text[ID_TEXT_MAX]);
/* Accepts upper case, writes lower case. */
enum rc id_parse(const char *text, size_t len, char out[ID_TEXT_MAX]);
bool id_valid(const char *text);

bool workspace_valid(const char *text, size_t len);
bool request_id_valid(const char *text, size_t len);

#endif
