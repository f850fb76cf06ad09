/* SPDX-License-Identifier: MIT */
#include "http/http.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/http_own.h"

#define ACCEPTS_MAX   64 /* in one go */
#define RUNS_PER_TURN 4
#define SWEEP_MS      1000
#define LINGER_MS     2000
#define WARN_MS       10000 /* between two complaints about descriptors */

/* --- the end of a connection ---------------------------------------------------------------------- */

static void
accept_again(struct http_server *server)
{
    bool room = server->n_conns < server->options.max_connections || !TAILQ_EMPTY(&server->idle);
    if (!server->full || !server->watch || !room)
        return;
    server->full = false;
    loop_watch_set(server->watch, LOOP_READ);
}

void
conn_end(struct conn *conn)
{
    struct http_server *server = conn->server;
    if (conn->state == CONN_DEAD)
        return;
    bool broken = conn->state == CONN_STREAM;
    conn->state = CONN_DEAD;
    conn_set_idle(conn, false);
    conn_set_unsent(conn, false);
    place_leave(conn);
    TAILQ_REMOVE(&server->all, conn, all);
    server->n_conns--;
    loop_watch_free(TAKE(conn->watch));
    close(conn->fd);
    conn_queue(conn);
    if (broken && server->callbacks.gone)
        server->callbacks.gone(conn->x->request);
    accept_again(server);
}

/* --- new connections -------------------------------------------------------------------------- */

static void
admit(struct http_server *server, int fd, const struct sockaddr *address)
{
    struct conn *conn = calloc(1, sizeof(*conn));
    if (!conn) {
        close(fd);
        return;
    }
    conn->server = server;
    conn->fd = fd;
    (void)netaddr_from_socket(address, conn->address);
    if (!place_enter(conn) || conn_start(conn, NULL) != RC_OK) {
        place_leave(conn);
        close(fd);
        free(conn);
        return;
    }
    TAILQ_INSERT_TAIL(&server->all, conn, all);
    server->n_conns++;
    conn_set_idle(conn, true);
}

static void
stop_accepting(struct http_server *server)
{
    server->full = true;
    loop_watch_set(server->watch, 0);
}

/* True: try again at once. */
static bool
accept_failed(struct http_server *server, int error)
{
    if (error == EAGAIN)
        return false;
    if (error == ECONNABORTED || error == EINTR)
        return true;
    if ((error == EMFILE || error == ENFILE) && room_make(server))
        return true;
    int64_t now_ms = clock_mono_ms();
    if (server->warned_ms == 0 || now_ms - server->warned_ms >= WARN_MS) {
        server->warned_ms = now_ms;
        log_warn("cannot accept a connection: %s", strerror(error));
    }
    stop_accepting(server); /* until a connection ends, or the next sweep */
    return false;
}

static void
on_listening(void *arg, unsigned events)
{
    struct http_server *server = arg;
    (void)events;
    for (unsigned i = 0; i < ACCEPTS_MAX; i++) {
        if (server->n_conns >= server->options.max_connections) {
            if (i > 0) /* is there another one at all? The loop tells */
                return;
            if (!room_make(server)) {
                stop_accepting(server); /* it waits in the listen queue */
                return;
            }
        }
        struct sockaddr_storage address = { 0 };
        socklen_t len = sizeof(address);
        int fd =
            accept4(server->fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            admit(server, fd, (struct sockaddr *)&address);
        else if (!accept_failed(server, errno))
            return;
    }
}

/* --- time ------------------------------------------------------------------------------------- */

/* How long its state may last from since_ms on; -1 = for ever. */
static int64_t
time_allowed_ms(const struct conn *conn)
{
    const struct http_options *o = &conn->server->options;
    int64_t progress_ms = (int64_t)(conn->moved * 1000 / HTTP_RATE_MIN);
    switch (conn->state) {
    case CONN_HEAD:
        return (int64_t)(conn->served && !conn->begun ? o->idle_seconds : o->head_seconds) * 1000;
    case CONN_BODY:
        return (int64_t)o->body_seconds * 1000 + progress_ms;
    case CONN_WRITE:
        return (int64_t)o->idle_seconds * 1000 + progress_ms;
    case CONN_STREAM:
        return conn->in_unsent ? (int64_t)o->idle_seconds * 1000 + progress_ms : -1;
    case CONN_LINGER:
        return LINGER_MS;
    case CONN_HELD:
    case CONN_BUSY:
    case CONN_DEAD:
        break;
    }
    return -1;
}

static void
sweep(void *arg)
{
    struct http_server *server = arg;
    int64_t now_ms = clock_mono_ms();
    struct conn *next;
    for (struct conn *conn = TAILQ_FIRST(&server->all); conn; conn = next) {
        int64_t allowed_ms = time_allowed_ms(conn);
        next = TAILQ_NEXT(conn, all);
        if (allowed_ms < 0 || now_ms - conn->since_ms <= allowed_ms)
            continue;
        if ((conn->state == CONN_HEAD || conn->state == CONN_BODY) && conn_has_unread(conn))
            continue; /* it is this program that is slow */
        if (conn->state == CONN_BODY || conn->state == CONN_WRITE || conn->state == CONN_STREAM ||
            (conn->state == CONN_HEAD && (conn->begun || !conn->served)))
            server->counts.slow++;
        if (conn->state == CONN_BODY && conn->x->answer) {
            conn_cut_body(conn);
            conn_queue(conn);
        } else {
            conn_end(conn);
        }
    }
    accept_again(server); /* descriptors may be free again */
}

static int
prepare(void *arg)
{
    struct http_server *server = arg;
    for (unsigned i = 0; i < RUNS_PER_TURN && !TAILQ_EMPTY(&server->due); i++) {
        struct conn *last = TAILQ_LAST(&server->due, conn_list);
        struct conn *conn = NULL;
        while (conn != last && (conn = TAILQ_FIRST(&server->due)) != NULL) {
            TAILQ_REMOVE(&server->due, conn, turn);
            conn->queued = false;
            bool ends = conn == last;
            conn_drive(conn);
            if (ends)
                break;
        }
    }
    return TAILQ_EMPTY(&server->due) ? -1 : 0;
}

/* --- the listener ----------------------------------------------------------------------------- */

enum rc
http_open(struct loop *loop, const struct http_options *options,
          const struct http_callbacks *callbacks, void *arg, struct http_server **out,
          struct err *err)
{
    static const int ON = 1;
    struct http_server *server = calloc(1, sizeof(*server));
    if (!server)
        return err_set(err, RC_TEMP, "no memory for a listener");
    server->loop = loop;
    server->options = *options;
    server->callbacks = *callbacks;
    server->arg = arg;
    server->fd = -1;
    TAILQ_INIT(&server->all);
    TAILQ_INIT(&server->due);
    TAILQ_INIT(&server->idle);
    TAILQ_INIT(&server->unsent);
    if (getrandom(&server->seed, sizeof(server->seed), 0) != (ssize_t)sizeof(server->seed))
        server->seed = (uint64_t)clock_mono_us();
    enum rc rc = netaddr_nets_parse(options->trusted_proxies, &server->proxies, err);
    if (rc == RC_OK)
        rc = netaddr_listen(options->address, &server->fd, err);
    if (rc == RC_OK) /* connections have it from their listener */
        (void)setsockopt(server->fd, IPPROTO_TCP, TCP_NODELAY, &ON, sizeof(ON));
    if (rc == RC_OK)
        rc = loop_watch_new(loop, server->fd, LOOP_READ, on_listening, server, &server->watch, err);
    if (rc != RC_OK) {
        if (server->fd >= 0)
            close(server->fd);
        free(server);
        return rc;
    }
    server->sweep = loop_timer_new(loop, sweep, server);
    loop_timer_set(server->sweep, SWEEP_MS, SWEEP_MS);
    loop_prepare(loop, LOOP_RANK_WORK, prepare, server);
    *out = server;
    return RC_OK;
}

void
http_quiesce(struct http_server *server)
{
    if (server->fd < 0)
        return;
    loop_watch_free(TAKE(server->watch));
    close(server->fd);
    server->fd = -1;
}

void
http_close(struct http_server *server)
{
    struct conn *conn;
    if (!server)
        return;
    http_quiesce(server);
    loop_unprepare(server->loop, prepare, server);
    loop_timer_free(server->sweep);
    while ((conn = TAILQ_FIRST(&server->all)) != NULL)
        conn_end(conn);
    (void)prepare(server);
    free(server);
}

unsigned
http_connections(const struct http_server *server)
{
    return server->n_conns;
}

const struct http_counts *
http_counts(const struct http_server *server)
{
    return &server->counts;
}

struct exchange *
http_exchange_new(const char *head, size_t len)
{
    struct exchange *x = malloc(sizeof(*x) + len + 1);
    if (!x)
        return NULL;
    memset(x, 0, offsetof(struct exchange, head));
    memcpy(x->text, head, len);
    http_head_parse(&x->head, x->text, len);
    return x;
}

void
http_exchange_free(struct exchange *x)
{
    free(x);
}

/* --- of one request --------------------------------------------------------------------------- */

void
http_belongs(struct exchange *exchange, uint8_t owner)
{
    exchange->conn->owner = owner;
}

const struct http_head *
http_head(const struct exchange *x)
{
    return &x->head;
}

const char *
http_header(const struct exchange *x, const char *name, unsigned *count)
{
    return http_head_field(&x->head, name, count);
}

/* A proxy that adds a line of its own adds it last. */
void
http_client(const struct exchange *x, char text[HTTP_CLIENT_MAX])
{
    const struct http_head *head = &x->head;
    uint8_t client[16], peer[16];
    bool more = true;
    memcpy(client, x->conn->address, sizeof(client));
    /* Several lines are one list; the nearest proxy wrote its end. */
    for (size_t i = head->n_fields; more && i > 0; i--) {
        if (strcasecmp(head->text + head->fields[i - 1].name, "X-Forwarded-For") != 0)
            continue;
        memcpy(peer, client, sizeof(peer));
        more = netaddr_client(&x->conn->server->proxies, peer,
                              head->text + head->fields[i - 1].value, client);
    }
    netaddr_text(client, text, HTTP_CLIENT_MAX);
}

bool
http_over_tls(const struct exchange *x)
{
    const char *proto = http_head_last(&x->head, "X-Forwarded-Proto");
    return proto && strcasecmp(proto, "https") == 0 &&
           netaddr_trusted(&x->conn->server->proxies, x->conn->address);
}
