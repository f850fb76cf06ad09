/* SPDX-License-Identifier: MIT */
#include "check.h"

#include <stdio.h>

#include "base/cleanup.h"
#include "base/loop.h"
#include "http/netaddr.h"
#include "logins/direct.h"
#include "requests/cors.h"
#include "trace/tracer.h"

static enum rc
check_origins(const struct settings *s, struct err *err)
{
    struct cors *cors = NULL;
    enum rc rc = cors_open(s->cors_origins, &cors, err);
    cors_close(cors);
    return rc;
}

static enum rc
check_proxies(const struct settings *s, struct err *err)
{
    struct netaddr_nets nets;
    return netaddr_nets_parse(s->trusted_proxies, &nets, err);
}

static enum rc
check_traces(const struct settings *s, struct err *err)
{
    const struct tracer_options options = { &s->trace, "gateway", "check", s->region };
    struct loop *loop = NULL;
    struct tracer *tracer = NULL;
    enum rc rc = loop_new(&loop, err);
    if (rc == RC_OK)
        rc = tracer_new(loop, &options, &tracer, err);
    tracer_free(tracer);
    loop_free(loop);
    return rc;
}

static enum rc (*const CHECKS[])(const struct settings *s, struct err *err) = {
    check_origins,
    check_proxies,
    direct_check,
    check_traces,
};

unsigned
check_settings(const struct settings *settings)
{
    unsigned problems = 0;
    for (size_t i = 0; i < ARRAY_LEN(CHECKS); i++) {
        struct err err = { 0 };
        if (CHECKS[i](settings, &err) == RC_OK)
            continue;
        (void)fprintf(stderr, "configuration: %s\n", err.text);
        problems++;
    }
    return problems;
}
