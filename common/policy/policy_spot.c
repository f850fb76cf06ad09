/* SPDX-License-Identifier: MIT */
#include "policy/policy_spot.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void
spot_say(struct spot *spot, const char *format, ...)
{
    char text[SCHEMA_DETAIL_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    field_errors_add(spot->errors, spot->path, "%s", text);
}

void
spot_expect(struct spot *spot, const cJSON *value, const char *format, ...)
{
    char text[SCHEMA_DETAIL_MAX], number[JSON_NUMBER_TEXT_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (cJSON_IsString(value))
        spot_say(spot, "%s, not a text of %zu bytes", text, strlen(value->valuestring));
    else if (cJSON_IsNumber(value))
        spot_say(spot, "%s, not the number %s", text,
                 json_format_number(value->valuedouble, number));
    else if (cJSON_IsArray(value))
        spot_say(spot, "%s, not a list of %d", text, cJSON_GetArraySize(value));
    else if (cJSON_IsObject(value))
        spot_say(spot, "%s, not an object of %d members", text, cJSON_GetArraySize(value));
    else
        spot_say(spot, "%s, not %s", text, cJSON_IsBool(value) ? "true or false" : "null");
}

size_t
spot_enter(struct spot *spot, const char *name)
{
    size_t before = spot->len;
    char *at = spot->path + spot->len;
    char *end = spot->path + sizeof(spot->path) - 3;
    if (at < end)
        *at++ = '/';
    for (; *name && at < end; name++)
        if (*name == '~' || *name == '/') {
            *at++ = '~';
            *at++ = *name == '~' ? '0' : '1';
        } else {
            *at++ = *name;
        }
    *at = '\0';
    spot->len = (size_t)(at - spot->path);
    return before;
}

void
spot_leave(struct spot *spot, size_t before)
{
    spot->len = before;
    spot->path[before] = '\0';
}

size_t
spot_enter_item(struct spot *spot, size_t number)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%zu", number);
    return spot_enter(spot, text);
}

static void
say_unknown(struct spot *spot, const struct member *members, size_t n)
{
    char known[SCHEMA_DETAIL_MAX] = "";
    size_t len = 0;
    for (size_t i = 0; i < n && len < sizeof(known); i++)
        len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s", i ? ", " : "",
                                members[i].name);
    spot_say(spot, "is not known here; known are: %s", known);
}

void
spot_check_object(struct spot *spot, const cJSON *object, const struct member *members, size_t n)
{
    const cJSON *one;
    if (!cJSON_IsObject(object)) {
        spot_expect(spot, object, "must be an object");
        return;
    }
    cJSON_ArrayForEach (one, object) {
        size_t i = 0;
        size_t before = spot_enter(spot, one->string);
        while (i < n && strcmp(members[i].name, one->string) != 0)
            i++;
        if (i == n)
            say_unknown(spot, members, n);
        else
            members[i].check(spot, one);
        spot_leave(spot, before);
    }
    for (size_t i = 0; i < n; i++)
        if (members[i].required && !json_member(object, members[i].name)) {
            size_t before = spot_enter(spot, members[i].name);
            spot_say(spot, "is required");
            spot_leave(spot, before);
        }
}
