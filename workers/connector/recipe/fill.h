/* SPDX-License-Identifier: MIT */
/*
 * fill - templates: values are put where placeholders are, encoded for their place.
 *
 * Shape:   a placeholder is "{/pointer}", a JSON Pointer into the values, anywhere in a string; another
 *          "{" stands for itself. A string that is one placeholder and nothing else becomes the value
 *          with its type; a member or an element without a value is left out. In a longer string numbers
 *          and booleans become text, and what is absent is empty.
 *          "{/pointer|else}": a text that stands for a value that is absent
 *          {"$if": "/pointer", …} is left out when there is no such value
 *          {"$each": "/pointer", "$item": template} becomes an array: the template for each element,
 *          which it sees as /item
 * Errors:  RC_INVALID  a value that its place cannot hold (a line break in a header, "..", an object in
 *                      a text): the error names the pointer, never the value
 * Threads: any
 */
#ifndef GANTRY_CONNECTOR_RECIPE_FILL_H
#define GANTRY_CONNECTOR_RECIPE_FILL_H

#include "base/buf.h"
#include "base/rc.h"
#include "json/json.h"

enum fill_place {
    FILL_PLAIN,   /* as it stands */
    FILL_HEADER,  /* printable ASCII only */
    FILL_SEGMENT, /* of a path: percent-encoded; not empty, not "." or ".." */
    FILL_QUERY    /* of a query or a form: percent-encoded */
};

enum rc fill_text(const char *template, const cJSON *values, enum fill_place place, struct buf *out,
                  struct err *err);
/* *out NULL with RC_OK: the whole is without a value. */
enum rc fill_json(const cJSON *template, const cJSON *values, cJSON **out, struct err *err);
/* name=value&…; members without a value are left out, an array repeats its name. */
enum rc fill_pairs(const cJSON *template, const cJSON *values, struct buf *out, struct err *err);

/* Whether the text is one placeholder and nothing else. */
bool fill_is_whole(const char *text);
/* Calls fn for each placeholder of a template, until it returns false. */
typedef bool fill_seen_fn(void *arg, const char *pointer, size_t len);
bool fill_each(const cJSON *template, fill_seen_fn *fn, void *arg);

void fill_percent(struct buf *out, const char *text, size_t len);

#endif
