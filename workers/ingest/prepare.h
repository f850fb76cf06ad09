/* SPDX-License-Identifier: MIT */
/*
 * prepare - the parts of a command's body as the database takes them; results live in the call's
 * arena, NULL when that is full.
 */
#ifndef GANTRY_INGEST_PREPARE_H
#define GANTRY_INGEST_PREPARE_H

#include "crypto/hash.h"
#include "worker/worker.h"

/* SHA-256 of the text: content_hash. */
void prepare_hash(const char *text, uint8_t hash[HASH_LEN], char hex[HASH_TEXT_MAX]);
/* An array literal of the distinct tags, in their order; "{}" for NULL. */
const char *prepare_tags(struct call *call, const cJSON *tags);
/* The document as JSON text; fallback for NULL. */
const char *prepare_json(struct call *call, const cJSON *doc, const char *fallback);

#endif
