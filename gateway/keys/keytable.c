/* SPDX-License-Identifier: MIT */
#include "keys/keytable.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/rc.h"

#define BUCKETS_FIRST 256

/* FNV-1a. Ids in the table were made by us; ids that are looked up only walk one chain. */
static size_t
hash(const char *key_id)
{
    uint64_t h = 1469598103934665603u;
    for (const char *c = key_id; *c; c++)
        h = (h ^ (unsigned char)*c) * 1099511628211u;
    return (size_t)(h ^ h >> 32);
}

static void *
must(void *memory)
{
    if (!memory)
        exit(EXIT_TEMP);
    return memory;
}

void
keytable_init(struct keytable *table)
{
    *table = (struct keytable){ .n_buckets = BUCKETS_FIRST };
    table->buckets = must(calloc(table->n_buckets, sizeof(struct key *)));
}

void
keytable_fini(struct keytable *table)
{
    for (size_t i = 0; i < table->n_buckets; i++) {
        struct key *next;
        for (struct key *key = table->buckets[i]; key; key = next) {
            next = key->next;
            crypto_wipe(key, sizeof(*key));
            free(key);
        }
    }
    free(table->buckets);
    *table = (struct keytable){ 0 };
}

static struct key **
find(const struct keytable *table, const char *key_id)
{
    struct key **at = &table->buckets[hash(key_id) & (table->n_buckets - 1)];
    while (*at && strcmp((*at)->principal.key_id, key_id) != 0)
        at = &(*at)->next;
    return at;
}

struct key *
keytable_get(const struct keytable *table, const char *key_id)
{
    return *find(table, key_id);
}

static void
grow(struct keytable *table)
{
    size_t n = table->n_buckets * 2;
    struct key **buckets = must(calloc(n, sizeof(struct key *)));
    for (size_t i = 0; i < table->n_buckets; i++) {
        struct key *next;
        for (struct key *key = table->buckets[i]; key; key = next) {
            struct key **at = &buckets[hash(key->principal.key_id) & (n - 1)];
            next = key->next;
            key->next = *at;
            *at = key;
        }
    }
    free(table->buckets);
    table->buckets = buckets;
    table->n_buckets = n;
}

void
keytable_remove(struct keytable *table, const char *key_id)
{
    struct key **at = find(table, key_id);
    struct key *key = *at;
    if (!key)
        return;
    *at = key->next;
    table->count--;
    crypto_wipe(key, sizeof(*key));
    free(key);
}

bool
keytable_apply(struct keytable *table, const struct key_row *row)
{
    struct key *key = *find(table, row->principal.key_id);
    if (key && !row->revoked && key->changed_us == row->changed_us)
        return false;
    if (row->revoked) {
        keytable_remove(table, row->principal.key_id);
        return key != NULL;
    }
    if (!key) {
        if (table->count >= table->n_buckets)
            grow(table);
        struct key **at = find(table, row->principal.key_id);
        key = must(calloc(1, sizeof(*key)));
        *at = key;
        table->count++;
    }
    key->verified = key->verified && strcmp(key->phc, row->phc) == 0;
    key->principal = row->principal;
    memcpy(key->phc, row->phc, sizeof(key->phc));
    key->expires_ms = row->expires_ms;
    key->changed_us = row->changed_us;
    return true;
}
