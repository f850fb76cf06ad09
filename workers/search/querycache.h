/* SPDX-License-Identifier: MIT */
/*
 * querycache - remote embeddings of queries, in Redis for a day.
 *
 * Used with a remote embedding server only. The key is an HMAC of workspace, model and query, so
 * that Redis learns no query and no workspace can probe another's by timing. A Redis that is down
 * costs a request to the embedding server, nothing else.
 */
#ifndef QUERYCACHE_H
#define QUERYCACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/hash.h"
#include "kv/kv.h"

struct querycache {
    uint8_t key[HASH_LEN];
    int64_t down_until_ms; /* monotonic: Redis is left alone until then */
};

/* secret: what all replicas know (the embedding server's key); NULL = a key of this process. */
void querycache_init(struct querycache *cache, const char *secret);
struct querycache_entry {
    const char *workspace, *model, *query;
};
/* half: len bytes, the binary form of a halfvec. */
bool querycache_get(struct querycache *cache, struct kv *kv, const struct querycache_entry *entry,
                    uint8_t *half, size_t len);
void querycache_put(struct querycache *cache, struct kv *kv, const struct querycache_entry *entry,
                    const uint8_t *half, size_t len);

#endif
