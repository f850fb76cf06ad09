/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "http/http_own.h"

/*
 * Theory of operation. conn_drive() runs the step of the connection's state until a step has to wait
 * for the socket or for the request. It is called when the socket is ready and, from the loop's
 * prepare hook, for connections whose request has called http_answer() or http_want_body(). Nothing
 * else moves a connection, and only conn_drive() frees one, so no step finds its connection gone.
 *
 * Bytes are read into the scratch that all connections share; what is left over when a connection
 * stops is copied into memory of its own. An idle connection holds no buffer, and none holds more
 * than a head may have: only a body of known length is read in larger pieces.
 */
#define SWALLOW_MAX  (8ull << 20) /* a longer body is not read after an early answer */
#define REQUESTS_MAX 64           /* of a pipelining connection in one go */

/* --- steps: true when the state is another one, false when something must come first ----------- */

static void
enter(struct conn *c, enum conn_state state)
{
    c->state = state;
    c->since_ms = clock_mono_ms();
    c->moved = 0;
}

static bool
finish_reading(struct conn *c)
{
    conn_set_idle(c, false);
    enter(c, CONN_BUSY);
    if (!c->x->answer)
        c->server->callbacks.complete(c->x->request);
    return true;
}

/* Nothing that follows can be understood. */
static bool
refuse_rest(struct conn *c, enum http_fault fault, const char *why)
{
    struct exchange *x = c->x;
    if (x->head.fault == HTTP_FAULT_NONE) {
        x->head.fault = fault;
        x->head.why = why;
    }
    c->server->counts.faults++;
    x->closes = true;
    read_eat(c, c->in_len);
    return finish_reading(c);
}

/* Until it is there, a body that no key has been checked for keeps its connection no busier than
 * silence does: anybody can promise one. */
static bool
begin_body(struct conn *c)
{
    enter(c, CONN_BODY);
    conn_set_idle(c, !c->x->wanted && (c->x->head.chunked || c->x->head.length));
    if (c->x->head.expects && c->in_len == 0 && !c->x->answer &&
        (c->x->head.chunked || c->x->head.length) && !write_continue(c))
        conn_end(c);
    return true;
}

void
conn_cut_body(struct conn *c)
{
    c->x->closes = true;
    c->x->cut = true;
    conn_set_idle(c, false);
    enter(c, CONN_BUSY);
}

static bool
begin(struct conn *c, size_t len, enum http_fault fault, const char *why)
{
    struct http_server *server = c->server;
    struct exchange *x = malloc(sizeof(*x) + len + 1);
    if (!x) {
        conn_end(c);
        return false;
    }
    memset(x, 0, offsetof(struct exchange, head));
    memcpy(x->text, c->in, len);
    http_head_parse(&x->head, x->text, len);
    read_eat(c, len);
    x->conn = c;
    x->closes = !x->head.keep_alive;
    c->x = x;
    conn_set_idle(c, false);
    x->request = server->callbacks.begin(server->arg, x);
    if (!x->request) {
        conn_end(c);
        return false;
    }
    if (fault != HTTP_FAULT_NONE) {
        x->head.fault = fault;
        if (fault == HTTP_FAULT_TOO_LARGE || !x->head.why)
            x->head.why = why;
    }
    if (x->head.fault != HTTP_FAULT_NONE)
        return refuse_rest(c, x->head.fault, x->head.why);
    if (!x->head.chunked && x->head.length <= server->options.short_body)
        return begin_body(c);
    enter(c, CONN_HELD);
    server->callbacks.head(x->request);
    return true;
}

/* RFC 9112 2.2: an empty line before the request line is passed over. False: wait for its end. */
static bool
skip_empty_line(struct conn *c)
{
    if (c->skipped || c->in[0] != '\r')
        return true;
    if (c->in_len < 2)
        return false;
    c->skipped = true;
    if (c->in[1] == '\n')
        read_eat(c, 2);
    return c->in_len > 0;
}

static bool
read_head(struct conn *c)
{
    size_t end = 0;
    if (c->in_len && c->served && !c->begun) {
        c->begun = true;
        c->since_ms = clock_mono_ms();
    }
    if (c->in_len && skip_empty_line(c)) {
        switch (http_head_find(c->in, c->in_len, &c->line, &end)) {
        case HEAD_COMPLETE:
            return begin(c, end, HTTP_FAULT_NONE, NULL);
        case HEAD_MALFORMED:
            end = c->in_len < HTTP_HEAD_MAX ? c->in_len : HTTP_HEAD_MAX;
            return begin(c, end, HTTP_FAULT_MALFORMED, "this is not an HTTP request");
        case HEAD_TOO_LARGE:
            return begin(c, c->line, HTTP_FAULT_TOO_LARGE,
                         "the request line and the headers have more than 16384 bytes together");
        case HEAD_MORE:
            break;
        }
    }
    if (c->eof)
        conn_end(c);
    return false;
}

/* The head has been judged. An answer that does not wait for the body ends the connection: the body
 * may follow, or its client waits to be asked for it. */
static bool
leave_held(struct conn *c)
{
    struct exchange *x = c->x;
    if (x->answer && (x->head.expects || x->head.length > SWALLOW_MAX)) {
        conn_cut_body(c);
        return true;
    }
    return (x->answer || x->wanted) && begin_body(c);
}

static void
give_body(struct conn *c, const char *data, size_t len)
{
    struct exchange *x = c->x;
    x->arrived += len;
    c->moved += len;
    if (!x->answer)
        c->server->callbacks.body(x->request, data, len);
}

static bool
read_chunks(struct conn *c)
{
    struct exchange *x = c->x;
    while (c->in_len) {
        const char *piece = NULL;
        size_t used = 0;
        size_t len = 0;
        enum chunks_step step = http_chunks_next(&x->chunks, c->in, c->in_len, &used, &piece, &len);
        read_eat(c, used);
        if (step == CHUNKS_PIECE)
            give_body(c, piece, len);
        else if (step == CHUNKS_END)
            return finish_reading(c);
        else if (step == CHUNKS_MALFORMED)
            return refuse_rest(c, HTTP_FAULT_MALFORMED,
                               "the chunks of the body are malformed: a size, a line's end or a "
                               "trailer is not of its form");
    }
    return false;
}

static bool
read_length(struct conn *c)
{
    struct exchange *x = c->x;
    uint64_t left = x->head.length - x->arrived;
    size_t len = c->in_len < left ? c->in_len : (size_t)left;
    if (len) {
        give_body(c, c->in, len);
        read_eat(c, len);
    }
    return x->arrived == x->head.length && finish_reading(c);
}

static bool
read_body(struct conn *c)
{
    struct exchange *x = c->x;
    if (x->head.chunked ? read_chunks(c) : read_length(c))
        return true;
    if (x->arrived > SWALLOW_MAX) { /* far beyond every bound: the answer is made, or on its way */
        conn_cut_body(c);
        return true;
    }
    if (c->eof)
        conn_end(c);
    return false;
}

static bool
leave_busy(struct conn *c)
{
    if (!c->x->answer)
        return false;
    if (c->server->fd < 0 || c->server->full) /* others wait for its place */
        c->x->closes = true;
    if (!write_begin(c)) {
        conn_end(c);
        return false;
    }
    enter(c, c->x->answer->stream_max ? CONN_STREAM : CONN_WRITE);
    return true;
}

void
conn_free_exchange(struct conn *c)
{
    if (!c->x)
        return;
    if (c->x->request)
        c->server->callbacks.free(c->x->request);
    free(c->x);
    c->x = NULL;
    buf_fini(&c->out);
    buf_fini(&c->body);
    c->sent = 0; /* pieces of the next answer may come before its head is written */
}

/* The answer has left. */
static bool
finish_answer(struct conn *c)
{
    bool closes = c->x->closes;
    /* A client that still sends would be told of it by a reset, which can overtake the answer. One
     * that asked for the end, and of which nothing more has come, sends no more. */
    bool lingers = c->x->cut || c->x->head.fault != HTTP_FAULT_NONE || c->x->head.keep_alive ||
                   c->in_len > 0 || c->paused;
    conn_free_exchange(c);
    if (closes && (!lingers || shutdown(c->fd, SHUT_WR) < 0)) {
        conn_end(c);
        return false;
    }
    enter(c, closes ? CONN_LINGER : CONN_HEAD);
    c->served = true;
    c->begun = false;
    c->skipped = false;
    c->line = 0;
    if (!closes)
        conn_set_idle(c, true);
    return true;
}

static bool
write_out(struct conn *c)
{
    enum write_step step = write_some(c);
    if (step == WRITE_AGAIN) {
        conn_set_unsent(c, true);
        return false;
    }
    conn_set_unsent(c, false);
    if (step == WRITE_FAILED) {
        conn_end(c);
        return false;
    }
    return finish_answer(c);
}

static bool
stream_out(struct conn *c)
{
    bool moves = c->in_unsent;
    enum write_step step = c->x->spilt || c->eof ? WRITE_FAILED : write_some(c);
    c->server->counts.slow += c->x->spilt;
    if (step == WRITE_FAILED) {
        conn_end(c);
        return false;
    }
    write_compact(c);
    if (step == WRITE_AGAIN) {
        if (!moves)
            enter(c, CONN_STREAM); /* its time begins */
        conn_set_unsent(c, true);
        return false;
    }
    conn_set_unsent(c, false);
    return c->x->ended && finish_answer(c);
}

static bool
drop_rest(struct conn *c)
{
    read_eat(c, c->in_len);
    if (c->eof)
        conn_end(c);
    return false;
}

static bool
stay_dead(struct conn *c)
{
    (void)c;
    return false;
}

/* --- the connection --------------------------------------------------------------------------- */

void
conn_queue(struct conn *c)
{
    if (c->queued || c->driven)
        return;
    c->queued = true;
    TAILQ_INSERT_TAIL(&c->server->due, c, turn);
}

/* False: the connection is gone. */
static bool
stays(struct conn *c)
{
    if (c->state != CONN_DEAD)
        return true;
    if (c->x && c->x->request && c->server->callbacks.waits(c->x->request))
        return true;
    if (c->queued)
        TAILQ_REMOVE(&c->server->due, c, turn);
    conn_free_exchange(c);
    free(c->own);
    free(c);
    return false;
}

static void
watch_on(struct conn *c)
{
    bool writes = c->state == CONN_WRITE || (c->state == CONN_STREAM && c->in_unsent);
    unsigned events = writes ? LOOP_WRITE : 0;
    if (read_wanted(c))
        c->paused = false;
    if (!c->paused) /* usually the answer comes before more bytes do: no system call */
        events |= LOOP_READ;
    loop_watch_set(c->watch, events);
}

void
conn_drive(struct conn *c)
{
    static bool (*const STEPS[])(struct conn *) = {
        [CONN_HEAD] = read_head,   [CONN_HELD] = leave_held, [CONN_BODY] = read_body,
        [CONN_BUSY] = leave_busy,  [CONN_WRITE] = write_out, [CONN_STREAM] = stream_out,
        [CONN_LINGER] = drop_rest, [CONN_DEAD] = stay_dead,
    };
    unsigned left = REQUESTS_MAX;
    c->driven = true;
    while (left && STEPS[c->state](c))
        left -= c->state == CONN_HEAD;
    c->driven = false;
    if (c->state != CONN_DEAD)
        read_keep(c);
    if (!left && c->state != CONN_DEAD)
        conn_queue(c);
    if (stays(c) && c->state != CONN_DEAD)
        watch_on(c);
}

static void
on_event(void *arg, unsigned events)
{
    struct conn *c = arg;
    if (events & LOOP_READ && read_wanted(c))
        read_some(c);
    else if (events & LOOP_READ && c->paused) /* nothing was asked for: both directions are gone */
        conn_end(c);
    else if (events & LOOP_READ)
        c->paused = true;
    conn_drive(c);
}

enum rc
conn_start(struct conn *c, struct err *err)
{
    enter(c, CONN_HEAD);
    return loop_watch_new(c->server->loop, c->fd, LOOP_READ, on_event, c, &c->watch, err);
}

void
http_want_body(struct exchange *x)
{
    x->wanted = true;
    conn_queue(x->conn);
}

void
http_answer(struct exchange *x, struct http_answer *answer)
{
    x->answer = answer;
    if (x->conn->state == CONN_BODY) /* the rest, which is dropped, has a time of its own */
        enter(x->conn, CONN_BODY);
    conn_queue(x->conn);
}
