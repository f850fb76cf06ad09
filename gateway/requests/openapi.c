/* SPDX-License-Identifier: MIT */
#include "requests/openapi.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/version.h"
#include "gateway.h"
#include "json/json.h"
#include "requests/answer.h"
#include "requests/handlers.h"
#include "validate/problem.h"
#include "validate/schema.h"

static const char *const CODES = "RFC 9457 problem document; code is one of: ";

static bool
is_param(const struct route *route, const char *name)
{
    for (size_t i = 0; i < route->n_params; i++)
        if (strcmp(route->params[i].name, name) == 0)
            return true;
    return false;
}

/* The schema of the whole command without what is in the path. */
static cJSON *
body_schema(const struct route *route)
{
    const char *text = schema_builtin_text(route->schema);
    struct err err = { 0 };
    cJSON *doc = NULL;
    if (!text || json_read(text, strlen(text), &doc, &err) != RC_OK)
        return NULL;
    cJSON *properties = cJSON_GetObjectItemCaseSensitive(doc, "properties");
    cJSON *required = cJSON_GetObjectItemCaseSensitive(doc, "required");
    for (size_t i = 0; i < route->n_params; i++)
        cJSON_DeleteItemFromObjectCaseSensitive(properties, route->params[i].name);
    for (int i = cJSON_GetArraySize(required) - 1; i >= 0; i--)
        if (is_param(route, cJSON_GetArrayItem(required, i)->valuestring))
            cJSON_DeleteItemFromArray(required, i);
    return doc;
}

static void
put_param_schema(struct json_writer *w, const struct route_param *param, const cJSON *schema)
{
    const cJSON *own = json_member(json_member(schema, "properties"), param->name);
    if (own) {
        json_put_doc(w, "schema", own);
        return;
    }
    json_object(w, "schema");
    json_put_string(w, "type", param->type == MEMBER_INT ? "integer" : "string");
    if (param->type == MEMBER_UUID)
        json_put_string(w, "format", "uuid");
    if (param->type == MEMBER_KEY_ID)
        json_put_string(w, "pattern", "^[0-9A-Za-z]{12}$");
    json_close(w);
}

static void
put_params(struct json_writer *w, const struct route_param *params, size_t n, const char *in,
           const cJSON *schema)
{
    for (size_t i = 0; i < n; i++) {
        json_object(w, NULL);
        json_put_string(w, "name", params[i].name);
        json_put_string(w, "in", in);
        json_put_bool(w, "required", strcmp(in, "path") == 0);
        json_put_string(w, "description", params[i].help);
        put_param_schema(w, &params[i], schema);
        json_close(w);
    }
}

static void
put_header_param(struct json_writer *w, const char *name, const char *help)
{
    json_object(w, NULL);
    json_put_string(w, "name", name);
    json_put_string(w, "in", "header");
    json_put_bool(w, "required", false);
    json_put_string(w, "description", help);
    json_object(w, "schema");
    json_put_string(w, "type", "string");
    json_close(w);
    json_close(w);
}

static void
put_parameters(struct json_writer *w, const struct route *route)
{
    AUTO(json) cJSON *schema = NULL;
    const char *text = route->schema ? schema_builtin_text(route->schema) : NULL;
    struct err err = { 0 };
    if (text)
        (void)json_read(text, strlen(text), &schema, &err);
    json_array(w, "parameters");
    put_params(w, route->params, route->n_params, "path", schema);
    put_params(w, route->queries, route->n_queries, "query", schema);
    if (route->flags & ROUTE_IDEMPOTENT)
        put_header_param(w, "Idempotency-Key",
                         "The same request with the same value has one effect and one answer.");
    if (route->kind == ROUTE_COMMAND)
        put_header_param(w, "Prefer", "wait=N (seconds, at most 60) or respond-async");
    json_close(w);
}

static void
put_response(struct json_writer *w, int status, const char *help, const char *content_type)
{
    char code[8];
    (void)snprintf(code, sizeof(code), "%d", status);
    json_object(w, code);
    json_put_string(w, "description", help);
    if (status != 204) {
        json_object(w, "content");
        json_object(w, content_type ? content_type : "application/json");
        json_object(w, "schema");
        json_put_string(w, "type", content_type ? "string" : "object");
        json_close(w);
        json_close(w);
        json_close(w);
    }
    json_close(w);
}

static void
put_responses(struct json_writer *w, const struct route *route)
{
    json_object(w, "responses");
    put_response(w, route->success, "Done", route->content_type);
    if (route->kind == ROUTE_COMMAND)
        put_response(w, 202, "Accepted and stored, not yet done; Location says where to look",
                     NULL);
    else if (route->command == CMD_JOBS_CANCEL)
        put_response(w, 202, "Asked to end, still running when this was answered", NULL);
    json_object(w, "default");
    json_put_string(w, "$ref", "#/components/responses/Problem");
    json_close(w);
    json_close(w);
}

static void
put_operation_id(struct json_writer *w, const struct route *route)
{
    char id[96];
    size_t n = 0;
    (void)snprintf(id, sizeof(id), "%s%s", method_name(route->method), route->path);
    for (const char *c = id; *c; c++)
        if (*c != '{' && *c != '}')
            id[n++] = isalnum((unsigned char)*c) ? (char)tolower((unsigned char)*c) : '_';
    id[n] = '\0';
    json_put_string(w, "operationId", id);
}

static void
put_operation(struct json_writer *w, const struct route *route)
{
    char method[8] = "";
    const char *name = method_name(route->method);
    for (size_t i = 0; name[i] && i < sizeof(method) - 1; i++)
        method[i] = (char)tolower((unsigned char)name[i]);
    json_object(w, method);
    put_operation_id(w, route);
    json_put_string(w, "summary", route->summary);
    if (route->flags & ROUTE_OPEN) {
        json_array(w, "security");
        json_close(w);
    } else {
        json_put_string(w, "x-scope", scope_name(route->scope));
    }
    put_parameters(w, route);
    AUTO(json) cJSON *schema = NULL;
    if (route->schema && (route->method == METHOD_POST || route->method == METHOD_PATCH) &&
        (schema = body_schema(route)) != NULL) {
        json_object(w, "requestBody");
        json_put_bool(w, "required", !(route->flags & ROUTE_BODY_EMPTY));
        json_object(w, "content");
        json_object(w, "application/json");
        json_put_doc(w, "schema", schema);
        json_close(w);
        json_close(w);
        json_close(w);
    }
    put_responses(w, route);
    json_close(w);
}

static bool
seen_before(size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (strcmp(ROUTES[i].path, ROUTES[at].path) == 0)
            return true;
    return false;
}

static void
put_paths(struct json_writer *w)
{
    json_object(w, "paths");
    for (size_t i = 0; i < N_ROUTES; i++) {
        if (seen_before(i))
            continue;
        json_object(w, ROUTES[i].path);
        for (size_t j = i; j < N_ROUTES; j++)
            if (strcmp(ROUTES[i].path, ROUTES[j].path) == 0)
                put_operation(w, &ROUTES[j]);
        json_close(w);
    }
    json_close(w);
}

static void
put_problem_schema(struct json_writer *w)
{
    static const char *const TEXTS[] = {
        "type", "title", "detail", "instance", "code", "request_id"
    };
    json_object(w, "schemas");
    json_object(w, "Problem");
    json_put_string(w, "type", "object");
    json_object(w, "properties");
    for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++) {
        json_object(w, TEXTS[i]);
        json_put_string(w, "type", "string");
        json_close(w);
    }
    json_object(w, "status");
    json_put_string(w, "type", "integer");
    json_close(w);
    json_object(w, "errors");
    json_put_string(w, "type", "array");
    json_object(w, "items");
    json_put_string(w, "type", "object");
    json_close(w);
    json_close(w);
    json_close(w);
    json_close(w);
    json_close(w);
}

static void
put_security(struct json_writer *w)
{
    json_object(w, "securitySchemes");
    json_object(w, "apiKey");
    json_put_string(w, "type", "apiKey");
    json_put_string(w, "in", "header");
    json_put_string(w, "name", "X-API-Key");
    json_close(w);
    json_object(w, "bearer");
    json_put_string(w, "type", "http");
    json_put_string(w, "scheme", "bearer");
    json_close(w);
    json_close(w);
}

static void
put_components(struct json_writer *w)
{
    AUTO(buf) struct buf codes = { 0 };
    buf_init(&codes, 4096);
    buf_puts(&codes, CODES);
    for (unsigned code = 0; code < PROBLEM_COUNT; code++)
        buf_printf(&codes, "%s%s (%d)", code ? ", " : "", problem_name((enum problem_code)code),
                   problem_http((enum problem_code)code));
    json_object(w, "components");
    put_security(w);
    put_problem_schema(w);
    json_object(w, "responses");
    json_object(w, "Problem");
    json_put_string(w, "description", buf_text(&codes));
    json_object(w, "content");
    json_object(w, "application/problem+json");
    json_object(w, "schema");
    json_put_string(w, "$ref", "#/components/schemas/Problem");
    json_close(w);
    json_close(w);
    json_close(w);
    json_close(w);
    json_close(w);
    json_close(w);
}

enum rc
openapi_write(struct buf *out, struct err *err)
{
    struct json_writer w;
    enum rc rc = schema_builtin_init(err);
    if (rc != RC_OK)
        return rc;
    json_begin(&w, out);
    json_object(&w, NULL);
    json_put_string(&w, "openapi", "3.1.0");
    json_object(&w, "info");
    json_put_string(&w, "title", "Gantry");
    json_put_string(&w, "version", GANTRY_VERSION);
    json_put_string(&w, "description",
                    "Memories, searches, audit events and tasks for agents and automations.");
    json_close(&w);
    json_array(&w, "security");
    json_object(&w, NULL);
    json_array(&w, "apiKey");
    json_close(&w);
    json_close(&w);
    json_object(&w, NULL);
    json_array(&w, "bearer");
    json_close(&w);
    json_close(&w);
    json_close(&w);
    put_paths(&w);
    put_components(&w);
    json_close(&w);
    rc = json_end(&w);
    return rc == RC_OK ? RC_OK : err_set(err, RC_BUG, "the OpenAPI document is not of its form");
}

enum step
openapi_get(struct request *r)
{
    const struct buf *text = &r->gw->openapi;
    return answer_raw(r, 200, "application/json", buf_text(text), text->len);
}
