/* SPDX-License-Identifier: MIT */
#include "requests/traced.h"

#include <stdio.h>

#include "base/clock.h"
#include "gateway.h"

void
traced_begin(struct request *r, bool own_id)
{
    unsigned parents = 0, states = 0;
    struct trace_headers headers = { http_header(r->exchange, TRACEPARENT_HEADER, &parents), NULL,
                                     false, own_id ? r->request_id : NULL };
    if (parents > 1) /* which of them? */
        headers.parent = NULL;
    if (headers.parent)
        headers.state = http_header(r->exchange, TRACESTATE_HEADER, &states);
    if (states > 1)
        headers.state = NULL;
    trace_begin(r->gw->tracer, &headers, &r->trace);
}

size_t
traced_headers(const struct request *r, uint64_t span, char parent[TRACEPARENT_MAX],
               struct bus_header *headers, size_t n)
{
    if (traced_by_claim(r))
        return n;
    trace_parent_write(&r->trace, span, parent);
    headers[n++] = (struct bus_header){ TRACEPARENT_HEADER, parent };
    if (r->trace.state)
        headers[n++] = (struct bus_header){ TRACESTATE_HEADER, r->trace.state };
    return n;
}

void
traced_hop_begin(struct request *r, struct request_hop *hop)
{
    *hop = (struct request_hop){ clock_mono_us(), trace_span_id(r->gw->tracer) };
}

void
traced_hop_end(struct request *r, enum stage stage, enum command command,
               const struct request_hop *hop, const char *message_id, const char *error)
{
    const struct stage_record record = {
        .stage = stage,
        .command = command,
        .trace = &r->trace,
        .id = hop->span,
        .workspace = r->actor.workspace,
        .message_id = message_id,
        .start_us = hop->start_us,
        .end_us = clock_mono_us(),
        .error = error,
    };
    stages_record(&r->gw->stages, &record);
}

void
traced_end(const struct request *r, int64_t end_us)
{
    if (!r->trace.sampled)
        return;
    char name[128], status[12];
    const char *method = r->method_known ? method_name(r->method) : "_OTHER";
    const char *route = r->route ? r->route->path : NULL;
    (void)snprintf(name, sizeof(name), "%s%s%s", r->method_known ? method : "HTTP",
                   route ? " " : "", route ? route : "");
    (void)snprintf(status, sizeof(status), "%d", r->answer.status);
    const struct span_attribute attributes[] = {
        { "http.request.method", method, 0 },
        { route ? "http.route" : NULL, route, 0 },
        /* The template: a path may hold anything, and a collector is one more place to leak it. */
        { "url.path", route ? route : "/", 0 },
        { "url.scheme", http_over_tls(r->exchange) ? "https" : "http", 0 },
        { "http.response.status_code", NULL, r->answer.status },
        { "network.protocol.version", "1.1", 0 },
        { "client.address", r->client, 0 },
        { "gantry.request_id", r->request_id, 0 },
        { r->authenticated ? "gantry.workspace" : NULL, r->actor.workspace, 0 },
        { r->code ? "gantry.error_code" : NULL, r->code, 0 },
    };
    const struct span span = {
        .trace = &r->trace,
        .id = r->trace.span,
        .parent = r->trace.parent,
        .kind = SPAN_SERVER,
        .name = name,
        .start_us = r->start_us,
        .end_us = end_us,
        .error = r->answer.status < 500 ? NULL
                 : r->code              ? r->code
                                        : status,
        .attributes = attributes,
        .n_attributes = sizeof(attributes) / sizeof(attributes[0]),
    };
    trace_span(r->gw->tracer, &span);
}
