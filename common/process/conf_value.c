/* SPDX-License-Identifier: MIT */
/*
 * conf_value - checking and decoding by type.
 */
#include "process/conf_value.h"

#include <bsd/stdlib.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/id.h"
#include "crypto/crypto_encode.h"

static bool
fail(char why[CONF_WHY_MAX], const char *text)
{
    (void)snprintf(why, CONF_WHY_MAX, "%s", text);
    return false;
}

static bool
has_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7F)
            return true;
    return false;
}

static bool
parse_int(const char *text, int64_t *out)
{
    const char *why = NULL;

    if (!((*text >= '0' && *text <= '9') || *text == '-'))
        return false;
    *out = strtonum(text, INT64_MIN, INT64_MAX, &why);
    return why == NULL;
}

static bool
parse_ratio(const char *text, double *out)
{
    char *end = NULL;

    if (!((*text >= '0' && *text <= '9') || *text == '.'))
        return false;
    *out = strtod(text, &end);
    return *end == '\0' && *out >= 0 && *out <= 1;
}

static int
parse_bool(const char *text)
{
    static const char *const WORDS[] = { "0", "1", "false", "true", "no", "yes", "off", "on" };

    for (int i = 0; i < 8; i++)
        if (strcasecmp(text, WORDS[i]) == 0)
            return i & 1;
    return -1;
}

static int
parse_choice(const char *const *choices, const char *text)
{
    for (int i = 0; choices && choices[i]; i++)
        if (strcmp(choices[i], text) == 0)
            return i;
    return -1;
}

static bool
parse_key32(const char *text, uint8_t key[32])
{
    char url[44];
    size_t len = strlen(text);

    if (len == 64)
        return hex_decode(text, len, key) == RC_OK;
    if (len == 44 && text[43] == '=')
        len--;
    if (len != 43)
        return false;
    for (size_t i = 0; i < len; i++)
        url[i] = text[i] == '+' ? '-' : (char)(text[i] == '/' ? '_' : text[i]);
    bool good = base64url_decode(url, len, key, 32, &len) == RC_OK;
    explicit_bzero(url, sizeof(url));
    return good;
}

static bool
check_int(const struct conf_item *item, const char *text, char why[CONF_WHY_MAX])
{
    bool bounded = item->min != 0 || item->max != 0;
    int64_t value;

    if (!parse_int(text, &value))
        return fail(why, "must be a whole number");
    if (bounded && (value < item->min || value > item->max)) {
        (void)snprintf(why, CONF_WHY_MAX, "must be from %lld to %lld", (long long)item->min,
                       (long long)item->max);
        return false;
    }
    return true;
}

static bool
fail_choices(const struct conf_item *item, const char *what, char why[CONF_WHY_MAX])
{
    size_t len = (size_t)snprintf(why, CONF_WHY_MAX, "%s", what);

    for (int i = 0; item->choices && item->choices[i] && len < CONF_WHY_MAX; i++)
        len += (size_t)snprintf(why + len, CONF_WHY_MAX - len, "%s%s", i ? ", " : " ",
                                item->choices[i]);
    return false;
}

static bool
check_url(const struct conf_item *item, const char *text, char why[CONF_WHY_MAX])
{
    const char *end = strstr(text, "://");

    if (!end || end == text || end[3] == '\0' || strchr(text, ' ') || has_control(text))
        return fail(why, "must be a URL (scheme://...)");
    for (int i = 0; item->choices && item->choices[i]; i++)
        if (strlen(item->choices[i]) == (size_t)(end - text) &&
            memcmp(item->choices[i], text, (size_t)(end - text)) == 0)
            return true;
    return item->choices ? fail_choices(item, "must be a URL with the scheme", why) : true;
}

bool
conf_value_check(const struct conf_item *item, const char *text, char why[CONF_WHY_MAX])
{
    size_t len = strlen(text);
    uint8_t key[32];
    double ratio;
    bool good;

    switch (item->type) {
    case CONF_STRING:
        if (len > (size_t)(item->max > 0 ? item->max : CONF_STRING_MAX))
            return fail(why, "is too long");
        return !has_control(text) || fail(why, "holds a control character");
    case CONF_SECRET:
        return len <= CONF_SECRET_MAX || fail(why, "is too long");
    case CONF_INT:
        return check_int(item, text, why);
    case CONF_RATIO:
        return parse_ratio(text, &ratio) || fail(why, "must be a number from 0 to 1");
    case CONF_BOOL:
        return parse_bool(text) >= 0 || fail(why, "must be true or false");
    case CONF_CHOICE:
        return parse_choice(item->choices, text) >= 0 || fail_choices(item, "must be one of", why);
    case CONF_URL:
        if (len > CONF_SECRET_MAX)
            return fail(why, "is too long");
        return check_url(item, text, why);
    case CONF_KEY32:
        good = parse_key32(text, key);
        explicit_bzero(key, sizeof(key));
        return good || fail(why, "must be 32 bytes as 64 hexadecimal digits or base64");
    }
    return fail(why, "is of an unknown type");
}

void
conf_value_store(const struct conf_item *item, const char *text, void *place)
{
    switch (item->type) {
    case CONF_INT:
        *(int64_t *)place = 0;
        if (text)
            (void)parse_int(text, place);
        break;
    case CONF_RATIO:
        *(double *)place = 0;
        if (text)
            (void)parse_ratio(text, place);
        break;
    case CONF_BOOL:
        *(bool *)place = text && parse_bool(text) == 1;
        break;
    case CONF_CHOICE:
        *(int *)place = text ? parse_choice(item->choices, text) : 0;
        break;
    case CONF_KEY32:
        memset(place, 0, 32);
        if (text)
            (void)parse_key32(text, place);
        break;
    case CONF_STRING:
    case CONF_SECRET:
    case CONF_URL:
        break;
    }
}
