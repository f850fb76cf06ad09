/* SPDX-License-Identifier: MIT */
/*
 * kv - Redis on the loop: one connection, commands in a row, replies in the same order.
 *
 * Theory of operation. hiredis keeps the queue of callbacks; each holds a struct kv_request. A
 * request that times out is answered and stays behind as an empty shell until its reply, or the end
 * of the connection, takes it away. When nothing at all has come for KV_CONNECT_MS after a time-out,
 * the connection is given up. hiredis frees its context itself after errors; its cleanup hook is the
 * one place where we learn of it (on_gone).
 *
 * Writing is delayed to the end of the loop's turn by a timer that is due at once, so that all
 * commands of a turn are one write(2) and the wait that follows is not a wait.
 */
#include "kv/kv.h"

#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "crypto/crypto.h"
#include "kv/kv_own.h"

static void
answer(struct kv_request *request, enum rc rc, const struct kv_reply *reply, const struct err *err)
{
    kv_fn *fn = request->fn;
    if (!fn)
        return;
    request->fn = NULL;
    fn(request->arg, rc, reply, err);
}

static void
free_request(struct kv_request *request)
{
    if (request->kv)
        heap_remove(&request->kv->deadlines, &request->deadline);
    if (request->wire)
        redisFreeCommand(request->wire);
    free(request);
}

static void
arm(struct kv *kv, int64_t at_ms)
{
    if (at_ms >= kv->armed_ms)
        return;
    int64_t now_ms = clock_mono_ms();
    kv->armed_ms = at_ms;
    loop_timer_set(kv->deadline_timer, at_ms > now_ms ? (uint32_t)(at_ms - now_ms) : 0, 0);
}

static void
drop_connection(struct kv *kv)
{
    if (kv->async)
        redisAsyncFree(kv->async); /* answers all that waits, then on_gone() */
}

static void
on_deadline(void *arg)
{
    struct kv *kv = arg;
    struct heap_node *node;
    int64_t now_ms = clock_mono_ms();
    bool late = false;

    kv->armed_ms = INT64_MAX;
    while ((node = heap_first(&kv->deadlines)) != NULL && node->at_ms <= now_ms) {
        struct kv_request *request = (struct kv_request *)(void *)node;
        heap_remove(&kv->deadlines, node);
        late = true;
        (void)err_set_of(&request->err, SERVER_REDIS, RC_TEMP, "Redis does not answer in time");
        answer(request, RC_TEMP, NULL, &request->err);
    }
    if (late && now_ms - kv->received_ms > KV_CONNECT_MS)
        drop_connection(kv);
    node = heap_first(&kv->deadlines);
    if (node)
        arm(kv, node->at_ms);
}

/* --- the connection --------------------------------------------------------------------------- */

static void
on_flush(void *arg)
{
    struct kv *kv = arg;
    if (!kv->async)
        return;
    kv->flushing = true;
    redisAsyncHandleWrite(kv->async);
    kv->flushing = false;
}

static void
on_want_write(void *arg)
{
    struct kv *kv = arg;
    if (!kv->watch)
        return;
    /* Before the connection stands, and after a write that did not fit, the descriptor says when. */
    if (!kv->tcp_up || kv->flushing)
        loop_watch_set(kv->watch, LOOP_READ | LOOP_WRITE);
    else
        loop_timer_set(kv->flush_timer, 0, 0);
}

static void
on_no_write(void *arg)
{
    struct kv *kv = arg;
    if (kv->watch)
        loop_watch_set(kv->watch, LOOP_READ);
}

static void
on_want_read(void *arg)
{
    (void)arg; /* always wanted */
}

static void
retry_later(struct kv *kv)
{
    loop_timer_set(kv->connect_timer, kv->backoff_ms, 0);
    kv->backoff_ms = kv->backoff_ms * 2 < KV_BACKOFF_MAX ? kv->backoff_ms * 2 : KV_BACKOFF_MAX;
}

static void
on_gone(void *arg)
{
    struct kv *kv = arg;
    loop_watch_free(kv->watch);
    kv->watch = NULL;
    kv->async = NULL;
    kv->tcp_up = false;
    kv->ready = false;
    kv->handshake_left = 0;
    if (kv->closing)
        return;
    if (kv->down.rc == RC_OK)
        (void)err_set_of(&kv->down, SERVER_REDIS, RC_TEMP, "the connection to Redis is lost");
    retry_later(kv);
}

static void
on_socket(void *arg, unsigned events)
{
    struct kv *kv = arg;
    if (kv->async && events & LOOP_READ)
        redisAsyncHandleRead(kv->async);
    if (kv->async && events & LOOP_WRITE)
        on_flush(kv);
}

static void
on_tcp(const redisAsyncContext *context, int status)
{
    struct kv *kv = context->data;
    if (status == REDIS_OK) {
        kv->tcp_up = true;
        if (!kv->url.path[0])
            (void)redisEnableKeepAlive(&kv->async->c);
    } else
        (void)err_set_of(&kv->down, SERVER_REDIS, RC_TEMP, "cannot connect to Redis at %s: %.200s",
                         kv->url.place, context->errstr);
}

static void
become_ready(struct kv *kv)
{
    kv->ready = true;
    kv->backoff_ms = KV_BACKOFF_MIN;
    kv->down = (struct err){ .rc = RC_OK };
    loop_timer_stop(kv->connect_timer);
}

static void
on_handshake(redisAsyncContext *context, void *data, void *arg)
{
    struct kv *kv = context->data;
    const redisReply *reply = data;
    size_t n = (size_t)(uintptr_t)arg;
    const char *argv[4];
    size_t len[4];
    char number[24];
    int script = -1;

    if (!reply)
        return;
    kv->received_ms = clock_mono_ms();
    if (reply->type == REDIS_REPLY_ERROR) {
        enum rc rc = kv_rc_from_error(reply->str);
        (void)err_set_of(&kv->down, SERVER_REDIS, rc == RC_BUG ? RC_CONFIG : rc,
                         "Redis refuses us: %.200s", reply->str);
        drop_connection(kv);
        return;
    }
    (void)kv_handshake(kv, n, number, argv, len, &script);
    if (script >= 0 && reply->type == REDIS_REPLY_STRING && reply->len == KV_SHA_MAX - 1)
        memcpy(kv->sha[script], reply->str, KV_SHA_MAX);
    if (kv->handshake_left && --kv->handshake_left == 0)
        become_ready(kv);
}

/* AUTH, SELECT and the scripts go out before anything else, in one write. */
static void
send_handshake(struct kv *kv)
{
    const char *argv[4];
    size_t len[4];
    char number[24];
    int script = -1;

    for (size_t n = 0;; n++) {
        int argc = kv_handshake(kv, n, number, argv, len, &script);
        if (argc == 0 || redisAsyncCommandArgv(kv->async, on_handshake, (void *)(uintptr_t)n, argc,
                                               argv, len) != REDIS_OK)
            break;
        kv->handshake_left++;
    }
    if (kv->handshake_left)
        return;
    /* Nothing to say; but something must tell that the server is there. */
    argv[0] = "PING";
    len[0] = 4;
    if (redisAsyncCommandArgv(kv->async, on_handshake, (void *)(uintptr_t)SIZE_MAX, 1, argv, len) ==
        REDIS_OK)
        kv->handshake_left++;
}

/* A context that the loop watches; its failure is in kv->down. */
static redisAsyncContext *
new_context(struct kv *kv)
{
    redisAsyncContext *async = kv->url.path[0] ? redisAsyncConnectUnix(kv->url.path)
                                               : redisAsyncConnect(kv->url.host, kv->url.port);
    if (!async) {
        (void)err_set(&kv->down, RC_TEMP, "no memory for Redis");
        return NULL;
    }
    enum rc rc = RC_OK;
    if (async->err)
        rc = err_set_of(&kv->down, SERVER_REDIS, RC_TEMP, "cannot connect to Redis at %s: %.200s",
                        kv->url.place, async->errstr);
    if (rc == RC_OK && kv->url.tls)
        rc = kv_tls_start(kv->tls, &kv->url, &async->c, &kv->down);
    if (rc == RC_OK)
        rc = loop_watch_new(kv->loop, async->c.fd, LOOP_READ | LOOP_WRITE, on_socket, kv,
                            &kv->watch, &kv->down);
    if (rc == RC_OK)
        return async;
    redisAsyncFree(async);
    return NULL;
}

static void
start_connection(void *arg)
{
    struct kv *kv = arg;

    if (kv->async) { /* this attempt took too long */
        (void)err_set_of(&kv->down, SERVER_REDIS, RC_TEMP, "Redis does not answer in time");
        drop_connection(kv);
        return;
    }
    kv->async = new_context(kv);
    if (!kv->async) {
        retry_later(kv);
        return;
    }
    loop_timer_set(kv->connect_timer, KV_CONNECT_MS, 0);
    (void)fcntl(kv->async->c.fd, F_SETFD, FD_CLOEXEC);
    kv->async->data = kv;
    kv->async->ev.data = kv;
    kv->async->ev.addRead = on_want_read;
    kv->async->ev.delRead = on_want_read;
    kv->async->ev.addWrite = on_want_write;
    kv->async->ev.delWrite = on_no_write;
    kv->async->ev.cleanup = on_gone;
    (void)redisAsyncSetConnectCallback(kv->async, on_tcp);
    send_handshake(kv);
}

/* --- commands --------------------------------------------------------------------------------- */

static bool resend(struct kv_request *request);

static void
on_reply(redisAsyncContext *context, void *data, void *arg)
{
    struct kv_request *request = arg;
    const redisReply *reply = data;
    struct kv *kv = request->kv;
    struct kv_reply view;
    (void)context;

    if (!reply) {
        (void)err_set_of(&request->err, SERVER_REDIS, RC_TEMP, "the connection to Redis is lost");
        heap_remove(&kv->deadlines, &request->deadline);
        answer(request, RC_TEMP, NULL, &request->err);
        free_request(request);
        return;
    }
    kv->received_ms = clock_mono_ms();
    if (reply->type == REDIS_REPLY_ERROR) {
        if (request->wire && !request->reloaded && strncmp(reply->str, "NOSCRIPT", 8) == 0 &&
            resend(request))
            return;
        heap_remove(&kv->deadlines, &request->deadline);
        enum rc rc = kv_fail_reply(reply, &request->err);
        answer(request, rc, NULL, &request->err);
    } else if (request->fn) {
        heap_remove(&kv->deadlines, &request->deadline);
        if (kv_view(reply, &view, &request->err) == RC_OK) {
            answer(request, RC_OK, &view, NULL);
            kv_view_fini(&view);
        } else {
            answer(request, RC_TEMP, NULL, &request->err);
        }
    }
    free_request(request);
}

static void
on_reloaded(redisAsyncContext *context, void *data, void *arg)
{
    (void)context;
    (void)data;
    (void)arg;
}

/* The server forgot its scripts: load this one again, then the same call. */
static bool
resend(struct kv_request *request)
{
    struct kv *kv = request->kv;
    const char *text = kv->scripts[request->script].text;
    const char *argv[3] = { "SCRIPT", "LOAD", text };
    size_t len[3] = { 6, 4, strlen(text) };

    request->reloaded = true;
    return redisAsyncCommandArgv(kv->async, on_reloaded, NULL, 3, argv, len) == REDIS_OK &&
           redisAsyncFormattedCommand(kv->async, on_reply, request, request->wire,
                                      request->wire_len) == REDIS_OK;
}

static void
on_fail_later(void *arg)
{
    struct kv_request *request = arg;
    answer(request, request->err.rc, NULL, &request->err);
    free_request(request);
}

static struct kv_request *
new_request(struct kv *kv, kv_fn *fn, void *arg)
{
    struct kv_request *request = calloc(1, sizeof(*request));
    if (!request)
        log_no_memory("a command to Redis");
    request->fn = fn;
    request->arg = arg;
    request->kv = kv;
    return request;
}

static void
fail_later(struct kv *kv, struct kv_request *request)
{
    heap_remove(&kv->deadlines, &request->deadline);
    request->kv = NULL;
    request->err = kv->down;
    if (kv->down.rc == RC_OK)
        (void)err_set_of(&request->err, SERVER_REDIS, RC_TEMP, "not connected to Redis");
    loop_post(kv->loop, on_fail_later, request);
}

static void
set_deadline(struct kv *kv, struct kv_request *request, uint32_t timeout_ms)
{
    int64_t now_ms = clock_mono_ms();
    int64_t at_ms = now_ms + timeout_ms;
    if (!heap_first(&kv->deadlines))
        kv->received_ms = now_ms; /* silence counts from the first question */
    heap_set(&kv->deadlines, &request->deadline, at_ms);
    arm(kv, at_ms);
}

void
kv_call(struct kv *kv, const struct kv_command *cmd, uint32_t timeout_ms, kv_fn *fn, void *arg)
{
    struct kv_request *request = new_request(kv, fn, arg);
    const char *argv[KV_ARGS_MAX];
    size_t len[KV_ARGS_MAX];

    int argc = kv_argv(cmd, argv, len);
    if (!kv->ready ||
        redisAsyncCommandArgv(kv->async, on_reply, request, argc, argv, len) != REDIS_OK)
        fail_later(kv, request);
    else
        set_deadline(kv, request, timeout_ms);
}

void
kv_script_call(struct kv *kv, unsigned script, size_t n_keys, const struct kv_command *cmd,
               uint32_t timeout_ms, kv_fn *fn, void *arg)
{
    struct kv_request *request = new_request(kv, fn, arg);
    const char *argv[KV_ARGS_MAX + 3];
    size_t len[KV_ARGS_MAX + 3];
    char number[24];

    if (!kv->ready || script >= kv->n_scripts) {
        fail_later(kv, request);
        return;
    }
    int argc = kv_script_argv(kv, script, n_keys, cmd, number, argv, len);
    long long size = redisFormatCommandArgv(&request->wire, argc, argv, len);
    request->script = script;
    request->wire_len = size > 0 ? (size_t)size : 0;
    if (size <= 0 || redisAsyncFormattedCommand(kv->async, on_reply, request, request->wire,
                                                request->wire_len) != REDIS_OK)
        fail_later(kv, request);
    else
        set_deadline(kv, request, timeout_ms);
}

/* --- life ------------------------------------------------------------------------------------- */

enum rc
kv_open(struct loop *loop, const char *url, const struct kv_script *scripts, size_t count,
        struct kv **out, struct err *err)
{
    struct kv *kv = calloc(1, sizeof(*kv));
    if (!kv)
        return err_set(err, RC_TEMP, "no memory for Redis");
    kv->scripts = scripts;
    kv->n_scripts = count;
    kv->sha = calloc(count + 1, sizeof(*kv->sha));
    kv->loop = loop;
    kv->armed_ms = INT64_MAX;
    kv->backoff_ms = KV_BACKOFF_MIN;
    enum rc rc = kv->sha ? kv_url_parse(url, &kv->url, err) : err_set(err, RC_TEMP, "no memory");
    if (rc == RC_OK && kv->url.tls)
        rc = kv_tls_new(&kv->url, &kv->tls, err);
    if (rc != RC_OK) {
        kv->loop = NULL;
        kv_free(kv);
        return rc;
    }
    (void)err_set_of(&kv->down, SERVER_REDIS, RC_TEMP, "not connected to Redis yet");
    if (loop) {
        kv->connect_timer = loop_timer_new(loop, start_connection, kv);
        kv->deadline_timer = loop_timer_new(loop, on_deadline, kv);
        kv->flush_timer = loop_timer_new(loop, on_flush, kv);
        start_connection(kv);
    }
    *out = kv;
    return RC_OK;
}

void
kv_free(struct kv *kv)
{
    if (!kv)
        return;
    kv->closing = true;
    kv->ready = false;
    drop_connection(kv);
    if (kv->sync)
        redisFree(kv->sync);
    if (kv->loop) {
        loop_timer_free(kv->connect_timer);
        loop_timer_free(kv->deadline_timer);
        loop_timer_free(kv->flush_timer);
    }
    heap_fini(&kv->deadlines);
    if (kv->tls)
        kv_tls_free(kv->tls);
    free(kv->sha);
    crypto_wipe(&kv->url, sizeof(kv->url));
    free(kv);
}

bool
kv_connected(const struct kv *kv)
{
    return kv->ready;
}

const struct err *
kv_down(const struct kv *kv)
{
    return &kv->down;
}
