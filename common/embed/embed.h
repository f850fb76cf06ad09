/* SPDX-License-Identifier: MIT */
/*
 * embed - texts to vectors, behind one interface whatever makes them.
 *
 * Providers: builtin  a static model in the program: the sum of the vectors of a text's word pieces;
 *                     no network, the same vector on every machine
 *            openai   any server that speaks OpenAI's POST /v1/embeddings
 *
 * The model id names everything that a vector depends on. It is stored with each row, and vectors
 * of different models are never compared.
 *
 * Shape:   dim floats a text, of length 1 (all zero for a text without a word)
 * Errors:  RC_TEMP     the server is down, slow or says 429 or 5xx, after the retries
 *          RC_CONFIG   the server refuses our key, model or dimension, or answers nonsense
 *          Their texts begin with EMBED_SERVER.
 * After a failure of the server (not of one text) it is not asked: RC_TEMP at once, until embed_probe()
 * has found that it works again.
 *
 * Threads: one embedder belongs to one thread; what they know of the server is shared, if they are told to
 */
#ifndef GANTRY_EMBED_EMBED_H
#define GANTRY_EMBED_EMBED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rc.h"
#include "process/conf.h"

#define EMBED_BUILTIN_DIM   256
#define EMBED_BUILTIN_MODEL "builtin-static-en-256-v1"
#define EMBED_DIM_MAX       4000 /* what a halfvec column can hold */
#define EMBED_MODEL_MAX     192  /* bytes with the NUL */
#define EMBED_BATCH_MAX     64   /* texts in one request to a server */

enum embed_provider { EMBED_BUILTIN, EMBED_OPENAI };

#define EMBED_SERVER   "the embedding server"
#define EMBED_TEXT_MAX 16384 /* bytes of a text that a server is asked about; the rest is cut */
#define EMBED_REST_MS  2000
#define EMBED_PROBE_MS 4000

/* The variables of contract section 3, for the table of a program that embeds. */
struct embed_conf {
    int provider;  /* enum embed_provider */
    char *url;     /* base, e.g. https://api.openai.com/v1; openai only, as all that follow */
    char *model;   /* must be set */
    char *api_key; /* may be NULL: servers of one's own often want none */
    int64_t dim;   /* must be set; the server is asked for it, and what comes is checked */
};
extern const struct conf_table EMBED_CONF; /* a table of struct embed_conf */

struct embed_text {
    const char *text; /* borrowed; UTF-8 */
    size_t len;
};

struct embedder; /* opaque */

/* The last known state of the server; all zero at first. */
struct embed_watch {
    _Atomic bool failing;         /* it failed when it was asked last */
    _Atomic int64_t ask_again_ms; /* monotonic; while it fails */
};

/* conf is borrowed for the embedder's life. RC_CONFIG: something is missing or does not fit. */
enum rc embed_new(const struct embed_conf *conf, struct embedder **out, struct err *err);
void embed_free(struct embedder *embedder);
void embedder_cleanup(struct embedder **embedder);

/* "builtin-static-en-256-v1" or "openai:<model>:<dim>". */
const char *embed_model(const struct embedder *embedder);
size_t embed_dim(const struct embedder *embedder);
bool embed_is_remote(const struct embedder *embedder);

/* Several embedders of a program may share what they know; each has a watch of its own before. */
void embed_share(struct embedder *embedder, struct embed_watch *watch);
bool embed_failing(const struct embedder *embedder);
/* Asks a server that fails whether it works again, at most every EMBED_REST_MS and for EMBED_PROBE_MS. */
void embed_probe(struct embedder *embedder);
/* How long one embed_batch() may wait for the server, instead of 9 s. */
void embed_patience(struct embedder *embedder, uint32_t ms);

/* One vector a text into out[count * dim]; all or nothing. */
enum rc embed_batch(struct embedder *embedder, const struct embed_text *texts, size_t count,
                    float *out, struct err *err);

/* The builtin alone: out[EMBED_BUILTIN_DIM]. */
void embed_builtin(const char *text, size_t len, float *out);

/* The share (0..1) of a text's words that the model has no vector for: not English, names, made-up
 * words. 0 for a text without words, and for a server's model. The weight of a query's vector falls by
 * it (docs/memory.md). */
float embed_unknown(const struct embedder *embedder, const char *text, size_t len);
float embed_builtin_unknown(const char *text, size_t len);

/* The binary form of a halfvec parameter, EMBED_HALF_BYTES(dim) bytes, and back. Values are rounded
 * to IEEE half precision. False for a vector of zeros, which has no direction. */
#define EMBED_HALF_BYTES(dim) (4 + 2 * (dim))
bool embed_to_half(const float *vector, size_t dim, uint8_t *bytes);
/* The dimension, or 0 if the bytes are no halfvec or do not fit cap. */
size_t embed_from_half(const uint8_t *bytes, size_t len, float *vector, size_t cap);

#endif
