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
#define WAIT_MS     250

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

bool
querycache_works(const struct querycache *cache, const struct kv *kv)
{
    return kv && clock_mono_ms() >= cache->down_until_ms;
}

void
querycache_ask(struct querycache *cache, struct kv *kv, const struct querycache_entry *entry,
               kv_fn *fn, void *arg)
{
    char key[KEY_MAX];
    struct kv_command cmd = { 0 };
    key_of(cache, entry, key);
    kv_add(&cmd, "GET");
    kv_add(&cmd, key);
    kv_call(kv, &cmd, WAIT_MS, fn, arg);
}

bool
querycache_found(struct querycache *cache, enum rc rc, const struct kv_reply *reply, uint8_t *half,
                 size_t len)
{
    if (rc != RC_OK) {
        cache->down_until_ms = clock_mono_ms() + DOWN_MS;
        return false;
    }
    if (reply->type != KV_TEXT || reply->len != len)
        return false;
    memcpy(half, reply->text, len);
    return true;
}

static void
on_put(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    struct querycache *cache = arg;
    (void)reply;
    (void)err;
    if (rc != RC_OK)
        cache->down_until_ms = clock_mono_ms() + DOWN_MS;
}

void
querycache_put(struct querycache *cache, struct kv *kv, const struct querycache_entry *entry,
               const uint8_t *half, size_t len)
{
    char key[KEY_MAX];
    struct kv_command cmd = { 0 };
    if (!querycache_works(cache, kv))
        return;
    key_of(cache, entry, key);
    kv_add(&cmd, "SET");
    kv_add(&cmd, key);
    kv_add_bytes(&cmd, half, len);
    kv_add(&cmd, "EX");
    kv_add_int(&cmd, TTL_SECONDS);
    kv_call(kv, &cmd, WAIT_MS, on_put, cache);
}
