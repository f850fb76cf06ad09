/* SPDX-License-Identifier: MIT */
#include "requests/inner.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "gateway.h"

/* What is taken from the outer request's head is shorter than that; and what is added. */
#define HEAD_MAX (HTTP_HEAD_MAX + 2048)

struct inner {
    inner_fn *fn;
    void *arg;
    struct request *r;
};

static bool
is_field_value(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || (unsigned char)*text > 0x7e)
            return false;
    return true;
}

/* What cannot be in a header is left out. */
static void
put_field(struct buf *head, const char *name, const char *value)
{
    if (value && *value && is_field_value(value))
        buf_printf(head, "%s: %s\r\n", name, value);
}

static struct exchange *
make_head(const struct request *outer, const struct inner_ask *ask)
{
    AUTO(buf) struct buf head = { 0 };
    struct trace_parent given;
    buf_init(&head, HEAD_MAX);
    buf_printf(&head, "%s %.*s HTTP/1.1\r\nHost: inner\r\nContent-Length: %zu\r\n",
               method_name(ask->route->method), (int)outer->path_len, outer->uri, ask->len);
    put_field(&head, "X-Request-ID", outer->request_id);
    put_field(&head, "Idempotency-Key", ask->idem_key);
    put_field(&head, "Prefer", ask->prefer);
    if (trace_parent_read(ask->trace[0], &given) && strlen(ask->trace[0]) < TRACEPARENT_MAX) {
        put_field(&head, TRACEPARENT_HEADER, ask->trace[0]);
        if (trace_state_valid(ask->trace[1]))
            put_field(&head, TRACESTATE_HEADER, ask->trace[1]);
    } else if (outer->trace.id[0]) {
        char parent[TRACEPARENT_MAX];
        trace_parent_write(&outer->trace, outer->trace.span, parent);
        put_field(&head, TRACEPARENT_HEADER, parent);
    }
    buf_puts(&head, "\r\n");
    return buf_failed(&head) ? NULL : http_exchange_new(buf_text(&head), head.len);
}

static void
inner_free(void *arg)
{
    struct inner *inner = arg;
    struct exchange *exchange = inner->r->exchange;
    request_free(inner->r);
    http_exchange_free(exchange);
    free(inner);
}

static void
inner_run(void *arg)
{
    struct inner *inner = arg;
    request_run(inner->r);
}

/* Whoever called its last continuation may still look at it. */
static void
inner_done(void *arg, struct request *r)
{
    struct inner *inner = arg;
    inner->fn(inner->arg, r);
    loop_post(r->gw->loop, inner_free, inner);
}

enum rc
inner_start(struct request *outer, const struct inner_ask *ask, inner_fn *fn, void *arg,
            struct request **out)
{
    struct inner *inner = calloc(1, sizeof(*inner));
    struct exchange *exchange = inner ? make_head(outer, ask) : NULL;
    struct request *r = exchange ? request_new(outer->gw, exchange, outer->client) : NULL;
    if (!r) {
        http_exchange_free(exchange);
        free(inner);
        return RC_TEMP;
    }
    *inner = (struct inner){ .fn = fn, .arg = arg, .r = r };
    r->outer = outer;
    r->done = inner_done;
    r->done_arg = inner;
    r->route = ask->route;
    r->match.route = ask->route;
    r->actor = outer->actor;
    r->authenticated = true;
    r->complete = true;
    buf_add(&r->body, ask->body, ask->len);
    r->gw->buffered_bytes += r->body.len;
    loop_post(outer->gw->loop, inner_run, inner); /* fn is never called before this has returned */
    if (out)
        *out = r;
    return RC_OK;
}
