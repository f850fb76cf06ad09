/* SPDX-License-Identifier: MIT */
/*
 * routes - every route of the HTTP interface, once: what it needs and what executes it.
 *
 * No row, no access. From this table come the dispatch, the checks, the OpenAPI document and the
 * tests that enumerate all routes. To add a route: one row in routes.c, and a local_fn if it is not
 * simply a command or a query.
 *
 * Shape:   a path template has parameters in braces, each a whole segment: "/memory/{id}"
 * Source:  contract 4.3; OpenSSH's monitor table
 */
#ifndef GANTRY_GATEWAY_REQUESTS_ROUTES_H
#define GANTRY_GATEWAY_REQUESTS_ROUTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "json/json.h"
#include "protocol/command.h"
#include "protocol/principal.h"

enum http_method { METHOD_GET, METHOD_POST, METHOD_PUT, METHOD_PATCH, METHOD_DELETE, METHOD_COUNT };

enum route_kind {
    ROUTE_COMMAND, /* JetStream publish; the answer is the .done event */
    ROUTE_QUERY,   /* core request and reply */
    ROUTE_LOCAL    /* a function of the gateway */
};

enum route_flag {
    ROUTE_OPEN = 1,        /* no key; the three of the contract, and pages */
    ROUTE_IDEMPOTENT = 2,  /* takes client_request_id and Idempotency-Key */
    ROUTE_SECRETS = 4,     /* credentials in the body are refused */
    ROUTE_NO_RATE = 8,     /* not rate-limited */
    ROUTE_BODY_EMPTY = 16, /* an empty body stands for {} */
    ROUTE_JOBS = 32,       /* needs Redis: 503 without */
    ROUTE_RAW = 64,        /* the answer is not JSON: see content_type */
    ROUTE_NAMED = 128,     /* the answer holds request_id */
    ROUTE_AGAIN = 256,     /* a repeat is sent again: the worker answers as the first time */
    ROUTE_PAGE = 512,      /* for people: not in the OpenAPI document */
    ROUTE_RPC = 1024, /* JSON-RPC: it reads its body, and what it does are requests of their own */
    ROUTE_SECRET = 2048 /* the body holds a secret: wiped when the request ends */
};

enum member_type { MEMBER_STRING, MEMBER_INT, MEMBER_UUID, MEMBER_KEY_ID };

/* A parameter of the path or the query: it becomes a member of the command's body. */
struct route_param {
    const char *name;
    enum member_type type;
    const char *help;
};

#define ROUTE_PARAMS_MAX  2
#define ROUTE_QUERIES_MAX 8

struct request;
/* The result of a stage of a request (request.h). */
enum step { STEP_NEXT, STEP_WAIT, STEP_ANSWERED };
typedef enum step route_fn(struct request *r);

struct route {
    enum http_method method;
    const char *path;
    enum scope scope;
    enum route_kind kind;
    unsigned flags;
    enum command command; /* of ROUTE_COMMAND and ROUTE_QUERY; CMD_COUNT for ROUTE_LOCAL */
    const char *schema;   /* of the body with the parameters in it; NULL = no body */
    int success;          /* HTTP status when all went well */
    route_fn *allow;      /* before idempotency: is this action allowed? may be NULL */
    route_fn *local;      /* of ROUTE_LOCAL; of ROUTE_QUERY, if it does more than ask */
    void (*stored)(struct request *r); /* its command is in JetStream; may be NULL */
    /* Completes the body that the idempotency record holds; may be NULL. */
    void (*replay)(const struct request *r, cJSON *body);
    const char *location;      /* of a 202, before "/" and the id: "/memory" */
    const char *id_name;       /* of the id in a 202: "id", "job_id", "event_id" */
    const char *const *record; /* members of the answer that the idempotency record keeps */
    const struct route_param *params;
    size_t n_params;
    const struct route_param *queries;
    size_t n_queries;
    const char *answer;       /* schema of the success document, in openapi/base.json */
    const char *content_type; /* NULL = application/json */
    const char *summary;      /* for OpenAPI */
};

extern const struct route ROUTES[];
extern const size_t N_ROUTES;

#define PATH_SEGMENTS_MAX 8
#define PATH_PARAM_MAX    128 /* bytes with the NUL */

struct route_match {
    const struct route *route; /* NULL = no such path, or not with this method */
    unsigned allowed;          /* methods that the path has: bits of 1u << enum http_method */
    bool malformed;            /* an id in the path is malformed: the answer is 404 */
    char params[ROUTE_PARAMS_MAX][PATH_PARAM_MAX];
};

/* path: raw, without query. */
void route_find(enum http_method method, const char *path, size_t len, struct route_match *out);

const char *method_name(enum http_method method);
/* "GET, HEAD, POST" of a set of methods. */
void route_allowed_text(unsigned allowed, char text[64]);

/* Undo %XX; RC_INVALID for a broken escape, U+0000, what is no UTF-8 or does not fit. */
enum rc percent_decode(const char *text, size_t len, bool plus_is_space, char *out, size_t cap);

#endif
