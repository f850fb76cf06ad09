/* SPDX-License-Identifier: MIT */
/*
 * search - what the parts of gantry-search share: the program's state, its requests, its handlers.
 *
 * Theory of operation: the loop's thread talks to NATS, answers `get` and `list`, and hands searches
 * to a pool of threads. A thread takes what waits for one workspace, asks the database whether the
 * workspace's index in memory is still the newest, brings it up to date (or loads it), searches in
 * it, and reads what is answered. (docs/memory.md)
 *
 * Threads: a request belongs to the loop's thread, to a searcher from pool_add() on, and to the
 *          loop's thread again from pool_done() on
 * Source:  contract 4.3
 */
#ifndef GANTRY_SEARCH_SEARCH_H
#define GANTRY_SEARCH_SEARCH_H

#include <sys/queue.h>

#include "embed/embed.h"
#include "index/collection.h"
#include "querycache.h"
#include "rest.h"
#include "worker/worker.h"

#define SEARCH_TAGS_MAX 64 /* of one request */

struct search_conf {
    struct embed_conf embed; /* first: EMBED_CONF is a table of it */
    int64_t threads, index_bytes, budget_ms;
};

struct pool;
struct shelf;

struct search {
    struct worker *worker;     /* borrowed */
    struct embedder *embedder; /* owned: of the loop's thread, to know the model */
    struct embed_watch watch;  /* of the embedding server, for all threads */
    bool told_failing;
    _Atomic unsigned late; /* searches that ran out of time since the last tick */
    uint64_t searches;     /* that were asked for */
    struct rest rest;
    struct querycache cache;
    struct shelf *shelf; /* owned */
    struct pool *pool;   /* owned; NULL until every server is there */
};

/* One search; lives in the call's arena. */
struct request {
    TAILQ_ENTRY(request) link;  /* in the queue of its workspace */
    STAILQ_ENTRY(request) done; /* among those that a searcher has answered */
    struct search *search;
    struct call *call;
    struct searcher *by; /* borrowed, while it is answered; NULL = nobody yet */
    enum collection_mode mode;
    const char *note;                   /* static, for the answer; NULL = none */
    const char *query, *scope, *source; /* scope, source: NULL = any */
    size_t query_len;
    const char *tags[SEARCH_TAGS_MAX];
    size_t tag_count;
    int64_t k, since_ms, until_ms; /* times: negative = open */
    int64_t deadline_us;           /* monotonic */
    double min_score;
    bool has_min_score;
    float *vector; /* NULL: no words that have one */
    uint8_t *half; /* its binary form for the database; NULL: not asked for, or without direction */
    size_t half_len;
    bool have_half; /* from the cache */
    bool put_half;  /* into the cache */
    double known;   /* share of the query's words that the model knows */
};

/* NULL: no room for it. */
struct request *request_read(struct search *s, struct call *call);

/* A searcher: what a thread of the pool has for itself. */
struct searcher {
    struct search *search;
    struct db *db;             /* owned; NULL until the first request */
    struct embedder *embedder; /* owned */
    uint32_t halfvec;          /* type number of halfvec, known with the model */
    int64_t model;             /* number of the embedder's model; 0 = nothing was stored with it */
    STAILQ_HEAD(, request) done; /* until pool_give_back() */
};

/* Answers all requests, which are of one workspace, each with pool_done(), and gives them back. */
void searcher_run(struct searcher *t, struct request **requests, size_t n);

/* One request with its hits, best first. */
struct found {
    struct request *request; /* NULL: answered already */
    struct collection_hit hits[COLLECTION_HITS_MAX];
    size_t n;
};

/* Reads what all of them answer in one statement, and answers; those with rows that have gone stay,
 * unless it is the last try. version: of the index they were found in (SHELF_VERSION_TEXT_MAX), if
 * nobody asked yet whether it is the newest: all stay if it is not. NULL: it was asked. */
enum rc answer_all(struct searcher *t, struct found **found, size_t n, bool last,
                   const char *version, struct err *err);
void answer_timeout(struct request *r);

void search_memories(struct worker *w, struct call *call);
void search_get(struct worker *w, struct call **calls, size_t n);
void search_list(struct worker *w, struct call **calls, size_t n);

enum rc search_start(struct worker *w, struct err *err);
enum rc search_ready(struct worker *w, struct err *err);
void search_tick(struct worker *w);
const char *search_failing(struct worker *w);
void search_drained(struct worker *w);
void search_stop(struct worker *w);

#endif
