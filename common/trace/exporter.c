/* SPDX-License-Identifier: MIT */
#include "trace/exporter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "crypto/crypto.h"
#include "fetch/fetch_loop.h"
#include "trace/otlp.h"

#define RESOURCE_MAX (32u << 10)
#define HEADERS_MAX  32
#define URL_MAX      4096
#define CONNECT_MS   3000u
#define TOTAL_MS     10000u
#define AGAIN_MS     1000u /* doubled with each try */
#define CLOSE_MS     2000
#define COMPLAIN_MS  60000 /* between two lines about the same trouble */

struct exporter {
    struct loop *loop; /* borrowed */
    struct fetch_loop *fetch;
    struct loop_timer *timer; /* owned: the next batch, or its next try */
    struct tracer_counts *counts;
    struct buf resource, spans, body; /* body: what is being sent */
    size_t n_spans, n_body;
    unsigned tries;
    bool sending;
    int64_t wall_us; /* of now, less the monotonic time */
    int64_t complained_ms;
};

static void
read_clocks(struct exporter *exporter)
{
    exporter->wall_us = clock_wall_us() - clock_mono_us();
}

static void
complain(struct exporter *exporter, const struct err *err)
{
    int64_t now_ms = clock_mono_ms();
    if (exporter->complained_ms && now_ms - exporter->complained_ms < COMPLAIN_MS)
        return;
    exporter->complained_ms = now_ms;
    log_fields(LOG_WARN, "the collector accepts no spans: they are dropped", "reason", err->text,
               NULL);
}

/* The batch is over, one way or the other. */
static void
end_batch(struct exporter *exporter)
{
    buf_reset(&exporter->body);
    exporter->n_body = 0;
    exporter->tries = 0;
    if (exporter->n_spans)
        loop_timer_set(exporter->timer,
                       exporter->n_spans < EXPORTER_BATCH_SPANS ? EXPORTER_EVERY_MS : 0, 0);
}

static void
on_sent(void *arg, enum rc rc, long after_s, const struct err *err)
{
    struct exporter *exporter = arg;
    exporter->sending = false;
    if (rc == RC_OK) {
        exporter->counts->exported += exporter->n_body;
        end_batch(exporter);
        return;
    }
    if (rc == RC_TEMP && ++exporter->tries < EXPORTER_TRIES) {
        uint32_t wait_ms = AGAIN_MS << exporter->tries;
        if (after_s > 0 && after_s < 60 && (uint32_t)after_s * 1000 > wait_ms)
            wait_ms = (uint32_t)after_s * 1000;
        loop_timer_set(exporter->timer, wait_ms, 0);
        return;
    }
    complain(exporter, err);
    exporter->counts->dropped += exporter->n_body;
    end_batch(exporter);
}

static void
send_batch(void *arg)
{
    struct exporter *exporter = arg;
    struct err err = { 0 };
    if (exporter->sending)
        return;
    if (exporter->n_body == 0) {
        if (exporter->n_spans == 0)
            return;
        if (otlp_request(&exporter->resource, &exporter->spans, &exporter->body) == RC_OK)
            exporter->n_body = exporter->n_spans;
        else
            exporter->counts->dropped += exporter->n_spans;
        exporter->n_spans = 0;
        buf_reset(&exporter->spans);
        read_clocks(exporter);
        if (exporter->n_body == 0) {
            buf_reset(&exporter->body);
            return;
        }
    }
    exporter->sending = true;
    enum rc rc = fetch_loop_post(exporter->fetch, exporter->body.data, exporter->body.len, on_sent,
                                 exporter, &err);
    if (rc != RC_OK)
        on_sent(exporter, rc, 0, &err);
}

void
exporter_add(struct exporter *exporter, const struct span *span)
{
    size_t before = exporter->spans.len;
    if (exporter->n_spans >= EXPORTER_QUEUE_SPANS) {
        exporter->counts->dropped++;
        return;
    }
    if (exporter->n_spans)
        buf_putc(&exporter->spans, ',');
    if (otlp_span(span, exporter->wall_us, &exporter->spans) != RC_OK) {
        buf_cut(&exporter->spans, before);
        exporter->counts->dropped++;
        return;
    }
    exporter->n_spans++;
    if (exporter->n_body)
        return;
    if (exporter->n_spans == 1)
        loop_timer_set(exporter->timer, EXPORTER_EVERY_MS, 0);
    else if (exporter->n_spans == EXPORTER_BATCH_SPANS)
        loop_timer_set(exporter->timer, 0, 0);
}

/* --- life -------------------------------------------------------------------------------------------- */

static enum rc
write_url(const struct trace_conf *conf, char url[URL_MAX], struct err *err)
{
    int len;
    if (conf->traces_endpoint) {
        len = snprintf(url, URL_MAX, "%s", conf->traces_endpoint);
    } else {
        size_t base = strlen(conf->endpoint);
        while (base && conf->endpoint[base - 1] == '/')
            base--;
        len = snprintf(url, URL_MAX, "%.*s/v1/traces", (int)base, conf->endpoint);
    }
    return len < URL_MAX ? RC_OK : err_set(err, RC_CONFIG, "the endpoint of spans is too long");
}

static enum rc
open_fetch(struct exporter *exporter, const struct trace_conf *conf, struct err *err)
{
    char url[URL_MAX];
    AUTO(buf) struct buf text = { 0 };
    size_t starts[HEADERS_MAX], n = 0;
    const char *headers[HEADERS_MAX], *list = conf->headers ? conf->headers : "";
    struct otlp_pair pair;
    struct err why = { 0 };
    enum rc rc = write_url(conf, url, err);
    if (rc != RC_OK)
        return rc;
    buf_init(&text, RESOURCE_MAX);
    while ((rc = otlp_pair_next(&list, &pair, &why)) == RC_OK && n < HEADERS_MAX) {
        starts[n++] = text.len;
        buf_printf(&text, "%s: %s", pair.name, pair.value);
        buf_putc(&text, '\0');
    }
    if (rc != RC_NOTFOUND || buf_failed(&text)) {
        buf_wipe(&text);
        return err_set(err, RC_CONFIG, "OTEL_EXPORTER_OTLP_HEADERS %s",
                       rc == RC_CONFIG ? why.text : "holds too much");
    }
    for (size_t i = 0; i < n; i++)
        headers[i] = text.data + starts[i];
    const struct fetch_loop_options options = { .url = url,
                                                .headers = headers,
                                                .n_headers = n,
                                                .connect_ms = CONNECT_MS,
                                                .total_ms = TOTAL_MS };
    rc = fetch_loop_new(exporter->loop, &options, &exporter->fetch, err);
    buf_wipe(&text);
    crypto_wipe(&pair, sizeof(pair));
    return rc;
}

enum rc
exporter_new(struct loop *loop, const struct tracer_options *options, struct tracer_counts *counts,
             struct exporter **out, struct err *err)
{
    struct exporter *exporter = calloc(1, sizeof(*exporter));
    if (!exporter)
        return err_set(err, RC_TEMP, "no memory for spans");
    exporter->loop = loop;
    exporter->counts = counts;
    buf_init(&exporter->resource, RESOURCE_MAX);
    buf_init(&exporter->spans, EXPORTER_QUEUE_BYTES);
    buf_init(&exporter->body, EXPORTER_QUEUE_BYTES + RESOURCE_MAX + 1024);
    read_clocks(exporter);
    exporter->timer = loop_timer_new(loop, send_batch, exporter);
    enum rc rc = otlp_resource(options, &exporter->resource, err);
    if (rc == RC_OK)
        rc = open_fetch(exporter, options->conf, err);
    if (rc != RC_OK) {
        exporter_free(exporter);
        return rc;
    }
    *out = exporter;
    return RC_OK;
}

void
exporter_flush(struct exporter *exporter)
{
    int64_t until_ms = clock_mono_ms() + CLOSE_MS;
    send_batch(exporter);
    while (exporter->sending && clock_mono_ms() < until_ms) {
        loop_turn(exporter->loop, 50);
        if (!exporter->sending && exporter->tries == 0)
            send_batch(exporter); /* what ended while the batch before was sent */
    }
}

void
exporter_free(struct exporter *exporter)
{
    if (!exporter)
        return;
    fetch_loop_free(exporter->fetch);
    loop_timer_free(exporter->timer);
    buf_fini(&exporter->resource);
    buf_fini(&exporter->spans);
    buf_fini(&exporter->body);
    free(exporter);
}
