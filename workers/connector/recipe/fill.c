/* SPDX-License-Identifier: MIT */
#include "recipe/fill.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "json/json_pointer.h"

#define EACH        "$each"
#define EACH_ITEM   "$item"
#define IF          "$if"
#define ITEM_MEMBER "item"
#define TEXT_MAX    (4u << 20)

/* "{/pointer}" or "{/pointer|what else}" */
struct slot {
    const char *begin, *end; /* its "{", and what follows its "}" */
    const char *pointer, *other;
    size_t len, other_len; /* other NULL: nothing else */
};

/* The next placeholder at or after text. */
static bool
next_slot(const char *text, struct slot *out)
{
    const char *at = strstr(text, "{/");
    const char *end = at ? strchr(at, '}') : NULL;
    if (!end)
        return false;
    const char *bar = memchr(at, '|', (size_t)(end - at));
    *out = (struct slot){ .begin = at,
                          .end = end + 1,
                          .pointer = at + 1,
                          .len = (size_t)((bar ? bar : end) - at - 1),
                          .other = bar ? bar + 1 : NULL,
                          .other_len = bar ? (size_t)(end - bar - 1) : 0 };
    return true;
}

static bool
whole_slot(const char *text, struct slot *out)
{
    return next_slot(text, out) && out->begin == text && *out->end == '\0';
}

bool
fill_is_whole(const char *text)
{
    struct slot slot;
    return whole_slot(text, &slot);
}

bool
fill_each(const cJSON *template, fill_seen_fn *fn, void *arg)
{
    static const char *const POINTERS[] = { EACH, IF };
    const cJSON *child;
    struct slot slot;
    if (cJSON_IsString(template))
        for (const char *at = template->valuestring; next_slot(at, &slot); at = slot.end)
            if (!fn(arg, slot.pointer, slot.len))
                return false;
    for (size_t i = 0; i < ARRAY_LEN(POINTERS); i++) {
        const char *pointer = json_string(template, POINTERS[i]);
        if (pointer && !fn(arg, pointer, strlen(pointer)))
            return false;
    }
    cJSON_ArrayForEach (child, template) {
        if (!fill_each(child, fn, arg))
            return false;
    }
    return true;
}

void
fill_percent(struct buf *out, const char *text, size_t len)
{
    static const char UNRESERVED[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (size_t i = 0; i < len; i++) {
        if (text[i] && strchr(UNRESERVED, text[i]))
            buf_putc(out, text[i]);
        else
            buf_printf(out, "%%%02X", (unsigned)(unsigned char)text[i]);
    }
}

/* --- text ------------------------------------------------------------------------------------------------ */

static enum rc
wrong(struct err *err, const char *pointer, size_t len, const char *what)
{
    return err_set(err, RC_INVALID, "%.*s %s", (int)(len > 100 ? 100 : len), pointer, what);
}

static bool
is_printable(const char *text)
{
    for (const char *at = text; *at; at++)
        if (*at < ' ' || *at > '~')
            return false;
    return true;
}

static enum rc
put_value(const cJSON *value, const char *pointer, size_t len, enum fill_place place,
          struct buf *out, struct err *err)
{
    char number[JSON_NUMBER_TEXT_MAX] = "";
    const char *text = "";
    if (cJSON_IsString(value))
        text = value->valuestring;
    else if (cJSON_IsNumber(value))
        text = json_format_number(value->valuedouble, number);
    else if (cJSON_IsBool(value))
        text = cJSON_IsTrue(value) ? "true" : "false";
    else if (value && !cJSON_IsNull(value))
        return wrong(err, pointer, len, "must be a text, a number or a boolean");
    switch (place) {
    case FILL_PLAIN:
        buf_puts(out, text);
        return RC_OK;
    case FILL_HEADER:
        if (!is_printable(text))
            return wrong(err, pointer, len, "must hold printable ASCII only: it becomes a header");
        buf_puts(out, text);
        return RC_OK;
    case FILL_SEGMENT:
        if (!*text || strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
            return wrong(err, pointer, len,
                         "must not be empty, \".\" or \"..\": it becomes part of a path");
        fill_percent(out, text, strlen(text));
        return RC_OK;
    case FILL_QUERY:
        fill_percent(out, text, strlen(text));
        return RC_OK;
    }
    return RC_BUG;
}

static enum rc
put_slot(const struct slot *slot, const cJSON *values, enum fill_place place, struct buf *out,
         struct err *err)
{
    const cJSON *value = json_pointer(values, slot->pointer, slot->len);
    if ((value && !cJSON_IsNull(value)) || !slot->other)
        return put_value(value, slot->pointer, slot->len, place, out, err);
    buf_add(out, slot->other, slot->other_len); /* the manifest's own */
    return RC_OK;
}

enum rc
fill_text(const char *template, const cJSON *values, enum fill_place place, struct buf *out,
          struct err *err)
{
    struct slot slot;
    const char *at = template;
    for (; next_slot(at, &slot); at = slot.end) {
        buf_add(out, at, (size_t)(slot.begin - at));
        enum rc rc = put_slot(&slot, values, place, out, err);
        if (rc != RC_OK)
            return rc;
    }
    buf_puts(out, at);
    return buf_failed(out) ? err_set(err, RC_LIMIT, "the request is too long") : RC_OK;
}

/* --- JSON ------------------------------------------------------------------------------------------------ */

static cJSON *
must(cJSON *made)
{
    if (!made)
        log_no_memory("a request");
    return made;
}

static enum rc
fill_string(const char *text, const cJSON *values, cJSON **out, struct err *err)
{
    AUTO(buf) struct buf filled = { 0 };
    struct slot slot;
    if (whole_slot(text, &slot) && !slot.other) {
        const cJSON *value = json_pointer(values, slot.pointer, slot.len);
        if (value && !cJSON_IsNull(value))
            *out = must(cJSON_Duplicate(value, true));
        return RC_OK;
    }
    buf_init(&filled, TEXT_MAX);
    enum rc rc = fill_text(text, values, FILL_PLAIN, &filled, err);
    if (rc == RC_OK)
        *out = must(cJSON_CreateString(buf_text(&filled)));
    buf_wipe(&filled);
    return rc;
}

static enum rc
fill_list(const cJSON *template, const cJSON *values, cJSON **out, struct err *err)
{
    const char *each = json_string(template, EACH);
    AUTO(json) cJSON *list = must(cJSON_CreateArray());
    AUTO(json_secret) cJSON *inner = must(cJSON_Duplicate(values, true));
    const cJSON *source = json_pointer(values, each, strlen(each));
    const cJSON *item;
    if (!cJSON_IsArray(source))
        return RC_OK;
    cJSON_ArrayForEach (item, source) {
        cJSON *made = NULL;
        cJSON_DeleteItemFromObjectCaseSensitive(inner, ITEM_MEMBER);
        cJSON_AddItemToObject(inner, ITEM_MEMBER, must(cJSON_Duplicate(item, true)));
        enum rc rc = fill_json(json_member(template, EACH_ITEM), inner, &made, err);
        if (rc != RC_OK)
            return rc;
        if (made)
            cJSON_AddItemToArray(list, made);
    }
    *out = TAKE(list);
    return RC_OK;
}

enum rc
fill_json(const cJSON *template, const cJSON *values, cJSON **out, struct err *err)
{
    const char *only = json_string(template, IF);
    const cJSON *condition = only ? json_pointer(values, only, strlen(only)) : NULL;
    AUTO(json) cJSON *made = NULL;
    const cJSON *child;
    *out = NULL;
    if (cJSON_IsString(template))
        return fill_string(template->valuestring, values, out, err);
    if (json_string(template, EACH))
        return fill_list(template, values, out, err);
    if (!cJSON_IsObject(template) && !cJSON_IsArray(template)) {
        *out = must(cJSON_Duplicate(template, true));
        return RC_OK;
    }
    if (only && (!condition || cJSON_IsNull(condition)))
        return RC_OK;
    made = must(cJSON_IsObject(template) ? cJSON_CreateObject() : cJSON_CreateArray());
    cJSON_ArrayForEach (child, template) {
        cJSON *value = NULL;
        if (child->string && strcmp(child->string, IF) == 0)
            continue;
        enum rc rc = fill_json(child, values, &value, err);
        if (rc != RC_OK)
            return rc;
        if (value && child->string)
            cJSON_AddItemToObject(made, child->string, value);
        else if (value)
            cJSON_AddItemToArray(made, value);
    }
    *out = TAKE(made);
    return RC_OK;
}

/* --- pairs ----------------------------------------------------------------------------------------------- */

static enum rc
put_pair(const char *name, const cJSON *value, struct buf *out, struct err *err)
{
    if (out->len > 0)
        buf_putc(out, '&');
    fill_percent(out, name, strlen(name));
    buf_putc(out, '=');
    return put_value(value, name, strlen(name), FILL_QUERY, out, err);
}

enum rc
fill_pairs(const cJSON *template, const cJSON *values, struct buf *out, struct err *err)
{
    AUTO(json_secret) cJSON *filled = NULL;
    const cJSON *member, *item;
    enum rc rc = fill_json(template, values, &filled, err);
    if (rc == RC_OK && filled && !cJSON_IsObject(filled))
        return err_set(err, RC_INVALID, "names and values must be an object");
    cJSON_ArrayForEach (member, filled) {
        if (rc == RC_OK && !cJSON_IsArray(member))
            rc = put_pair(member->string, member, out, err);
        if (!cJSON_IsArray(member))
            continue;
        cJSON_ArrayForEach (item, member) {
            if (rc == RC_OK)
                rc = put_pair(member->string, item, out, err);
        }
    }
    return rc == RC_OK && buf_failed(out) ? err_set(err, RC_LIMIT, "the request is too long") : rc;
}
