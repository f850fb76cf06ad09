/* SPDX-License-Identifier: MIT */
#include "requests/cors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway.h"
#include "requests/answer.h"

#define ORIGINS_MAX    64
#define ORIGIN_MAX     256
#define LINES_MAX      1024
#define MAX_AGE_SECOND "600"

static const char EXPOSED[] = "X-Request-ID, Location, Retry-After, RateLimit, RateLimit-Policy, "
                              "Idempotency-Replayed, WWW-Authenticate, Allow";
static const char TAKEN[] =
    "Authorization, X-API-Key, Content-Type, Accept, Prefer, Idempotency-Key, X-Request-ID, "
    "Last-Event-ID, MCP-Protocol-Version, Mcp-Method, Mcp-Name, Mcp-Session-Id, traceparent, "
    "tracestate, baggage";

struct origin {
    char text[ORIGIN_MAX];
    struct buf lines;     /* of answers */
    struct buf preflight; /* of answers to preflights */
};

struct cors {
    size_t n;
    struct origin origins[];
};

/* scheme "://" host [":" port], in lower case, as browsers write it. */
static bool
is_origin(const char *text)
{
    static const char *const SCHEMES[] = { "http://", "https://" };
    static const char HOST[] = "abcdefghijklmnopqrstuvwxyz0123456789.-[]:";
    for (unsigned i = 0; i < 2; i++) {
        size_t n = strlen(SCHEMES[i]);
        if (strncmp(text, SCHEMES[i], n) == 0)
            return text[n] && strspn(text + n, HOST) == strlen(text + n);
    }
    return false;
}

static void
write_lines(struct origin *origin)
{
    buf_init(&origin->lines, LINES_MAX);
    buf_init(&origin->preflight, LINES_MAX);
    buf_printf(&origin->lines,
               "Access-Control-Allow-Origin: %s\r\nVary: Origin\r\n"
               "Access-Control-Expose-Headers: %s\r\n",
               origin->text, EXPOSED);
    buf_printf(&origin->preflight,
               "Access-Control-Allow-Origin: %s\r\nVary: Origin\r\n"
               "Access-Control-Allow-Headers: %s\r\n"
               "Access-Control-Max-Age: " MAX_AGE_SECOND "\r\n",
               origin->text, TAKEN);
}

enum rc
cors_open(const char *origins, struct cors **out, struct err *err)
{
    struct cors *cors = calloc(1, sizeof(*cors) + ORIGINS_MAX * sizeof(cors->origins[0]));
    if (!cors)
        return err_set(err, RC_TEMP, "no memory for CORS_ORIGINS");
    for (const char *at = origins; *at;) {
        at += strspn(at, ", ");
        size_t len = strcspn(at, ", ");
        if (len == 0)
            break;
        struct origin *origin = &cors->origins[cors->n];
        if (cors->n < ORIGINS_MAX && len < ORIGIN_MAX)
            memcpy(origin->text, at, len);
        if (cors->n == ORIGINS_MAX || !is_origin(origin->text)) {
            cors_close(cors);
            return err_set(err, RC_CONFIG,
                           "CORS_ORIGINS: '%.*s' is not an origin such as https://app.example or "
                           "http://localhost:3000 (at most %d, in lower case, without a path)",
                           (int)(len < ORIGIN_MAX ? len : ORIGIN_MAX), at, ORIGINS_MAX);
        }
        write_lines(origin);
        cors->n++;
        at += len;
    }
    *out = cors;
    return RC_OK;
}

void
cors_close(struct cors *cors)
{
    for (size_t i = 0; cors && i < cors->n; i++) {
        buf_fini(&cors->origins[i].lines);
        buf_fini(&cors->origins[i].preflight);
    }
    free(cors);
}

static const struct origin *
origin_of(const struct cors *cors, const struct exchange *exchange)
{
    unsigned count = 0;
    const char *given = cors->n ? http_header(exchange, "Origin", &count) : NULL;
    for (size_t i = 0; given && count == 1 && i < cors->n; i++)
        if (strcmp(cors->origins[i].text, given) == 0)
            return &cors->origins[i];
    return NULL;
}

const char *
cors_lines(const struct cors *cors, const struct exchange *exchange)
{
    const struct origin *origin = origin_of(cors, exchange);
    return origin ? buf_text(&origin->lines) : NULL;
}

bool
cors_is_preflight(const struct request *r)
{
    return r->answer.lines && strcmp(http_head(r->exchange)->method, "OPTIONS") == 0 &&
           http_header(r->exchange, "Access-Control-Request-Method", NULL);
}

enum step
cors_preflight(struct request *r, unsigned allowed)
{
    char methods[64];
    const struct origin *origin = origin_of(r->gw->cors, r->exchange);
    r->preflight = true;
    route_allowed_text(allowed, methods);
    (void)answer_empty(r, 204);
    answer_header(r, "Access-Control-Allow-Methods", "%s", methods);
    r->answer.lines = buf_text(&origin->preflight);
    return STEP_ANSWERED;
}
