/* SPDX-License-Identifier: MIT */
#include "requests/openapi.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/version.h"
#include "embed_openapi.h"
#include "gateway.h"
#include "json/json.h"
#include "requests/answer.h"
#include "requests/handlers.h"
#include "validate/schema.h"

/* For patterns of ECMAScript, as far as all of its readers know it; base/blank.c has the whole. */
#define CONTROLS "\\x00-\\x1f\\x7f"
#define BLANKS                                                                                     \
    "\\s\\x85\\xa0\\xad\\u034f\\u061c\\u115f\\u1160\\u1680\\u17b4\\u17b5\\u180b-"                  \
    "\\u180f\\u2000-\\u200f"                                                                       \
    "\\u2028-\\u202f\\u205f-\\u206f\\u2800\\u3000\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-"     \
    "\\ufffb"

#define WHOLE_MAX 520 /* bytes of a pattern, which is 500 at most */

static bool
is_param(const struct route *route, const char *name)
{
    for (size_t i = 0; i < route->n_params; i++)
        if (strcmp(route->params[i].name, name) == 0)
            return true;
    return false;
}

static void
replace_format(cJSON *schema, const char *pattern, int length_max)
{
    cJSON_DeleteItemFromObjectCaseSensitive(schema, "format");
    if (!json_member(schema, "pattern"))
        (void)cJSON_AddStringToObject(schema, "pattern", pattern);
    if (length_max > 0 && !json_member(schema, "maxLength"))
        (void)cJSON_AddNumberToObject(schema, "maxLength", length_max);
}

/* A null is as if absent, so it is none of them: the member is of its own type. */
static void
need_value(cJSON *way, const cJSON *schema, const char *name)
{
    const char *type = json_string(json_member(json_member(schema, "properties"), name), "type");
    if (!type)
        return;
    cJSON *member = cJSON_AddObjectToObject(cJSON_AddObjectToObject(way, "properties"), name);
    (void)cJSON_AddStringToObject(member, "type", type);
}

/* x-someOf and x-oneOf. Inside of allOf, since generators of clients make a type without members of an
 * anyOf beside properties. */
static void
need_some(cJSON *schema)
{
    const cJSON *one_of = json_member(schema, "x-oneOf");
    const cJSON *some_of = one_of ? one_of : json_member(schema, "x-someOf"), *one;
    cJSON *rule = cJSON_CreateObject();
    if (!some_of) {
        cJSON_Delete(rule);
        return;
    }
    cJSON *ways = cJSON_AddArrayToObject(rule, one_of ? "oneOf" : "anyOf");
    cJSON_ArrayForEach (one, some_of) {
        cJSON *way = cJSON_CreateObject();
        (void)cJSON_AddItemToArray(cJSON_AddArrayToObject(way, "required"),
                                   cJSON_Duplicate(one, true));
        need_value(way, schema, one->valuestring);
        (void)cJSON_AddItemToArray(ways, way);
    }
    (void)cJSON_AddItemToArray(cJSON_AddArrayToObject(schema, "allOf"), rule);
}

/* Ours is for the whole value (schema.h), JSON Schema's for any part of it. */
static void
whole_pattern(cJSON *schema)
{
    char whole[WHOLE_MAX];
    const char *pattern = json_string(schema, "pattern");
    size_t len = pattern ? strlen(pattern) : 0;
    if (len == 0 || (pattern[0] == '^' && pattern[len - 1] == '$'))
        return;
    (void)snprintf(whole, sizeof(whole), "^(?:%s)$", pattern);
    (void)cJSON_ReplaceItemInObjectCaseSensitive(schema, "pattern", cJSON_CreateString(whole));
}

/* Our own keywords in those that every generator knows. Recursion: as deep as our schemas. */
static void
dress(cJSON *schema)
{
    const char *format = json_string(schema, "format");
    const char *type = json_string(schema, "type");
    int64_t bytes = json_int(schema, "x-maxBytes", 0);
    if (format && strcmp(format, "name") == 0)
        replace_format(schema, "^[^" CONTROLS "]*$", 0);
    else if (format && strcmp(format, "label") == 0)
        replace_format(schema, "^[^" CONTROLS "]*[^" CONTROLS BLANKS "][^" CONTROLS "]*$", 0);
    else if (format && strcmp(format, "text") == 0)
        replace_format(schema, "^[^\\x00]*[^\\x00" BLANKS "][^\\x00]*$", 0);
    else if (format && strcmp(format, "action-name") == 0)
        replace_format(schema, "^[a-z][a-z0-9_.-]*$", 64);
    whole_pattern(schema);
    /* A character has a byte or more. */
    if (bytes && type && strcmp(type, "string") == 0 && !json_member(schema, "maxLength"))
        (void)cJSON_AddNumberToObject(schema, "maxLength", (double)bytes);
    need_some(schema);
    for (cJSON *one = schema->child; one; one = one->next)
        if (cJSON_IsObject(one))
            dress(one);
}

cJSON *
openapi_schema(const char *name)
{
    const char *text = name ? schema_builtin_text(name) : NULL;
    cJSON *doc = NULL;
    if (!text || json_read(text, strlen(text), &doc, NULL) != RC_OK)
        return NULL;
    dress(doc);
    return doc;
}

/* A member that may be absent may be null, which is the same (schema_drop_nulls()). */
static void
allow_null(cJSON *member)
{
    cJSON *values = cJSON_GetObjectItemCaseSensitive(member, "enum");
    const cJSON *type = json_member(member, "type");
    if (cJSON_IsString(type)) {
        cJSON *types = cJSON_CreateArray();
        (void)cJSON_AddItemToArray(types, cJSON_CreateString(type->valuestring));
        (void)cJSON_AddItemToArray(types, cJSON_CreateString("null"));
        (void)cJSON_ReplaceItemInObjectCaseSensitive(member, "type", types);
    }
    if (values)
        (void)cJSON_AddItemToArray(values, cJSON_CreateNull());
}

/* Recursion: as deep as our schemas. */
static void
allow_nulls(cJSON *schema)
{
    cJSON *member;
    cJSON_ArrayForEach (member, json_member(schema, "properties")) {
        allow_nulls(member);
        if (!json_has_text(json_member(schema, "required"), member->string))
            allow_null(member);
    }
    cJSON *items = cJSON_GetObjectItemCaseSensitive(schema, "items");
    if (cJSON_IsObject(items))
        allow_nulls(items);
}

/* The schema of the whole command without what is in the path. */
static cJSON *
body_schema(const struct route *route)
{
    cJSON *doc = openapi_schema(route->schema);
    cJSON_DeleteItemFromObjectCaseSensitive(doc, "title"); /* generators make clumsy names of it */
    cJSON *properties = cJSON_GetObjectItemCaseSensitive(doc, "properties");
    cJSON *required = cJSON_GetObjectItemCaseSensitive(doc, "required");
    for (size_t i = 0; i < route->n_params; i++)
        cJSON_DeleteItemFromObjectCaseSensitive(properties, route->params[i].name);
    for (int i = cJSON_GetArraySize(required) - 1; i >= 0; i--)
        if (is_param(route, cJSON_GetArrayItem(required, i)->valuestring))
            cJSON_DeleteItemFromArray(required, i);
    if (required && !required->child)
        cJSON_DeleteItemFromObjectCaseSensitive(doc, "required");
    allow_nulls(doc);
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
        json_put_bool(w, "required",
                      strcmp(in, "path") == 0 ||
                          json_has_text(json_member(schema, "required"), params[i].name));
        json_put_string(w, "description", params[i].help);
        put_param_schema(w, &params[i], schema);
        json_close(w);
    }
}

static void
put_ref(struct json_writer *w, const char *name, const char *kind, const char *to)
{
    char text[96];
    (void)snprintf(text, sizeof(text), "#/components/%s/%s", kind, to);
    json_object(w, name);
    json_put_string(w, "$ref", text);
    json_close(w);
}

static void
put_parameters(struct json_writer *w, const struct route *route)
{
    AUTO(json) cJSON *schema = openapi_schema(route->schema);
    json_array(w, "parameters");
    put_params(w, route->params, route->n_params, "path", schema);
    put_params(w, route->queries, route->n_queries, "query", schema);
    if (route->flags & ROUTE_IDEMPOTENT)
        put_ref(w, NULL, "parameters", "IdempotencyKey");
    if (route->kind == ROUTE_COMMAND)
        put_ref(w, NULL, "parameters", "Prefer");
    if (route->local == events_listen)
        put_ref(w, NULL, "parameters", "LastEventID");
    json_close(w);
}

static void
put_response(struct json_writer *w, const struct route *route, int status, const char *help,
             const char *answer)
{
    char code[8];
    (void)snprintf(code, sizeof(code), "%d", status);
    json_object(w, code);
    json_put_string(w, "description", help);
    if (status == 202 && route->location) {
        json_object(w, "headers");
        put_ref(w, "Location", "headers", "Location");
        json_close(w);
    }
    if (status != 204) {
        json_object(w, "content");
        json_object(w, route->content_type ? route->content_type : "application/json");
        if (answer) {
            put_ref(w, "schema", "schemas", answer);
        } else {
            json_object(w, "schema"); /* of a stream some readers check each event against it */
            if (route->local != events_listen)
                json_put_string(w, "type", "string");
            json_close(w);
        }
        json_close(w);
        json_close(w);
    }
    json_close(w);
}

static void
put_problems(struct json_writer *w, const struct route *route)
{
    const bool keyed = !(route->flags & ROUTE_OPEN);
    const bool body = route->method == METHOD_POST || route->method == METHOD_PUT ||
                      route->method == METHOD_PATCH;
    const struct {
        const char *status;
        bool may;
    } ALL[] = {
        { "400", true },
        { "401", keyed },
        { "403", keyed },
        { "404", route->n_params > 0 || route->flags & ROUTE_RAW },
        { "409", route->flags & ROUTE_IDEMPOTENT },
        { "413", keyed && body },
        { "415", keyed && body },
        { "422", keyed },
        { "429", keyed },
        { "503", keyed },
    };
    for (size_t i = 0; i < ARRAY_LEN(ALL); i++)
        if (ALL[i].may)
            put_ref(w, ALL[i].status, "responses", "Problem");
    put_ref(w, "default", "responses", "Problem");
}

static void
put_rpc_responses(struct json_writer *w)
{
    static const char *const PROBLEMS[] = { "401", "403", "413", "415", "429", "503", "default" };
    put_ref(w, "200", "responses", "RpcResult");
    json_object(w, "202");
    json_put_string(w, "description", "A notification was taken");
    json_close(w);
    put_ref(w, "400", "responses", "RpcError");
    put_ref(w, "404", "responses", "RpcError");
    for (size_t i = 0; i < ARRAY_LEN(PROBLEMS); i++)
        put_ref(w, PROBLEMS[i], "responses", "Problem");
}

static void
put_responses(struct json_writer *w, const struct route *route)
{
    json_object(w, "responses");
    if (route->flags & ROUTE_RPC) {
        put_rpc_responses(w);
        json_close(w);
        return;
    }
    put_response(w, route, route->success, "Done", route->answer);
    if (route->kind == ROUTE_COMMAND)
        put_response(w, route, 202,
                     "Accepted and stored, not yet done; Location says where to look", "Accepted");
    else if (route->command == CMD_JOBS_CANCEL)
        put_response(w, route, 202, "Asked to end, still running when this was answered",
                     route->answer);
    else if (route->local == hook_take)
        put_response(w, route, 202, "Accepted and stored, not yet done", route->answer);
    if (route->local == health_ready)
        put_response(w, route, 503, "Not ready", route->answer);
    put_problems(w, route);
    json_close(w);
}

/* The name of the command, which is that of its schema; of a probe that of its path. */
static void
put_operation_id(struct json_writer *w, const struct route *route)
{
    char id[96];
    size_t n = 0;
    (void)snprintf(id, sizeof(id), "%s", route->schema ? route->schema : route->path + 1);
    for (const char *c = id; *c; c++)
        id[n++] = isalnum((unsigned char)*c) ? *c : '_';
    json_put_string(w, "operationId", id);
}

static const char *
tag_of(const struct route *route)
{
    if (strstr(route->path, "/memory"))
        return "memory";
    if (strstr(route->path, "/audit"))
        return "audit";
    if (strncmp(route->path, "/keys", 5) == 0 || route->local == whoami_get)
        return "keys";
    if (strncmp(route->path, "/secrets", 8) == 0)
        return "secrets";
    if (strncmp(route->path, "/policy", 7) == 0 || strncmp(route->path, "/ai/approvals", 13) == 0)
        return "policy";
    if (strncmp(route->path, "/webhooks", 9) == 0 || strncmp(route->path, "/hooks", 6) == 0)
        return "webhooks";
    if (route->flags & ROUTE_OPEN || route->local == overview_get)
        return "health";
    return "tasks";
}

/* The service decides what it sends; the signature covers the bytes. */
static void
put_signed_body(struct json_writer *w)
{
    static const char *const TYPES[] = { "application/json", "application/x-www-form-urlencoded" };

    json_object(w, "requestBody");
    json_put_string(w, "description",
                    "What the service sends: JSON, or a form, whose member "
                    "`payload` is taken if that is JSON. Its bytes are what the signature covers.");
    json_put_bool(w, "required", true);
    json_object(w, "content");
    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++) {
        json_object(w, TYPES[i]);
        json_object(w, "schema");
        if (i)
            json_put_string(w, "type", "object");
        json_close(w);
        json_close(w);
    }
    json_close(w);
    json_close(w);
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
    json_array(w, "tags");
    json_put_string(w, NULL, tag_of(route));
    json_close(w);
    json_put_string(w, "summary", route->summary);
    if (route->flags & ROUTE_OPEN) {
        json_array(w, "security");
        json_close(w);
    } else {
        json_put_string(w, "x-scope", scope_name(route->scope));
    }
    put_parameters(w, route);
    AUTO(json) cJSON *schema = NULL;
    if (route->schema &&
        (route->method == METHOD_POST || route->method == METHOD_PUT ||
         route->method == METHOD_PATCH) &&
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
    if (route->local == hook_take)
        put_signed_body(w);
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
        if (ROUTES[i].flags & ROUTE_PAGE || seen_before(i))
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
put_info(struct json_writer *w, const cJSON *info)
{
    const cJSON *one;
    json_object(w, "info");
    cJSON_ArrayForEach (one, info)
        if (strcmp(one->string, "version") == 0)
            json_put_string(w, "version", GANTRY_VERSION);
        else
            json_put_doc(w, one->string, one);
    json_close(w);
}

enum rc
openapi_write(struct buf *out, struct err *err)
{
    AUTO(json) cJSON *base = NULL;
    const cJSON *one;
    struct json_writer w;
    enum rc rc = schema_builtin_init(err);
    if (rc == RC_OK) /* deeper than what a client may send */
        rc = json_read_foreign(EMBED_OPENAPI[0].text, strlen(EMBED_OPENAPI[0].text), &base, err);
    if (rc != RC_OK)
        return rc;
    json_begin(&w, out);
    json_object(&w, NULL);
    cJSON_ArrayForEach (one, base)
        if (strcmp(one->string, "info") == 0)
            put_info(&w, one);
        else
            json_put_doc(&w, one->string, one);
    put_paths(&w);
    json_close(&w);
    rc = json_end(&w);
    return rc == RC_OK ? RC_OK : err_set(err, RC_BUG, "the OpenAPI document is malformed");
}

enum step
openapi_get(struct request *r)
{
    const struct buf *text = &r->gw->openapi;
    return answer_raw(r, 200, "application/json", buf_text(text), text->len);
}
