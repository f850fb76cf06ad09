/* SPDX-License-Identifier: MIT */
/*
 * keypool - a bounded pool of threads that check secrets against Argon2id hashes, 20 ms each.
 *
 * Jobs wait in lanes, chosen by the client's address; the threads take the lanes in turn, so that a
 * flood from one address leaves the others their share. After a wrong secret its lane rests, many
 * times as long as the check took: whoever tries secrets gets a few checks a second, and a small part
 * of a core. A full lane or a full pool refuses. The threads run at a lower priority than the loop;
 * that alone is not enough, since a scheduler that shares by sessions or control groups weighs it
 * only against this program's own threads.
 *
 * Threads: keypool_add() from the loop's thread; done runs on the loop's thread
 */
#ifndef GATEWAY_KEYPOOL_H
#define GATEWAY_KEYPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "apikey.h"
#include "crypto.h"
#include "loop.h"
#include "rc.h"

#define KEYPOOL_LANES    64
#define KEYPOOL_LANE_MAX 32
#define KEYPOOL_JOBS_MAX 1024
#define KEYPOOL_REST     8   /* times what the check took, */
#define KEYPOOL_REST_MS  100 /* and at least this long */

struct keypool;

struct keypool_job {
    struct keypool_job *next;
    char secret[APIKEY_SECRET_LEN]; /* wiped when done */
    char phc[CRYPTO_PWHASH_MAX];
    enum rc result;
    unsigned lane;
    loop_fn *done; /* called on the loop with the job, which is the caller's again */
    struct keypool *pool;
};

enum rc keypool_open(struct loop *loop, unsigned threads, struct keypool **out, struct err *err);
/* Waits for what is being hashed; jobs that still wait are given back with RC_TEMP at once. */
void keypool_close(struct keypool *pool);
/* false: no room; the job stays the caller's. */
bool keypool_add(struct keypool *pool, struct keypool_job *job, const char *client);

#endif
