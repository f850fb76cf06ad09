/* SPDX-License-Identifier: MIT */
/*
 * querycache - GET and SET … EX under keyed hashes.
 */
#include "querycache.h"

#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "crypto/crypto.h"
#include "crypto/crypto_encode.h"

#define KEY_PREFIX  "gantry:embed:"
#define KEY_MAX     (sizeof(KEY_PREFIX) + HASH_TEXT_MAX)
#define TTL_SECONDS 86400
#define DOWN_MS     5000

void
querycache_init(struct querycache *cache, const char *secret)
{
    static const char LABEL[] = "gantry query cache v1";
    cache->down_until_ms = 0;
    if (!secret || !secret[0]) {
        crypto_random(cache->key, sizeof(cache->key));
        return;
    }
    const struct hash_part part = { LABEL, sizeof(LABEL) };
    hmac_sha256((const uint8_t *)secret, strlen(secret), &part, 1, cache->key);
}

static void
key_of(const struct querycache *cache, const struct querycache_entry *entry, char key[KEY_MAX])
{
    const struct hash_part parts[] = { { entry->workspace, strlen(entry->workspace) + 1 },
                                       { entry->model, strlen(entry->model) + 1 },
                                       { entry->query, strlen(entry->query) } };
    uint8_t digest[HASH_LEN];
    hmac_sha256(cache->key, sizeof(cache->key), parts, 3, digest);
    memcpy(key, KEY_PREFIX, sizeof(KEY_PREFIX) - 1);
    hex_encode(digest, HASH_LEN, key + sizeof(KEY_PREFIX) - 1);
}

static struct kv_reply *
call(struct querycache *cache, struct kv *kv, const struct kv_command *cmd)
{
    struct kv_reply *reply = NULL;
    if (!kv || clock_mono_ms() < cache->down_until_ms)
        return NULL;
    if (kv_call_sync(kv, cmd, &reply, NULL) != RC_OK) {
        cache->down_until_ms = clock_mono_ms() + DOWN_MS;
        return NULL;
    }
    return reply;
}

bool
querycache_get(struct querycache *cache, struct kv *kv, const struct querycache_entry *entry,
               uint8_t *half, size_t len)
{
    char key[KEY_MAX];
    struct kv_command cmd = { 0 };
    key_of(cache, entry, key);
    kv_add(&cmd, "GET");
    kv_add(&cmd, key);
    struct kv_reply *reply = call(cache, kv, &cmd);
    bool found = reply && reply->type == KV_TEXT && reply->len == len;
    if (found)
        memcpy(half, reply->text, len);
    if (reply)
        kv_reply_free(reply);
    return found;
}

void
querycache_put(struct querycache *cache, struct kv *kv, const struct querycache_entry *entry,
               const uint8_t *half, size_t len)
{
    char key[KEY_MAX];
    struct kv_command cmd = { 0 };
    key_of(cache, entry, key);
    kv_add(&cmd, "SET");
    kv_add(&cmd, key);
    kv_add_bytes(&cmd, half, len);
    kv_add(&cmd, "EX");
    kv_add_int(&cmd, TTL_SECONDS);
    struct kv_reply *reply = call(cache, kv, &cmd);
    if (reply)
        kv_reply_free(reply);
}
