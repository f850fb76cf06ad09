/* SPDX-License-Identifier: MIT */
/*
 * bus_rate - what the bus and a worker's consumer can do, measured from one program.
 *
 *     bus_rate NATS_URL fill COUNT     publish COUNT commands, PubAcks awaited in a window of 500
 *     bus_rate NATS_URL pull COUNT     pull and acknowledge twice, nothing else
 *     bus_rate NATS_URL drained        wait until MEMORY is empty
 *     bus_rate NATS_URL latency COUNT  one publish at a time, awaiting its PubAck
 *
 * Prints seconds (fill, pull, drained) or microseconds: p50 and p99.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "bus/bus.h"
#include "json/json.h"

#define WINDOW  500
#define CREDIT  384 /* below max_waiting of nats/consumers */
#define SUBJECT "gantry.v1.w1.memory.ingest"

static const char BODY[] =
    "{\"scope\":\"bench\",\"text\":\"A short memory of about one hundred bytes, "
    "as agents write them all day long.\"}";

struct bench {
    struct loop *loop;
    struct bus *bus;
    long sent, acked, failed;
};

static void
on_ack(void *arg, enum rc rc, bool duplicate, const struct err *err)
{
    struct bench *bench = arg;
    (void)duplicate;
    bench->acked++;
    if (rc != RC_OK && bench->failed++ == 0)
        fprintf(stderr, "%s\n", err->text);
}

static void
publish_one(struct bench *bench)
{
    struct err err;
    char id[ID_TEXT_MAX];
    const struct bus_out out = { .subject = SUBJECT, .data = BODY, .len = sizeof(BODY) - 1 };
    id_new(id);
    bench->sent++;
    if (bus_js_publish(bench->bus, &out, id, 5000, on_ack, bench, &err) != RC_OK)
        on_ack(bench, RC_TEMP, false, &err);
}

static void
fill(struct bench *bench, long count)
{
    while (bench->acked < count) {
        while (bench->sent < count && bench->sent - bench->acked < WINDOW)
            publish_one(bench);
        loop_turn(bench->loop, 100);
    }
}

static void
on_pulled(void *arg, const struct bus_msg *msg)
{
    struct bench *bench = arg;
    if (msg && bus_settle(bench->bus, msg, BUS_ACK, 0, on_ack, bench, NULL) != RC_OK)
        exit(1);
}

static void
pull(struct bench *bench, long count)
{
    struct bus_pull *source = NULL;
    struct err err;
    if (bus_pull_new(bench->bus, "MEMORY", "ingest", on_pulled, bench, &source, &err) != RC_OK)
        exit(1);
    while (bench->acked < count) {
        unsigned credit = bus_pull_credit(source);
        if (credit < CREDIT / 2 && bus_pull_more(source, CREDIT - credit, 5000, &err) != RC_OK)
            exit(1);
        loop_turn(bench->loop, 100);
    }
    bus_pull_free(source);
}

static void
wait_drained(struct bench *bench)
{
    const struct bus_out out = { .subject = "$JS.API.STREAM.INFO.MEMORY" };
    for (int64_t left = 1; left > 0;) {
        char *data = NULL;
        size_t len = 0;
        cJSON *doc = NULL;
        if (bus_request_sync(bench->bus, &out, 5000, &data, &len, NULL) != RC_OK ||
            json_read(data, len, &doc, NULL) != RC_OK)
            exit(1);
        left = json_int(json_member(doc, "state"), "messages", 0);
        cJSON_Delete(doc);
        free(data);
        loop_turn(bench->loop, 5);
    }
}

static int
by_value(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static void
latency(struct bench *bench, long count)
{
    int64_t *took = calloc((size_t)count, sizeof(*took));
    if (!took)
        exit(1);
    for (long i = 0; i < count; i++) {
        int64_t start_us = clock_mono_us();
        publish_one(bench);
        while (bench->acked <= i)
            loop_turn(bench->loop, 100);
        took[i] = clock_mono_us() - start_us;
    }
    qsort(took, (size_t)count, sizeof(*took), by_value);
    printf("%" PRId64 " %" PRId64 "\n", took[count / 2], took[count * 99 / 100]);
    free(took);
}

int
main(int argc, char **argv)
{
    struct bench bench = { 0 };
    struct err err;
    if (argc < 3)
        return EXIT_USAGE;
    char inbox[64]; /* the user's own: nats://user:password@… */
    const char *user = strstr(argv[1], "//");
    user = user ? user + 2 : argv[1];
    snprintf(inbox, sizeof(inbox), "_INBOX.%.*s", (int)strcspn(user, ":@"), user);
    const struct bus_options options = { .url = argv[1], .name = "bench", .inbox_prefix = inbox };
    if (loop_new(&bench.loop, &err) != RC_OK ||
        bus_connect(bench.loop, &options, 5000, &bench.bus, &err) != RC_OK) {
        fprintf(stderr, "%s\n", err.text);
        return EXIT_NO;
    }
    long count = argc > 3 ? strtol(argv[3], NULL, 10) : 0;
    int64_t start_us = clock_mono_us();
    if (strcmp(argv[2], "fill") == 0)
        fill(&bench, count);
    else if (strcmp(argv[2], "pull") == 0)
        pull(&bench, count);
    else if (strcmp(argv[2], "drained") == 0)
        wait_drained(&bench);
    else
        latency(&bench, count);
    if (strcmp(argv[2], "latency") != 0)
        printf("%.6f\n", (double)(clock_mono_us() - start_us) / 1e6);
    bus_free(bench.bus);
    loop_free(bench.loop);
    return bench.failed ? EXIT_NO : EXIT_OK;
}
