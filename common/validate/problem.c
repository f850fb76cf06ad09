/* SPDX-License-Identifier: MIT */
/*
 * problem - the error documents.
 */
#include "validate/problem.h"

#include <string.h>

#include "json/json.h"

struct problem_row {
    const char *name;
    int http;
    const char *title;
};

#define PROBLEM_ROW(name, code, http, title) [name] = { code, http, title },
static const struct problem_row ROWS[PROBLEM_COUNT] = { PROBLEM_TABLE(PROBLEM_ROW) };
#undef PROBLEM_ROW

static const struct problem_row *
row_of(enum problem_code code)
{
    return &ROWS[code < PROBLEM_COUNT ? code : PROBLEM_INTERNAL];
}

const char *
problem_name(enum problem_code code)
{
    return row_of(code)->name;
}

const char *
problem_title(enum problem_code code)
{
    return row_of(code)->title;
}

int
problem_http(enum problem_code code)
{
    return row_of(code)->http;
}

enum problem_code
problem_code(const char *name)
{
    for (unsigned code = 0; name && code < PROBLEM_COUNT; code++)
        if (strcmp(ROWS[code].name, name) == 0)
            return code;
    return PROBLEM_INVALID_REQUEST;
}

static void
put_error(struct json_writer *w, const char *field, const char *detail)
{
    json_object(w, NULL);
    json_put_string(w, "field", field);
    json_put_string(w, "detail", detail);
    json_close(w);
}

void
problem_put_errors(struct json_writer *w, const struct field_errors *errors)
{
    json_array(w, "errors");
    for (size_t i = 0; i < errors->count; i++)
        put_error(w, errors->items[i].field, errors->items[i].detail);
    json_close(w);
}

/* Every 422 has errors: where nobody named a field, the one that the code is about, or the whole. */
static void
put_errors(struct json_writer *w, const struct problem *problem, const struct problem_row *row)
{
    size_t count = problem->errors ? problem->errors->count : 0;

    if (count == 0 && row->http != 422)
        return;
    json_array(w, "errors");
    for (size_t i = 0; i < count; i++)
        put_error(w, problem->errors->items[i].field, problem->errors->items[i].detail);
    if (count == 0)
        put_error(w, problem->code == PROBLEM_KEY_REUSED ? "client_request_id" : "",
                  problem->detail ? problem->detail : row->title);
    json_close(w);
}

void
problem_write(struct buf *out, const struct problem *problem, const char *instance,
              const char *request_id)
{
    const struct problem_row *row = row_of(problem->code);
    struct json_writer w;

    json_begin(&w, out);
    json_object(&w, NULL);
    /* RFC 9457 4.2.1: no type of its own, the title says it all; code is for programs. */
    json_put_string(&w, "type", "about:blank");
    json_put_string(&w, "title", row->title);
    json_put_int(&w, "status", row->http);
    json_put_string(&w, "detail", problem->detail ? problem->detail : row->title);
    if (instance)
        json_put_string(&w, "instance", instance);
    json_put_string(&w, "code", row->name);
    if (request_id)
        json_put_string(&w, "request_id", request_id);
    put_errors(&w, problem, row);
    json_close(&w);
    (void)json_end(&w); /* an overflow stays visible in out */
}
