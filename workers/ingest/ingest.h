/* SPDX-License-Identifier: MIT */
/*
 * ingest - what the parts of gantry-ingest share: the program's state and its handlers.
 *
 * Theory of operation: a batch is split by workspace; each workspace's part is one transaction in
 * one pipeline, with the effect of a command and its command_done row in one statement. If the
 * transaction fails, its calls are tried one by one, so that one bad call fails alone. Every
 * transaction first takes the workspace's advisory lock, shared; a forget takes it exclusively.
 *
 * Source: architecture decisions 3, 4, 7; docs/memory.md
 */
#ifndef INGEST_H
#define INGEST_H

#include "cellcache.h"
#include "embed/embed.h"
#include "worker/worker.h"

#define INGEST_BATCH_MAX 128

struct trainer;

struct ingest {
    struct worker *worker;       /* borrowed */
    struct embedder *embedder;   /* owned */
    int64_t model;               /* number of the embedder's model; 0 = not asked yet */
    uint32_t halfvec;            /* type number of halfvec, asked with it */
    struct cellcache *cells;     /* owned */
    struct trainer *trainer;     /* owned */
    struct loop_timer *sweeping; /* owned */
};

/* The embedder's model number (and the type number), from the database at first use. */
enum rc ingest_model(struct ingest *in, int64_t *model, struct err *err);

/* Credentials in any string of the body. False: the call is answered. */
bool ingest_check_secrets(struct call *call);

void ingest_store(struct worker *w, struct call **calls, size_t n);
void ingest_patch(struct worker *w, struct call **calls, size_t n);
void ingest_delete(struct worker *w, struct call **calls, size_t n);
void ingest_forget(struct worker *w, struct call *call);

#endif
