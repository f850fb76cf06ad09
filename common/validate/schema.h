/* SPDX-License-Identifier: MIT */
/*
 * schema - checks JSON documents against JSON Schema; one mechanism for bodies, tasks and OpenAPI.
 *
 * The schemas of the request bodies are files under common/validate/schemas/, compiled in; those of task
 * parameters come from their manifests. Supported keywords (any other is an error when compiling,
 * so that nothing is silently unchecked): type (string or array of strings), properties, required,
 * additionalProperties (boolean or schema; absent = false for objects that have properties), items,
 * minItems, maxItems, maxProperties, enum, const, minimum, maximum, minLength, maxLength
 * (characters), x-maxBytes (UTF-8 bytes of a string, or of the compact JSON of an object),
 * pattern (POSIX extended, whole value), x-form (what the pattern means, in words), format (uuid, date-time, action-name; text: not blank; name:
 * without control characters; label: a name that is not blank), x-someOf (names of which an object has one at least), x-oneOf (just
 * one), default, description, title, examples, $comment.
 *
 * An optional member that is null, where null is none of its types, is as if absent:
 * schema_drop_nulls() takes it out, before the document is checked or used.
 *
 * Errors:  RC_INVALID  the document breaks rules: each is in errors with its field ("facts[2].object")
 *          RC_CONFIG   the schema itself is not understood
 * Source:  JSON Schema 2020-12 (subset above), contract 4.1
 */
#ifndef GANTRY_VALIDATE_SCHEMA_H
#define GANTRY_VALIDATE_SCHEMA_H

#include <stddef.h>

#include "base/rc.h"
#include "json/json.h"

#define SCHEMA_ERRORS_MAX 16
#define SCHEMA_FIELD_MAX  JSON_FIELD_MAX
#define SCHEMA_DETAIL_MAX 256

struct schema; /* compiled; opaque */

struct field_error {
    char field[SCHEMA_FIELD_MAX];
    char detail
        [SCHEMA_DETAIL_MAX]; /* what is expected and what was found, in words; no text of the value */
};

struct field_errors {
    size_t count; /* at most SCHEMA_ERRORS_MAX; what is beyond is dropped */
    struct field_error items[SCHEMA_ERRORS_MAX];
};

enum rc schema_compile(const cJSON *definition, struct schema **out, struct err *err);
void schema_free(struct schema *schema);
void schema_cleanup(struct schema **schema);

void schema_drop_nulls(const struct schema *schema, cJSON *doc);
enum rc schema_check(const struct schema *schema, const cJSON *doc, struct field_errors *errors);

__attribute__((format(printf, 3, 4))) void
field_errors_add(struct field_errors *errors, const char *field, const char *format, ...);

/* The compiled-in schemas, by file name without ".json": "memory_ingest", "memory_search", …
 * Compiled once at first use; NULL if there is none of that name. Not thread-safe before
 * schema_builtin_init() was called. */
enum rc schema_builtin_init(struct err *err);
const struct schema *schema_builtin(const char *name);
const char *schema_builtin_text(const char *name); /* the JSON text, for OpenAPI */

#endif
