/* SPDX-License-Identifier: MIT */
#include "hooks/form.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/utf8.h"

#define FORM_TYPE   "application/x-www-form-urlencoded"
#define MEMBERS_MAX 200

/* Undoes %XX and +, in place; false: broken, U+0000 or no UTF-8. */
static bool
decode(char *text)
{
    char *to = text;

    for (const char *at = text; *at; at++) {
        char c = *at == '+' ? ' ' : *at;
        if (c == '%') {
            int high = hex_value(at[1]), low = high < 0 ? -1 : hex_value(at[2]);
            if (low < 0 || (high == 0 && low == 0))
                return false;
            c = (char)(high * 16 + low);
            at += 2;
        }
        *to++ = c;
    }
    *to = '\0';
    return utf8_valid(text, (size_t)(to - text));
}

static enum rc
malformed(struct err *err)
{
    return err_set(
        err, RC_INVALID,
        "the body is not a form: send name=value&… with %%XX escapes of UTF-8, at most %d names",
        MEMBERS_MAX);
}

static enum rc
read_pairs(char *text, cJSON *doc, struct err *err)
{
    unsigned count = 0;
    char *rest = text;

    while (rest && *rest) {
        char *name = strsep(&rest, "&");
        char *value = strchr(name, '=');
        if (!*name)
            continue;
        if (value)
            *value++ = '\0';
        else
            value = name + strlen(name);
        if (++count > MEMBERS_MAX || !decode(name) || !decode(value))
            return malformed(err);
        if (!json_member(doc, name) && !cJSON_AddStringToObject(doc, name, value))
            log_no_memory("a form");
    }
    return RC_OK;
}

static enum rc
read_form(const char *body, size_t len, cJSON **out, struct err *err)
{
    AUTO(json) cJSON *doc = cJSON_CreateObject();
    AUTO(free) char *text = strndup(body, len);
    cJSON *inner = NULL;

    if (!doc || !text)
        log_no_memory("a form");
    if (strlen(text) != len)
        return malformed(err);
    enum rc rc = read_pairs(text, doc, err);
    if (rc != RC_OK)
        return rc;
    const char *payload = json_string(doc, "payload");
    if (payload && json_read(payload, strlen(payload), &inner, NULL) == RC_OK)
        *out = inner;
    else
        *out = TAKE(doc);
    return RC_OK;
}

enum rc
form_read(const char *type, const char *body, size_t len, cJSON **out, struct err *err)
{
    size_t n = sizeof(FORM_TYPE) - 1;

    if (type && strncasecmp(type, FORM_TYPE, n) == 0 && strchr("; \t", type[n]))
        return read_form(body, len, out, err);
    return json_read(body, len, out, err) == RC_OK ? RC_OK : err_wrap(err, "the body");
}
