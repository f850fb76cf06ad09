/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "http/http_own.h"

#define OWN_BYTES_MIN 2048

bool
read_wanted(const struct conn *c)
{
    if (c->state == CONN_STREAM) /* the client's end; a next request may come first, and waits */
        return !c->eof && c->in_len == 0;
    return !c->eof && (c->state == CONN_HEAD || c->state == CONN_BODY || c->state == CONN_LINGER);
}

void
read_eat(struct conn *c, size_t len)
{
    c->in += len;
    c->in_len -= len;
}

/* Room for `more` bytes behind those that are kept; false: out of memory. */
static bool
make_own(struct conn *c, size_t more)
{
    size_t need = c->in_len + more;
    if (need > c->own_cap) {
        size_t cap = need < OWN_BYTES_MIN ? OWN_BYTES_MIN : need + need / 2;
        char *own = malloc(cap);
        if (!own)
            return false;
        memcpy(own, c->in, c->in_len);
        free(c->own);
        c->own = own;
        c->own_cap = cap;
    } else if (c->in_len && c->in != c->own) {
        memmove(c->own, c->in, c->in_len);
    }
    c->in = c->own;
    return true;
}

bool
conn_has_unread(const struct conn *c)
{
    char byte;
    return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static size_t
input_room(const struct conn *c)
{
    if (c->state == CONN_BODY && !c->x->head.chunked) {
        uint64_t left = c->x->head.length - c->x->arrived;
        if (left > HTTP_HEAD_MAX)
            return left < SCRATCH_BYTES ? (size_t)left : SCRATCH_BYTES;
    }
    return HTTP_HEAD_MAX - c->in_len;
}

void
read_some(struct conn *c)
{
    struct http_server *server = c->server;
    size_t room = input_room(c);
    if (room == 0) /* pipelined requests wait for their turn */
        return;
    ssize_t n = recv(c->fd, server->scratch, room, 0);
    if (n == 0)
        c->eof = true;
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        conn_end(c);
    if (n <= 0)
        return;
    if (c->in_len == 0) {
        c->in = server->scratch;
        c->in_len = (size_t)n;
        return;
    }
    if (!make_own(c, (size_t)n)) {
        conn_end(c);
        return;
    }
    memcpy(c->own + c->in_len, server->scratch, (size_t)n);
    c->in_len += (size_t)n;
}

void
read_keep(struct conn *c)
{
    if (c->in_len == 0) {
        free(c->own);
        c->own = NULL;
        c->own_cap = 0;
    } else if (!make_own(c, 0)) {
        conn_end(c);
    }
}
