/* SPDX-License-Identifier: MIT */
#include "fetch/fetch_loop.h"

#include <string.h>

#include "base/cleanup.h"
#include "fetch/fetch_own.h"

#define ANSWER_MAX (64u << 10) /* of the collector's: read and forgotten */

struct fetch_loop {
    struct loop *loop;          /* borrowed */
    CURLM *multi;               /* owned */
    CURL *curl;                 /* owned */
    struct curl_slist *headers; /* owned; may hold a credential */
    struct loop_timer *timer;   /* owned */
    struct buf answer;
    bool busy;
    fetch_loop_fn *done;
    void *arg;
};

struct socket {
    struct fetch_loop *fetch;
    struct loop_watch *watch; /* owned */
    curl_socket_t fd;
};

static void
finish(struct fetch_loop *fetch, CURLcode code)
{
    struct err err = { 0 };
    long status = 0;
    curl_off_t after_s = 0;
    (void)curl_easy_getinfo(fetch->curl, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(fetch->curl, CURLINFO_RETRY_AFTER, &after_s);
    (void)curl_multi_remove_handle(fetch->multi, fetch->curl);
    enum rc rc = fetch_rc_from_curl((int)code);
    if (rc != RC_OK)
        (void)err_set(&err, rc, "%s", curl_easy_strerror(code));
    else if ((rc = fetch_rc_from_status(status)) != RC_OK)
        (void)err_set(&err, rc, "the server answers %ld", status);
    fetch->busy = false;
    buf_reset(&fetch->answer);
    fetch->done(fetch->arg, rc, (long)after_s, &err);
}

/* After anything that libcurl did: a transfer may have ended. */
static void
look(struct fetch_loop *fetch)
{
    const CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(fetch->multi, &left)) != NULL)
        if (message->msg == CURLMSG_DONE) {
            finish(fetch, message->data.result);
            return; /* there is only one */
        }
}

static void
on_socket(void *arg, unsigned events)
{
    struct socket *socket = arg;
    struct fetch_loop *fetch = socket->fetch;
    int mask =
        (events & LOOP_READ ? CURL_CSELECT_IN : 0) | (events & LOOP_WRITE ? CURL_CSELECT_OUT : 0);
    int running;
    (void)curl_multi_socket_action(fetch->multi, socket->fd, mask, &running);
    look(fetch);
}

static void
on_timer(void *arg)
{
    struct fetch_loop *fetch = arg;
    int running;
    (void)curl_multi_socket_action(fetch->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    look(fetch);
}

static void
socket_free(struct socket *socket)
{
    if (socket)
        loop_watch_free(socket->watch);
    free(socket);
}

/* libcurl's word for what it waits for. -1 ends the transfer. */
static int
want_socket(CURL *curl, curl_socket_t fd, int what, void *arg, void *mine)
{
    struct fetch_loop *fetch = arg;
    struct socket *socket = mine;
    unsigned events =
        (what & CURL_POLL_IN ? LOOP_READ : 0u) | (what & CURL_POLL_OUT ? LOOP_WRITE : 0u);
    (void)curl;
    if (what == CURL_POLL_REMOVE) {
        (void)curl_multi_assign(fetch->multi, fd, NULL);
        socket_free(socket);
        return 0;
    }
    if (socket) {
        loop_watch_set(socket->watch, events);
        return 0;
    }
    socket = calloc(1, sizeof(*socket));
    if (!socket)
        return -1;
    *socket = (struct socket){ .fetch = fetch, .fd = fd };
    if (loop_watch_new(fetch->loop, fd, events, on_socket, socket, &socket->watch, NULL) != RC_OK ||
        curl_multi_assign(fetch->multi, fd, socket) != CURLM_OK) {
        socket_free(socket);
        return -1;
    }
    return 0;
}

static int
want_time(CURLM *multi, long ms, void *arg)
{
    const struct fetch_loop *fetch = arg;
    (void)multi;
    if (ms < 0)
        loop_timer_stop(fetch->timer);
    else
        loop_timer_set(fetch->timer, (uint32_t)ms, 0);
    return 0;
}

static enum rc
set_up(struct fetch_loop *fetch, const struct fetch_loop_options *options, struct err *err)
{
    fetch->multi = curl_multi_init();
    fetch->curl = curl_easy_init();
    if (!fetch->multi || !fetch->curl)
        return err_set(err, RC_TEMP, "no memory for a connection");
    fetch->headers = fetch_header(fetch->headers, "Content-Type: application/json");
    fetch->headers = fetch_header(fetch->headers, "Expect:");
    for (size_t i = 0; i < options->n_headers; i++) {
        if (strpbrk(options->headers[i], "\r\n"))
            return err_set(err, RC_CONFIG, "a header holds a line break");
        fetch->headers = fetch_header(fetch->headers, options->headers[i]);
    }
    fetch_restrict(fetch->curl);
    (void)curl_easy_setopt(fetch->curl, CURLOPT_URL, options->url);
    (void)curl_easy_setopt(fetch->curl, CURLOPT_HTTPHEADER, fetch->headers);
    (void)curl_easy_setopt(fetch->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)options->connect_ms);
    (void)curl_easy_setopt(fetch->curl, CURLOPT_TIMEOUT_MS, (long)options->total_ms);
    (void)curl_easy_setopt(fetch->curl, CURLOPT_WRITEDATA, &fetch->answer);
    (void)curl_multi_setopt(fetch->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
    (void)curl_multi_setopt(fetch->multi, CURLMOPT_SOCKETDATA, fetch);
    (void)curl_multi_setopt(fetch->multi, CURLMOPT_TIMERFUNCTION, want_time);
    (void)curl_multi_setopt(fetch->multi, CURLMOPT_TIMERDATA, fetch);
    return RC_OK;
}

enum rc
fetch_loop_new(struct loop *loop, const struct fetch_loop_options *options, struct fetch_loop **out,
               struct err *err)
{
    enum rc rc = fetch_check_url(options->url, err);
    if (rc != RC_OK)
        return rc;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(err, RC_BUG, "libcurl does not start");
    struct fetch_loop *fetch = calloc(1, sizeof(*fetch));
    if (!fetch)
        return err_set(err, RC_TEMP, "no memory for a connection");
    fetch->loop = loop;
    fetch->timer = loop_timer_new(loop, on_timer, fetch);
    buf_init(&fetch->answer, ANSWER_MAX);
    rc = set_up(fetch, options, err);
    if (rc != RC_OK) {
        fetch_loop_free(fetch);
        return rc;
    }
    *out = fetch;
    return RC_OK;
}

void
fetch_loop_free(struct fetch_loop *fetch)
{
    if (!fetch)
        return;
    if (fetch->busy)
        (void)curl_multi_remove_handle(fetch->multi, fetch->curl);
    curl_easy_cleanup(fetch->curl);
    curl_multi_cleanup(fetch->multi); /* closes what was kept, and says so to want_socket() */
    loop_timer_free(fetch->timer);
    fetch_wipe_headers(fetch->headers);
    buf_fini(&fetch->answer);
    free(fetch);
}

enum rc
fetch_loop_post(struct fetch_loop *fetch, const void *body, size_t len, fetch_loop_fn *done,
                void *arg, struct err *err)
{
    if (fetch->busy)
        return err_set(err, RC_TEMP, "a request is already in progress");
    (void)curl_easy_setopt(fetch->curl, CURLOPT_POSTFIELDS, body);
    (void)curl_easy_setopt(fetch->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
    if (curl_multi_add_handle(fetch->multi, fetch->curl) != CURLM_OK)
        return err_set(err, RC_TEMP, "no memory for a request");
    fetch->busy = true;
    fetch->done = done;
    fetch->arg = arg;
    return RC_OK;
}
