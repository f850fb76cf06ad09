/* SPDX-License-Identifier: MIT */
#include "keys/keytable.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fnv.h"
#include "base/log.h"
#include "base/rc.h"

#define BUCKETS_FIRST 256

/* Ids in the table were made by us; ids that are looked up only walk one chain. */
static size_t
hash(const char *key_id)
{
    return (size_t)fnv64_fold(fnv64(FNV64, key_id, strlen(key_id)));
}

static void *
must(void *memory)
{
    if (!memory)
        log_no_memory("API keys");
    return memory;
}

void
keytable_init(struct keytable *table)
{
    *table = (struct keytable){ .n_buckets = BUCKETS_FIRST };
    table->buckets = must(calloc(table->n_buckets, sizeof(struct key_chain)));
}

static void
drop(struct key *key)
{
    LIST_REMOVE(key, chain);
    crypto_wipe(key, sizeof(*key));
    free(key);
}

void
keytable_fini(struct keytable *table)
{
    for (size_t i = 0; i < table->n_buckets; i++) {
        struct key *key;
        while ((key = LIST_FIRST(&table->buckets[i])) != NULL)
            drop(key);
    }
    free(table->buckets);
    *table = (struct keytable){ 0 };
}

static struct key_chain *
chain_of(const struct keytable *table, const char *key_id)
{
    return &table->buckets[hash(key_id) & (table->n_buckets - 1)];
}

struct key *
keytable_get(const struct keytable *table, const char *key_id)
{
    struct key *key;
    LIST_FOREACH (key, chain_of(table, key_id), chain)
        if (strcmp(key->principal.key_id, key_id) == 0)
            return key;
    return NULL;
}

static void
grow(struct keytable *table)
{
    size_t n = table->n_buckets * 2;
    struct key_chain *buckets = must(calloc(n, sizeof(struct key_chain)));
    for (size_t i = 0; i < table->n_buckets; i++) {
        struct key *key;
        while ((key = LIST_FIRST(&table->buckets[i])) != NULL) {
            LIST_REMOVE(key, chain);
            LIST_INSERT_HEAD(&buckets[hash(key->principal.key_id) & (n - 1)], key, chain);
        }
    }
    free(table->buckets);
    table->buckets = buckets;
    table->n_buckets = n;
}

void
keytable_remove(struct keytable *table, const char *key_id)
{
    struct key *key = keytable_get(table, key_id);
    if (!key)
        return;
    drop(key);
    table->count--;
}

bool
keytable_apply(struct keytable *table, const struct key_row *row)
{
    struct key *key = keytable_get(table, row->principal.key_id);
    if (key && !row->revoked && key->changed_us == row->changed_us)
        return false;
    if (row->revoked) {
        keytable_remove(table, row->principal.key_id);
        return key != NULL;
    }
    if (!key) {
        if (table->count >= table->n_buckets)
            grow(table);
        key = must(calloc(1, sizeof(*key)));
        LIST_INSERT_HEAD(chain_of(table, row->principal.key_id), key, chain);
        table->count++;
    }
    key->verified = key->verified && strcmp(key->phc, row->phc) == 0;
    key->principal = row->principal;
    memcpy(key->phc, row->phc, sizeof(key->phc));
    key->expires_ms = row->expires_ms;
    key->changed_us = row->changed_us;
    return true;
}
