/* SPDX-License-Identifier: MIT */
/*
 * search - what the parts of gantry-search share: the program's state and its handlers.
 *
 * Theory of operation: requests that came together are embedded together. Each search is one
 * transaction: one or two legs find ids (docs/memory.md, sql/statements/search.sql), their ranks
 * are fused, and one statement reads what is answered.
 *
 * Source: contract 4.3
 */
#ifndef SEARCH_H
#define SEARCH_H

#include "embed/embed.h"
#include "querycache.h"
#include "worker/worker.h"

#define SEARCH_BATCH_MAX 64

struct cell_flags; /* which workspaces have cells, for a moment */

struct search {
    struct worker *worker;     /* borrowed */
    struct embedder *embedder; /* owned */
    int64_t model;             /* number of the embedder's model; 0 = nothing was stored with it */
    struct cell_flags *flags;  /* owned */
    struct querycache cache;
};

enum mode { MODE_HYBRID, MODE_VECTOR, MODE_TEXT };

/* One search; lives in the call's arena. */
struct request {
    struct call *call;
    enum mode mode;
    const char *query, *scope, *tags, *source; /* scope, tags, source: NULL = any */
    int64_t k, since_ms, until_ms;             /* times: negative = open */
    double min_score;
    bool has_min_score;
    uint8_t *half; /* the query's vector; NULL: not asked for, or without direction */
    size_t half_len;
};

/* A hit of a leg: at most LEG_MAX of them, best first. */
#define LEG_MAX 100
struct hit {
    char id[ID_TEXT_MAX];
    double value; /* distance or rank; NAN = none */
};
struct leg {
    size_t n;
    struct hit hits[LEG_MAX];
};

/* Inside a group of the request's workspace: one round trip for both legs. vector or text NULL =
 * not wanted. */
enum rc legs_run(struct search *s, const struct request *r, size_t wanted, struct leg *vector,
                 struct leg *text, struct err *err);
struct cell_flags *cell_flags_new(void);

/* Reciprocal rank fusion of one or two legs (either may be NULL) with constant 60, divided by its
 * maximum: best first, value = score. */
#define FUSE_CONSTANT 60.0
void fuse(const struct leg *vector, const struct leg *text, struct leg *out);

void search_memories(struct worker *w, struct call **calls, size_t n);
void search_get(struct worker *w, struct call **calls, size_t n);
void search_list(struct worker *w, struct call **calls, size_t n);

enum rc search_start(struct worker *w, struct err *err);
void search_stop(struct worker *w);

#endif
