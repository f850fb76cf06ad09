/* SPDX-License-Identifier: MIT */
/*
 * kv - the one door to Redis: pipelined commands and Lua scripts, on the loop or blocking.
 *
 * Scripts are compiled-in files (NAME.lua), loaded by SHA when connecting and again
 * whenever the server forgot them. Arguments are length-counted; nothing is ever formatted into a
 * command string.
 *
 * The connection comes back by itself, with backoff; while it is down every call fails at once.
 *
 * Errors:  RC_TEMP  not connected, time-out, loading, out of memory (OOM reply) · RC_CONFIG NOPERM,
 *          NOAUTH, WRONGPASS · RC_BUG any other error reply
 * Threads: the loop's thread (kv_call) or the owner's (kv_call_sync)
 * Source:  RESP2; hiredis. rediss:// needs hiredis with TLS (Debian 13); elsewhere a start-up error.
 *          unix://[user[:password]@]/path[?db=N] is a UNIX socket
 */
#ifndef GANTRY_KV_KV_H
#define GANTRY_KV_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "base/rc.h"

struct kv;

/* A reply, borrowed during the callback (or until kv_reply_free for the blocking form). */
enum kv_type { KV_NIL, KV_INT, KV_TEXT, KV_LIST };
struct kv_reply {
    enum kv_type type;
    int64_t integer;
    const char *text; /* NUL-terminated, may hold NULs */
    size_t len;
    size_t count; /* KV_LIST */
    const struct kv_reply *items;
};

struct kv_arg {
    const char *data;
    size_t len;
};
#define KV_ARGS_MAX 32
struct kv_command {
    size_t count;
    struct kv_arg args[KV_ARGS_MAX];
    char numbers[KV_ARGS_MAX][24];
};

void kv_add(struct kv_command *cmd, const char *text);
void kv_add_bytes(struct kv_command *cmd, const void *data, size_t len);
void kv_add_int(struct kv_command *cmd, int64_t value);

struct kv_script {
    const char *name;
    const char *text;
};

typedef void kv_fn(void *arg, enum rc rc, const struct kv_reply *reply, const struct err *err);

/* loop NULL = blocking use only. RC_CONFIG for an unusable URL; a server that is down is not an
 * error: the connection is made in the background and again after each loss. */
enum rc kv_open(struct loop *loop, const char *url, const struct kv_script *scripts, size_t count,
                struct kv **out, struct err *err);
void kv_free(struct kv *kv);
bool kv_connected(const struct kv *kv);
/* Why it is not connected, for readiness and start-up messages; RC_CONFIG needs an operator. */
const struct err *kv_down(const struct kv *kv);

/* Queue a command; everything queued in one turn is one write. fn is called exactly once (also
 * with RC_TEMP when the connection is down or timeout_ms passes), never before kv_call() returns.
 * A command that timed out may have been executed all the same. */
void kv_call(struct kv *kv, const struct kv_command *cmd, uint32_t timeout_ms, kv_fn *fn,
             void *arg);
/* cmd holds only the keys (first n_keys) and arguments. */
void kv_script_call(struct kv *kv, unsigned script, size_t n_keys, const struct kv_command *cmd,
                    uint32_t timeout_ms, kv_fn *fn, void *arg);

/* Blocking forms, on a connection of their own (also for a kv that has a loop). *reply is owned:
 * kv_reply_free(). */
enum rc kv_call_sync(struct kv *kv, const struct kv_command *cmd, struct kv_reply **reply,
                     struct err *err);
enum rc kv_script_sync(struct kv *kv, unsigned script, size_t n_keys, const struct kv_command *cmd,
                       struct kv_reply **reply, struct err *err);
void kv_reply_free(struct kv_reply *reply);

#endif
