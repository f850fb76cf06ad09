/* SPDX-License-Identifier: MIT */
/*
 * ingest - what the parts of gantry-ingest share: the program's state and its handlers.
 *
 * Theory of operation: a batch is split by workspace; each workspace's part is one transaction in
 * one pipeline. Every transaction first raises the workspace's version, whose row it then holds
 * until it commits: transactions of a workspace come one after another, at any number of replicas,
 * and each leaves the ids that it changed in the log that searches follow (docs/memory.md).
 *
 * Source: architecture decisions 3, 4, 7; docs/memory.md
 */
#ifndef GANTRY_INGEST_INGEST_H
#define GANTRY_INGEST_INGEST_H

#include "embed/embed.h"
#include "worker/worker.h"

#define INGEST_BATCH_MAX 128

struct reindex;

struct ingest {
    struct worker *worker;       /* borrowed */
    struct embedder *embedder;   /* owned */
    int64_t model;               /* number of the embedder's model; 0 = not asked yet */
    uint32_t halfvec;            /* type number of halfvec, asked with it */
    struct loop_timer *sweeping; /* owned */
    unsigned sweeps;
    uint64_t refusals;       /* remembered since the start */
    struct reindex *reindex; /* owned */
};

/* The embedder's model number (and the type number), from the database at first use. */
enum rc ingest_model(struct ingest *in, int64_t *model, struct err *err);

/* A group begins: workspace set, version raised. RC_OK: the caller sends more, and commits. */
enum rc ingest_begin(struct ingest *in, const char *workspace, struct err *err);

/* A text as searches find it: its vector and its terms; memory of the arena that made it. */
struct indexed {
    const uint8_t *half; /* NULL: the text has no direction */
    size_t half_len;
    const char *terms;
    size_t terms_len;
};
enum rc ingest_index(struct ingest *in, struct arena *mem, const struct embed_text *texts, size_t n,
                     struct indexed *out, struct err *err);

/* Credentials in any string of the body. False: the call is answered. */
bool ingest_check_secrets(struct call *call);

void ingest_store(struct worker *w, struct call **calls, size_t n);
void ingest_patch(struct worker *w, struct call **calls, size_t n);
void ingest_delete(struct worker *w, struct call **calls, size_t n);
void ingest_forget(struct worker *w, struct call *call);

#endif
