/* SPDX-License-Identifier: MIT */
/*
 * json_pointer - a value in a document by its JSON Pointer.
 *
 * Source: RFC 6901. "-" names nothing; array indexes have no leading zero.
 */
#ifndef GANTRY_JSON_JSON_POINTER_H
#define GANTRY_JSON_JSON_POINTER_H

#include <stdbool.h>

#include "json/json.h"

/* Whether the text is a pointer: empty, or "/" and tokens with ~0 and ~1 only. */
bool json_pointer_valid(const char *pointer, size_t len);
/* NULL when there is no such value, or the text is no pointer. */
const cJSON *json_pointer(const cJSON *doc, const char *pointer, size_t len);

#endif
