/* SPDX-License-Identifier: MIT */
/*
 * http_rate - GET requests at a constant rate, whatever the answers do (an open loop).
 *
 *     http_rate PORT PATH KEYS RATE SECONDS CONNECTIONS
 *
 * KEYS is a file with one API key a line, shown in turn ("-": none). A request that finds every
 * connection busy waits, and its time counts from the moment when it was due. Prints: answers a
 * second, p50, p99 and maximum in microseconds, and for each status how often it came.
 *
 * A server may close a connection between requests: it is opened again. That is taken for granted
 * of a connection that rested for RESTED_NS, whose next request may already be on its way. Any other
 * request that is left without its answer is a fault of the server.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MAX  262144
#define STATUS_MAX  600
#define GRACE_NS    60000000000LL /* for the last answers */
#define SLEEP_NS    1000000LL
#define RESTED_NS   1000000000LL
#define LINE_MAX_   256
#define EVENTS_MAX_ 64

struct link {
    int fd;
    bool asked; /* its request waits for the answer */
    bool rested;
    int64_t due_ns, since_ns; /* since_ns: when it became idle */
    size_t number, got;
    char *answer;
};

struct run {
    int epoll;
    struct sockaddr_in to;
    const char *path;
    char **keys;
    size_t n_keys;
    struct link *links, **idle;
    size_t n_links, n_idle;
    uint32_t *times_us;
    size_t total, sent, answered;
    size_t statuses[STATUS_MAX];
};

static void
fail(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t
now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void
read_keys(struct run *run, const char *name)
{
    char line[LINE_MAX_];
    if (strcmp(name, "-") == 0)
        return;
    FILE *file = fopen(name, "r");
    if (!file)
        fail(name);
    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        run->keys = realloc(run->keys, (run->n_keys + 1) * sizeof(*run->keys));
        if (!run->keys || !(run->keys[run->n_keys++] = strdup(line)))
            fail("keys");
    }
    (void)fclose(file);
}

static void
open_link(const struct run *run, struct link *link)
{
    static const int ONE = 1;
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = link };
    link->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (link->fd < 0 || connect(link->fd, (const struct sockaddr *)&run->to, sizeof(run->to)) < 0 ||
        setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &ONE, sizeof(ONE)) < 0 ||
        epoll_ctl(run->epoll, EPOLL_CTL_ADD, link->fd, &event) < 0)
        fail("a connection");
}

static void
open_links(struct run *run, int port)
{
    run->to = (struct sockaddr_in){ .sin_family = AF_INET,
                                    .sin_port = htons((uint16_t)port),
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    for (size_t i = 0; i < run->n_links; i++) {
        struct link *link = &run->links[i];
        link->answer = malloc(ANSWER_MAX);
        if (!link->answer)
            fail("memory");
        open_link(run, link);
        link->since_ns = now_ns();
        run->idle[run->n_idle++] = link;
    }
}

static void
send_request(const struct run *run, const struct link *link)
{
    char text[LINE_MAX_ * 2];
    const char *key = run->n_keys ? run->keys[link->number % run->n_keys] : NULL;
    int len = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: bench\r\n%s%s%s\r\n",
                       run->path, key ? "X-API-Key: " : "", key ? key : "", key ? "\r\n" : "");
    /* What the server has closed is told when it is read from. */
    if (send(link->fd, text, (size_t)len, MSG_NOSIGNAL) != len && errno != EPIPE &&
        errno != ECONNRESET)
        fail("send");
}

static void
ask(struct run *run, int64_t due_ns)
{
    struct link *link = run->idle[--run->n_idle];
    link->due_ns = due_ns;
    link->number = run->sent++;
    link->got = 0;
    link->asked = true;
    link->rested = now_ns() - link->since_ns >= RESTED_NS;
    send_request(run, link);
}

/* The server has closed it. */
static void
open_again(const struct run *run, struct link *link)
{
    if (link->asked && (link->got || !link->rested)) {
        (void)fputs("the server closed a connection and left a request without its answer\n",
                    stderr);
        exit(1);
    }
    (void)close(link->fd);
    open_link(run, link);
    link->rested = false;
    if (link->asked)
        send_request(run, link);
    else
        link->since_ns = now_ns();
}

/* Whether the answer is whole; every answer here has a Content-Length. */
static bool
is_whole(const struct link *link)
{
    static const char LENGTH[] = "\r\nContent-Length: ";
    const char *end = memmem(link->answer, link->got, "\r\n\r\n", 4);
    if (!end)
        return false;
    size_t head = (size_t)(end - link->answer);
    const char *length = memmem(link->answer, head, LENGTH, sizeof(LENGTH) - 1);
    return length && link->got >= head + 4 + strtoul(length + sizeof(LENGTH) - 1, NULL, 10);
}

static void
hear(struct run *run, struct link *link)
{
    ssize_t n = recv(link->fd, link->answer + link->got, ANSWER_MAX - 1 - link->got, 0);
    if (n < 0 && errno != ECONNRESET && errno != EPIPE)
        fail("recv");
    if (n <= 0) {
        open_again(run, link);
        return;
    }
    link->got += (size_t)n;
    link->answer[link->got] = '\0';
    if (!is_whole(link))
        return;
    unsigned long status = strtoul(link->answer + sizeof("HTTP/1.1"), NULL, 10);
    run->statuses[status < STATUS_MAX ? status : 0]++;
    link->since_ns = now_ns();
    link->asked = false;
    run->times_us[run->answered++] = (uint32_t)((link->since_ns - link->due_ns) / 1000);
    run->idle[run->n_idle++] = link;
}

/* Returns how many answers came before the last request was due. */
static size_t
drive(struct run *run, double rate)
{
    struct epoll_event events[EVENTS_MAX_];
    int64_t start_ns = now_ns();
    int64_t end_ns = start_ns + (int64_t)((double)run->total / rate * 1e9);
    size_t in_time = 0;
    while (run->answered < run->total) {
        int64_t now = now_ns();
        int64_t due_ns = start_ns + (int64_t)((double)run->sent / rate * 1e9);
        while (run->sent < run->total && run->n_idle && due_ns <= now) {
            ask(run, due_ns);
            due_ns = start_ns + (int64_t)((double)run->sent / rate * 1e9);
        }
        if (now <= end_ns)
            in_time = run->answered;
        if (now > end_ns + GRACE_NS)
            break;
        int64_t wait_ns = run->n_idle && run->sent < run->total ? due_ns - now : SLEEP_NS;
        struct timespec wait = { .tv_nsec = wait_ns < 0          ? 0
                                            : wait_ns < SLEEP_NS ? wait_ns
                                                                 : SLEEP_NS };
        int n = epoll_pwait2(run->epoll, events, EVENTS_MAX_, &wait, NULL);
        if (n < 0 && errno != EINTR)
            fail("epoll_pwait2");
        for (int i = 0; i < n; i++)
            hear(run, events[i].data.ptr);
    }
    return in_time;
}

static int
compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
    if (argc != 7) {
        (void)fputs("usage: http_rate PORT PATH KEYS RATE SECONDS CONNECTIONS\n", stderr);
        return 2;
    }
    double rate = strtod(argv[4], NULL);
    struct run run = { .path = argv[2],
                       .total = (size_t)(rate * strtod(argv[5], NULL)),
                       .n_links = strtoul(argv[6], NULL, 10) };
    run.epoll = epoll_create1(0);
    run.links = calloc(run.n_links + 1, sizeof(*run.links));
    run.idle = calloc(run.n_links + 1, sizeof(struct link *));
    run.times_us = calloc(run.total + 1, sizeof(*run.times_us));
    if (run.epoll < 0 || !run.links || !run.idle || !run.times_us || !run.total)
        fail("start");
    read_keys(&run, argv[3]);
    open_links(&run, (int)strtol(argv[1], NULL, 10));
    size_t in_time = drive(&run, rate);
    if (!run.answered)
        return 1;
    qsort(run.times_us, run.answered, sizeof(*run.times_us), compare);
    printf("%.0f %u %u %u %zu", (double)in_time / (double)run.total * rate,
           run.times_us[run.answered / 2], run.times_us[run.answered * 99 / 100],
           run.times_us[run.answered - 1], run.total);
    for (size_t status = 0; status < STATUS_MAX; status++)
        if (run.statuses[status])
            printf(" %zu:%zu", status, run.statuses[status]);
    printf("\n");
    return 0;
}
