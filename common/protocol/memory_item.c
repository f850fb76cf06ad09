/* SPDX-License-Identifier: MIT */
/*
 * memory_item - columns to members. tags, metadata and facts come from json columns and are valid
 * JSON by PostgreSQL's word.
 */
#include "memory_item.h"

#include <string.h>

static void
put_json(struct json_writer *w, const char *name, const char *json, const char *fallback)
{
    const char *text = json ? json : fallback;
    json_put_raw(w, name, text, strlen(text));
}

void
memory_item_fields(struct json_writer *w, const PGresult *result, int row, int first)
{
    json_put_string(w, "id", db_text(result, row, first));
    json_put_string(w, "scope", db_text(result, row, first + 1));
    json_put_string(w, "content", db_text(result, row, first + 2));
    put_json(w, "tags", db_text(result, row, first + 3), "[]");
    json_put_string(w, "source", db_text(result, row, first + 4));
    put_json(w, "metadata", db_text(result, row, first + 5), "{}");
    json_put_time(w, "created_at", db_int(result, row, first + 6, 0));
}

void
memory_item_members(struct json_writer *w, const PGresult *result, int row)
{
    memory_item_fields(w, result, row, 0);
    put_json(w, "facts", db_text(result, row, 9), "[]");
    if (db_text(result, row, 7))
        json_put_time(w, "expires_at", db_int(result, row, 7, 0));
    else
        json_put_null(w, "expires_at");
    json_put_int(w, "version", db_int(result, row, 8, 1));
}

void
memory_item_write(struct json_writer *w, const char *name, const PGresult *result, int row)
{
    json_object(w, name);
    memory_item_members(w, result, row);
    json_close(w);
}
