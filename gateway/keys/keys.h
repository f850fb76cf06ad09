/* SPDX-License-Identifier: MIT */
/*
 * keys - is this API key valid, and whose is it? For HTTP requests and NATS logins alike.
 *
 * Theory of operation. Every valid key's row (without its secret) is in memory, kept current by one
 * thread that asks PostgreSQL for changes three times a second (keywatch.c): a revocation counts
 * within a second. A key that has been verified once is known again by a keyed BLAKE2b hash of its
 * text: no Argon2, no database. A key id that is not known waits for one poll that starts after it
 * came (a key made a moment ago must work), and all who wait share that poll, so a flood of made-up
 * keys costs a bounded number of queries. A known id that was not verified yet is hashed on a bounded
 * pool (keypool.c), fair between client addresses; what failed is remembered for a while. An id that
 * was verified has one right text: all others are refused at once.
 * Nothing is believed once the last successful poll is older than KEYS_FRESH_MS.
 *
 * Errors:  RC_DENIED  unknown, wrong, expired or revoked (nobody learns which)
 *          RC_TEMP    PostgreSQL is unavailable for too long, or too many unknown keys wait
 * Threads: the loop's thread only
 * Source:  contract 4.2
 */
#ifndef GANTRY_GATEWAY_KEYS_KEYS_H
#define GANTRY_GATEWAY_KEYS_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "base/rc.h"
#include "protocol/principal.h"

#define KEYS_FRESH_MS 10000
#define KEYS_POLL_MS  330

struct keys;

struct key_text {
    const char *text; /* borrowed during the call */
    size_t len;
    const char *client; /* address, for fairness */
};

struct key_view {
    struct principal principal;
    int64_t expires_ms; /* wall; 0 = never */
};

typedef void keys_fn(void *arg, enum rc rc, const struct key_view *key);

struct keys_options {
    const char *database_url;
    unsigned hash_threads;
    /* A key was revoked, changed or expired early: its NATS connections end. May be NULL. */
    void (*on_change)(void *arg, const char *key_id);
    void *arg;
};

enum rc keys_open(struct loop *loop, const struct keys_options *options, struct keys **out,
                  struct err *err);
void keys_close(struct keys *keys);

/* true: *rc (and on RC_OK *view) is the answer; fn is not called. false: fn is called later. */
bool keys_verify(struct keys *keys, const struct key_text *text, keys_fn *fn, void *arg,
                 enum rc *rc, struct key_view *view);

/* Forget that this key is valid, before the next poll says so. */
void keys_forget(struct keys *keys, const char *key_id);

/* The cached keys are recent enough to be used. */
bool keys_fresh(const struct keys *keys);
/* PostgreSQL answered the last poll. */
bool keys_reachable(const struct keys *keys);
/* Whether there is a valid key of this id. */
bool keys_known(const struct keys *keys, const char *key_id);
/* Whose it is; NULL when there is no valid key of this id. Borrowed until keys change. */
const char *keys_workspace(const struct keys *keys, const char *key_id);
size_t keys_count(const struct keys *keys);

/* Key ids used since the last call, at most max: for last_used. Returns how many. */
struct key_use {
    char key_id[KEY_ID_LEN + 1];
    char workspace[WORKSPACE_TEXT_MAX];
    int64_t used_ms;
};
size_t keys_take_uses(struct keys *keys, struct key_use *uses, size_t max);

#endif
