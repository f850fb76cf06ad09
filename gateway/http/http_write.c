/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include "base/clock.h"
#include "http/http_own.h"

#define HEAD_BYTES_MAX 4096

/* RFC 9110 15: what the numbers are called. */
static const char *
reason(int status)
{
    static const struct {
        int status;
        const char *text;
    } REASONS[] = {
        { 200, "OK" },
        { 201, "Created" },
        { 202, "Accepted" },
        { 204, "No Content" },
        { 304, "Not Modified" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 409, "Conflict" },
        { 413, "Content Too Large" },
        { 415, "Unsupported Media Type" },
        { 422, "Unprocessable Content" },
        { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" },
        { 500, "Internal Server Error" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
    };
    for (size_t i = 0; i < sizeof(REASONS) / sizeof(REASONS[0]); i++)
        if (REASONS[i].status == status)
            return REASONS[i].text;
    return "";
}

static void
add(struct buf *out, const char *name, const char *value)
{
    buf_puts(out, name);
    buf_puts(out, ": ");
    buf_puts(out, value);
    buf_puts(out, "\r\n");
}

/* RFC 9110 5.6.7; made once a second. */
static const char *
date_now(struct http_server *server)
{
    static const char DAYS[] = "Sun\0Mon\0Tue\0Wed\0Thu\0Fri\0Sat";
    static const char MONTHS[] = "Jan\0Feb\0Mar\0Apr\0May\0Jun\0Jul\0Aug\0Sep\0Oct\0Nov\0Dec";
    int64_t now_s = clock_wall_ms() / 1000;
    time_t seconds = (time_t)now_s;
    struct tm tm;
    if (now_s == server->date_s || !gmtime_r(&seconds, &tm))
        return server->date;
    struct buf text;
    buf_init(&text, sizeof(server->date) - 1);
    buf_printf(&text, "%s, %02d %s %04d %02d:%02d:%02d GMT", DAYS + 4 * tm.tm_wday, tm.tm_mday,
               MONTHS + 4 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    memcpy(server->date, buf_text(&text), text.len + 1);
    buf_fini(&text);
    server->date_s = now_s;
    return server->date;
}

bool
write_begin(struct conn *conn)
{
    static const char ALWAYS[] = "X-Content-Type-Options: nosniff\r\n"
                                 "X-Frame-Options: DENY\r\n"
                                 "Referrer-Policy: no-referrer\r\n";
    struct exchange *x = conn->x;
    struct http_answer *a = x->answer;
    struct buf *out = &conn->out;
    bool has_body = a->status != 204 && a->status != 304;
    buf_init(out, HEAD_BYTES_MAX);
    buf_printf(out, "HTTP/1.1 %d %s\r\n", a->status, reason(a->status));
    add(out, "Date", date_now(conn->server));
    bool pieces = a->stream_max > 0;
    if (pieces && x->head.minor == 0)
        x->closes = true; /* which is the end of the body */
    else if (pieces)
        add(out, "Transfer-Encoding", "chunked");
    else if (has_body)
        buf_printf(out, "Content-Length: %zu\r\n", a->body.len);
    if (a->content_type)
        add(out, "Content-Type", a->content_type);
    buf_add(out, ALWAYS, sizeof(ALWAYS) - 1);
    add(out, "Cache-Control", a->cache ? a->cache : "no-store");
    if (a->policy)
        add(out, "Content-Security-Policy", a->policy);
    if (http_over_tls(x))
        add(out, "Strict-Transport-Security", "max-age=31536000; includeSubDomains");
    for (size_t i = 0; i < a->n_headers; i++)
        add(out, a->headers[i].name, a->headers[i].value);
    if (a->lines)
        buf_puts(out, a->lines);
    if (x->closes)
        add(out, "Connection", "close");
    else if (x->head.minor == 0)
        add(out, "Connection", "keep-alive");
    buf_puts(out, "\r\n");
    conn->sent = 0;
    if (!pieces && has_body && strcmp(x->head.method, "HEAD") != 0) {
        conn->body = a->body;
        a->body = (struct buf){ 0 };
    }
    return !buf_failed(out);
}

enum write_step
write_some(struct conn *conn)
{
    size_t all = conn->out.len + conn->body.len;
    while (conn->sent < all) {
        struct iovec parts[2];
        struct msghdr message = { .msg_iov = parts };
        size_t body_at = conn->sent > conn->out.len ? conn->sent - conn->out.len : 0;
        if (conn->sent < conn->out.len)
            parts[message.msg_iovlen++] =
                (struct iovec){ conn->out.data + conn->sent, conn->out.len - conn->sent };
        if (conn->body.len > body_at)
            parts[message.msg_iovlen++] =
                (struct iovec){ conn->body.data + body_at, conn->body.len - body_at };
        ssize_t n = sendmsg(conn->fd, &message, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? WRITE_AGAIN : WRITE_FAILED;
        conn->sent += (size_t)n;
        conn->moved += (size_t)n;
    }
    return WRITE_DONE;
}

/* --- an answer in pieces ------------------------------------------------------------------------ */

#define CHUNK_EXTRA 32 /* bytes of a chunk's frame, at most */

size_t
write_waiting(const struct conn *conn)
{
    return conn->out.len + conn->body.len - conn->sent;
}

static bool
takes_pieces(struct conn *conn)
{
    struct exchange *x = conn->x;
    conn->body.max = 2 * x->answer->stream_max + CHUNK_EXTRA;
    return strcmp(x->head.method, "HEAD") != 0;
}

void
write_piece(struct conn *conn, const char *data, size_t len)
{
    if (!takes_pieces(conn))
        return;
    bool chunked = conn->x->head.minor > 0;
    if (chunked)
        buf_printf(&conn->body, "%zx\r\n", len);
    buf_add(&conn->body, data, len);
    if (chunked)
        buf_puts(&conn->body, "\r\n");
}

void
write_last(struct conn *conn)
{
    if (takes_pieces(conn) && conn->x->head.minor > 0)
        buf_puts(&conn->body, "0\r\n\r\n");
}

void
write_compact(struct conn *conn)
{
    struct buf *body = &conn->body;
    if (conn->sent < conn->out.len)
        return;
    size_t gone = conn->sent - conn->out.len;
    size_t left = body->len - gone;
    buf_fini(&conn->out);
    conn->sent = 0;
    if (left) {
        memmove(body->data, body->data + gone, left);
        buf_cut(body, left);
    } else { /* a quiet stream holds no memory */
        buf_fini(body);
    }
}

void
http_stream_write(struct exchange *x, const char *data, size_t len)
{
    if (x->conn->state == CONN_DEAD || x->ended || x->spilt || len == 0)
        return;
    if (write_waiting(x->conn) + len <= x->answer->stream_max)
        write_piece(x->conn, data, len);
    else
        x->spilt = true;
    if (buf_failed(&x->conn->body)) /* a part of a piece is worse than the end */
        x->spilt = true;
    conn_queue(x->conn);
}

void
http_stream_end(struct exchange *x)
{
    if (x->conn->state != CONN_DEAD && !x->ended)
        write_last(x->conn);
    x->ended = true;
    conn_queue(x->conn); /* a dead one is freed then */
}

/* --- 100 ------------------------------------------------------------------------------------- */

bool
write_continue(struct conn *conn)
{
    static const char TEXT[] = "HTTP/1.1 100 Continue\r\n\r\n";
    ssize_t n = send(conn->fd, TEXT, sizeof(TEXT) - 1, MSG_NOSIGNAL);
    /* A client that gets none of it sends its body after a while all the same. */
    return n <= 0 || (size_t)n == sizeof(TEXT) - 1;
}
