/* SPDX-License-Identifier: MIT */
/*
 * item - one memory.ingest command on its way into the database; lives in the call's arena.
 */
#ifndef GANTRY_INGEST_ITEM_H
#define GANTRY_INGEST_ITEM_H

#include "crypto/hash.h"
#include "ingest.h"

struct item {
    struct call *call;
    const char *scope, *source, *tags, *metadata, *text; /* tags: an array literal */
    const char *facts;                                   /* JSON; NULL: none is kept */
    int64_t ttl_seconds;                                 /* 0 = none */
    int64_t kept, skipped;
    uint8_t hash[HASH_LEN];
    char hash_text[HASH_TEXT_MAX];
    struct indexed indexed;
    size_t result; /* index of its round's result */
    bool answered;
};

/* RC_TEMP: no room. */
enum rc item_read(struct call *call, struct item *item);

/* The record of the command, in text as the database writes it. */
struct item_record {
    const char *memory, *deduplicated; /* "true", "t" or else */
    int64_t kept, skipped;
};
void item_answer(struct item *item, const struct item_record *record);

#endif
