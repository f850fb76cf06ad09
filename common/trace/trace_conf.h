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
#define TRACE_CONF_ITEMS(base)                                                                      \
    { "OTEL_EXPORTER_OTLP_ENDPOINT",                                                                \
      CONF_URL,                                                                                     \
      TRACE_AT(base, endpoint),                                                                     \
      NULL,                                                                                         \
      0,                                                                                            \
      0,                                                                                            \
      TRACE_SCHEMES,                                                                                \
      CONF_OPTIONAL,                                                                                \
      "base URL that spans are sent to (OTLP/HTTP in JSON, path /v1/traces); unset = none are "     \
      "sent" },                                                                                     \
        { "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",                                                     \
          CONF_URL,                                                                                 \
          TRACE_AT(base, traces_endpoint),                                                          \
          NULL,                                                                                     \
          0,                                                                                        \
          0,                                                                                        \
          TRACE_SCHEMES,                                                                            \
          CONF_OPTIONAL,                                                                            \
          "complete URL for spans; takes precedence over OTEL_EXPORTER_OTLP_ENDPOINT" },            \
        { "OTEL_EXPORTER_OTLP_HEADERS",                                                             \
          CONF_SECRET,                                                                              \
          TRACE_AT(base, headers),                                                                  \
          NULL,                                                                                     \
          0,                                                                                        \
          0,                                                                                        \
          NULL,                                                                                     \
          CONF_OPTIONAL,                                                                            \
          "headers sent with spans: name=value,name=value, values percent-encoded" },               \
        { "OTEL_SERVICE_NAME",                                                                      \
          CONF_STRING,                                                                              \
          TRACE_AT(base, service_name),                                                             \
          "",                                                                                       \
          0,                                                                                        \
          255,                                                                                      \
          NULL,                                                                                     \
          0,                                                                                        \
          "service name in spans (service.name); empty = gantry- and the program's name" },         \
        { "OTEL_RESOURCE_ATTRIBUTES",                                                               \
          CONF_STRING,                                                                              \
          TRACE_AT(base, resource_attributes),                                                      \
          "",                                                                                       \
          0,                                                                                        \
          4096,                                                                                     \
          NULL,                                                                                     \
          0,                                                                                        \
          "attributes of all spans: name=value,name=value, percent-encoded" },                      \
        { "OTEL_TRACES_SAMPLER",   CONF_CHOICE, TRACE_AT(base, sampler),                            \
          "parentbased_always_on", 0,           0,                                                  \
          TRACE_SAMPLERS,          0,           "sampler that decides which traces are exported" }, \
        { "OTEL_TRACES_SAMPLER_ARG",                                                                \
          CONF_RATIO,                                                                               \
          TRACE_AT(base, ratio),                                                                    \
          "1",                                                                                      \
          0,                                                                                        \
          0,                                                                                        \
          NULL,                                                                                     \
          0,                                                                                        \
          "share of the traces that the ratio samplers export" },                                   \
    {                                                                                               \
        "TRACE_CLIENTS_PER_MINUTE", CONF_INT, TRACE_AT(base, clients_per_minute), "600", 0,         \
            100000000, NULL, 0,                                                                     \
            "traces per minute that are exported because a client's traceparent says so; 0 = none"  \
    }

#endif
