/* SPDX-License-Identifier: MIT */
/* The HTTP door with callbacks of this test's own: it knows no request. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "gateway/http/http.h"
#include "test.h"

#define PORT_BASE  20000
#define TURNS_MS   20000 /* a bound against hanging */
#define BACK_BYTES 65536
#define BIG_BYTES  (8u << 20) /* more than a socket takes at once */
#define MANY       300        /* more than a turn of the loop has events */

struct fake { /* a request */
    struct exchange *exchange;
    struct http_answer answer;
    bool waiting;
};

struct bench {
    struct loop *loop;
    struct http_server *server;
    struct fake *last;
    bool holds_head, holds_answer; /* the callback returns without a decision */
    bool answers_big;
    size_t big_bytes; /* 0: BIG_BYTES */
    uint8_t owner;
    size_t stream_max; /* the answer comes in pieces */
    unsigned gone;
    unsigned begun, heads, completed, freed;
    size_t body_bytes;
    enum http_fault fault;
    int port;
};

static struct bench *bench; /* the callbacks of requests get no other */

static void
answer(struct fake *fake, const char *text)
{
    buf_init(&fake->answer.body, BIG_BYTES + 16);
    size_t big = bench->big_bytes ? bench->big_bytes : BIG_BYTES;
    http_belongs(fake->exchange, bench->owner);
    for (size_t i = 0; bench->answers_big && i < big; i += 8)
        buf_add(&fake->answer.body, "biganswe", 8);
    buf_puts(&fake->answer.body, text);
    fake->answer.status = 200;
    fake->answer.stream_max = bench->stream_max;
    fake->answer.content_type = "text/plain";
    fake->waiting = false;
    http_answer(fake->exchange, &fake->answer);
}

static void *
on_begin(void *arg, struct exchange *exchange)
{
    struct bench *b = arg;
    struct fake *fake = calloc(1, sizeof(*fake));
    assert_non_null(fake);
    fake->exchange = exchange;
    b->last = fake;
    b->begun++;
    return fake;
}

static void
on_head(void *arg)
{
    struct fake *fake = arg;
    bench->heads++;
    if (bench->holds_head)
        fake->waiting = true;
    else
        http_want_body(fake->exchange);
}

static void
on_body(void *arg, const char *data, size_t len)
{
    bench->body_bytes += len;
}

static void
on_complete(void *arg)
{
    struct fake *fake = arg;
    bench->completed++;
    bench->fault = http_head(fake->exchange)->fault;
    if (bench->holds_answer)
        fake->waiting = true;
    else
        answer(fake, bench->fault ? "bad" : "ok");
}

static bool
on_waits(const void *arg)
{
    return ((const struct fake *)arg)->waiting;
}

static void
on_gone(void *arg)
{
    bench->gone++;
}

static void
on_free(void *arg)
{
    struct fake *fake = arg;
    assert_false(fake->waiting);
    bench->freed++;
    buf_fini(&fake->answer.body);
    free(fake);
}

static int
set_up_with(void **state, unsigned max_connections, unsigned head_seconds)
{
    static const struct http_callbacks CALLBACKS = { on_begin, on_head, on_body, on_complete,
                                                     on_waits, on_free, on_gone };
    struct bench *b = calloc(1, sizeof(*b));
    struct http_options options = { .trusted_proxies = "127.0.0.0/8",
                                    .max_connections = max_connections,
                                    .max_per_address = max_connections,
                                    .idle_seconds = 60,
                                    .head_seconds = head_seconds,
                                    .body_seconds = 60,
                                    .short_body = 10,
                                    .max_unsent = BIG_BYTES + BIG_BYTES / 2 };
    char address[32];
    assert_non_null(b);
    assert_int_equal(loop_new(&b->loop, NULL), RC_OK);
    for (b->port = PORT_BASE + getpid() % 8000; !b->server; b->port++) {
        (void)snprintf(address, sizeof(address), "127.0.0.1:%d", b->port);
        options.address = address;
        if (http_open(b->loop, &options, &CALLBACKS, b, &b->server, NULL) == RC_OK)
            break;
    }
    *state = bench = b;
    return 0;
}

static int
set_up(void **state)
{
    return set_up_with(state, 4, 60);
}

static int
set_up_many(void **state)
{
    return set_up_with(state, MANY, 1);
}

static int
tear_down(void **state)
{
    struct bench *b = *state;
    http_close(b->server);
    assert_int_equal(b->begun, b->freed);
    loop_free(b->loop);
    free(b);
    return 0;
}

static int
dial(const struct bench *b)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)b->port) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static void
say(int fd, const char *text)
{
    size_t len = strlen(text);
    assert_int_equal(send(fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* Turn the loop until `want` answers end with `tail`; what came. */
static const char *
hear(struct bench *b, int fd, unsigned want, const char *tail)
{
    static char back[BACK_BYTES];
    size_t len = 0;
    int64_t until_ms = clock_mono_ms() + TURNS_MS;
    back[0] = '\0';
    for (;;) {
        loop_turn(b->loop, 1);
        ssize_t n = recv(fd, back + len, sizeof(back) - 1 - len, MSG_DONTWAIT);
        if (n > 0)
            len += (size_t)n;
        back[len] = '\0';
        unsigned got = 0;
        for (const char *at = back; (at = strstr(at, tail)) != NULL; at++)
            got++;
        if (got >= want)
            return back;
        assert_true(clock_mono_ms() < until_ms);
    }
}

static bool
has_ended(struct bench *b, int fd)
{
    char byte;
    int64_t until_ms = clock_mono_ms() + TURNS_MS;
    ssize_t n;
    while ((n = recv(fd, &byte, 1, MSG_DONTWAIT)) != 0) {
        loop_turn(b->loop, 1);
        if (clock_mono_ms() >= until_ms)
            return false;
    }
    return true;
}

static void
test_pipelined_requests_are_answered_in_turn(void **state)
{
    struct bench *b = *state;
    int fd = dial(b);
    say(fd, "GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\nHost: x\r\nContent-Length: "
            "3\r\n\r\nabcGET /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    const char *back = hear(b, fd, 3, "\r\n\r\nok");
    assert_non_null(strstr(back, "Connection: close\r\n"));
    assert_true(has_ended(b, fd));
    assert_int_equal(b->completed, 3);
    assert_int_equal(b->heads, 0); /* all are short */
    assert_int_equal(b->body_bytes, 3);
    close(fd);
}

static void
test_a_long_body_waits_for_its_head(void **state)
{
    struct bench *b = *state;
    int fd = dial(b);
    b->holds_head = true;
    say(fd, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n");
    while (b->heads == 0)
        loop_turn(b->loop, 1);
    assert_int_equal(b->body_bytes, 0);
    b->last->waiting = false;
    http_want_body(b->last->exchange);
    (void)hear(b, fd, 1, "HTTP/1.1 100 Continue\r\n\r\n");
    say(fd, "hello world");
    (void)hear(b, fd, 1, "\r\n\r\nok");
    assert_int_equal(b->body_bytes, 11);
    close(fd);
}

static void
test_a_client_that_is_gone_takes_no_request_along(void **state)
{
    struct bench *b = *state;
    int fd = dial(b);
    b->holds_answer = true;
    say(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    while (b->completed == 0)
        loop_turn(b->loop, 1);
    struct linger hard = { .l_onoff = 1 };
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
    close(fd);
    while (http_connections(b->server) > 0)
        loop_turn(b->loop, 1);
    assert_int_equal(b->freed, 0);
    answer(b->last, "late");
    loop_turn(b->loop, 1);
    assert_int_equal(b->freed, 1);
}

static void
test_malformed_chunks_end_the_connection(void **state)
{
    struct bench *b = *state;
    int fd = dial(b);
    say(fd, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabX\r\nGET / "
            "HTTP/1.1\r\nHost: x\r\n\r\n");
    const char *back = hear(b, fd, 1, "\r\n\r\nbad");
    assert_non_null(strstr(back, "Connection: close\r\n"));
    assert_int_equal(b->fault, HTTP_FAULT_MALFORMED);
    assert_int_equal(b->begun, 1);
    assert_int_equal(http_counts(b->server)->faults, 1);
    close(fd);
}

static struct exchange *
open_stream(struct bench *b, int fd, const char *request, size_t max)
{
    unsigned completed = b->completed;
    b->stream_max = max;
    say(fd, request);
    while (b->completed == completed)
        loop_turn(b->loop, 1);
    return b->last->exchange;
}

static void
test_a_stream_comes_in_chunks(void **state)
{
    struct bench *b = *state;
    int fd = dial(b);
    struct exchange *x = open_stream(b, fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 100);
    const char *back = hear(b, fd, 1, "\r\n\r\n");
    assert_non_null(strstr(back, "Transfer-Encoding: chunked\r\n"));
    assert_null(strstr(back, "Content-Length"));
    http_stream_write(x, "hello", 5);
    (void)hear(b, fd, 1, "5\r\nhello\r\n");
    http_stream_write(x, "", 0); /* would be the end */
    http_stream_write(x, "0123456789abcdefg", 17);
    (void)hear(b, fd, 1, "11\r\n0123456789abcdefg\r\n");
    http_stream_end(x);
    (void)hear(b, fd, 1, "0\r\n\r\n");
    b->stream_max = 0;
    say(fd, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); /* it was kept */
    (void)hear(b, fd, 1, "\r\n\r\nok");
    assert_true(has_ended(b, fd));
    assert_int_equal(b->gone, 0);
    close(fd);
}

/* Its first piece is there before its head was written. */
static void
test_a_stream_comes_behind_another_answer(void **state)
{
    struct bench *b = *state;
    int fd = dial(b);
    say(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    (void)hear(b, fd, 1, "\r\n\r\nok");
    b->holds_answer = true;
    struct exchange *x = open_stream(b, fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 100);
    answer(b->last, "");
    http_stream_write(x, "hello", 5);
    http_stream_end(x);
    (void)hear(b, fd, 1, "5\r\nhello\r\n0\r\n\r\n");
    assert_int_equal(b->gone, 0);
    assert_int_equal(http_counts(b->server)->slow, 0);
    close(fd);
}

static void
test_a_next_request_waits_behind_a_stream(void **state)
{
    struct bench *b = *state;
    int fd = dial(b);
    struct exchange *x = open_stream(
        b, fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n", 100);
    http_stream_write(x, "one", 3);
    (void)hear(b, fd, 1, "one\r\n");
    assert_int_equal(b->begun, 1);
    b->stream_max = 0;
    http_stream_end(x);
    (void)hear(b, fd, 1, "\r\n\r\nok");
    assert_int_equal(b->begun, 2);
    close(fd);
}

static void
test_a_stream_of_1_0_ends_with_its_connection(void **state)
{
    struct bench *b = *state;
    int fd = dial(b);
    struct exchange *x =
        open_stream(b, fd, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 100);
    http_stream_write(x, "hello", 5);
    const char *back = hear(b, fd, 1, "\r\n\r\nhello");
    assert_non_null(strstr(back, "Connection: close\r\n"));
    assert_null(strstr(back, "Transfer-Encoding"));
    http_stream_end(x);
    assert_true(has_ended(b, fd));
    close(fd);
}

static void
test_a_stream_tells_when_its_client_goes(void **state)
{
    struct bench *b = *state;
    int fd = dial(b);
    struct exchange *x = open_stream(b, fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 100);
    http_stream_write(x, "hello", 5);
    (void)hear(b, fd, 1, "hello\r\n");
    close(fd);
    while (b->gone == 0)
        loop_turn(b->loop, 1);
    while (b->freed == 0)
        loop_turn(b->loop, 1);
    assert_int_equal(http_connections(b->server), 0);
    assert_int_equal(http_counts(b->server)->slow, 0);
}

static void
test_who_does_not_read_a_stream_is_cut_off(void **state)
{
    static char piece[65536];
    struct bench *b = *state;
    int fd = dial(b);
    struct exchange *x = open_stream(b, fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 4 * sizeof(piece));
    memset(piece, 'x', sizeof(piece));
    for (unsigned i = 0; i < 10000 && b->gone == 0; i++) { /* far more than the sockets hold */
        http_stream_write(x, piece, sizeof(piece));
        loop_turn(b->loop, 0);
    }
    assert_int_equal(b->gone, 1);
    assert_int_equal(http_counts(b->server)->slow, 1);
    close(fd);
}

static void
test_the_longest_idle_makes_room(void **state)
{
    struct bench *b = *state;
    int fds[6];
    for (unsigned i = 0; i < 4; i++) {
        fds[i] = dial(b);
        while (http_connections(b->server) < i + 1)
            loop_turn(b->loop, 1);
    }
    say(fds[0], "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); /* now the second is the longest idle */
    (void)hear(b, fds[0], 1, "\r\n\r\nok");
    for (unsigned i = 4; i < 6; i++) {
        fds[i] = dial(b);
        say(fds[i], "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        (void)hear(b, fds[i], 1, "\r\n\r\nok");
    }
    assert_int_equal(http_connections(b->server), 4);
    assert_int_equal(http_counts(b->server)->evicted, 2);
    assert_true(has_ended(b, fds[1]));
    assert_true(has_ended(b, fds[2]));
    say(fds[0], "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    (void)hear(b, fds[0], 1, "\r\n\r\nok");
    for (unsigned i = 0; i < 6; i++)
        close(fds[i]);
}

/* Many wait in the listen queue, their requests behind them: none is accepted to be closed at once. */
static void
test_the_bound_is_kept_and_all_are_answered(void **state)
{
    static const char LAST[] = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    struct bench *b = *state;
    struct fake *held[4];
    int fds[16];
    b->holds_answer = true;
    for (unsigned i = 0; i < 16; i++) {
        fds[i] = dial(b);
        say(fds[i], LAST);
        while (i < 4 && b->completed < i + 1)
            loop_turn(b->loop, 1);
        if (i < 4)
            held[i] = b->last;
    }
    for (unsigned i = 0; i < 20; i++)
        loop_turn(b->loop, 1);
    assert_int_equal(http_connections(b->server), 4);
    b->holds_answer = false;
    for (unsigned i = 0; i < 4; i++)
        answer(held[i], "ok");
    for (unsigned i = 0; i < 16; i++) {
        (void)hear(b, fds[i], 1, "\r\n\r\nok");
        assert_in_range(http_connections(b->server), 0, 4);
        close(fds[i]);
    }
    assert_int_equal(http_counts(b->server)->evicted, 0);
}

/* Answers that are not read: the oldest are cut off when there are too many bytes of them. */
static void
test_unread_answers_are_bounded(void **state)
{
    static char part[65536];
    struct bench *b = *state;
    int fds[3];
    ssize_t n;
    size_t got = 0;
    b->answers_big = true;
    for (unsigned i = 0; i < 3; i++) {
        fds[i] = dial(b);
        say(fds[i], "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        while (b->completed < i + 1)
            loop_turn(b->loop, 1);
        loop_turn(b->loop, 1);
    }
    assert_int_equal(http_connections(b->server), 1);
    assert_int_equal(http_counts(b->server)->slow, 2);
    while ((n = recv(fds[2], part, sizeof(part), MSG_DONTWAIT)) != 0) {
        got += n > 0 ? (size_t)n : 0;
        loop_turn(b->loop, 0);
    }
    assert_true(got > BIG_BYTES);
    for (unsigned i = 0; i < 3; i++)
        close(fds[i]);
}

/* Who has most unread answers loses one of its own, not the oldest of all. */
static void
test_unread_answers_of_one_cut_off_no_other(void **state)
{
    static const struct {
        uint8_t owner;
        size_t bytes;
    } ASKED[] = { { 1, BIG_BYTES - 65536 }, { 2, BIG_BYTES }, { 2, BIG_BYTES } };
    static char part[65536];
    struct bench *b = *state;
    size_t got = 0;
    int fds[3];
    b->answers_big = true;
    for (unsigned i = 0; i < 3; i++) {
        b->owner = ASKED[i].owner;
        b->big_bytes = ASKED[i].bytes;
        fds[i] = dial(b);
        say(fds[i], "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        while (b->completed < i + 1)
            loop_turn(b->loop, 1);
        loop_turn(b->loop, 1);
    }
    assert_int_equal(http_connections(b->server), 1);
    assert_int_equal(http_counts(b->server)->unread, 2);
    for (ssize_t n = 1; n != 0; loop_turn(b->loop, 0)) {
        n = recv(fds[0], part, sizeof(part), MSG_DONTWAIT);
        got += n > 0 ? (size_t)n : 0;
    }
    assert_true(got > BIG_BYTES - 65536);
    for (unsigned i = 0; i < 3; i++)
        close(fds[i]);
}

/* Clients that ask again and again do not keep out who waits. */
static void
test_a_busy_connection_ends_for_one_that_waits(void **state)
{
    static const char AGAIN[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    struct bench *b = *state;
    struct fake *held = NULL;
    int fds[5];
    b->holds_answer = true;
    for (unsigned i = 0; i < 5; i++) {
        fds[i] = dial(b);
        say(fds[i], AGAIN);
        while (i < 4 && b->completed < i + 1)
            loop_turn(b->loop, 1);
        if (i == 0)
            held = b->last;
        else if (i < 4)
            b->last->waiting = false; /* freed with its connection */
    }
    for (unsigned i = 0; i < 20; i++)
        loop_turn(b->loop, 1);
    b->holds_answer = false;
    answer(held, "ok");
    const char *back = hear(b, fds[0], 1, "\r\n\r\nok");
    assert_non_null(strstr(back, "Connection: close\r\n"));
    close(fds[0]);
    (void)hear(b, fds[4], 1, "\r\n\r\nok");
    for (unsigned i = 1; i < 5; i++)
        close(fds[i]);
}

/* Connections wait for a descriptor; none is lost. */
static void
test_no_descriptor_is_left(void **state)
{
    struct bench *b = *state;
    struct rlimit before;
    int fds[4];
    for (unsigned i = 0; i < 4; i++) {
        fds[i] = dial(b);
        say(fds[i], "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit none = { .rlim_cur = (rlim_t)fds[3] + 1, .rlim_max = before.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (unsigned i = 0; i < 20; i++)
        loop_turn(b->loop, 1);
    assert_int_equal(http_connections(b->server), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (unsigned i = 0; i < 4; i++) {
        (void)hear(b, fds[i], 1, "\r\n\r\nok");
        close(fds[i]);
    }
}

/* A program that could not read for longer than a head may take blames nobody for it. */
static void
test_a_late_program_blames_nobody(void **state)
{
    static const struct timespec AWAY = { .tv_sec = 1, .tv_nsec = 200000000 };
    struct bench *b = *state;
    int fds[MANY];
    for (unsigned i = 0; i < MANY; i++)
        fds[i] = dial(b);
    while (http_connections(b->server) < MANY)
        loop_turn(b->loop, 1);
    assert_int_equal(nanosleep(&AWAY, NULL), 0);
    for (unsigned i = 0; i < MANY; i++)
        say(fds[i], "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    for (unsigned i = 0; i < MANY; i++) {
        (void)hear(b, fds[i], 1, "\r\n\r\nok");
        close(fds[i]);
    }
    assert_int_equal(http_counts(b->server)->slow, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_stream_comes_in_chunks),
        TEST(test_a_stream_comes_behind_another_answer),
        TEST(test_a_next_request_waits_behind_a_stream),
        TEST(test_a_stream_of_1_0_ends_with_its_connection),
        TEST(test_a_stream_tells_when_its_client_goes),
        TEST(test_who_does_not_read_a_stream_is_cut_off),
        TEST(test_pipelined_requests_are_answered_in_turn),
        TEST(test_a_long_body_waits_for_its_head),
        TEST(test_a_client_that_is_gone_takes_no_request_along),
        TEST(test_malformed_chunks_end_the_connection),
        TEST(test_the_longest_idle_makes_room),
        TEST(test_the_bound_is_kept_and_all_are_answered),
        TEST(test_a_busy_connection_ends_for_one_that_waits),
        TEST(test_unread_answers_are_bounded),
        TEST(test_unread_answers_of_one_cut_off_no_other),
        TEST(test_no_descriptor_is_left),
        cmocka_unit_test_setup_teardown(test_a_late_program_blames_nobody, set_up_many, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
