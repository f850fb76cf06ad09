/* SPDX-License-Identifier: MIT */
/*
 * top - samples of what the servers and workers count; rates are between the newest sample and the
 * oldest of the last few.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/version.h"
#include "status.h"
#include "streams.h"
#include "table.h"

#define SAMPLES     5
#define WORKERS_MAX 64
#define ANSWER_MS   400 /* for workers to tell of themselves */
#define HTTP_MS     2000
#define ONCE_MS     1000 /* between the two samples of a snapshot */
#define SCREEN_MAX  (256u * 1024)
#define NAME_ROOM   40

/* The numbers of the gateway's /debug/status that are told. */
enum number { REQUESTS, REFUSED, FAILED, IN_FLIGHT, CONNECTIONS, NUMBER_COUNT };
static const char *const NUMBERS[NUMBER_COUNT] = { "requests_total", "answers_4xx_total",
                                                   "answers_5xx_total", "requests_in_flight",
                                                   "connections" };

struct worker_sample {
    char name[NAME_ROOM], instance[NAME_ROOM];
    int64_t settled, errors, busy_ns;
};

struct sample {
    int64_t at_ms;
    char gateway[ERR_TEXT_MAX]; /* "ready", or what is wrong */
    struct err nats, admin;
    int64_t numbers[NUMBER_COUNT];
    struct stream_count streams[STREAMS_COUNT];
    size_t n_streams;
    struct worker_sample workers[WORKERS_MAX];
    unsigned n_workers;
};

struct top {
    struct cli *cli;
    struct fetch_pool *admin; /* NULL: not told where it is */
    struct sample samples[SAMPLES];
    unsigned count; /* of all that were taken */
};

/* --- taking a sample -------------------------------------------------------------------------- */

static void
on_stats(void *arg, const struct bus_msg *msg)
{
    struct sample *sample = arg;
    AUTO(json) cJSON *doc = NULL;
    const cJSON *endpoint = NULL;

    if (sample->n_workers == WORKERS_MAX || json_read(msg->data, msg->len, &doc, NULL) != RC_OK ||
        !json_string(doc, "name") || !json_string(doc, "id"))
        return;
    struct worker_sample *worker = &sample->workers[sample->n_workers++];
    (void)snprintf(worker->name, NAME_ROOM, "%.39s", json_string(doc, "name"));
    (void)snprintf(worker->instance, NAME_ROOM, "%.39s", json_string(doc, "id"));
    cJSON_ArrayForEach (endpoint, json_member(doc, "endpoints")) {
        worker->settled += json_int(endpoint, "num_requests", 0);
        worker->errors += json_int(endpoint, "num_errors", 0);
        worker->busy_ns += json_int(endpoint, "processing_time", 0);
    }
}

static int
by_name(const void *a, const void *b)
{
    const struct worker_sample *left = a;
    const struct worker_sample *right = b;
    int order = strcmp(left->name, right->name);
    return order ? order : strcmp(left->instance, right->instance);
}

static enum rc
get(struct fetch_pool *pool, const char *path, cJSON **doc, struct err *err)
{
    AUTO(buf) struct buf answer = { 0 };
    const struct fetch_request request = {
        .method = "GET", .path = path, .once = true, .timeout_ms = HTTP_MS
    };

    buf_init(&answer, FETCH_ANSWER_MAX);
    enum rc rc = fetch_pool_call(pool, &request, &answer, err);
    return rc == RC_OK ? json_read(buf_text(&answer), answer.len, doc, err) : rc;
}

static void
take(struct top *top)
{
    struct sample *sample = &top->samples[top->count++ % SAMPLES];
    AUTO(json) cJSON *ready = NULL;
    AUTO(json) cJSON *numbers = NULL;
    struct fetch_pool *pool = NULL;
    struct err err = { 0 };

    *sample = (struct sample){ .at_ms = clock_mono_ms() };
    enum rc rc = cli_http(top->cli, 1, &pool, &err);
    if (rc == RC_OK)
        rc = get(pool, "/readyz", &ready, &err);
    const char *state = json_string(ready, "status");
    (void)snprintf(sample->gateway, sizeof(sample->gateway), "%s",
                   rc != RC_OK ? err.text
                   : state     ? state
                               : "?");
    if (top->admin && get(top->admin, "/debug/status", &numbers, &sample->admin) == RC_OK)
        for (size_t i = 0; i < NUMBER_COUNT; i++)
            sample->numbers[i] = json_int(numbers, NUMBERS[i], 0);
    if (streams_read(top->cli, sample->streams, &sample->n_streams, &sample->nats) == RC_OK)
        (void)workers_ask(top->cli, "STATS", ANSWER_MS, NULL, on_stats, sample, &sample->nats);
    qsort(sample->workers, sample->n_workers, sizeof(sample->workers[0]), by_name);
}

static const struct sample *
newest(const struct top *top)
{
    return &top->samples[(top->count - 1) % SAMPLES];
}

static const struct sample *
oldest(const struct top *top)
{
    return &top->samples[top->count > SAMPLES ? top->count % SAMPLES : 0];
}

/* --- rates ------------------------------------------------------------------------------------ */

/* Each second; 0 for what began anew, and when the older sample lacks it. */
static double
rate(const struct top *top, const struct err *older, int64_t then, int64_t now)
{
    int64_t ms = newest(top)->at_ms - oldest(top)->at_ms;
    return older->rc == RC_OK && ms > 0 && now > then ? (double)(now - then) * 1000 / (double)ms
                                                      : 0;
}

static double
number_rate(const struct top *top, enum number number)
{
    return rate(top, &oldest(top)->admin, oldest(top)->numbers[number],
                newest(top)->numbers[number]);
}

/* What came into a stream, and what left it. */
static void
stream_rates(const struct top *top, size_t i, double *in, double *out)
{
    const struct stream_count *then = &oldest(top)->streams[i];
    const struct stream_count *now = &newest(top)->streams[i];
    *in = rate(top, &oldest(top)->nats, then->last_seq, now->last_seq);
    *out = rate(top, &oldest(top)->nats, then->last_seq - then->messages,
                now->last_seq - now->messages);
}

struct worker_rates {
    double settled, errors, mean_ms;
};

static struct worker_rates
worker_rates(const struct top *top, const struct worker_sample *now)
{
    const struct sample *first = oldest(top);
    for (unsigned i = 0; i < first->n_workers; i++) {
        const struct worker_sample *then = &first->workers[i];
        if (strcmp(then->instance, now->instance) != 0)
            continue;
        int64_t settled = now->settled - then->settled;
        return (struct worker_rates){
            rate(top, &oldest(top)->nats, then->settled, now->settled),
            rate(top, &oldest(top)->nats, then->errors, now->errors),
            settled > 0 ? (double)(now->busy_ns - then->busy_ns) / 1e6 / (double)settled : 0
        };
    }
    return (struct worker_rates){ 0 };
}

/* --- telling ---------------------------------------------------------------------------------- */

static void
put_streams(const struct top *top, struct buf *out)
{
    static const struct table_column COLUMNS[] = {
        { "QUEUE", 16, true, false },    { "WAITING", 9, false, true },
        { "UNDER WAY", 9, false, true }, { "MESSAGES", 9, false, true },
        { "IN/S", 8, false, true },      { "OUT/S", 8, false, true },
    };
    AUTO(table) struct table table = { 0 };
    double in = 0, leaving = 0;

    table_init(&table, COLUMNS, ARRAY_LEN(COLUMNS));
    table.titles = true;
    for (size_t i = 0; i < newest(top)->n_streams; i++) {
        const struct stream_count *stream = &newest(top)->streams[i];
        stream_rates(top, i, &in, &leaving);
        table_put(&table, stream->name);
        table_putf(&table, "%lld", (long long)stream->pending);
        table_putf(&table, "%lld", (long long)stream->unsettled);
        table_putf(&table, "%lld", (long long)stream->messages);
        table_putf(&table, "%.1f", in);
        table_putf(&table, "%.1f", leaving);
    }
    table_write(&table, out);
}

static void
put_workers(const struct top *top, struct buf *out)
{
    static const struct table_column COLUMNS[] = {
        { "WORKER", 16, true, false },   { "INSTANCE", 9, false, false },
        { "SETTLED/S", 9, false, true }, { "ERRORS/S", 9, false, true },
        { "MEAN MS", 8, false, true },   { "SETTLED", 8, false, true },
    };
    AUTO(table) struct table table = { 0 };
    const struct sample *now = newest(top);

    table_init(&table, COLUMNS, ARRAY_LEN(COLUMNS));
    table.titles = true;
    for (unsigned i = 0; i < now->n_workers; i++) {
        const struct worker_sample *worker = &now->workers[i];
        const struct worker_rates rates = worker_rates(top, worker);
        table_put(&table, worker->name);
        table_put(&table, worker->instance);
        table_putf(&table, "%.1f", rates.settled);
        table_putf(&table, "%.1f", rates.errors);
        table_putf(&table, "%.1f", rates.mean_ms);
        table_putf(&table, "%lld", (long long)worker->settled);
    }
    table_write(&table, out);
}

static void
put_text(const struct top *top, struct buf *out)
{
    const struct sample *now = newest(top);
    char text[CLOCK_TEXT_MAX];

    buf_printf(out, "gantry %s  %.19sZ  gateway %s\n", GANTRY_VERSION,
               clock_format(clock_wall_ms(), text), now->gateway);
    if (!top->admin)
        buf_puts(out, "requests: GANTRY_ADMIN_URL is not set\n");
    else if (now->admin.rc != RC_OK)
        buf_printf(out, "requests: %s\n", now->admin.text);
    else
        buf_printf(out,
                   "requests %.1f/s, 4xx %.1f/s, 5xx %.1f/s, %lld in flight, %lld connections\n",
                   number_rate(top, REQUESTS), number_rate(top, REFUSED), number_rate(top, FAILED),
                   (long long)now->numbers[IN_FLIGHT], (long long)now->numbers[CONNECTIONS]);
    if (now->nats.rc != RC_OK) {
        buf_printf(out, "\nNATS: %s\n", now->nats.text);
        return;
    }
    buf_putc(out, '\n');
    put_streams(top, out);
    buf_putc(out, '\n');
    put_workers(top, out);
    if (now->n_workers == 0)
        buf_puts(out, "no worker answers\n");
}

static int
print_document(const struct top *top)
{
    AUTO(buf) struct buf out = { 0 };
    const struct sample *now = newest(top);
    struct json_writer w;
    double in = 0, leaving = 0;

    buf_init(&out, CLI_OUTPUT_MAX);
    json_begin(&w, &out);
    json_object(&w, NULL);
    json_put_string(&w, "gateway", now->gateway);
    if (top->admin && now->admin.rc == RC_OK) {
        json_object(&w, "requests");
        json_put_number(&w, "per_second", number_rate(top, REQUESTS));
        json_put_number(&w, "answers_4xx_per_second", number_rate(top, REFUSED));
        json_put_number(&w, "answers_5xx_per_second", number_rate(top, FAILED));
        json_put_int(&w, "in_flight", now->numbers[IN_FLIGHT]);
        json_put_int(&w, "connections", now->numbers[CONNECTIONS]);
        json_close(&w);
    }
    json_array(&w, "queues");
    for (size_t i = 0; now->nats.rc == RC_OK && i < now->n_streams; i++) {
        stream_rates(top, i, &in, &leaving);
        json_object(&w, NULL);
        json_put_string(&w, "name", now->streams[i].name);
        json_put_int(&w, "messages", now->streams[i].messages);
        json_put_int(&w, "waiting", now->streams[i].pending);
        json_put_int(&w, "under_way", now->streams[i].unsettled);
        json_put_number(&w, "in_per_second", in);
        json_put_number(&w, "out_per_second", leaving);
        json_close(&w);
    }
    json_close(&w);
    json_array(&w, "workers");
    for (unsigned i = 0; i < now->n_workers; i++) {
        const struct worker_rates rates = worker_rates(top, &now->workers[i]);
        json_object(&w, NULL);
        json_put_string(&w, "name", now->workers[i].name);
        json_put_string(&w, "instance", now->workers[i].instance);
        json_put_int(&w, "settled", now->workers[i].settled);
        json_put_int(&w, "errors", now->workers[i].errors);
        json_put_number(&w, "settled_per_second", rates.settled);
        json_put_number(&w, "mean_ms", rates.mean_ms);
        json_close(&w);
    }
    json_close(&w);
    json_close(&w);
    (void)json_end(&w);
    return cli_print_json(&out);
}

/* --- once, and live --------------------------------------------------------------------------- */

static int
tell_once(struct top *top)
{
    AUTO(buf) struct buf out = { 0 };
    const struct timespec pause = { .tv_sec = ONCE_MS / 1000, .tv_nsec = ONCE_MS % 1000 * 1000000 };

    take(top);
    if (newest(top)->nats.rc == RC_CONFIG)
        return cli_fail(&newest(top)->nats);
    (void)nanosleep(&pause, NULL);
    take(top);
    int code = newest(top)->nats.rc == RC_OK ? EXIT_OK : EXIT_NO;
    buf_init(&out, SCREEN_MAX);
    put_text(top, &out);
    if (top->cli->json)
        return print_document(top) == EXIT_OK ? code : EXIT_TEMP;
    return fputs(buf_text(&out), stdout) >= 0 && fflush(stdout) == 0 ? code : EXIT_TEMP;
}

/* As many lines as the screen has, over what it shows. */
static void
draw(const struct top *top)
{
    AUTO(buf) struct buf text = { 0 };
    AUTO(buf) struct buf out = { 0 };
    unsigned columns = 0, lines = 0;

    table_screen(&columns, &lines);
    buf_init(&text, SCREEN_MAX);
    buf_init(&out, 2 * SCREEN_MAX);
    put_text(top, &text);
    buf_puts(&text, "\nq ends\n");
    buf_puts(&out, "\033[H");
    for (const char *line = buf_text(&text); *line && lines > 1; lines--) {
        size_t len = strcspn(line, "\n");
        buf_add(&out, line, len < columns ? len : columns);
        buf_puts(&out, "\033[K\n");
        line += len + (line[len] == '\n');
    }
    buf_puts(&out, "\033[J");
    (void)fwrite(buf_text(&out), 1, out.len, stdout);
    (void)fflush(stdout);
}

/* Until the next sample is due; false: the person or the system wants an end. */
static bool
pause_for(const struct top *top, int signals, int keys, int64_t ms)
{
    struct pollfd fds[] = { { .fd = signals, .events = POLLIN }, { .fd = keys, .events = POLLIN } };
    int64_t end_ms = clock_mono_ms() + ms;

    for (int64_t left = ms; left > 0; left = end_ms - clock_mono_ms()) {
        struct signalfd_siginfo info = { 0 };
        char key = 0;
        if (poll(fds, ARRAY_LEN(fds), (int)left) <= 0)
            continue;
        if (fds[0].revents && (read(signals, &info, sizeof(info)) != (ssize_t)sizeof(info) ||
                               info.ssi_signo != SIGWINCH))
            return false;
        if (fds[1].revents && (read(keys, &key, 1) != 1 || key == 'q' || key == 'Q'))
            return false;
        draw(top);
    }
    return true;
}

static int
tell_live(struct top *top, int64_t interval_ms)
{
    struct termios before = { 0 };
    sigset_t wanted;
    int keys = tcgetattr(STDIN_FILENO, &before) == 0 ? STDIN_FILENO : -1;

    (void)sigemptyset(&wanted);
    (void)sigaddset(&wanted, SIGINT);
    (void)sigaddset(&wanted, SIGTERM);
    (void)sigaddset(&wanted, SIGHUP);
    (void)sigaddset(&wanted, SIGWINCH);
    (void)sigprocmask(SIG_BLOCK, &wanted, NULL);
    AUTO(fd) int signals = signalfd(-1, &wanted, SFD_CLOEXEC);
    if (signals < 0)
        return EXIT_TEMP;
    take(top);
    if (newest(top)->nats.rc == RC_CONFIG)
        return cli_fail(&newest(top)->nats);
    struct termios raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    if (keys >= 0)
        (void)tcsetattr(keys, TCSANOW, &raw);
    (void)fputs("\033[?1049h\033[?25l\033[2J", stdout); /* a screen of its own, no cursor */
    do {
        draw(top);
        if (!pause_for(top, signals, keys, interval_ms))
            break;
        take(top);
    } while (!ferror(stdout));
    (void)fputs("\033[?25h\033[?1049l", stdout);
    (void)fflush(stdout);
    if (keys >= 0)
        (void)tcsetattr(keys, TCSANOW, &before);
    return EXIT_OK;
}

int
cmd_top(struct cli *cli)
{
    AUTO(free) struct top *top = calloc(1, sizeof(*top));
    AUTO(fetch_pool) struct fetch_pool *admin = NULL;
    struct err err = { 0 };
    int64_t seconds = 0;

    if (!top)
        return EXIT_TEMP;
    if (cli_option_int(cli, "interval", 1, 3600, 2, &seconds, &err) != RC_OK)
        return cli_usage("%s", err.text);
    if (!cli->conf.url && cli_missing("GANTRY_URL", &err) != RC_OK)
        return cli_fail(&err);
    if (cli->conf.admin_url &&
        fetch_pool_new(cli->conf.admin_url, NULL, 1, 1, &admin, &err) != RC_OK)
        return cli_fail(&err);
    top->cli = cli;
    top->admin = admin;
    if (cli->json || cli_option(cli, "once") || isatty(STDOUT_FILENO) != 1)
        return tell_once(top);
    return tell_live(top, seconds * 1000);
}
