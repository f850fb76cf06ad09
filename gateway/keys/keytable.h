/* SPDX-License-Identifier: MIT */
/*
 * keytable - the valid keys by id, in memory, without secrets.
 *
 * Errors:  none; memory that runs out ends the process (bounded by the number of keys)
 * Threads: one
 */
#ifndef GANTRY_GATEWAY_KEYS_KEYTABLE_H
#define GANTRY_GATEWAY_KEYS_KEYTABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "crypto/crypto.h"
#include "protocol/principal.h"

struct key {
    LIST_ENTRY(key) chain;
    struct principal principal;
    char phc[CRYPTO_PWHASH_MAX];
    int64_t expires_ms; /* wall; 0 = never */
    int64_t changed_us;
    bool verified;
    uint8_t proof[CRYPTO_HASH_LEN]; /* keyed hash of the text that was verified */
    int64_t used_ms;                /* wall; 0 = not since the last flush */
    int64_t tried_ms;               /* monotonic: a text was hashed last; 0 = that was right */
};

/* A row of the table api_key, as the poll brings it. */
struct key_row {
    struct principal principal;
    char phc[CRYPTO_PWHASH_MAX];
    int64_t expires_ms;
    bool revoked;
    int64_t changed_us;
};

LIST_HEAD(key_chain, key);

struct keytable {
    struct key_chain *buckets; /* owned */
    size_t n_buckets;          /* a power of two */
    size_t count;
};

void keytable_init(struct keytable *table);
void keytable_fini(struct keytable *table);
/* Borrowed until the row changes; NULL when absent. */
struct key *keytable_get(const struct keytable *table, const char *key_id);
/* Put in, replace, or remove a revoked key; true if that changed anything. */
bool keytable_apply(struct keytable *table, const struct key_row *row);
void keytable_remove(struct keytable *table, const char *key_id);

#endif
