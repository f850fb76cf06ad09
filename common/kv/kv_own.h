/* SPDX-License-Identifier: MIT */
/*
 * kv_own - what the files of the Redis door share; nobody else includes it.
 */
#ifndef GANTRY_KV_KV_OWN_H
#define GANTRY_KV_KV_OWN_H

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include "base/heap.h"
#include "kv/kv.h"

#define KV_SHA_MAX     41 /* bytes with the NUL */
#define KV_HOST_MAX    256
#define KV_PATH_MAX    108 /* bytes with the NUL: sun_path */
#define KV_SECRET_MAX  512
#define KV_CONNECT_MS  3000
#define KV_SYNC_MS     5000
#define KV_BACKOFF_MIN 50
#define KV_BACKOFF_MAX 2000

/* redis[s]://[user[:password]@]host[:port][/db][?cacert=FILE&cert=FILE&key=FILE]
 * unix://[user[:password]@]/path[?db=N], as redis-py and go-redis write a UNIX socket */
struct kv_url {
    bool tls;
    char path[KV_PATH_MAX]; /* "" = host and port */
    char host[KV_HOST_MAX];
    int port;
    char place[KV_HOST_MAX + 8]; /* either, for messages */
    int db;
    char user[KV_SECRET_MAX];
    char password[KV_SECRET_MAX];
    char ca_file[KV_HOST_MAX]; /* "" = the system's */
    char cert_file[KV_HOST_MAX];
    char key_file[KV_HOST_MAX];
};

/* One command on its way. */
struct kv_request {
    struct heap_node deadline; /* first: the heap gives it back */
    struct kv *kv;             /* borrowed; NULL once it was answered without a connection */
    kv_fn *fn;                 /* NULL: answered already, the reply is thrown away */
    void *arg;
    unsigned script; /* of a script call, for loading it again */
    char *wire;      /* owned by hiredis' allocator; NULL unless a script call */
    size_t wire_len;
    bool reloaded;
    struct err err; /* of a request that fails later */
};

struct kv {
    struct kv_url url;
    const struct kv_script *scripts; /* borrowed: static */
    size_t n_scripts;
    char (*sha)[KV_SHA_MAX]; /* owned, by script; "" before the first connection */
    void *tls;               /* kv_tls.c's, may be NULL */
    struct err down;         /* why there is no connection */

    struct loop *loop; /* NULL = blocking use only */
    redisAsyncContext *async;
    struct loop_watch *watch;
    struct loop_timer *connect_timer;  /* the next attempt, or the limit of this one */
    struct loop_timer *deadline_timer; /* the earliest deadline of all requests */
    struct loop_timer *flush_timer;    /* due at once: the end of this turn writes everything */
    struct heap deadlines;
    int64_t armed_ms;    /* when deadline_timer fires; INT64_MAX = not armed */
    int64_t received_ms; /* the last sign of life; monotonic */
    uint32_t backoff_ms;
    size_t handshake_left; /* replies before the connection may be used */
    bool tcp_up, ready, flushing, closing;

    redisContext *sync;
    int64_t sync_retry_ms;
};

enum rc kv_url_parse(const char *text, struct kv_url *out, struct err *err);

/* The rc of an error reply. text is the server's, without our arguments. */
enum rc kv_rc_from_error(const char *text);
enum rc kv_fail_reply(const redisReply *reply, struct err *err);
/* The view of a hiredis reply; *out->items are malloc()ed when it is a list (kv_view_fini). */
enum rc kv_view(const redisReply *reply, struct kv_reply *out, struct err *err);
void kv_view_fini(struct kv_reply *view);

/* Argument vectors. */
int kv_argv(const struct kv_command *cmd, const char *argv[], size_t len[]);
/* EVALSHA with room for KV_ARGS_MAX + 3. */
int kv_script_argv(const struct kv *kv, unsigned script, size_t n_keys,
                   const struct kv_command *cmd, char number[24], const char *argv[], size_t len[]);
/* The nth command of the handshake: AUTH, SELECT, SCRIPT LOAD …; 0 past the end. */
int kv_handshake(const struct kv *kv, size_t n, char number[24], const char *argv[4], size_t len[4],
                 int *script);

/* TLS, where hiredis has it. */
enum rc kv_tls_new(const struct kv_url *url, void **out, struct err *err);
void kv_tls_free(void *tls);
enum rc kv_tls_start(void *tls, const struct kv_url *url, redisContext *context, struct err *err);

#endif
