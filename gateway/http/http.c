/* SPDX-License-Identifier: MIT */
#include "http/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/http_own.h"
#include "http/netaddr.h"

/*
 * Theory of operation. MHD's epoll descriptor is one watch of the loop; that it became readable
 * only sets a flag, and MHD_run() is called once a turn, from the prepare hook, after everything
 * else of the turn: requests that a NATS message has just completed are answered in the same turn.
 *
 * MHD's time-out counts from the last byte, so a client that sends one byte now and then could hold
 * a connection for ever. Hence the sweep: a connection that has been for too long without a request
 * whose headers are complete, or with a body that does not end, is shut down.
 */
#define POOL_BYTES    16384 /* of a connection: request line and headers must fit */
#define RUNS_PER_TURN 4
#define SWEEP_MS      1000
#define BODY_TIME_MS  60000
#define SWALLOW_MAX   (8ull << 20) /* a longer body is not read after an early answer */
#define SHORT_BODY    8192 /* read before the checks: one suspension less for most requests */

struct peer { /* one connection */
    struct peer *next, **prev;
    int fd;
    int64_t since_ms;      /* without a complete request head since; 0 = a request is under way */
    int64_t body_since_ms; /* a body is being read since; 0 = none */
};

struct http_server {
    struct gateway *gw;
    struct loop *loop;
    struct MHD_Daemon *daemon;
    struct loop_watch *watch;
    struct loop_timer *sweep;
    struct netaddr_nets proxies;
    struct peer *peers;
    int64_t idle_max_ms;
    size_t short_body;
    int fd; /* listening; MHD's until quiesced */
    uint64_t refused;
    bool admin;
    bool due; /* MHD has something to do */
    bool quiet;
};

bool
http_is_admin(const struct exchange *x)
{
    return x->server->admin;
}

/* --- the answer ------------------------------------------------------------------------------- */

static void
add(struct MHD_Response *response, const char *name, const char *value)
{
    (void)MHD_add_response_header(response, name, value);
}

static enum MHD_Result
reply(struct exchange *x)
{
    struct request *r = x->request;
    struct answer *a = &r->answer;
    struct MHD_Response *response;
    if (a->body.len) {
        response =
            MHD_create_response_from_buffer(a->body.len, a->body.data, MHD_RESPMEM_MUST_FREE);
        if (response)
            a->body = (struct buf){ 0 };
    } else {
        response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    }
    if (!response)
        return MHD_NO;
    if (a->content_type)
        add(response, "Content-Type", a->content_type);
    add(response, "X-Request-ID", r->request_id);
    add(response, "X-Content-Type-Options", "nosniff");
    add(response, "X-Frame-Options", "DENY");
    add(response, "Referrer-Policy", "no-referrer");
    add(response, "Cache-Control", "no-store");
    if (r->tls)
        add(response, "Strict-Transport-Security", "max-age=31536000; includeSubDomains");
    for (size_t i = 0; i < a->n_headers; i++)
        add(response, a->headers[i].name, a->headers[i].value);
    if (x->close_after || x->server->quiet)
        add(response, "Connection", "close");
    enum MHD_Result queued = MHD_queue_response(x->connection, (unsigned)a->status, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result
wait_or_reply(struct exchange *x)
{
    struct request *r = x->request;
    if (r->ready)
        return reply(x);
    if (!r->waiting) {
        log_error("a request neither waits nor has an answer");
        return MHD_NO;
    }
    x->suspended = true;
    MHD_suspend_connection(x->connection);
    return MHD_YES;
}

void
http_resume(struct exchange *x)
{
    if (!x->suspended)
        return;
    x->suspended = false;
    x->server->due = true;
    MHD_resume_connection(x->connection);
}

void
http_close_after(struct exchange *x)
{
    x->close_after = true;
}

/* --- the request ------------------------------------------------------------------------------ */

static void *
on_uri(void *arg, const char *uri, struct MHD_Connection *connection)
{
    struct http_server *server = arg;
    struct exchange *x = calloc(1, sizeof(*x));
    if (!x)
        return NULL;
    x->server = server;
    x->connection = connection;
    x->request = request_new(server->gw, x, uri);
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    x->peer = info ? info->socket_context : NULL;
    if (!x->request) {
        free(x);
        return NULL;
    }
    return x;
}

static bool
is_https(const char *proto)
{
    return proto && strcasecmp(proto, "https") == 0;
}

static void
find_client(struct exchange *x)
{
    struct request *r = x->request;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    uint8_t peer[16] = { 0 };
    uint8_t client[16];
    if (!info || !netaddr_from_socket(info->client_addr, peer))
        return;
    netaddr_client(&x->server->proxies, peer, http_header(x, "X-Forwarded-For", NULL), client);
    netaddr_text(client, r->client, sizeof(r->client));
    r->tls = is_https(http_header(x, "X-Forwarded-Proto", NULL)) &&
             netaddr_trusted(&x->server->proxies, peer);
}

static void
set_method(struct request *r, const char *method)
{
    r->method = METHOD_COUNT;
    for (unsigned m = 0; m < METHOD_COUNT; m++)
        if (strcmp(method, method_name((enum http_method)m)) == 0)
            r->method = (enum http_method)m;
    if (strcmp(method, "HEAD") == 0) {
        r->method = METHOD_GET;
        r->head = true;
    }
    r->method_known = r->method != METHOD_COUNT;
}

/* A body that is short for sure. Whatever is odd about its framing, check_size() sees. */
static bool
is_short(struct exchange *x)
{
    unsigned lengths = 0;
    unsigned encodings = 0;
    const char *length = http_header(x, "Content-Length", &lengths);
    (void)http_header(x, "Transfer-Encoding", &encodings);
    x->length = length ? strtoull(length, NULL, 10) : 0;
    return lengths + encodings == 0 ||
           (lengths == 1 && encodings == 0 && x->length <= x->server->short_body);
}

/* An answer that leaves without waiting for the body: its length is unknown or too great to read on,
 * or the client asks first (Expect: 100-continue). The connection ends, since the body may follow. */
static bool
ends_early(struct exchange *x)
{
    if (!x->request->ready)
        return false;
    if (x->length > SWALLOW_MAX || http_header(x, "Expect", NULL))
        x->close_after = true;
    return x->close_after;
}

static enum MHD_Result
begin(struct exchange *x, const char *method)
{
    struct request *r = x->request;
    x->begun = true;
    if (x->peer) {
        x->peer->since_ms = 0;
        x->peer->body_since_ms = clock_mono_ms();
    }
    set_method(r, method);
    find_client(x);
    request_begin(r, x->server->short_body);
    if (is_short(x))
        return MHD_YES;
    request_head(r);
    if (r->waiting) {
        x->held = true;
        return wait_or_reply(x);
    }
    return ends_early(x) ? reply(x) : MHD_YES;
}

static enum MHD_Result
on_body(struct exchange *x, const char *data, size_t *len)
{
    x->arrived += *len;
    bool ok = request_body(x->request, data, *len);
    *len = 0;
    return ok ? MHD_YES : MHD_NO;
}

static enum MHD_Result
on_request(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
           const char *version, const char *upload, size_t *upload_size, void **context)
{
    struct exchange *x = *context;
    (void)arg, (void)url, (void)version, (void)connection;
    if (!x)
        return MHD_NO;
    if (!x->begun)
        return begin(x, method);
    if (*upload_size)
        return on_body(x, upload, upload_size);
    if (x->held) { /* the first call once more, before the body */
        x->held = false;
        if (x->arrived == 0)
            return ends_early(x) ? reply(x) : MHD_YES;
    }
    if (!x->complete) {
        x->complete = true;
        if (x->peer)
            x->peer->body_since_ms = 0;
        request_complete(x->request);
    }
    return wait_or_reply(x);
}

static void
on_completed(void *arg, struct MHD_Connection *connection, void **context,
             enum MHD_RequestTerminationCode code)
{
    struct http_server *server = arg;
    struct exchange *x = *context;
    (void)connection, (void)code;
    if (!x)
        return;
    if (!x->begun)
        server->refused++;
    if (x->peer) {
        x->peer->since_ms = clock_mono_ms();
        x->peer->body_since_ms = 0;
    }
    request_free(x->request);
    free(x);
    *context = NULL;
}

/* --- connections ------------------------------------------------------------------------------ */

static void
on_connection(void *arg, struct MHD_Connection *connection, void **context,
              enum MHD_ConnectionNotificationCode code)
{
    struct http_server *server = arg;
    struct peer *peer = *context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        peer = calloc(1, sizeof(*peer));
        if (!peer)
            return;
        peer->fd = info ? info->connect_fd : -1;
        peer->since_ms = clock_mono_ms();
        peer->next = server->peers;
        peer->prev = &server->peers;
        if (peer->next)
            peer->next->prev = &peer->next;
        server->peers = peer;
        *context = peer;
        return;
    }
    if (!peer)
        return;
    *peer->prev = peer->next;
    if (peer->next)
        peer->next->prev = peer->prev;
    free(peer);
    *context = NULL;
}

static void
sweep(void *arg)
{
    struct http_server *server = arg;
    int64_t now_ms = clock_mono_ms();
    for (struct peer *peer = server->peers; peer; peer = peer->next) {
        bool dribbles = peer->since_ms && now_ms - peer->since_ms > server->idle_max_ms;
        bool endless = peer->body_since_ms && now_ms - peer->body_since_ms > BODY_TIME_MS;
        if ((dribbles || endless) && peer->fd >= 0)
            (void)shutdown(peer->fd, SHUT_RDWR);
    }
}

/* --- the daemon ------------------------------------------------------------------------------- */

static void
on_ready(void *arg, unsigned events)
{
    struct http_server *server = arg;
    (void)events;
    server->due = true;
}

static int
prepare(void *arg)
{
    struct http_server *server = arg;
    MHD_UNSIGNED_LONG_LONG wait_ms = 0;
    for (unsigned i = 0; i < RUNS_PER_TURN; i++) {
        bool waits = MHD_get_timeout(server->daemon, &wait_ms) == MHD_YES;
        if (!server->due && (!waits || wait_ms > 0))
            return waits && wait_ms < LOOP_WAIT_MAX_MS ? (int)wait_ms : -1;
        server->due = false;
        (void)MHD_run(server->daemon);
    }
    return 0;
}

static size_t
keep_escapes(void *arg, struct MHD_Connection *connection, char *text)
{
    (void)arg, (void)connection;
    return strlen(text);
}

static void
on_log(void *arg, const char *format, va_list args)
{
    (void)arg, (void)format, (void)args;
}

static struct MHD_Daemon *
start_daemon(struct http_server *server, const struct http_options *options)
{
    unsigned flags = MHD_USE_EPOLL | MHD_USE_TURBO | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    return MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
        MHD_OPTION_LISTEN_SOCKET, server->fd, MHD_OPTION_CONNECTION_LIMIT, options->max_connections,
        MHD_OPTION_CONNECTION_TIMEOUT, options->timeout_seconds, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)POOL_BYTES, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_URI_LOG_CALLBACK, on_uri,
        server, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, server, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_END);
}

enum rc
http_open(struct gateway *gw, struct loop *loop, const struct http_options *options,
          struct http_server **out, struct err *err)
{
    struct http_server *server = calloc(1, sizeof(*server));
    if (!server)
        return err_set(err, RC_TEMP, "no memory for a listener");
    server->gw = gw;
    server->loop = loop;
    server->admin = options->admin;
    server->short_body = options->max_body < SHORT_BODY ? options->max_body : SHORT_BODY;
    server->fd = -1;
    server->idle_max_ms = (int64_t)options->timeout_seconds * 1000 + 5000;
    enum rc rc = netaddr_nets_parse(options->trusted_proxies, &server->proxies, err);
    if (rc == RC_OK)
        rc = netaddr_listen(options->address, &server->fd, err);
    if (rc == RC_OK && !(server->daemon = start_daemon(server, options)))
        rc = err_set(err, RC_CONFIG, "cannot start the HTTP listener on %s", options->address);
    if (rc != RC_OK) {
        if (server->fd >= 0)
            close(server->fd);
        free(server);
        return rc;
    }
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    rc = loop_watch_new(loop, info->epoll_fd, LOOP_READ, on_ready, server, &server->watch, err);
    if (rc != RC_OK) {
        MHD_stop_daemon(server->daemon);
        free(server);
        return rc;
    }
    server->sweep = loop_timer_new(loop, sweep, server);
    loop_timer_set(server->sweep, SWEEP_MS, SWEEP_MS);
    loop_prepare(loop, prepare, server);
    *out = server;
    return RC_OK;
}

void
http_quiesce(struct http_server *server)
{
    if (server->quiet)
        return;
    server->quiet = true;
    MHD_socket fd = MHD_quiesce_daemon(server->daemon);
    if (fd != MHD_INVALID_SOCKET)
        close(fd);
}

void
http_close(struct http_server *server)
{
    if (!server)
        return;
    loop_unprepare(server->loop, prepare, server);
    loop_watch_free(server->watch);
    loop_timer_free(server->sweep);
    MHD_stop_daemon(server->daemon);
    free(server);
}

unsigned
http_connections(const struct http_server *server)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    return info ? info->num_connections : 0;
}

uint64_t
http_refused(const struct http_server *server)
{
    return server->refused;
}
