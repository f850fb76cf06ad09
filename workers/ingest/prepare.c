/* SPDX-License-Identifier: MIT */
/*
 * prepare - hashes, tags, JSON; and what no schema can check.
 */
#include "prepare.h"

#include <string.h>

#include "base/cleanup.h"
#include "crypto/crypto_encode.h"
#include "db/column.h"
#include "ingest.h"
#include "validate/secrets.h"

#define JSON_TEXT_MAX (256u * 1024) /* bytes: 16 KiB of metadata, escaped */

void
prepare_hash(const char *text, uint8_t hash[HASH_LEN], char hex[HASH_TEXT_MAX])
{
    hash_sha256_bytes(text, strlen(text), hash);
    hex_encode(hash, HASH_LEN, hex);
}

static bool
seen_before(const cJSON *tags, const cJSON *tag)
{
    for (const cJSON *other = tags->child; other != tag; other = other->next)
        if (strcmp(other->valuestring, tag->valuestring) == 0)
            return true;
    return false;
}

const char *
prepare_tags(struct call *call, const cJSON *tags)
{
    AUTO(buf) struct buf out = { 0 };
    const cJSON *tag;
    if (!tags || !tags->child)
        return "{}";
    buf_init(&out, JSON_TEXT_MAX);
    literal_begin(&out);
    cJSON_ArrayForEach (tag, tags) {
        if (!seen_before(tags, tag))
            literal_text(&out, tag->valuestring);
    }
    literal_end(&out);
    return buf_failed(&out) ? NULL : arena_strndup(call->mem, buf_text(&out), out.len);
}

const char *
prepare_json(struct call *call, const cJSON *doc, const char *fallback)
{
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    if (!doc)
        return fallback;
    buf_init(&out, JSON_TEXT_MAX);
    json_begin(&w, &out);
    json_put_doc(&w, NULL, doc);
    return json_end(&w) == RC_OK ? arena_strndup(call->mem, buf_text(&out), out.len) : NULL;
}

bool
ingest_check_secrets(struct call *call)
{
    char field[SECRETS_FIELD_MAX];
    struct field_errors errors = { 0 };
    const char *kind = secrets_find_json(call->body, field);
    if (!kind)
        return true;
    field_errors_add(&errors, field, "looks like a credential: %s", kind);
    call_problem(call, PROBLEM_SECRET_IN_TEXT, &errors,
                 "A credential must not be stored as a memory.");
    return false;
}
