/* SPDX-License-Identifier: MIT */
/*
 * querycache - remote embeddings of queries, in Redis for a day.
 *
 * Used with a remote embedding server only. The key is an HMAC of workspace, model and query, so
 * that Redis learns no query and no workspace can probe another's by timing. A Redis that is down
 * costs a request to the embedding server, nothing else.
 *
 * Threads: the loop's, which never waits for Redis
 */
#ifndef GANTRY_SEARCH_QUERYCACHE_H
#define GANTRY_SEARCH_QUERYCACHE_H

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
/* fn gets the reply: querycache_found() says what it is. */
void querycache_ask(struct querycache *cache, struct kv *kv, const struct querycache_entry *entry,
                    kv_fn *fn, void *arg);
/* Whether half was there: then it has its len bytes, the binary form of a halfvec. */
bool querycache_found(struct querycache *cache, enum rc rc, const struct kv_reply *reply,
                      uint8_t *half, size_t len);
/* False: Redis has just failed, and is left alone. */
bool querycache_works(const struct querycache *cache, const struct kv *kv);
void querycache_put(struct querycache *cache, struct kv *kv, const struct querycache_entry *entry,
                    const uint8_t *half, size_t len);

#endif
