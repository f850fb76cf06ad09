/* SPDX-License-Identifier: MIT */
/*
 * json_scan - one strict pass over the bytes of a JSON text, before anything is allocated for it.
 *
 * Errors: RC_CORRUPT  not JSON in UTF-8 (wins over RC_INVALID)
 *         RC_INVALID  JSON, but with U+0000 in a string, a number out of range, or nested too deeply
 * Source: RFC 8259; RFC 7493 section 2.1 and 2.2
 */
#ifndef GANTRY_JSON_JSON_SCAN_H
#define GANTRY_JSON_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/rc.h"
#include "json/json.h"

#define JSON_NUMBER_MAX     60 /* characters; cJSON reads no more than 63 */
#define JSON_PLAIN_NAME_MAX 64 /* characters of a member name that is repeated in an answer */

/* any_integer: also beyond 2^53. field may be NULL. On RC_INVALID it names the value that breaks a rule, as schema_check() does. */
enum rc json_scan(const char *text, size_t len, bool any_integer, char field[JSON_FIELD_MAX],
                  struct err *err);

/* The same for text that is passed on as it stands: numbers of any size and length, no byte order mark.
 * text is a copy to judge: a number longer than cJSON reads becomes 0 in it. */
enum rc json_scan_exact(char *text, size_t len, struct err *err);

/* Bytes of the byte order mark before text, which RFC 8259 section 8.1 lets a reader skip: 0 or 3. */
size_t json_mark_len(const char *text, size_t len);

#define DEL 0x7f
/* How many of the next bytes are plain: printable ASCII without quote and backslash. */
size_t json_plain_run(const char *at, const char *end);

#endif
