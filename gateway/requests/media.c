/* SPDX-License-Identifier: MIT */
#include "requests/media.h"

#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

#define NAME_BYTES 16

/* utf-8, UTF8, utf_8, 'utf-8', us-ascii, ANSI_X3.4-1968, or nothing. */
static bool
names_utf8(const char *text, size_t len)
{
    static const char *const NAMES[] = {
        "", "utf8", "usascii", "ascii", "ansix341968", "iso646us"
    };
    char name[NAME_BYTES] = "";
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (strchr("-_'.\\ \t", text[i]))
            continue;
        if (n == sizeof(name) - 1)
            return false;
        name[n++] = text[i];
    }
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        if (strcasecmp(name, NAMES[i]) == 0)
            return true;
    return false;
}

static size_t
skip_blanks(const char *text)
{
    return strspn(text, " \t");
}

/* What stands in quotes, up to the second of them; false: there is none. */
static bool
take_quoted(const char **at, const char **value, size_t *len)
{
    const char *end = *at + 1;
    while (*end && *end != '"')
        end += end[0] == '\\' && end[1] ? 2 : 1;
    if (*end != '"')
        return false;
    *value = *at + 1;
    *len = (size_t)(end - *value);
    *at = end + 1;
    return true;
}

/* One parameter: name=token or name="text", and what people write: blanks around =, and a charset
 * without its name ("application/json; utf-8"). */
static bool
take_parameter(const char **at, struct media *out)
{
    static const char NAME[] = "charset";
    const char *text = *at, *value = text;
    size_t name = strcspn(text, "=;, \t"), len = name;
    bool charset = name == sizeof(NAME) - 1 && strncasecmp(text, NAME, name) == 0;
    text += name + skip_blanks(text + name);
    if (*text == '=') {
        text++;
        text += skip_blanks(text);
        if (*text == '"') {
            if (!take_quoted(&text, &value, &len))
                return false;
        } else {
            value = text;
            len = strcspn(text, ";, \t");
            text += len;
        }
    } else if (name == 0 || !names_utf8(value, len)) {
        return false;
    }
    if (charset) {
        out->charset = value;
        out->charset_len = len;
        if (!names_utf8(value, len))
            out->kind = MEDIA_CHARSET;
    }
    *at = text;
    return true;
}

/* Up to the comma or the end; false: it cannot be read. */
static bool
take_parameters(const char **at, struct media *out)
{
    for (;;) {
        *at += skip_blanks(*at);
        if (**at == '\0' || **at == ',')
            return true;
        if (*(*at)++ != ';')
            return false;
        *at += strspn(*at, "; \t");
        if (**at && **at != ',' && !take_parameter(at, out))
            return false;
    }
}

static bool
is_json(const char *type, size_t len)
{
    return (len == 16 && strncasecmp(type, "application/json", 16) == 0) ||
           (len > 5 && memchr(type, '/', len) && strncasecmp(type + len - 5, "+json", 5) == 0);
}

bool
media_next(const char **at, struct media *out)
{
    *at += strspn(*at, ", \t");
    if (**at == '\0')
        return false;
    *out = (struct media){ .type = *at, .type_len = strcspn(*at, ";, \t") };
    out->kind = is_json(out->type, out->type_len) ? MEDIA_JSON : MEDIA_OTHER;
    *at += out->type_len;
    enum media_kind kind = out->kind;
    if (!take_parameters(at, out)) {
        out->kind = MEDIA_PARAMETER;
        *at += strcspn(*at, ",");
    }
    if (kind == MEDIA_OTHER)
        out->kind = kind;
    return true;
}
