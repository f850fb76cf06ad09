/* SPDX-License-Identifier: MIT */
/*
 * kv_reply - commands as argument vectors, replies as views, error replies as reactions.
 */
#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kv/kv_own.h"

void
kv_add_bytes(struct kv_command *cmd, const void *data, size_t len)
{
    assert(cmd->count < KV_ARGS_MAX);
    cmd->args[cmd->count++] = (struct kv_arg){ len ? data : "", len };
}

void
kv_add(struct kv_command *cmd, const char *text)
{
    kv_add_bytes(cmd, text, strlen(text));
}

void
kv_add_int(struct kv_command *cmd, int64_t value)
{
    assert(cmd->count < KV_ARGS_MAX);
    char *text = cmd->numbers[cmd->count];
    int len = snprintf(text, sizeof(cmd->numbers[0]), "%lld", (long long)value);
    kv_add_bytes(cmd, text, (size_t)len);
}

int
kv_argv(const struct kv_command *cmd, const char *argv[], size_t len[])
{
    for (size_t i = 0; i < cmd->count; i++) {
        argv[i] = cmd->args[i].data;
        len[i] = cmd->args[i].len;
    }
    return (int)cmd->count;
}

int
kv_script_argv(const struct kv *kv, unsigned script, size_t n_keys, const struct kv_command *cmd,
               char number[24], const char *argv[], size_t len[])
{
    argv[0] = "EVALSHA";
    len[0] = 7;
    argv[1] = kv->sha[script];
    len[1] = strlen(kv->sha[script]);
    argv[2] = number;
    len[2] = (size_t)snprintf(number, 24, "%zu", n_keys);
    return 3 + kv_argv(cmd, argv + 3, len + 3);
}

int
kv_handshake(const struct kv *kv, size_t n, char number[24], const char *argv[4], size_t len[4],
             int *script)
{
    const struct kv_url *url = &kv->url;
    int count = 0;
    *script = -1;
    if (url->user[0] || url->password[0]) {
        if (n == 0) {
            argv[count++] = "AUTH";
            if (url->user[0])
                argv[count++] = url->user;
            argv[count++] = url->password;
        }
        n--;
    }
    if (url->db && !count) {
        if (n == 0) {
            (void)snprintf(number, 24, "%d", url->db);
            argv[count++] = "SELECT";
            argv[count++] = number;
        }
        n--;
    }
    if (!count && n < kv->n_scripts) {
        *script = (int)n;
        argv[count++] = "SCRIPT";
        argv[count++] = "LOAD";
        argv[count++] = kv->scripts[n].text;
    }
    for (int i = 0; i < count; i++)
        len[i] = strlen(argv[i]);
    return count;
}

static bool
starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

enum rc
kv_rc_from_error(const char *text)
{
    static const char *const TEMPORARY[] = { "LOADING",
                                             "OOM",
                                             "BUSY ",
                                             "READONLY",
                                             "MASTERDOWN",
                                             "CLUSTERDOWN",
                                             "TRYAGAIN",
                                             "MISCONF",
                                             "NOREPLICAS",
                                             "NOSCRIPT",
                                             "ERR max number of clients",
                                             "UNKILLABLE" };
    static const char *const CONFIGURATION[] = { "NOPERM",
                                                 "NOAUTH",
                                                 "WRONGPASS",
                                                 "DENIED",
                                                 "ERR invalid password",
                                                 "ERR AUTH",
                                                 "ERR Client sent AUTH",
                                                 "ERR unknown command",
                                                 "ERR DB index is out of range" };
    for (size_t i = 0; i < sizeof(TEMPORARY) / sizeof(TEMPORARY[0]); i++)
        if (starts(text, TEMPORARY[i]))
            return RC_TEMP;
    for (size_t i = 0; i < sizeof(CONFIGURATION) / sizeof(CONFIGURATION[0]); i++)
        if (starts(text, CONFIGURATION[i]))
            return RC_CONFIG;
    /* Inside a script the server wraps the cause. */
    if (strstr(text, "OOM command not allowed"))
        return RC_TEMP;
    if (strstr(text, "user executing the script can't"))
        return RC_CONFIG;
    return RC_BUG;
}

enum rc
kv_fail_reply(const redisReply *reply, struct err *err)
{
    return err_set_of(err, SERVER_REDIS, kv_rc_from_error(reply->str), "Redis: %.200s", reply->str);
}

/* How many nodes lie below the reply. hiredis bounds the depth. */
static size_t
count_below(const redisReply *reply)
{
    size_t count = 0;
    if (reply->type == REDIS_REPLY_ARRAY)
        for (size_t i = 0; i < reply->elements; i++)
            count += 1 + count_below(reply->element[i]);
    return count;
}

static void
fill(const redisReply *reply, struct kv_reply *out, struct kv_reply **room)
{
    *out = (struct kv_reply){ .type = KV_NIL };
    switch (reply->type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_ERROR:
        out->type = KV_TEXT;
        out->text = reply->str;
        out->len = (size_t)reply->len;
        break;
    case REDIS_REPLY_INTEGER:
        out->type = KV_INT;
        out->integer = reply->integer;
        break;
    case REDIS_REPLY_ARRAY: {
        struct kv_reply *items = *room;
        assert(items || reply->elements == 0); /* count_below() has counted them */
        *room += reply->elements;
        out->type = KV_LIST;
        out->count = reply->elements;
        out->items = items;
        for (size_t i = 0; i < reply->elements; i++)
            fill(reply->element[i], &items[i], room);
        break;
    }
    default:
        break;
    }
}

enum rc
kv_view(const redisReply *reply, struct kv_reply *out, struct err *err)
{
    struct kv_reply *room = NULL;
    size_t count = count_below(reply);
    if (count) {
        room = calloc(count, sizeof(*room));
        if (!room)
            return err_set(err, RC_TEMP, "no memory for a reply");
    }
    fill(reply, out, &room);
    return RC_OK;
}

/* The items of the outermost list begin the one block that holds all. */
void
kv_view_fini(struct kv_reply *view)
{
    if (view->type == KV_LIST) {
        union {
            const struct kv_reply *items;
            void *block;
        } both = { .items = view->items };
        free(both.block);
    }
}
