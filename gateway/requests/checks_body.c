/* SPDX-License-Identifier: MIT */
#include <bsd/string.h>
#include <stdlib.h>
#include <string.h>

#include "gateway.h"
#include "requests/answer.h"
#include "requests/checks.h"
#include "validate/schema.h"
#include "validate/secrets.h"

#define QUERY_VALUE_MAX 1024
#define DIGITS_MAX      16 /* of 2^53 */
#define NAME_CHARS      "0123456789_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

/* --- the document: the body with the parameters of path and query in it ------------------------ */

static bool
put(cJSON *doc, const struct route_param *param, const char *text)
{
    if (param->type == MEMBER_INT) {
        size_t len = strlen(text);
        bool digits = len > 0 && len <= DIGITS_MAX && strspn(text, "0123456789") == len;
        unsigned long long number = digits ? strtoull(text, NULL, 10) : 0;
        return digits && number <= JSON_INT_MAX &&
               cJSON_AddNumberToObject(doc, param->name, (double)number) != NULL;
    }
    return cJSON_AddStringToObject(doc, param->name, text) != NULL;
}

static const struct route_param *
find_query(const struct route *route, const char *name)
{
    for (size_t i = 0; i < route->n_queries; i++)
        if (strcmp(route->queries[i].name, name) == 0)
            return &route->queries[i];
    return NULL;
}

static void
complain_unknown(const struct route *route, const char *name, struct field_errors *errors)
{
    char known[160] = "";
    for (size_t i = 0; i < route->n_queries; i++) {
        (void)strlcat(known, i ? ", " : "", sizeof(known));
        (void)strlcat(known, route->queries[i].name, sizeof(known));
    }
    field_errors_add(errors, name, "is not a parameter of this route; known are: %s",
                     known[0] ? known : "none");
}

static void
read_query_item(struct request *r, const char *item, size_t len, struct field_errors *errors)
{
    char name[64];
    char value[QUERY_VALUE_MAX];
    const char *equals = memchr(item, '=', len);
    size_t name_len = equals ? (size_t)(equals - item) : len;
    size_t value_at = equals ? name_len + 1 : len;
    if (percent_decode(item, name_len, true, name, sizeof(name)) != RC_OK) {
        field_errors_add(errors, "query",
                         "must be a list of name=value with %%XX escapes of UTF-8");
        return;
    }
    const struct route_param *param = find_query(r->route, name);
    if (!param) {
        bool plain = name[0] && strspn(name, NAME_CHARS) == strlen(name) &&
                     !secrets_find(name, strlen(name));
        complain_unknown(r->route, plain ? name : "query", errors);
        return;
    }
    if (percent_decode(item + value_at, len - value_at, true, value, sizeof(value)) != RC_OK)
        field_errors_add(errors, param->name,
                         "must be UTF-8 with %%XX escapes, without U+0000, at most %d bytes",
                         QUERY_VALUE_MAX - 1);
    else if (json_member(r->doc, param->name))
        field_errors_add(errors, param->name, "is given twice: give it once");
    else if (!put(r->doc, param, value))
        field_errors_add(errors, param->name, "must be a whole number of at most 2^53, in digits");
}

static void
read_query(struct request *r, struct field_errors *errors)
{
    const char *at = r->uri + r->path_len;
    if (*at != '?')
        return;
    at++;
    while (*at && *at != '#') {
        size_t len = strcspn(at, "&#");
        if (len)
            read_query_item(r, at, len, errors);
        at += len + (at[len] == '&');
    }
}

/* The document of an inner request has them: they become those of the path. */
static void
take_params(struct request *r)
{
    for (size_t i = 0; i < r->route->n_params; i++) {
        const char *given = json_string(r->doc, r->route->params[i].name);
        (void)strlcpy(r->match.params[i], given ? given : "", PATH_PARAM_MAX);
    }
}

static void
put_params(struct request *r, struct field_errors *errors)
{
    if (r->outer) {
        take_params(r);
        return;
    }
    for (size_t i = 0; i < r->route->n_params; i++) {
        const struct route_param *param = &r->route->params[i];
        const char *given = json_string(r->doc, param->name);
        if (!json_member(r->doc, param->name))
            (void)put(r->doc, param, r->match.params[i]);
        else if (!given || strcmp(given, r->match.params[i]) != 0)
            field_errors_add(errors, param->name, "is not the one of the path: leave it out");
    }
}

static enum step
read_document(struct request *r)
{
    struct err err = { 0 };
    size_t len = r->body.len;
    bool empty = len == 0 && (r->route->flags & ROUTE_BODY_EMPTY);
    bool bare = r->method == METHOD_GET || r->method == METHOD_DELETE;
    if ((bare && !r->outer) || empty) {
        r->doc = cJSON_CreateObject();
        return STEP_NEXT;
    }
    struct field_errors errors = { 0 };
    char field[JSON_FIELD_MAX];
    enum rc rc = json_read_field(buf_text(&r->body), len, &r->doc, field, &err);
    if (rc == RC_OK)
        return STEP_NEXT;
    if (rc == RC_CORRUPT)
        return answer_problem(r, PROBLEM_MALFORMED_JSON, "%s", err.text);
    field_errors_add(&errors, field, "%s", err.text);
    return answer_fields(r, PROBLEM_INVALID_REQUEST, &errors);
}

enum step
request_rebuild(struct request *r)
{
    struct json_writer w;
    buf_reset(&r->payload);
    json_begin(&w, &r->payload);
    json_put_doc(&w, NULL, r->doc);
    if (json_end(&w) != RC_OK)
        return answer_problem(r, PROBLEM_INTERNAL, "the request cannot be rebuilt");
    r->rebuilt = true;
    return STEP_NEXT;
}

/* After the key: a stranger learns nothing about ids. */
static enum step
refuse_id(struct request *r)
{
    static const char *const FORMS[] = {
        [MEMBER_STRING] = "not empty and at most 127 bytes",
        [MEMBER_INT] = "a whole number of at most 15 digits",
        [MEMBER_UUID] = "a UUID, such as 0190a0b0-c0d0-7000-8000-abcdef012345",
        [MEMBER_KEY_ID] = "12 letters and digits",
    };
    size_t i = 0;
    while (i + 1 < r->route->n_params && r->match.params[i][0])
        i++;
    return answer_problem(
        r, PROBLEM_NOT_FOUND, "there is nothing with such an id: {%s} in %s is %s",
        r->route->params[i].name, r->route->path, FORMS[r->route->params[i].type]);
}

enum step
check_body(struct request *r)
{
    struct field_errors errors = { 0 };
    if (r->match.malformed)
        return refuse_id(r);
    if (!r->route->schema || r->route->flags & ROUTE_RPC)
        return STEP_NEXT;
    enum step step = read_document(r);
    if (step != STEP_NEXT)
        return step;
    if (cJSON_IsObject(r->doc)) {
        read_query(r, &errors);
        put_params(r, &errors);
    }
    const struct schema *schema = schema_builtin(r->route->schema);
    if (!schema)
        return answer_problem(r, PROBLEM_INTERNAL, "the route has no schema");
    schema_drop_nulls(schema, r->doc);
    if (!errors.count && schema_check(schema, r->doc, &errors) == RC_OK && !errors.count) {
        const char *tenant = json_string(r->doc, "tenant_id");
        if (tenant && strcmp(tenant, r->actor.workspace) != 0)
            return answer_problem(r, PROBLEM_TENANT_MISMATCH,
                                  "tenant_id is not the workspace of the key: leave it out");
        /* A body of a GET or DELETE means nothing (RFC 9110): it is not what is signed and sent. */
        bool bare = r->method == METHOD_GET || r->method == METHOD_DELETE || r->body.len == 0;
        return bare || r->route->n_params || r->route->n_queries ? request_rebuild(r) : STEP_NEXT;
    }
    return answer_fields(r, PROBLEM_INVALID_REQUEST, &errors);
}

enum step
check_secrets(struct request *r)
{
    struct field_errors errors = { 0 };
    char field[SECRETS_FIELD_MAX] = "";
    if (!(r->route->flags & ROUTE_SECRETS))
        return STEP_NEXT;
    const char *kind = secrets_find_json(r->doc, field);
    if (!kind)
        return STEP_NEXT;
    field_errors_add(&errors, field,
                     "holds what looks like a credential (%s): take it out, or write a placeholder",
                     kind);
    return answer_fields(r, PROBLEM_SECRET_IN_TEXT, &errors);
}

enum step
check_allowed(struct request *r)
{
    return r->route->allow ? r->route->allow(r) : STEP_NEXT;
}
