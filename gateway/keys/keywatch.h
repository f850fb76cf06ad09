/* SPDX-License-Identifier: MIT */
/*
 * keywatch - one thread with one PostgreSQL connection that brings the changes of api_key.
 *
 * It polls every KEYS_POLL_MS, and at once when asked, but never more often than KEYWATCH_MIN_MS.
 * Every poll, good or bad, becomes a batch on the loop. A batch with ticket T was asked of
 * PostgreSQL after keywatch_ask() had returned T.
 *
 * Threads: keywatch_ask() from the loop's thread; fn gets a struct keywatch_batch * on the loop's
 *          thread and frees it
 */
#ifndef GANTRY_GATEWAY_KEYS_KEYWATCH_H
#define GANTRY_GATEWAY_KEYS_KEYWATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "base/rc.h"
#include "keys/keytable.h"

#define KEYWATCH_MIN_MS 5

struct keywatch;

struct keywatch_batch {
    void *arg;
    bool ok;
    bool first; /* it starts from nothing: all keys that there are */
    bool more;  /* the next batch follows at once */
    uint64_t ticket;
    int64_t asked_ms; /* monotonic, before the query */
    size_t count;
    struct key_row *rows; /* owned */
    char problem[200];    /* when not ok */
};

enum rc keywatch_open(struct loop *loop, const char *database_url, loop_fn *fn, void *arg,
                      struct keywatch **out, struct err *err);
void keywatch_close(struct keywatch *watch);
uint64_t keywatch_ask(struct keywatch *watch);
void keywatch_batch_free(struct keywatch_batch *batch);

#endif
