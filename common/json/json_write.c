/* SPDX-License-Identifier: MIT */
/*
 * json_write - the streaming writer.
 *
 * Strings come out valid whatever goes in: bytes that are not UTF-8 become U+FFFD. The escapes are
 * those of RFC 8785, so that the canonical form needs no writer of its own.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "json/json.h"
#include "json/json_scan.h"

void
json_begin(struct json_writer *w, struct buf *out)
{
    *w = (struct json_writer){ .out = out };
}

enum rc
json_end(struct json_writer *w)
{
    if (w->broken || w->depth != 0 || !w->comma[0])
        return RC_BUG;
    return buf_failed(w->out) ? RC_LIMIT : RC_OK;
}

static void
put_quoted(struct buf *out, const char *text, size_t len)
{
    static const char SHORT[] = "btn\0fr"; /* from U+0008 on; U+000B has none */
    size_t from = 0;
    size_t at = 0;
    uint32_t code;

    buf_putc(out, '"');
    while ((at += json_plain_run(text + at, text + len)) < len) {
        unsigned char c = (unsigned char)text[at];
        size_t step = utf8_decode(text + at, len - at, &code);
        if (step > 1) {
            at += step;
            continue;
        }
        buf_add(out, text + from, at - from);
        if (step == 0)
            buf_puts(out, "\xEF\xBF\xBD");
        else if (c == DEL) /* RFC 8785 leaves it */
            buf_putc(out, DEL);
        else if (c >= 0x20)
            buf_add(out, (const char[]){ '\\', (char)c }, 2);
        else if (c >= '\b' && c <= '\r' && SHORT[c - '\b'])
            buf_add(out, (const char[]){ '\\', SHORT[c - '\b'] }, 2);
        else
            buf_printf(out, "\\u%04x", c);
        from = ++at;
    }
    buf_add(out, text + from, len - from);
    buf_putc(out, '"');
}

/* The comma and the name before a value; false if no value may stand here. */
static bool
begin_value(struct json_writer *w, const char *name)
{
    bool in_object = w->depth > 0 && w->close[w->depth - 1] == '}';

    if (w->broken || in_object != (name != NULL) || (w->depth == 0 && w->comma[0])) {
        w->broken = true;
        return false;
    }
    if (w->depth > 0 && w->comma[w->depth])
        buf_putc(w->out, ',');
    w->comma[w->depth] = true;
    if (name) {
        put_quoted(w->out, name, strlen(name));
        buf_putc(w->out, ':');
    }
    return true;
}

static void
open_bracket(struct json_writer *w, const char *name, char open, char close)
{
    if (w->depth + 1 >= JSON_WRITER_DEPTH)
        w->broken = true;
    if (!begin_value(w, name))
        return;
    buf_putc(w->out, open);
    w->close[w->depth++] = close;
    w->comma[w->depth] = false;
}

void
json_object(struct json_writer *w, const char *name)
{
    open_bracket(w, name, '{', '}');
}

void
json_array(struct json_writer *w, const char *name)
{
    open_bracket(w, name, '[', ']');
}

void
json_close(struct json_writer *w)
{
    if (w->broken || w->depth == 0) {
        w->broken = true;
        return;
    }
    buf_putc(w->out, w->close[--w->depth]);
}

void
json_put_bytes(struct json_writer *w, const char *name, const char *text, size_t len)
{
    if (begin_value(w, name))
        put_quoted(w->out, text, len);
}

void
json_put_string(struct json_writer *w, const char *name, const char *text)
{
    if (text)
        json_put_bytes(w, name, text, strlen(text));
    else
        json_put_null(w, name);
}

void
json_put_raw(struct json_writer *w, const char *name, const char *json, size_t len)
{
    if (begin_value(w, name))
        buf_add(w->out, json, len);
}

void
json_put_int(struct json_writer *w, const char *name, int64_t value)
{
    char text[24];
    char *at = text + sizeof(text);
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;

    do
        *--at = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (value < 0)
        *--at = '-';
    if (begin_value(w, name))
        buf_add(w->out, at, (size_t)(text + sizeof(text) - at));
}

void
json_put_number(struct json_writer *w, const char *name, double value)
{
    char text[JSON_NUMBER_TEXT_MAX];

    if (json_is_int(value))
        json_put_int(w, name, (int64_t)value);
    else if (*json_format_number(value, text) == '\0')
        w->broken = true;
    else if (begin_value(w, name)) {
        buf_puts(w->out, text);
        /* A double beyond 2^53 is no integer when it is read again. */
        if (!w->canonical && !strpbrk(text, ".e"))
            buf_puts(w->out, "e0");
    }
}

void
json_put_bool(struct json_writer *w, const char *name, bool value)
{
    if (begin_value(w, name))
        buf_puts(w->out, value ? "true" : "false");
}

void
json_put_null(struct json_writer *w, const char *name)
{
    if (begin_value(w, name))
        buf_puts(w->out, "null");
}

void
json_put_time(struct json_writer *w, const char *name, int64_t wall_ms)
{
    char text[CLOCK_TEXT_MAX];

    json_put_string(w, name, clock_format(wall_ms, text));
}

void
json_put_string_or_null(struct json_writer *w, const char *name, const char *text)
{
    if (text && *text)
        json_put_string(w, name, text);
    else
        json_put_null(w, name);
}

void
json_put_time_or_null(struct json_writer *w, const char *name, int64_t wall_ms)
{
    if (wall_ms > 0)
        json_put_time(w, name, wall_ms);
    else
        json_put_null(w, name);
}

/* The recursion ends at the writer's depth. */
void
json_put_doc(struct json_writer *w, const char *name, const cJSON *doc)
{
    if (cJSON_IsObject(doc) || cJSON_IsArray(doc)) {
        if (cJSON_IsObject(doc))
            json_object(w, name);
        else
            json_array(w, name);
        for (const cJSON *child = doc->child; child && !w->broken; child = child->next)
            json_put_doc(w, child->string, child);
        json_close(w);
    } else if (cJSON_IsString(doc)) {
        json_put_string(w, name, doc->valuestring);
    } else if (cJSON_IsNumber(doc)) {
        json_put_number(w, name, doc->valuedouble);
    } else if (cJSON_IsBool(doc)) {
        json_put_bool(w, name, cJSON_IsTrue(doc));
    } else {
        json_put_null(w, name);
    }
}

void
json_put_members(struct json_writer *w, const char *object, size_t len)
{
    if (w->depth == 0 || w->close[w->depth - 1] != '}' || len < 2 || object[0] != '{' ||
        object[len - 1] != '}')
        w->broken = true;
    if (w->broken || len == 2)
        return;
    if (w->comma[w->depth])
        buf_putc(w->out, ',');
    w->comma[w->depth] = true;
    buf_add(w->out, object + 1, len - 2);
}
