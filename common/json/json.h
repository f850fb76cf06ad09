/* SPDX-License-Identifier: MIT */
/*
 * json - strict reading (RFC 8259, I-JSON) and safe writing of JSON; the one door to cJSON.
 *
 * Reading: first one pass over the bytes (grammar, UTF-8, depth, no raw control characters, no lone
 * surrogates, no trailing bytes), then cJSON, then duplicate members. A UTF-8 byte order mark before
 * the text is skipped. What is malformed is RC_CORRUPT (HTTP 400 malformed_json); what is
 * well-formed but outside our bounds (depth over JSON_DEPTH_MAX, \u0000, numbers beyond 2^53) is
 * RC_INVALID (422 invalid_request) and err names it.
 * Out of memory never looks like a syntax error: cJSON's allocator exits the process, and the
 * supervisor and redelivery do the rest (bound the input first: one node is 64 bytes).
 *
 * Writing: a streaming writer into a buf; nobody else prints a brace.
 *
 * Source: RFC 8259, RFC 7493, RFC 8785 (canonical form), contract 4.1
 */
#ifndef GANTRY_JSON_JSON_H
#define GANTRY_JSON_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/rc.h"

#define JSON_DEPTH_MAX 16
#define JSON_FIELD_MAX 96 /* bytes of a field's name with the NUL; longer ones are cut */
#define JSON_INT_MAX   9007199254740992LL /* 2^53 */

void json_cleanup(cJSON **doc); /* AUTO(json) cJSON *doc = NULL */
/* Zero the texts of a document that holds secrets; NULL is fine. AUTO(json_secret) does both. */
void json_wipe(cJSON *doc);
void json_secret_cleanup(cJSON **doc);

/* On RC_OK *out is owned by the caller (json_cleanup, cJSON_Delete). */
enum rc json_read(const char *text, size_t len, cJSON **out, struct err *err);

/* The same; on RC_INVALID field names the value that breaks a rule: "facts[2].object", "" for the
 * whole document. */
enum rc json_read_field(const char *text, size_t len, cJSON **out, char field[JSON_FIELD_MAX],
                        struct err *err);

/* For what json_canonical() wrote, which makes integers of any size of doubles. */
enum rc json_read_canonical(const char *text, size_t len, cJSON **out, struct err *err);

/* For what a server of ours says about others: well-formed, but not held to our bounds. Nobody may
 * hide from a list of connections by a control character in a name. */
enum rc json_read_foreign(const char *text, size_t len, cJSON **out, struct err *err);

/* For output of a task that is passed on as it stands: like json_read(), but numbers of any size pass, and no
 * byte order mark. The numbers of *out are doubles. */
enum rc json_read_exact(const char *text, size_t len, cJSON **out, struct err *err);

/* Members by name, case-sensitive; NULL or the fallback when absent or of another type. */
const cJSON *json_member(const cJSON *object, const char *name);
const char *json_string(const cJSON *object, const char *name); /* NULL when absent */
bool json_has_text(const cJSON *array, const char *text);       /* one of its items is this text */
int64_t json_int(const cJSON *object, const char *name, int64_t fallback);
double json_number(const cJSON *object, const char *name, double fallback);
bool json_bool(const cJSON *object, const char *name, bool fallback);

/* Whether value is a whole number that a double holds exactly. */
bool json_is_int(double value);

#define JSON_NUMBER_TEXT_MAX 32 /* bytes with the NUL */

/* The shortest text that reads back as value, in ECMAScript's form; "" if value is not finite. */
const char *json_format_number(double value, char text[JSON_NUMBER_TEXT_MAX]);

/* The members of object sorted as RFC 8785 wants them (by UTF-16 code units of their names);
 * returns their count. *out is the caller's to free(), NULL for none. */
size_t json_sorted(const cJSON *object, const cJSON ***out);

/* RFC 8785 canonical bytes of doc; members named in skip (NULL-terminated, may be NULL) are left
 * out at the top level. RC_LIMIT if out overflows. */
enum rc json_canonical(const cJSON *doc, const char *const *skip, struct buf *out);

/* The writer. Errors (nesting, overflow) are sticky; json_end() returns them once. */
#define JSON_WRITER_DEPTH 24
struct json_writer {
    struct buf *out; /* borrowed */
    unsigned depth;
    bool comma[JSON_WRITER_DEPTH];
    char close[JSON_WRITER_DEPTH];
    bool canonical; /* json_canonical.c: numbers as RFC 8785 has them */
    bool broken;
};

void json_begin(struct json_writer *w, struct buf *out);
enum rc json_end(struct json_writer *w);
/* name is NULL inside arrays and for the root. */
void json_object(struct json_writer *w, const char *name);
void json_array(struct json_writer *w, const char *name);
void json_close(struct json_writer *w);
void json_put_string(struct json_writer *w, const char *name, const char *text);
void json_put_bytes(struct json_writer *w, const char *name, const char *text, size_t len);
void json_put_int(struct json_writer *w, const char *name, int64_t value);
void json_put_number(struct json_writer *w, const char *name, double value);
void json_put_bool(struct json_writer *w, const char *name, bool value);
void json_put_null(struct json_writer *w, const char *name);
void json_put_time(struct json_writer *w, const char *name, int64_t wall_ms);
/* null for a text that is NULL or empty, for a time that is not after 1970-01-01. */
void json_put_string_or_null(struct json_writer *w, const char *name, const char *text);
void json_put_time_or_null(struct json_writer *w, const char *name, int64_t wall_ms);
/* Already encoded JSON, e.g. a jsonb column; the caller vouches for it. */
void json_put_raw(struct json_writer *w, const char *name, const char *json, size_t len);
void json_put_doc(struct json_writer *w, const char *name, const cJSON *doc);
/* The members of an encoded object become members of the one that is open. */
void json_put_members(struct json_writer *w, const char *object, size_t len);

#endif
