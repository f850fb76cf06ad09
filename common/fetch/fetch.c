/* SPDX-License-Identifier: MIT */
/*
 * fetch - one blocking POST after the other, with retries.
 */
#include "fetch/fetch.h"

#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "crypto/crypto.h"
#include "fetch/fetch_own.h"

#define DELAY_MIN_MS 200u
#define DELAY_MAX_MS 5000u

struct fetch {
    CURL *curl;                 /* owned */
    struct curl_slist *headers; /* owned; one holds the credential */
    struct fetch_options options;
};

enum rc
fetch_check_url(const char *url, struct err *err)
{
    char *scheme = NULL;
    CURLU *parsed = curl_url();
    bool good = parsed && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
                curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    curl_free(scheme);
    curl_url_cleanup(parsed);
    return good ? RC_OK : err_set(err, RC_CONFIG, "the URL is neither http nor https");
}

void
fetch_restrict(CURL *curl)
{
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    (void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "gantry");
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, fetch_write);
}

size_t
fetch_write(char *data, size_t size, size_t count, void *arg)
{
    struct buf *out = arg;
    buf_add(out, data, size * count);
    return buf_failed(out) ? 0 : size * count;
}

struct curl_slist *
fetch_header(struct curl_slist *list, const char *line)
{
    struct curl_slist *more = curl_slist_append(list, line);
    if (!more)
        log_no_memory("an HTTP header");
    return more;
}

void
fetch_wipe_headers(struct curl_slist *list)
{
    for (struct curl_slist *at = list; at; at = at->next)
        crypto_wipe(at->data, strlen(at->data));
    curl_slist_free_all(list);
}

enum rc
fetch_new(const struct fetch_options *options, struct fetch **out, struct err *err)
{
    AUTO(buf) struct buf line = { 0 };
    enum rc rc = fetch_check_url(options->url, err);
    if (rc != RC_OK)
        return rc;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(err, RC_BUG, "libcurl does not start");
    AUTO(fetch) struct fetch *fetch = calloc(1, sizeof(*fetch));
    if (!fetch)
        return err_set(err, RC_TEMP, "no memory for a connection");
    fetch->options = *options;
    fetch->curl = curl_easy_init();
    if (!fetch->curl)
        return err_set(err, RC_TEMP, "no memory for a connection");
    buf_init(&line, 8192);
    fetch->headers = fetch_header(fetch->headers, "Content-Type: application/json");
    fetch->headers = fetch_header(fetch->headers, "Accept: application/json");
    fetch->headers = fetch_header(fetch->headers, "Expect:");
    if (options->bearer) {
        buf_printf(&line, "Authorization: Bearer %s", options->bearer);
        if (buf_failed(&line) || strpbrk(options->bearer, "\r\n"))
            return err_set(err, RC_CONFIG, "the credential is too long or holds a line break");
        fetch->headers = fetch_header(fetch->headers, buf_text(&line));
        buf_wipe(&line);
    }
    fetch_restrict(fetch->curl);
    (void)curl_easy_setopt(fetch->curl, CURLOPT_URL, options->url);
    (void)curl_easy_setopt(fetch->curl, CURLOPT_HTTPHEADER, fetch->headers);
    (void)curl_easy_setopt(fetch->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)options->connect_ms);
    fetch->options.url = NULL; /* curl has its own copies */
    fetch->options.bearer = NULL;
    *out = TAKE(fetch);
    return RC_OK;
}

void
fetch_free(struct fetch *fetch)
{
    if (!fetch)
        return;
    curl_easy_cleanup(fetch->curl);
    fetch_wipe_headers(fetch->headers);
    free(fetch);
}

void
fetch_patience(struct fetch *fetch, uint32_t deadline_ms)
{
    fetch->options.deadline_ms = deadline_ms;
}

void
fetch_cleanup(struct fetch **fetch)
{
    fetch_free(*fetch);
}

/* Every condition of the transport that no later try can mend; the rest may work later. */
enum rc
fetch_rc_from_curl(int code)
{
    switch (code) {
    case CURLE_OK:
        return RC_OK;
    case CURLE_WRITE_ERROR:
        return RC_LIMIT;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
        return RC_CONFIG;
    default:
        return RC_TEMP;
    }
}

enum rc
fetch_rc_from_status(long status)
{
    if (status >= 200 && status < 300)
        return RC_OK;
    if (status >= 500 || status == 408 || status == 429 || status < 200)
        return RC_TEMP;
    if (status < 400 || status == 401 || status == 403 || status == 404)
        return RC_CONFIG;
    return RC_INVALID;
}

static enum rc
try_once(struct fetch *fetch, uint32_t limit_ms, struct buf *answer, struct err *err)
{
    long status = 0;
    (void)curl_easy_setopt(fetch->curl, CURLOPT_TIMEOUT_MS, (long)limit_ms);
    (void)curl_easy_setopt(fetch->curl, CURLOPT_WRITEDATA, answer);
    CURLcode code = curl_easy_perform(fetch->curl);
    if (code != CURLE_OK) {
        enum rc rc = fetch_rc_from_curl((int)code);
        return err_set(err, rc, rc == RC_LIMIT ? "the answer is too large" : "%s",
                       curl_easy_strerror(code));
    }
    (void)curl_easy_getinfo(fetch->curl, CURLINFO_RESPONSE_CODE, &status);
    enum rc rc = fetch_rc_from_status(status);
    return rc == RC_OK ? RC_OK : err_set(err, rc, "the server answers %ld", status);
}

/* Half of the grown delay is certain and half is chance; the server's wish wins when it is longer. */
uint32_t
fetch_delay_ms(unsigned attempt, long retry_after_s)
{
    uint32_t most = DELAY_MIN_MS << (attempt < 5 ? attempt : 5);
    uint32_t chance = 0;
    if (most > DELAY_MAX_MS)
        most = DELAY_MAX_MS;
    crypto_random(&chance, sizeof(chance));
    uint32_t delay = most / 2 + chance % (most / 2 + 1);
    if (retry_after_s > 0 && retry_after_s < 3600 && (uint32_t)retry_after_s * 1000 > delay)
        delay = (uint32_t)retry_after_s * 1000;
    return delay;
}

static void
wait_ms(uint32_t ms)
{
    struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) != 0)
        continue;
}

enum rc
fetch_post(struct fetch *fetch, const void *body, size_t len, struct buf *answer, struct err *err)
{
    AUTO(buf) struct buf got = { 0 };
    int64_t end_ms = clock_mono_ms() + fetch->options.deadline_ms;
    unsigned tries = fetch->options.tries ? fetch->options.tries : 1;
    enum rc rc = RC_TEMP;

    buf_init(&got, answer->max - answer->len);
    (void)curl_easy_setopt(fetch->curl, CURLOPT_POSTFIELDS, body);
    (void)curl_easy_setopt(fetch->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
    for (unsigned i = 0; i < tries; i++) {
        int64_t left_ms = end_ms - clock_mono_ms();
        if (left_ms <= 0)
            break;
        uint32_t limit_ms =
            left_ms < fetch->options.total_ms ? (uint32_t)left_ms : fetch->options.total_ms;
        buf_reset(&got);
        rc = try_once(fetch, limit_ms, &got, err);
        if (rc != RC_TEMP)
            break;
        curl_off_t retry_after_s = 0;
        (void)curl_easy_getinfo(fetch->curl, CURLINFO_RETRY_AFTER, &retry_after_s);
        uint32_t delay_ms = fetch_delay_ms(i, (long)retry_after_s);
        if (i + 1 == tries || clock_mono_ms() + delay_ms >= end_ms)
            break;
        wait_ms(delay_ms);
    }
    if (rc == RC_OK)
        buf_add(answer, buf_text(&got), got.len);
    return rc;
}
