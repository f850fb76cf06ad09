/* SPDX-License-Identifier: MIT */
/*
 * room - bytes of answers that may be on their way to this gateway over NATS.
 *
 * The server ends a connection for which more than max_pending bytes wait (nats/server.conf), and with
 * it go the answers of every workspace. So a request has room for its answer before it asks, or waits
 * for it: behind those of its own workspace, which has a share; workspaces take turns, and what becomes
 * free is kept for the one whose turn it is.
 *
 * How large an answer is, nobody knows before. A request asks with the size that such answers had
 * lately and says so (ANSWER_MAX_HEADER); the worker does not send a larger one but tells its size,
 * and the request asks again with room for that.
 *
 * Threads: the loop's thread only
 */
#ifndef GANTRY_GATEWAY_EFFECTS_ROOM_H
#define GANTRY_GATEWAY_EFFECTS_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/loop.h"
#include "base/rc.h"
#include "protocol/command.h"

#define ROOM_ALL   (48u << 20) /* bytes; max_pending is 64 MiB, and other messages come, too */
#define ROOM_SHARE (16u << 20) /* of a workspace */
#define ROOM_ONE   (8u << 20)  /* = max_payload */
#define ROOM_LEAST (8u << 10)  /* of one request */

struct request;
struct room;
struct tally_row;

/* granted: false when its time is over. */
typedef void room_fn(void *arg, bool granted);

/* A request's part; all zero at first. */
struct room_part {
    size_t bytes; /* held, or waited for */
    bool held;
    bool
        share_full; /* its time is over: it waited for its workspace's share, else for that of all */
    struct tally_row *row; /* borrowed: its workspace's, which it keeps there */
    int64_t until_ms;      /* monotonic */
    room_fn *fn;
    void *arg;
    TAILQ_ENTRY(request) link;
};

enum rc room_new(struct loop *loop, struct room **out, struct err *err);
void room_free(struct room *room); /* NULL allowed */

/* True: the request has room for an answer of so many bytes. False: fn will be called, once. */
bool room_enter(struct request *r, size_t bytes, uint32_t wait_ms, room_fn *fn, void *arg);
/* Why it was not granted; static. */
const char *room_full(const struct request *r);
/* The answer is here, or will not come. Others may be granted theirs before this returns. */
void room_leave(struct request *r);

/* The expected size of the next answer to such a command, from those of the last ones. */
size_t room_expected(const struct room *room, const char *workspace, enum command command);
void room_learn(struct room *room, const char *workspace, enum command command, size_t len);

#endif
