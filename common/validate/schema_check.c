/* SPDX-License-Identifier: MIT */
/*
 * schema_check - a document against a compiled schema.
 *
 * Every broken rule is reported with its field, up to SCHEMA_ERRORS_MAX. A value is never repeated in
 * the words, and a member's name from outside only if it is a plain word: an answer must not carry a
 * secret that was put in the wrong place.
 */
#include <bsd/string.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/blank.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/utf8.h"
#include "validate/redact.h"
#include "validate/schema_own.h"

#define ACTION_NAME_MAX 64 /* bytes */
#define FOUND_MAX       (JSON_NUMBER_TEXT_MAX + 32)

/* Where in the document: a list from the inside out, on the stack. */
struct place {
    const struct place *outer;
    const char *name; /* NULL: element number index */
    size_t index;
};

struct checker {
    struct field_errors *errors;
    bool failed;
};

/* Nothing that is found from here on would be said or change the verdict. */
static bool
is_done(const struct checker *c)
{
    return c->failed && c->errors->count >= SCHEMA_ERRORS_MAX;
}

/* The client chose the names of its members: one may be a credential that lost its way. */
static void
put_field(const char *field, char text[SCHEMA_FIELD_MAX])
{
    AUTO(buf) struct buf out = { 0 };
    buf_init(&out, 4 * SCHEMA_FIELD_MAX);
    for (;;) {
        size_t len = strcspn(field, ".");
        redact_text(field, len, &out);
        field += len;
        if (*field == '\0')
            break;
        buf_putc(&out, *field++);
    }
    (void)strlcpy(text, buf_failed(&out) ? "" : buf_text(&out), SCHEMA_FIELD_MAX);
}

void
field_errors_add(struct field_errors *errors, const char *field, const char *format, ...)
{
    va_list args;

    if (errors->count >= SCHEMA_ERRORS_MAX)
        return;
    struct field_error *item = &errors->items[errors->count++];
    put_field(field, item->field);
    va_start(args, format);
    (void)vsnprintf(item->detail, sizeof(item->detail), format, args);
    va_end(args);
}

static size_t
write_place(const struct place *place, char *text, size_t size)
{
    size_t len = 0;
    int more;

    if (!place)
        return 0;
    len = write_place(place->outer, text, size);
    if (len >= size)
        return len;
    if (place->name)
        more = snprintf(text + len, size - len, "%s%s", len ? "." : "", place->name);
    else
        more = snprintf(text + len, size - len, "[%zu]", place->index);
    return len + (size_t)more;
}

__attribute__((format(printf, 3, 4))) static void
complain(struct checker *c, const struct place *place, const char *format, ...)
{
    char field[SCHEMA_FIELD_MAX] = "";
    char detail[SCHEMA_DETAIL_MAX];
    va_list args;

    c->failed = true;
    (void)write_place(place, field, sizeof(field));
    va_start(args, format);
    (void)vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    field_errors_add(c->errors, field, "%s", detail);
}

static unsigned
types_of(const cJSON *value)
{
    if (cJSON_IsString(value))
        return SCHEMA_STRING;
    if (cJSON_IsNumber(value))
        return SCHEMA_NUMBER | (json_is_int(value->valuedouble) ? SCHEMA_INTEGER : 0);
    if (cJSON_IsObject(value))
        return SCHEMA_OBJECT;
    if (cJSON_IsArray(value))
        return SCHEMA_ARRAY;
    return cJSON_IsBool(value) ? SCHEMA_BOOLEAN : SCHEMA_NULL;
}

static void
complain_type(struct checker *c, const struct place *place, unsigned types, const cJSON *value)
{
    static const char *const WORDS[] = { "null",     "true or false", "a whole number", "a number",
                                         "a string", "an array",      "an object" };
    char text[SCHEMA_DETAIL_MAX - 64] = "", number[JSON_NUMBER_TEXT_MAX];
    const char *other = "";
    unsigned found = types_of(value);
    size_t len = 0;

    for (unsigned i = 0; i < ARRAY_LEN(WORDS); i++) {
        if (types & 1U << i)
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", len ? " or " : "",
                                    WORDS[i]);
        if (found & 1U << i)
            other = WORDS[i];
    }
    if (types & SCHEMA_INTEGER && found & SCHEMA_NUMBER)
        complain(c, place, "must be %s, not %s", text,
                 json_format_number(value->valuedouble, number));
    else
        complain(c, place, "must be %s, not %s", text, other);
}

/* What came, without its text. */
static const char *
name_string(const char *value, char text[FOUND_MAX])
{
    size_t len = strlen(value);

    (void)snprintf(text, FOUND_MAX, "a string of %zu byte%s", len, len == 1 ? "" : "s");
    return text;
}

static const char *
name_value(const cJSON *value, char text[FOUND_MAX])
{
    if (cJSON_IsString(value))
        return name_string(value->valuestring, text);
    if (cJSON_IsNumber(value))
        return json_format_number(value->valuedouble, text);
    if (cJSON_IsBool(value))
        return cJSON_IsTrue(value) ? "true" : "false";
    return cJSON_IsObject(value) ? "an object" : cJSON_IsArray(value) ? "an array" : "null";
}

/* The values are named only where they are the schema's own short words. */
static void
check_values(struct checker *c, const struct schema *s, const cJSON *value,
             const struct place *place)
{
    char text[SCHEMA_DETAIL_MAX - 64] = "", found[FOUND_MAX];
    size_t len = 0;

    for (const cJSON *one = s->values->child; one; one = one->next)
        if (cJSON_Compare(one, value, true))
            return;
    for (const cJSON *one = s->values->child; one && len < sizeof(text); one = one->next)
        if (cJSON_IsString(one))
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s\"%s\"", len ? ", " : "",
                                    one->valuestring);
    if (len == 0)
        complain(c, place, "must be one of the values in the schema, not %s",
                 name_value(value, found));
    else
        complain(c, place, "must be %s%s, not %s", s->values->child->next ? "one of " : "", text,
                 name_value(value, found));
}

static void
check_number(struct checker *c, const struct schema *s, const cJSON *value,
             const struct place *place)
{
    char low[JSON_NUMBER_TEXT_MAX];
    char high[JSON_NUMBER_TEXT_MAX];
    char found[JSON_NUMBER_TEXT_MAX];
    bool under = s->has_minimum && value->valuedouble < s->minimum;
    bool over = s->has_maximum && value->valuedouble > s->maximum;

    if (!under && !over)
        return;
    (void)json_format_number(s->minimum, low);
    (void)json_format_number(s->maximum, high);
    (void)json_format_number(value->valuedouble, found);
    if (s->has_minimum && s->has_maximum)
        complain(c, place, "must be from %s to %s, not %s", low, high, found);
    else
        complain(c, place, "must be at %s %s, not %s", under ? "least" : "most", under ? low : high,
                 found);
}

static bool
is_action_name(const char *text)
{
    size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_.-");

    return len > 0 && len <= ACTION_NAME_MAX && text[len] == '\0' && *text >= 'a' && *text <= 'z';
}

/* The first control character of text, U+0000 to U+001F or U+007F; 0 if there is none. */
static unsigned
find_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7F)
            return (unsigned char)*text;
    return 0;
}

static void
check_format(struct checker *c, const struct schema *s, const char *text, const struct place *place)
{
    unsigned code;
    int64_t ms;

    switch (s->format) {
    case FORMAT_NONE:
        break;
    case FORMAT_UUID:
        if (!id_valid(text))
            complain(c, place, "must be a UUID, such as 0190a0b0-c0d0-7000-8000-abcdef012345");
        break;
    case FORMAT_DATE_TIME:
        if (clock_parse_loose(text, &ms) != RC_OK)
            complain(c, place,
                     "must be an RFC 3339 date-time, such as 2026-01-01T00:00:00Z or "
                     "2026-01-01T01:00:00+01:00 (in a URL a + is written %%2B)");
        break;
    case FORMAT_ACTION_NAME:
        if (!is_action_name(text))
            complain(c, place,
                     "must be the name of an action: lower-case letters, digits, _ . and -");
        break;
    case FORMAT_TEXT:
        if (blank_text(text))
            complain(c, place, "must not be blank");
        break;
    case FORMAT_LABEL:
    case FORMAT_NAME:
        if ((code = find_control(text)) != 0)
            complain(c, place, "must hold no control character, but holds U+%04X", code);
        break;
    }
}

static bool
fits_pattern(const struct schema *s, const char *text)
{
    return !s->has_pattern || regexec(&s->pattern, text, 0, NULL, 0) == 0;
}

static void
complain_pattern(struct checker *c, const struct schema *s, const char *text,
                 const struct place *place)
{
    char found[FOUND_MAX];

    if (s->form)
        complain(c, place, "must be %s, not %s", s->form, name_string(text, found));
    else
        complain(c, place, "must be of the form %s, not %s", s->pattern_text,
                 name_string(text, found));
}

static void
check_string(struct checker *c, const struct schema *s, const char *text, const struct place *place)
{
    int64_t bytes = (int64_t)strlen(text);
    int64_t characters = s->min_length > 0 || s->max_length >= 0 ? (int64_t)utf8_length(text) : 0;

    if (s->form && bytes > 0 && !fits_pattern(s, text) && !blank_text(text)) {
        complain_pattern(c, s, text, place); /* says more than the length */
    } else if (s->max_bytes >= 0 && bytes > s->max_bytes) {
        complain(c, place, "must be at most %lld bytes, not %lld", (long long)s->max_bytes,
                 (long long)bytes);
    } else if (s->max_length >= 0 && characters > s->max_length) {
        complain(c, place, "must be at most %lld characters, not %lld", (long long)s->max_length,
                 (long long)characters);
    } else if (characters < s->min_length) {
        if (s->min_length == 1)
            complain(c, place, "must not be empty");
        else
            complain(c, place, "must be at least %lld characters, not %lld",
                     (long long)s->min_length, (long long)characters);
    } else if (s->format == FORMAT_LABEL && blank_text(text) && find_control(text) == 0) {
        complain(c, place, "must not be blank: something in it must be seen");
    } else if (!fits_pattern(s, text)) {
        complain_pattern(c, s, text, place);
    } else {
        check_format(c, s, text, place);
    }
}

static void
check_size(struct checker *c, const struct schema *s, const cJSON *value, const struct place *place)
{
    AUTO(buf) struct buf text = { 0 };
    struct json_writer w;

    buf_init(&text, (size_t)s->max_bytes);
    json_begin(&w, &text);
    json_put_doc(&w, NULL, value);
    if (json_end(&w) != RC_OK)
        complain(c, place, "must be at most %lld bytes as JSON", (long long)s->max_bytes);
}

/* Recursion: no deeper than the schema and the document, which json_read() bounds. */
static void check(struct checker *c, const struct schema *s, const cJSON *value,
                  const struct place *place);

static void
check_array(struct checker *c, const struct schema *s, const cJSON *value,
            const struct place *place)
{
    struct place inner = { .outer = place };

    for (const cJSON *one = value->child; one; one = one->next, inner.index++)
        if (s->items && !is_done(c))
            check(c, s->items, one, &inner);
    if ((int64_t)inner.index < s->min_items)
        complain(c, place, "must hold at least %lld, not %zu", (long long)s->min_items,
                 inner.index);
    if (s->max_items >= 0 && (int64_t)inner.index > s->max_items)
        complain(c, place, "must hold at most %lld, not %zu", (long long)s->max_items, inner.index);
}

/* The search begins at *at, after the one found last: members mostly come in the schema's order. */
static const struct schema_property *
find_property(const struct schema *s, const char *name, size_t *at)
{
    for (size_t i = 0; i < s->n_properties; i++) {
        size_t place = *at + i < s->n_properties ? *at + i : *at + i - s->n_properties;
        if (strcmp(s->properties[place].name, name) == 0) {
            *at = place + 1 < s->n_properties ? place + 1 : 0;
            return &s->properties[place];
        }
    }
    return NULL;
}

static void
check_required(struct checker *c, const struct schema *s, const cJSON *value,
               const struct place *place)
{
    const cJSON *next = value->child;

    for (size_t i = 0; i < s->n_properties; i++) {
        const struct schema_property *property = &s->properties[i];
        struct place inner = { .outer = place, .name = property->name };
        if (next && strcmp(next->string, property->name) == 0)
            next = next->next;
        else if (property->required && !json_member(value, property->name))
            complain(c, &inner, "is required");
    }
}

static void
check_some_of(struct checker *c, const struct schema *s, const cJSON *value,
              const struct place *place)
{
    char names[SCHEMA_DETAIL_MAX - 48] = "";
    unsigned there = 0;
    const cJSON *one;

    if (!s->some_of)
        return;
    cJSON_ArrayForEach (one, s->some_of) {
        there += json_member(value, one->valuestring) != NULL;
        (void)strlcat(names, names[0] ? ", " : "", sizeof(names));
        (void)strlcat(names, one->valuestring, sizeof(names));
    }
    if (there == 0)
        complain(c, place, "must have %s of %s", s->only_one ? "one" : "at least one", names);
    else if (there > 1 && s->only_one)
        complain(c, place, "must have only one of %s", names);
}

static bool
is_plain_word(const char *name)
{
    size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");

    return len > 0 && len <= 40 && name[len] == '\0' && !strstr(name, "sk_");
}

/* "a, b, c": as many of the names as fit, then "…". */
static const char *
list_known(const struct schema *s, char text[SCHEMA_DETAIL_MAX - 48])
{
    size_t size = SCHEMA_DETAIL_MAX - 48 - sizeof(", …"), len = 0;

    text[0] = '\0';
    for (size_t i = 0; i < s->n_properties; i++) {
        const char *name = s->properties[i].name;
        if (len + strlen(name) + 2 > size) {
            (void)strlcat(text, ", …", SCHEMA_DETAIL_MAX - 48);
            break;
        }
        len += (size_t)snprintf(text + len, size - len, "%s%s", len ? ", " : "", name);
    }
    return text;
}

static void
check_unlisted(struct checker *c, const struct schema *s, const cJSON *member,
               const struct place *place)
{
    struct place inner = { .outer = place, .name = member->string };

    if (!is_plain_word(member->string))
        inner.name = "(member)";
    char known[SCHEMA_DETAIL_MAX - 48];
    if (s->additional == ADDITIONAL_REFUSED && s->n_properties == 0)
        complain(c, &inner, "is not known here: nothing is");
    else if (s->additional == ADDITIONAL_REFUSED)
        complain(c, &inner, "is not known here; known are: %s", list_known(s, known));
    else if (s->additional_node)
        check(c, s->additional_node, member, &inner);
}

static void
check_object(struct checker *c, const struct schema *s, const cJSON *value,
             const struct place *place)
{
    int64_t count = 0;
    size_t at = 0;

    check_required(c, s, value, place);
    check_some_of(c, s, value, place);
    for (const cJSON *one = value->child; one; one = one->next, count++) {
        const struct schema_property *property = find_property(s, one->string, &at);
        struct place inner = { .outer = place, .name = one->string };
        if (is_done(c))
            continue;
        if (!property)
            check_unlisted(c, s, one, place);
        else if (property->node)
            check(c, property->node, one, &inner);
    }
    if (s->max_properties >= 0 && count > s->max_properties)
        complain(c, place, "must hold at most %lld members, not %lld", (long long)s->max_properties,
                 (long long)count);
}

static void
check(struct checker *c, const struct schema *s, const cJSON *value, const struct place *place)
{
    unsigned types = types_of(value);

    if (s->types && !(s->types & types)) {
        complain_type(c, place, s->types, value);
        return;
    }
    if (s->values)
        check_values(c, s, value, place);
    if (types & SCHEMA_STRING)
        check_string(c, s, value->valuestring, place);
    if (types & SCHEMA_NUMBER)
        check_number(c, s, value, place);
    if (types & (SCHEMA_ARRAY | SCHEMA_OBJECT) && s->max_bytes >= 0)
        check_size(c, s, value, place);
    if (types & SCHEMA_ARRAY)
        check_array(c, s, value, place);
    if (types & SCHEMA_OBJECT)
        check_object(c, s, value, place);
}

enum rc
schema_check(const struct schema *schema, const cJSON *doc, struct field_errors *errors)
{
    struct checker c = { .errors = errors };

    check(&c, schema, doc, NULL);
    return c.failed ? RC_INVALID : RC_OK;
}
