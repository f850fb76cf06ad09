/* SPDX-License-Identifier: MIT */
/*
 * What the gateway does for traces and metrics in one query (GET /memory), while nothing is exported.
 *
 *     telemetry COUNT     prints nanoseconds of processor time for each
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gateway/gateway.h"
#include "gateway/requests/served.h"
#include "gateway/requests/traced.h"

static const char HEAD[] = "GET /memory?limit=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                           "X-API-Key: relay_sk_0\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n";

static int64_t
spent_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void
one_query(struct request *r)
{
    char parent[TRACEPARENT_MAX];
    struct bus_header headers[1 + TRACED_HEADERS_MAX];
    traced_begin(r, true);
    traced_hop_begin(r, &r->hop);
    (void)traced_headers(r, r->hop.span, parent, headers, 1);
    traced_hop_end(r, STAGE_REPLY, r->route->command, &r->hop, r->id, NULL);
    served_count(r->gw->served, r, 700, NULL);
    traced_end(r, 0);
}

int
main(int argc, char **argv)
{
    static struct gateway gw;
    static struct request r;
    const struct trace_conf conf = { 0 };
    const struct tracer_options options = { &conf, "gateway", "0", "" };
    struct err err = { 0 };
    long count = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
    r = (struct request){ .gw = &gw, .exchange = http_exchange_new(HEAD, sizeof(HEAD) - 1) };
    for (size_t i = 0; i < N_ROUTES; i++)
        if (strcmp(ROUTES[i].path, "/memory") == 0)
            r.route = &ROUTES[i];
    r.answer.status = 200;
    id_new(r.request_id);
    if (count < 1 || !r.exchange || !r.route || crypto_init(&err) != RC_OK ||
        served_new(&gw.served, &err) != RC_OK ||
        tracer_new(NULL, &options, &gw.tracer, &err) != RC_OK)
        return EXIT_FAILURE;
    gw.stages = (struct stages){ .tracer = gw.tracer, .series = &gw.series };
    int64_t before_ns = spent_ns();
    for (long i = 0; i < count; i++)
        one_query(&r);
    printf("%.1f\n", (double)(spent_ns() - before_ns) / (double)count);
    tracer_free(gw.tracer);
    served_free(gw.served);
    series_free(&gw.series);
    http_exchange_free(r.exchange);
    return EXIT_SUCCESS;
}
