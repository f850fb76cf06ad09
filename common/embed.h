/* SPDX-License-Identifier: MIT */
/*
 * embed - texts to vectors, behind one interface whatever makes them.
 *
 * Providers: builtin  deterministic signed feature hashing of words, pairs of words and character
 *                     n-grams; no training, no network, the same vector on every machine
 *            openai   any server that speaks OpenAI's POST /v1/embeddings
 *
 * The model id names everything that a vector depends on. It is stored with each row, and vectors
 * of different models are never compared.
 *
 * Shape:   dim floats a text, of length 1 (all zero for a text without a word)
 * Errors:  RC_TEMP     the server is down, slow or says 429 or 5xx, after the retries
 *          RC_CONFIG   the server refuses our key, model or dimension, or answers nonsense
 * Threads: one embedder belongs to one thread
 */
#ifndef GANTRY_EMBED_H
#define GANTRY_EMBED_H

#include <stddef.h>
#include <stdint.h>

#include "rc.h"

#define EMBED_BUILTIN_DIM   256
#define EMBED_BUILTIN_MODEL "builtin-hash-256-v1"
#define EMBED_DIM_MAX       4000 /* what a halfvec column can hold */
#define EMBED_MODEL_MAX     192  /* bytes with the NUL */
#define EMBED_BATCH_MAX     64   /* texts in one request to a server */

enum embed_provider { EMBED_BUILTIN, EMBED_OPENAI };

/* The variables of contract section 3; strings are borrowed for the embedder's life. */
struct embed_options {
    int provider;                     /* enum embed_provider */
    const char *url;                  /* base, e.g. https://api.openai.com/v1; openai only */
    const char *model;                /* openai only */
    const char *api_key;              /* may be NULL */
    int64_t dim;                      /* 0 = the builtin's; asked of the server and checked */
    uint32_t timeout_ms;              /* of one request; 0 = 20 s */
    void (*keepalive)(void *context); /* called between requests and retries; may be NULL */
    void *context;
};

struct embed_text {
    const char *text; /* borrowed; UTF-8 */
    size_t len;
};

struct embedder; /* opaque */

enum rc embed_new(const struct embed_options *options, struct embedder **out, struct err *err);
void embed_free(struct embedder *embedder);
void embedder_cleanup(struct embedder **embedder);

/* "builtin-hash-256-v1" or "openai:<model>:<dim>". */
const char *embed_model(const struct embedder *embedder);
size_t embed_dim(const struct embedder *embedder);

/* One vector a text into out[count * dim]; all or nothing. */
enum rc embed_batch(struct embedder *embedder, const struct embed_text *texts, size_t count,
                    float *out, struct err *err);

/* The builtin alone: out[EMBED_BUILTIN_DIM]. */
void embed_builtin(const char *text, size_t len, float *out);

/* "[0.1,0.2,…]", the text form of vector and halfvec; size bounds it: EMBED_LITERAL_MAX(dim). */
#define EMBED_LITERAL_MAX(dim) ((dim)*14 + 3)
size_t embed_literal(const float *vector, size_t dim, char *text, size_t size);

#endif
