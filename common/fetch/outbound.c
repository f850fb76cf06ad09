/* SPDX-License-Identifier: MIT */
/*
 * outbound - hop after hop: check, resolve, check, connect, send, read.
 */
#include "fetch/outbound.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "fetch/fetch_own.h"
#include "fetch/outbound_own.h"

#define POLL_MS 50

/* One hop. */
struct hop {
    const struct outbound_options *options;
    const struct outbound_request *request;
    struct outbound_answer *answer;
    struct guard_url place;
    CURL *curl;
    int64_t end_ms, connect_end_ms, head_end_ms;
    size_t head_bytes;
    bool head_done, held, refused, too_large;
};

__attribute__((format(printf, 3, 4))) static void
end_with(struct outbound_answer *answer, enum outbound_end end, const char *format, ...)
{
    va_list args;
    answer->end = end;
    va_start(args, format);
    (void)vsnprintf(answer->why, sizeof(answer->why), format, args);
    va_end(args);
}

enum rc
outbound_init(struct outbound_options *options, struct err *err)
{
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK
               ? outbound_lookups_new(&options->lookups, err)
               : err_set(err, RC_BUG, "libcurl does not start");
}

void
outbound_fini(struct outbound_options *options)
{
    outbound_lookups_free(options->lookups);
    options->lookups = NULL;
}

/* --- addresses ----------------------------------------------------------------------------------------- */

/* Counts towards the time for the connection. */
static void
look_up(struct hop *hop, struct outbound_addresses *out)
{
    const struct outbound_request *request = hop->request;
    const char *host = hop->place.host;
    struct err err = { 0 };
    enum rc rc = outbound_lookup(hop->options, request, host, hop->connect_end_ms, out, &err);
    if (rc == RC_OK && out->count > 0)
        return;
    out->count = 0;
    if (rc != RC_LIMIT)
        end_with(hop->answer, OUTBOUND_UNREACHABLE, "the host's name has no address: %.150s",
                 err.text);
    else if (request->stop && request->stop(request->arg))
        end_with(hop->answer, OUTBOUND_STOPPED, "%s", "stopped");
    else
        end_with(hop->answer, OUTBOUND_TIMEOUT, "the name %.150s was not resolved in time", host);
}

/* One address that is refused refuses all: a name that stands for both is no accident. */
static bool
find_addresses(struct hop *hop, struct outbound_addresses *out)
{
    const struct outbound_options *options = hop->options;
    const struct outbound_pin *pin = outbound_pin_of(options, hop->place.host);
    out->count = 0;
    if (pin)
        out->items[out->count++] = pin->address;
    else if (hop->place.literal)
        out->count = outbound_address_read(hop->place.host, &out->items[0]);
    else
        look_up(hop, out);
    if (out->count == 0)
        return false;
    for (size_t i = 0; i < out->count; i++) {
        const struct sockaddr *address = (const struct sockaddr *)(const void *)&out->items[i];
        const char *why = guard_address_refusal(address, &options->networks);
        if (why) {
            end_with(hop->answer, OUTBOUND_REFUSED, "the host's name stands for %s", why);
            return false;
        }
    }
    return true;
}

/* --- libcurl's questions ----------------------------------------------------------------------------- */

static curl_socket_t
open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct hop *hop = arg;
    const char *why = guard_address_refusal(&address->addr, &hop->options->networks);
    (void)purpose;
    if (why) {
        hop->refused = true;
        end_with(hop->answer, OUTBOUND_REFUSED, "the connection would go to %s", why);
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* Connected; nothing of the request has left yet. */
static int
before_request(void *arg, char *to_ip, char *from_ip, int to_port, int from_port)
{
    struct hop *hop = arg;
    const struct outbound_request *request = hop->request;
    (void)to_ip, (void)from_ip, (void)to_port, (void)from_port;
    if (request->go && !hop->answer->sent && !request->go(request->arg)) {
        hop->held = true;
        return CURL_PREREQFUNC_ABORT;
    }
    hop->answer->sent = true;
    hop->head_end_ms = clock_mono_ms() + request->head_ms;
    return CURL_PREREQFUNC_OK;
}

static size_t
take_head(char *data, size_t size, size_t count, void *arg)
{
    struct hop *hop = arg;
    size_t len = size * count;
    hop->head_bytes += len;
    hop->too_large = hop->head_bytes > OUTBOUND_HEAD_MAX;
    hop->head_done = len == 2 && data[0] == '\r';
    return hop->too_large ? 0 : len;
}

static size_t
take_body(char *data, size_t size, size_t count, void *arg)
{
    struct hop *hop = arg;
    buf_add(&hop->answer->body, data, size * count);
    hop->too_large = buf_failed(&hop->answer->body);
    return hop->too_large ? 0 : size * count;
}

/* --- one hop ------------------------------------------------------------------------------------------- */

static struct curl_slist *
route(const struct hop *hop, const struct outbound_addresses *addresses, bool *by_pin)
{
    const struct outbound_pin *pin = outbound_pin_of(hop->options, hop->place.host);
    AUTO(buf) struct buf line = { 0 };
    char text[ADDRESS_ROOM];
    *by_pin = pin != NULL;
    buf_init(&line, 4096);
    if (!pin && hop->place.literal)
        return NULL;
    buf_printf(&line, "%s:%u:", hop->place.host, hop->place.port);
    for (size_t i = 0; i < addresses->count; i++) {
        outbound_address_text(&addresses->items[i], text);
        buf_printf(&line, "%s%s", i ? "," : "", text);
    }
    if (pin)
        buf_printf(&line, ":%u", pin->port ? pin->port : hop->place.port);
    return fetch_header(NULL, buf_text(&line));
}

static struct curl_slist *
head_lines(const struct outbound_request *request, bool with_headers)
{
    struct curl_slist *list = fetch_header(NULL, "Expect:");
    if (!with_headers)
        return fetch_header(list, "Accept: */*");
    for (size_t i = 0; i < request->n_headers; i++)
        list = fetch_header(list, request->headers[i]);
    return list;
}

static void
set_up(struct hop *hop, const char *url, const char *method, bool with_body)
{
    const struct outbound_request *request = hop->request;
    int64_t connect_ms = hop->connect_end_ms - clock_mono_ms();
    CURL *curl = hop->curl;
    fetch_restrict(curl);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
    (void)curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    (void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
    (void)curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "gzip, deflate");
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, connect_ms > 0 ? (long)connect_ms : 1L);
    (void)curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    (void)curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, hop);
    (void)curl_easy_setopt(curl, CURLOPT_PREREQFUNCTION, before_request);
    (void)curl_easy_setopt(curl, CURLOPT_PREREQDATA, hop);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_head);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, hop);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, hop);
    if (hop->options->ca_file && hop->options->ca_file[0]) {
        (void)curl_easy_setopt(curl, CURLOPT_CAINFO, hop->options->ca_file);
        (void)curl_easy_setopt(curl, CURLOPT_CAPATH, NULL); /* else the system's are trusted, too */
    }
    if (strcmp(method, "HEAD") == 0) {
        (void)curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    } else if (with_body && (request->len || strcmp(method, "GET") != 0)) {
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->len ? request->body : "");
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->len);
        (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    } else {
        (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    }
}

static void
judge(struct hop *hop, CURLcode code)
{
    struct outbound_answer *answer = hop->answer;
    const char *why = curl_easy_strerror(code);
    if (hop->refused)
        return; /* said already */
    if (hop->held) {
        end_with(answer, OUTBOUND_STOPPED, "%s", "stopped before it was sent");
    } else if (hop->too_large) {
        end_with(answer, OUTBOUND_TOO_LARGE, "%s", "the answer is larger than its bound");
    } else if (code == CURLE_OPERATION_TIMEDOUT) {
        end_with(answer, OUTBOUND_TIMEOUT, "%s", "no connection in time");
    } else if (code == CURLE_PEER_FAILED_VERIFICATION ||
               (code == CURLE_SSL_CONNECT_ERROR && !answer->sent)) {
        end_with(answer, OUTBOUND_UNTRUSTED, "%s", why);
    } else if (answer->sent) {
        end_with(answer, OUTBOUND_BROKEN, "the connection broke: %s", why);
    } else {
        end_with(answer, OUTBOUND_UNREACHABLE, "%s", why);
    }
}

/* true: go on. */
static bool
in_time(struct hop *hop)
{
    const struct outbound_request *request = hop->request;
    int64_t now_ms = clock_mono_ms();
    if (request->stop && request->stop(request->arg))
        end_with(hop->answer, OUTBOUND_STOPPED, "%s", "stopped");
    else if (now_ms >= hop->end_ms)
        end_with(hop->answer, OUTBOUND_TIMEOUT, "%s", "the answer is not complete in time");
    else if (hop->head_end_ms && !hop->head_done && now_ms >= hop->head_end_ms)
        end_with(hop->answer, OUTBOUND_TIMEOUT, "%s",
                 "the head of the answer is not there in time");
    else
        return true;
    return false;
}

static void
multi_cleanup(CURLM **multi)
{
    if (*multi)
        (void)curl_multi_cleanup(*multi);
}

/* false: it ended, and the answer says how. */
static bool
perform(struct hop *hop)
{
    AUTO(multi) CURLM *multi = curl_multi_init();
    int running = 1, left = 0;
    bool good = true;
    if (!multi || curl_multi_add_handle(multi, hop->curl) != CURLM_OK) {
        end_with(hop->answer, OUTBOUND_UNREACHABLE, "%s", "no memory for a connection");
        return false;
    }
    while (good && running) {
        (void)curl_multi_perform(multi, &running);
        good = !running || in_time(hop);
        if (good && running)
            (void)curl_multi_poll(multi, NULL, 0, POLL_MS, NULL);
    }
    const CURLMsg *message = good ? curl_multi_info_read(multi, &left) : NULL;
    if (message && message->data.result != CURLE_OK)
        judge(hop, message->data.result);
    good = good && message && message->data.result == CURLE_OK;
    (void)curl_multi_remove_handle(multi, hop->curl);
    return good;
}

static void
read_answer(struct hop *hop)
{
    struct outbound_answer *answer = hop->answer;
    long status = 0;
    curl_off_t retry_after_s = 0;
    const char *type = NULL;
    (void)curl_easy_getinfo(hop->curl, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(hop->curl, CURLINFO_RETRY_AFTER, &retry_after_s);
    (void)curl_easy_getinfo(hop->curl, CURLINFO_CONTENT_TYPE, &type);
    answer->end = OUTBOUND_ANSWERED;
    answer->status = (int)status;
    answer->retry_after_s = (int64_t)retry_after_s;
    (void)snprintf(answer->type, sizeof(answer->type), "%s", type ? type : "");
}

static bool
send_hop(struct hop *hop, const char *url, const char *method, bool same_host)
{
    struct outbound_addresses addresses = { 0 };
    bool by_pin = false;
    hop->connect_end_ms = clock_mono_ms() + hop->request->connect_ms;
    if (hop->connect_end_ms > hop->end_ms)
        hop->connect_end_ms = hop->end_ms;
    if (!find_addresses(hop, &addresses))
        return false;
    hop->curl = curl_easy_init();
    if (!hop->curl) {
        end_with(hop->answer, OUTBOUND_UNREACHABLE, "%s", "no memory for a connection");
        return false;
    }
    struct curl_slist *way = route(hop, &addresses, &by_pin);
    struct curl_slist *lines = head_lines(hop->request, same_host);
    set_up(hop, url, method, same_host);
    (void)curl_easy_setopt(hop->curl, by_pin ? CURLOPT_CONNECT_TO : CURLOPT_RESOLVE, way);
    (void)curl_easy_setopt(hop->curl, CURLOPT_HTTPHEADER, lines);
    buf_reset(&hop->answer->body);
    bool good = perform(hop);
    if (good)
        read_answer(hop);
    curl_slist_free_all(way);
    fetch_wipe_headers(lines);
    return good;
}

/* --- all hops ---------------------------------------------------------------------------------------- */

static bool
is_safe(const char *method)
{
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

/* Where the answer sends us; NULL: nowhere. curl's text, to be freed. */
static char *
next_place(const struct hop *hop, const char *method)
{
    char *location = NULL;
    int status = hop->answer->status;
    bool keeps = status == 307 || status == 308;
    bool moves = status == 301 || status == 302 || status == 303;
    if (hop->request->redirects_max == 0 || !(keeps || moves) || (moves && !is_safe(method)))
        return NULL;
    (void)curl_easy_getinfo(hop->curl, CURLINFO_REDIRECT_URL, &location);
    return location ? strdup(location) : NULL;
}

static bool
may_go(struct hop *hop, const char *url)
{
    const struct outbound_request *request = hop->request;
    struct err err = { 0 };
    if (guard_url_read(url, &hop->place, &err) != RC_OK) {
        end_with(hop->answer, OUTBOUND_REFUSED, "%.150s", err.text);
        return false;
    }
    if (!request->allowed || !request->allowed(request->arg, hop->place.host, hop->place.port)) {
        end_with(hop->answer, OUTBOUND_REFUSED, "the host %s is not on the list of allowed hosts",
                 hop->place.host);
        return false;
    }
    return true;
}

/* false: this was the last hop. */
static bool
go_on(struct hop *hop, char **url, const char *method, bool *same_host)
{
    const struct guard_url before = hop->place;
    AUTO(free) char *next = next_place(hop, method);
    if (!next)
        return false;
    if (hop->answer->redirects == hop->request->redirects_max) {
        end_with(hop->answer, OUTBOUND_REFUSED, "%s", "more redirects than allowed");
        return false;
    }
    hop->answer->redirects++;
    free(*url);
    *url = TAKE(next);
    if (!may_go(hop, *url))
        return false;
    bool same = strcmp(before.host, hop->place.host) == 0 && before.port == hop->place.port;
    if (!same && !is_safe(method)) {
        end_with(hop->answer, OUTBOUND_REFUSED, "%s", "a redirect to another host");
        return false;
    }
    char why[OUTBOUND_WHY_MAX] = "";
    if (hop->request->follow && !hop->request->follow(hop->request->arg, *url, why)) {
        end_with(hop->answer, OUTBOUND_UNFOLLOWED, "%s", why);
        return false;
    }
    *same_host = *same_host && same;
    return true;
}

void
outbound_send(const struct outbound_options *options, const struct outbound_request *request,
              struct outbound_answer *answer)
{
    AUTO(free) char *url = strdup(request->url);
    struct hop hop = { .options = options,
                       .request = request,
                       .answer = answer,
                       .end_ms = clock_mono_ms() + request->total_ms };
    bool same_host = true;
    *answer = (struct outbound_answer){ .end = OUTBOUND_UNREACHABLE };
    buf_init(&answer->body, request->answer_max);
    if (!url || !may_go(&hop, url))
        return;
    for (bool more = true; more;) {
        hop.head_bytes = 0;
        hop.head_end_ms = 0;
        hop.head_done = false;
        more = send_hop(&hop, url, request->method, same_host) &&
               go_on(&hop, &url, request->method, &same_host);
        curl_easy_cleanup(hop.curl);
        hop.curl = NULL;
    }
}
