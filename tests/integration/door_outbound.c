/* SPDX-License-Identifier: MIT */
/*
 * door_outbound - requests under guard against a hostile server; run by test_outbound.py with OUTBOUND_PORT,
 * OUTBOUND_CA and OUTBOUND_OTHER_PORT (of a second server).
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "fetch/outbound.h"
#include "tests/unit/test.h"

struct asked {
    struct outbound_options options;
    struct outbound_request request;
    unsigned goes, resolved, follows, follows_not;
    bool held;
    const char *hosts; /* allowed, between blanks */
    const char *addresses[4];
};

static bool
allowed(void *arg, const char *host, unsigned port)
{
    const struct asked *asked = arg;
    char word[300];
    (void)port;
    (void)snprintf(word, sizeof(word), " %s ", host);
    return strstr(asked->hosts, word) != NULL;
}

static bool
go(void *arg)
{
    struct asked *asked = arg;
    asked->goes++;
    return !asked->held;
}

/* The resolver of the test: another answer each time. */
static enum rc
resolve(void *arg, const char *host, struct outbound_addresses *out, struct err *err)
{
    struct asked *asked = arg;
    const char *text = asked->addresses[asked->resolved];
    (void)host;
    if (!text)
        return err_set(err, RC_NOTFOUND, "no such name");
    if (asked->addresses[asked->resolved + 1])
        asked->resolved++;
    struct sockaddr_in *in = (struct sockaddr_in *)&out->items[0];
    in->sin_family = AF_INET;
    (void)inet_pton(AF_INET, text, &in->sin_addr);
    out->count = 1;
    return RC_OK;
}

static struct asked
asking(const char *method, char url[300], const char *path)
{
    struct asked asked = {
        .request = { .method = method,
                     .url = url,
                     .connect_ms = 20000,
                     .head_ms = 20000,
                     .total_ms = 60000,
                     .answer_max = 65536,
                     .redirects_max = 3,
                     .allowed = allowed,
                     .go = go },
        .hosts = " server.test other.test 127.0.0.1 ",
        .addresses = { "127.0.0.1" },
    };
    struct err err = { 0 };
    (void)snprintf(url, 300, "https://server.test:%s%s", getenv("OUTBOUND_PORT"), path);
    asked.options.ca_file = getenv("OUTBOUND_CA");
    asked.options.resolve = resolve;
    assert_int_equal(guard_networks_read("127.0.0.1", &asked.options.networks, &err), RC_OK);
    return asked;
}

static struct outbound_answer
send_it(struct asked *asked)
{
    struct outbound_answer answer;
    struct err err = { 0 };
    asked->options.resolve_arg = asked;
    asked->request.arg = asked;
    assert_int_equal(outbound_init(&asked->options, &err), RC_OK);
    outbound_send(&asked->options, &asked->request, &answer);
    outbound_fini(&asked->options);
    return answer;
}

static void
ends(struct asked *asked, enum outbound_end end, const char *why, bool sent)
{
    struct outbound_answer answer = send_it(asked);
    if (answer.end != end || !strstr(answer.why, why))
        fail_msg("it ended as %d: %s", answer.end, answer.why);
    assert_int_equal(answer.sent, sent);
    buf_fini(&answer.body);
}

static void
a_good_answer(void **state)
{
    static const char *const HEADERS[] = { "X-Test: yes" };
    char url[300];
    struct asked asked = asking("POST", url, "/echo");
    asked.request.headers = HEADERS;
    asked.request.n_headers = 1;
    asked.request.body = "hello";
    asked.request.len = 5;
    struct outbound_answer answer = send_it(&asked);
    assert_int_equal(answer.end, OUTBOUND_ANSWERED);
    assert_int_equal(answer.status, 200);
    assert_true(answer.sent);
    assert_int_equal(asked.goes, 1);
    assert_string_equal(answer.type, "text/plain");
    assert_string_equal(buf_text(&answer.body), "POST /echo yes hello");
    buf_fini(&answer.body);
}

static void
nothing_is_sent_that_is_not_allowed(void **state)
{
    char url[300];
    struct asked asked = asking("POST", url, "/echo");
    asked.hosts = " other.test ";
    ends(&asked, OUTBOUND_REFUSED, "not on the list", false);
    asked = asking("POST", url, "/echo");
    asked.addresses[0] = "127.0.0.2";
    ends(&asked, OUTBOUND_REFUSED, "a loopback address", false);
    asked = asking("POST", url, "/echo");
    asked.addresses[0] = NULL;
    ends(&asked, OUTBOUND_UNREACHABLE, "no such name", false);
    asked = asking("POST", url, "/echo");
    (void)snprintf(url, sizeof(url), "http://server.test/");
    ends(&asked, OUTBOUND_REFUSED, "https", false);
    asked = asking("POST", url, "/echo");
    asked.held = true;
    ends(&asked, OUTBOUND_STOPPED, "before it was sent", false);
    asked = asking("POST", url, "/echo");
    (void)snprintf(url, sizeof(url), "https://server.test:1/");
    ends(&asked, OUTBOUND_UNREACHABLE, "", false);
    assert_int_equal(asked.goes, 0);
}

static void
the_certificate_is_checked(void **state)
{
    char url[300];
    struct asked asked = asking("GET", url, "/echo");
    (void)snprintf(url, sizeof(url), "https://other.test:%s/echo", getenv("OUTBOUND_PORT"));
    ends(&asked, OUTBOUND_UNTRUSTED, "", false);
    asked = asking("GET", url, "/echo");
    asked.options.ca_file = NULL;
    ends(&asked, OUTBOUND_UNTRUSTED, "", false);
    asked = asking("GET", url, "/echo");
    (void)snprintf(url, sizeof(url), "https://server.test:%s/echo", getenv("OUTBOUND_OLD_PORT"));
    ends(&asked, OUTBOUND_UNTRUSTED, "", false); /* TLS 1.1 */
    assert_int_equal(asked.goes, 0);
}

static void
redirects(void **state)
{
    char url[300];
    struct asked asked = asking("GET", url, "/to-echo");
    struct outbound_answer answer = send_it(&asked);
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.redirects, 1);
    assert_string_equal(buf_text(&answer.body), "GET /echo - ");
    buf_fini(&answer.body);

    asked = asking("GET", url,
                   "/to-loopback"); /* an address that is on the list, but of an inner network */
    asked.hosts = " server.test 127.0.0.2 ";
    ends(&asked, OUTBOUND_REFUSED, "a loopback address", true);
    asked = asking("GET", url, "/to-loopback");
    ends(&asked, OUTBOUND_REFUSED, "not on the list", true);
    asked = asking("GET", url, "/to-http");
    ends(&asked, OUTBOUND_REFUSED, "https", true);
    asked = asking("GET", url, "/to-file");
    ends(&asked, OUTBOUND_REFUSED, "https", true);
    asked = asking("GET", url, "/again/0"); /* a hundred of them */
    ends(&asked, OUTBOUND_REFUSED, "more redirects", true);
    /* A name whose second answer is an inner address. */
    asked = asking("GET", url, "/to-echo");
    asked.addresses[1] = "10.0.0.1";
    ends(&asked, OUTBOUND_REFUSED, "a private address", true);
    /* What may have had its effect is sent again to the same host only, when it says so. */
    asked = asking("POST", url, "/to-echo");
    answer = send_it(&asked);
    assert_int_equal(answer.status, 302);
    buf_fini(&answer.body);
    asked = asking("POST", url, "/keep-to-echo");
    asked.request.body = "b";
    asked.request.len = 1;
    answer = send_it(&asked);
    assert_string_equal(buf_text(&answer.body), "POST /echo - b");
    buf_fini(&answer.body);
    asked = asking("POST", url, "/keep-to-other");
    ends(&asked, OUTBOUND_REFUSED, "another host", true);
}

/* The caller's own rules about where a redirect may go. */
static bool
follow(void *arg, const char *url, char why[OUTBOUND_WHY_MAX])
{
    struct asked *asked = arg;
    asked->follows++;
    (void)snprintf(why, OUTBOUND_WHY_MAX, "it goes to %.100s", strrchr(url, '/'));
    return asked->follows < asked->follows_not;
}

static void
redirects_are_asked_about(void **state)
{
    char url[300];
    struct asked asked = asking("GET", url, "/to-echo");
    asked.request.follow = follow;
    asked.follows_not = 1;
    ends(&asked, OUTBOUND_UNFOLLOWED, "it goes to /echo", true);
    assert_int_equal(asked.follows, 1);
    asked = asking("GET", url, "/again/0");
    asked.request.follow = follow;
    asked.follows_not = 3;
    ends(&asked, OUTBOUND_UNFOLLOWED, "it goes to /3", true);
    assert_int_equal(asked.follows, 3);
    asked = asking("GET", url, "/to-loopback"); /* the lists come first */
    asked.request.follow = follow;
    ends(&asked, OUTBOUND_REFUSED, "not on the list", true);
    assert_int_equal(asked.follows, 0);
    asked = asking("GET", url, "/echo"); /* which is no redirect */
    asked.request.follow = follow;
    ends(&asked, OUTBOUND_ANSWERED, "", true);
    assert_int_equal(asked.follows, 0);
}

/* The headers, which may hold a secret, stay with the host that they were for. */
static void
headers_do_not_follow(void **state)
{
    static const char *const HEADERS[] = { "X-Test: secret" };
    char url[300];
    struct asked asked = asking("GET", url, "/to-other");
    asked.request.headers = HEADERS;
    asked.request.n_headers = 1;
    struct outbound_answer answer = send_it(&asked);
    assert_int_equal(answer.end, OUTBOUND_ANSWERED);
    assert_string_equal(buf_text(&answer.body), "GET /echo - ");
    buf_fini(&answer.body);
}

static void
everything_is_bounded(void **state)
{
    char url[300];
    struct asked asked = asking("GET", url, "/endless");
    ends(&asked, OUTBOUND_TOO_LARGE, "", true);
    asked = asking("GET", url, "/bomb");
    ends(&asked, OUTBOUND_TOO_LARGE, "", true);
    asked = asking("GET", url, "/long-head");
    ends(&asked, OUTBOUND_TOO_LARGE, "", true);
    asked = asking("GET", url, "/slow-head");
    asked.request.head_ms = 300;
    ends(&asked, OUTBOUND_TIMEOUT, "head", true);
    asked = asking("GET", url, "/slow-body");
    asked.request.total_ms = 4000;
    ends(&asked, OUTBOUND_TIMEOUT, "complete", true);
    asked = asking("POST", url, "/hang-up");
    ends(&asked, OUTBOUND_BROKEN, "", true);
    asked = asking("GET", url, "/no-http");
    ends(&asked, OUTBOUND_BROKEN, "", true);
}

static void
compressed_answers_are_read(void **state)
{
    char url[300];
    struct asked asked = asking("GET", url, "/gzip");
    struct outbound_answer answer = send_it(&asked);
    assert_string_equal(buf_text(&answer.body), "small");
    buf_fini(&answer.body);
    asked = asking("GET", url, "/busy");
    answer = send_it(&asked);
    assert_int_equal(answer.status, 429);
    assert_int_equal(answer.retry_after_s, 7);
    buf_fini(&answer.body);
}

/* A cookie that was set is not sent, and the environment's proxy is not asked. */
static void
nothing_is_remembered(void **state)
{
    char url[300];
    assert_non_null(getenv("https_proxy"));
    struct asked asked = asking("GET", url, "/cookie-then-show");
    struct outbound_answer answer = send_it(&asked);
    assert_string_equal(buf_text(&answer.body), "cookie: -");
    buf_fini(&answer.body);
}

static void
a_host_may_be_pinned(void **state)
{
    char url[300], pins[100];
    struct err err = { 0 };
    struct asked asked = asking("GET", url, "/echo");
    (void)snprintf(url, sizeof(url), "https://server.test/echo");
    (void)snprintf(pins, sizeof(pins), "a.test=[::1] server.test=127.0.0.1:%s",
                   getenv("OUTBOUND_PORT"));
    assert_int_equal(outbound_pins_read(pins, &asked.options, &err), RC_OK);
    asked.addresses[0] = NULL;
    ends(&asked, OUTBOUND_ANSWERED, "", true);
    asked.options.networks.count = 0; /* checked like any */
    ends(&asked, OUTBOUND_REFUSED, "loopback", false);
    static const char *const WRONG[] = { "a",           "a=",        "a=b",   "a=1.2.3.4:",
                                         "a=1.2.3.4:0", "*=1.2.3.4", "a=[::1" };
    for (size_t i = 0; i < TEST_COUNT(WRONG); i++)
        assert_int_equal(outbound_pins_read(WRONG[i], &asked.options, &err), RC_CONFIG);
}

/* --- names that nobody resolves ------------------------------------------------------------------------- */

struct silence {
    sem_t over;
    atomic_uint asked, left;
};

/* Does not come back until the test lets it. */
static enum rc
hang(void *arg, const char *host, struct outbound_addresses *out, struct err *err)
{
    struct silence *silence = arg;
    (void)host, (void)out;
    atomic_fetch_add(&silence->asked, 1);
    while (sem_wait(&silence->over) != 0)
        continue;
    atomic_fetch_add(&silence->left, 1);
    return err_set(err, RC_TEMP, "nobody knows");
}

static bool
at_once(void *arg)
{
    (void)arg;
    return true;
}

static void
goes_unresolved(struct asked *asked, enum outbound_end end, const char *why)
{
    struct outbound_answer answer;
    outbound_send(&asked->options, &asked->request, &answer);
    assert_int_equal(answer.end, end);
    assert_string_equal(answer.why, why);
    assert_false(answer.sent);
    buf_fini(&answer.body);
}

/* The request does not wait for the resolver, and the threads that it leaves behind are bounded. */
static void
a_resolver_that_hangs(void **state)
{
    static const char WHY[] = "the name server.test was not resolved in time";
    struct silence silence = { 0 };
    struct err err = { 0 };
    char url[300];
    struct asked asked = asking("GET", url, "/echo");
    (void)sem_init(&silence.over, 0, 0);
    asked.options.resolve = hang;
    asked.options.resolve_arg = &silence;
    asked.request.arg = &asked;
    assert_int_equal(outbound_init(&asked.options, &err), RC_OK);
    asked.request.stop = at_once;
    goes_unresolved(&asked, OUTBOUND_STOPPED, "stopped");
    asked.request.stop = NULL;
    asked.request.connect_ms = 1;
    for (unsigned i = 1; i < OUTBOUND_LOOKUPS_MAX + 3; i++)
        goes_unresolved(&asked, OUTBOUND_TIMEOUT, WHY);
    while (atomic_load(&silence.asked) < OUTBOUND_LOOKUPS_MAX)
        continue;
    for (unsigned i = 0; i < OUTBOUND_LOOKUPS_MAX; i++)
        (void)sem_post(&silence.over);
    /* It waits for a place, and is resolved. */
    asked.options.resolve = resolve;
    asked.options.resolve_arg = &asked;
    asked.request.connect_ms = 20000;
    struct outbound_answer answer;
    outbound_send(&asked.options, &asked.request, &answer);
    assert_int_equal(answer.end, OUTBOUND_ANSWERED);
    buf_fini(&answer.body);
    outbound_fini(&asked.options);
    while (atomic_load(&silence.left) < OUTBOUND_LOOKUPS_MAX)
        continue;
    assert_int_equal(atomic_load(&silence.asked), OUTBOUND_LOOKUPS_MAX);
}

/* Names of one share that nobody resolves take no place from another's, and are bounded for it. */
static void
a_share_that_hangs_is_alone(void **state)
{
    struct silence silence = { 0 };
    struct err err = { 0 };
    char url[300];
    struct asked asked = asking("GET", url, "/echo");
    (void)sem_init(&silence.over, 0, 0);
    asked.options.resolve = hang;
    asked.options.resolve_arg = &silence;
    asked.request.arg = &asked;
    assert_int_equal(outbound_init(&asked.options, &err), RC_OK);
    asked.request.share = "hangs";
    asked.request.connect_ms = 1;
    for (unsigned i = 0; i < OUTBOUND_LOOKUPS_MAX; i++)
        goes_unresolved(&asked, OUTBOUND_TIMEOUT, "the name server.test was not resolved in time");
    while (atomic_load(&silence.asked) < OUTBOUND_LOOKUPS_SHARE)
        continue;
    asked.options.resolve = resolve;
    asked.options.resolve_arg = &asked;
    asked.request.share = "another";
    asked.request.connect_ms = 20000;
    struct outbound_answer answer;
    outbound_send(&asked.options, &asked.request, &answer);
    assert_int_equal(answer.end, OUTBOUND_ANSWERED);
    buf_fini(&answer.body);
    assert_int_equal(atomic_load(&silence.asked), OUTBOUND_LOOKUPS_SHARE);
    for (unsigned i = 0; i < OUTBOUND_LOOKUPS_SHARE; i++)
        (void)sem_post(&silence.over);
    asked.request.share = "hangs"; /* it has places again */
    outbound_send(&asked.options, &asked.request, &answer);
    assert_int_equal(answer.end, OUTBOUND_ANSWERED);
    buf_fini(&answer.body);
    outbound_fini(&asked.options);
    while (atomic_load(&silence.left) < OUTBOUND_LOOKUPS_SHARE)
        continue;
}

/* The system's resolver and a name server that says nothing: test_outbound.py has it. */
static void
a_name_server_that_is_silent(void **state)
{
    char url[300];
    struct asked asked = asking("GET", url, "/echo");
    asked.options.resolve = NULL;
    asked.request.connect_ms = 300;
    ends(&asked, OUTBOUND_TIMEOUT, "the name server.test was not resolved in time", false);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_answer),
        cmocka_unit_test(nothing_is_sent_that_is_not_allowed),
        cmocka_unit_test(the_certificate_is_checked),
        cmocka_unit_test(redirects),
        cmocka_unit_test(redirects_are_asked_about),
        cmocka_unit_test(headers_do_not_follow),
        cmocka_unit_test(everything_is_bounded),
        cmocka_unit_test(compressed_answers_are_read),
        cmocka_unit_test(nothing_is_remembered),
        cmocka_unit_test(a_host_may_be_pinned),
        cmocka_unit_test(a_resolver_that_hangs),
        cmocka_unit_test(a_share_that_hangs_is_alone),
        cmocka_unit_test(a_name_server_that_is_silent),
    };
    if (getenv("OUTBOUND_SILENT"))
        cmocka_set_test_filter("a_name_server_*");
    else
        cmocka_set_skip_filter("a_name_server_*");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
