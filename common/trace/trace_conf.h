/* SPDX-License-Identifier: MIT */
/*
 * trace_conf - the variables of tracing, of every program: OpenTelemetry's names and meanings.
 *
 * Source: opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables
 */
#ifndef GANTRY_TRACE_TRACE_CONF_H
#define GANTRY_TRACE_TRACE_CONF_H

#include <stddef.h>
#include <stdint.h>

#include "process/conf.h"

enum trace_sampler {
    SAMPLER_ALWAYS_ON,
    SAMPLER_ALWAYS_OFF,
    SAMPLER_RATIO,
    SAMPLER_PARENT_ON,
    SAMPLER_PARENT_OFF,
    SAMPLER_PARENT_RATIO
};

struct trace_conf {
    char *endpoint, *traces_endpoint; /* NULL: none; without both nothing is exported */
    char *headers;                    /* NULL: none; a secret */
    char *service_name;               /* "": gantry-<program> */
    char *resource_attributes;
    int sampler; /* enum trace_sampler */
    double ratio;
    int64_t clients_per_minute;
};

extern const char *const TRACE_SAMPLERS[];
extern const char *const TRACE_SCHEMES[];

/* Rows of a table of a struct that holds a struct trace_conf at base. */
#define TRACE_AT(base, member) ((base) + offsetof(struct trace_conf, member))
/* clang-format off */
#define TRACE_CONF_ITEMS(base)                                                                                                                                     \
    { .name = "OTEL_EXPORTER_OTLP_ENDPOINT", .type = CONF_URL, .offset = TRACE_AT(base, endpoint), .choices = TRACE_SCHEMES, .flags = CONF_OPTIONAL,               \
      .help = "base URL that spans are sent to (OTLP/HTTP in JSON, path /v1/traces); unset = none are sent" },                                                     \
    { .name = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", .type = CONF_URL, .offset = TRACE_AT(base, traces_endpoint), .choices = TRACE_SCHEMES, .flags = CONF_OPTIONAL, \
      .help = "complete URL for spans; takes precedence over OTEL_EXPORTER_OTLP_ENDPOINT" },                                                                       \
    { .name = "OTEL_EXPORTER_OTLP_HEADERS", .type = CONF_SECRET, .offset = TRACE_AT(base, headers), .flags = CONF_OPTIONAL,                                        \
      .help = "headers sent with spans: name=value,name=value, values percent-encoded" },                                                                          \
    { .name = "OTEL_SERVICE_NAME", .type = CONF_STRING, .offset = TRACE_AT(base, service_name), .default_text = "", .max = 255,                                    \
      .help = "service name in spans (service.name); empty = gantry- and the program's name" },                                                                    \
    { .name = "OTEL_RESOURCE_ATTRIBUTES", .type = CONF_STRING, .offset = TRACE_AT(base, resource_attributes), .default_text = "", .max = 4096,                     \
      .help = "attributes of all spans: name=value,name=value, percent-encoded" },                                                                                 \
    { .name = "OTEL_TRACES_SAMPLER", .type = CONF_CHOICE, .offset = TRACE_AT(base, sampler), .default_text = "parentbased_always_on", .choices = TRACE_SAMPLERS,   \
      .help = "sampler that decides which traces are exported" },                                                                                                  \
    { .name = "OTEL_TRACES_SAMPLER_ARG", .type = CONF_RATIO, .offset = TRACE_AT(base, ratio), .default_text = "1",                                                 \
      .help = "share of the traces that the ratio samplers export" },                                                                                              \
    { .name = "TRACE_CLIENTS_PER_MINUTE", .type = CONF_INT, .offset = TRACE_AT(base, clients_per_minute), .default_text = "600", .max = 100000000,                 \
      .help = "traces per minute that are exported because a client's traceparent says so; 0 = none" }
/* clang-format on */

#endif
