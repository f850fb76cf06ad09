/* SPDX-License-Identifier: MIT */
/*
 * item - what a command's body says, and its answer.
 */
#include "item.h"

#include <string.h>

#include "base/blank.h"
#include "base/cleanup.h"
#include "crypto/crypto_encode.h"
#include "prepare.h"

#define FACT_MIN_CONFIDENCE 0.75
#define FACTS_MAX           (1024u * 1024) /* bytes of facts as JSON, escaped */

static bool
is_blank(const char *text)
{
    return !text || blank_text(text);
}

/* Lengths in between, so that no two different facts are the same bytes. */
static void
hash_fact(const char *const part[3], char text[HASH_TEXT_MAX])
{
    uint64_t lengths[3];
    struct hash_part parts[4] = { { lengths, sizeof(lengths) } };
    uint8_t hash[HASH_LEN];
    for (size_t i = 0; i < 3; i++) {
        lengths[i] = strlen(part[i]);
        parts[i + 1] = (struct hash_part){ part[i], lengths[i] };
    }
    hash_sha256(parts, 4, hash);
    hex_encode(hash, HASH_LEN, text);
}

static void
write_fact(struct json_writer *w, const cJSON *fact, const char *const part[3], int64_t position)
{
    char hash[HASH_TEXT_MAX];
    hash_fact(part, hash);
    json_object(w, NULL);
    json_put_string(w, "hash", hash);
    json_put_int(w, "position", position);
    json_put_string(w, "subject", part[0]);
    json_put_string(w, "predicate", part[1]);
    json_put_string(w, "object", part[2]);
    if (json_member(fact, "confidence"))
        json_put_number(w, "confidence", json_number(fact, "confidence", 0));
    json_close(w);
}

/* A fact is kept if it is sure enough, or said explicitly, and complete. */
static enum rc
read_facts(struct item *item)
{
    const cJSON *facts = json_member(item->call->body, "facts"), *fact;
    bool explicit = strcmp(item->source, "explicit") == 0;
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    buf_init(&out, FACTS_MAX);
    json_begin(&w, &out);
    json_array(&w, NULL);
    cJSON_ArrayForEach (fact, facts) {
        const char *part[3] = { json_string(fact, "subject"), json_string(fact, "predicate"),
                                json_string(fact, "object") };
        bool sure = explicit || json_number(fact, "confidence", 0) >= FACT_MIN_CONFIDENCE;
        if (!sure || is_blank(part[0]) || is_blank(part[1]) || is_blank(part[2])) {
            item->skipped++;
            continue;
        }
        write_fact(&w, fact, part, item->kept++);
    }
    json_close(&w);
    enum rc rc = json_end(&w);
    if (rc != RC_OK || item->kept == 0)
        return rc;
    item->facts = arena_strndup(item->call->mem, buf_text(&out), out.len);
    return item->facts ? RC_OK : RC_LIMIT;
}

enum rc
item_read(struct call *call, struct item *item)
{
    *item = (struct item){ .call = call };
    item->scope = json_string(call->body, "scope");
    item->text = json_string(call->body, "text");
    item->source = json_string(call->body, "source");
    if (!item->source)
        item->source = "unknown";
    item->ttl_seconds = json_int(call->body, "ttl_seconds", 0);
    item->tags = prepare_tags(call, json_member(call->body, "tags"));
    item->metadata = prepare_json(call, json_member(call->body, "metadata"), "{}");
    prepare_hash(item->text, item->hash, item->hash_text);
    if (!item->scope || !item->text || !item->tags || !item->metadata)
        return RC_TEMP;
    return read_facts(item) == RC_OK ? RC_OK : RC_TEMP;
}

void
item_answer(struct item *item, const struct item_record *record)
{
    struct call *call = item->call;
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    struct err err = { 0 };
    item->answered = true;
    buf_init(&out, 4096);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_string(&w, "status", "success");
    json_put_string(&w, "message", "Memory ingested");
    json_put_string(&w, "id", record->memory);
    json_put_string(&w, "tenant_id", call->actor.workspace);
    json_put_string(&w, "scope", item->scope);
    json_put_string(&w, "content_hash", item->hash_text);
    json_put_bool(&w, "deduplicated", record->deduplicated && record->deduplicated[0] == 't');
    json_put_int(&w, "facts_stored", record->kept);
    json_put_int(&w, "facts_skipped", record->skipped);
    json_close(&w);
    if (json_end(&w) == RC_OK) {
        call_answer(call, 200, &out);
        return;
    }
    (void)err_set(&err, RC_BUG, "the answer does not fit");
    call_fail(call, &err);
}
