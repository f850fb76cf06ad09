/* SPDX-License-Identifier: MIT */
/*
 * keypool - a bounded pool of threads that check secrets against Argon2id hashes, 20 ms each.
 *
 * Checks wait in queues, chosen by the client's address; the threads take the queues in turn, so that a
 * flood from one address leaves the others their share. A full queue or a full pool refuses.
 *
 * Suspects, who show other texts for a key id that has just been tried, have queues of their own. They
 * come after everybody else, one at a time, and the next one not before KEYPOOL_PAUSE_MS have passed:
 * whoever tries secrets gets a few checks a second and a small part of one core. The low priority of
 * the threads does not see to that: a scheduler that shares by sessions or control groups weighs it
 * only against this program's own threads.
 *
 * Threads: keypool_add() from the loop's thread; done runs on the loop's thread
 */
#ifndef GANTRY_GATEWAY_KEYS_KEYPOOL_H
#define GANTRY_GATEWAY_KEYS_KEYPOOL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/loop.h"
#include "base/rc.h"
#include "crypto/crypto.h"
#include "protocol/apikey.h"

#define KEYPOOL_QUEUES     64
#define KEYPOOL_QUEUE_MAX  32
#define KEYPOOL_CHECKS_MAX 1024
#define KEYPOOL_PAUSE_MS   100

struct keypool;

struct keypool_check {
    STAILQ_ENTRY(keypool_check) link; /* the pool's */
    char secret[APIKEY_SECRET_LEN];   /* wiped when done */
    char phc[CRYPTO_PWHASH_MAX];
    enum rc result;
    bool suspect;  /* set before it is added */
    loop_fn *done; /* called on the loop with the check, which is the caller's again */
    struct keypool *pool;
};

enum rc keypool_open(struct loop *loop, unsigned threads, struct keypool **out, struct err *err);
/* Waits for what is being hashed; checks that still wait are given back with RC_TEMP at once. */
void keypool_close(struct keypool *pool);
/* false: no room; the check stays the caller's. */
bool keypool_add(struct keypool *pool, struct keypool_check *check, const char *client);

#endif
