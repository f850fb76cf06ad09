/* SPDX-License-Identifier: MIT */
/*
 * kv_sync - the blocking form: one command, one reply, on a connection of its own.
 *
 * A command is never sent twice by itself: what became of it when a connection breaks is not known.
 */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "kv/kv.h"
#include "kv/kv_own.h"

/* A reply with the view that the caller sees. */
struct owned_reply {
    struct kv_reply view; /* first: kv_reply_free() comes back from it */
    redisReply *raw;
};

static void
disconnect(struct kv *kv)
{
    if (kv->sync)
        redisFree(kv->sync);
    kv->sync = NULL;
}

static struct timeval
duration(int ms)
{
    return (struct timeval){ .tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000 };
}

static enum rc
exchange(struct kv *kv, int argc, const char *argv[], const size_t len[], redisReply **out,
         struct err *err)
{
    redisReply *reply = redisCommandArgv(kv->sync, argc, argv, len);
    if (!reply) {
        enum rc rc = err_set_of(err, SERVER_REDIS, RC_TEMP,
                                "the connection to Redis is lost: %.200s", kv->sync->errstr);
        disconnect(kv);
        return rc;
    }
    *out = reply;
    return RC_OK;
}

static enum rc
shake_hands(struct kv *kv, struct err *err)
{
    const char *argv[4];
    size_t len[4];
    char number[24];
    int script = -1;
    int argc = 0;

    for (size_t n = 0; (argc = kv_handshake(kv, n, number, argv, len, &script)) > 0; n++) {
        redisReply *reply = NULL;
        enum rc rc = exchange(kv, argc, argv, len, &reply, err);
        if (rc != RC_OK)
            return rc;
        if (reply->type == REDIS_REPLY_ERROR) {
            rc = kv_rc_from_error(reply->str);
            rc = err_set_of(err, SERVER_REDIS, rc == RC_BUG ? RC_CONFIG : rc,
                            "Redis refuses us: %.200s", reply->str);
        } else if (script >= 0 && reply->len == KV_SHA_MAX - 1) {
            memcpy(kv->sha[script], reply->str, KV_SHA_MAX);
        }
        freeReplyObject(reply);
        if (rc != RC_OK) {
            disconnect(kv);
            return rc;
        }
    }
    return RC_OK;
}

/* A connection that the server closed while it was idle is noticed before it is used. */
static bool
is_alive(const struct kv *kv)
{
    if (!kv->sync || kv->sync->err)
        return false;
    struct pollfd fd = { .fd = kv->sync->fd, .events = POLLIN };
    return poll(&fd, 1, 0) == 0;
}

static enum rc
ensure_connected(struct kv *kv, struct err *err)
{
    if (is_alive(kv))
        return RC_OK;
    disconnect(kv);
    if (clock_mono_ms() < kv->sync_retry_ms)
        return err_set_of(err, SERVER_REDIS, RC_TEMP, "not connected to Redis");
    kv->sync_retry_ms = clock_mono_ms() + KV_BACKOFF_MIN;
    kv->sync = kv->url.path[0]
                   ? redisConnectUnixWithTimeout(kv->url.path, duration(KV_CONNECT_MS))
                   : redisConnectWithTimeout(kv->url.host, kv->url.port, duration(KV_CONNECT_MS));
    if (!kv->sync || kv->sync->err) {
        enum rc rc = err_set_of(err, SERVER_REDIS, RC_TEMP, "cannot connect to Redis at %s: %.200s",
                                kv->url.place, kv->sync ? kv->sync->errstr : "no memory");
        disconnect(kv);
        return rc;
    }
    (void)fcntl(kv->sync->fd, F_SETFD, FD_CLOEXEC);
    (void)redisSetTimeout(kv->sync, duration(KV_SYNC_MS));
    enum rc rc = RC_OK;
    if (kv->url.tls)
        rc = kv_tls_start(kv->tls, &kv->url, kv->sync, err);
    if (rc == RC_OK)
        rc = shake_hands(kv, err);
    if (rc != RC_OK)
        disconnect(kv);
    return rc;
}

/* raw is consumed in every case. */
static enum rc
finish(redisReply *raw, struct kv_reply **out, struct err *err)
{
    if (raw->type == REDIS_REPLY_ERROR) {
        enum rc rc = kv_fail_reply(raw, err);
        freeReplyObject(raw);
        return rc;
    }
    struct owned_reply *owned = calloc(1, sizeof(*owned));
    if (!owned || kv_view(raw, &owned->view, err) != RC_OK) {
        free(owned);
        freeReplyObject(raw);
        return err_set(err, RC_TEMP, "no memory for a reply");
    }
    owned->raw = raw;
    *out = &owned->view;
    return RC_OK;
}

enum rc
kv_call_sync(struct kv *kv, const struct kv_command *cmd, struct kv_reply **reply, struct err *err)
{
    const char *argv[KV_ARGS_MAX];
    size_t len[KV_ARGS_MAX];
    redisReply *raw = NULL;

    enum rc rc = ensure_connected(kv, err);
    if (rc == RC_OK)
        rc = exchange(kv, kv_argv(cmd, argv, len), argv, len, &raw, err);
    return rc == RC_OK ? finish(raw, reply, err) : rc;
}

enum rc
kv_script_sync(struct kv *kv, unsigned script, size_t n_keys, const struct kv_command *cmd,
               struct kv_reply **reply, struct err *err)
{
    const char *argv[KV_ARGS_MAX + 3];
    size_t len[KV_ARGS_MAX + 3];
    char number[24];
    redisReply *raw = NULL;

    if (script >= kv->n_scripts)
        return err_set(err, RC_BUG, "no script of number %u", script);
    for (int i = 0; i < 2; i++) {
        enum rc rc = ensure_connected(kv, err);
        if (rc != RC_OK)
            return rc;
        int argc = kv_script_argv(kv, script, n_keys, cmd, number, argv, len);
        rc = exchange(kv, argc, argv, len, &raw, err);
        if (rc != RC_OK)
            return rc;
        if (i == 1 || raw->type != REDIS_REPLY_ERROR || strncmp(raw->str, "NOSCRIPT", 8) != 0)
            break;
        /* The server forgot its scripts: nothing ran, so loading and calling again is safe. */
        freeReplyObject(raw);
        rc = shake_hands(kv, err);
        if (rc != RC_OK)
            return rc;
    }
    return finish(raw, reply, err);
}

void
kv_reply_free(struct kv_reply *reply)
{
    if (!reply)
        return;
    struct owned_reply *owned = (struct owned_reply *)(void *)reply;
    kv_view_fini(&owned->view);
    freeReplyObject(owned->raw);
    free(owned);
}
