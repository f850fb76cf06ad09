/* SPDX-License-Identifier: MIT */
/*
 * conf_print - the effective configuration, and the page about it.
 */
#include <ctype.h>
#include <string.h>

#include "process/conf_value.h"

/* Without user information and without the query, which may hold a password too. */
static void
print_url(FILE *out, const char *url)
{
    const char *rest = strstr(url, "://");

    if (!rest) {
        (void)fputs("(set)", out);
        return;
    }
    rest += 3;
    size_t authority = strcspn(rest, "/?#");
    size_t shown = strcspn(rest, "?#");
    size_t user = 0;
    for (size_t i = 0; i < authority; i++)
        if (rest[i] == '@')
            user = i + 1;
    (void)fprintf(out, "%.*s%.*s", (int)(rest - url), url, (int)(shown - user), rest + user);
}

static bool
is_zero(const uint8_t *bytes, size_t len)
{
    uint8_t all = 0;

    for (size_t i = 0; i < len; i++)
        all |= bytes[i];
    return all == 0;
}

static void
print_value(FILE *out, const struct conf_item *item, const void *place)
{
    const char *text;

    switch (item->type) {
    case CONF_STRING:
        text = *(char *const *)place;
        (void)fputs(text ? text : "", out);
        break;
    case CONF_SECRET:
        (void)fputs(*(char *const *)place ? "(set)" : "(unset)", out);
        break;
    case CONF_URL:
        text = *(char *const *)place;
        if (text)
            print_url(out, text);
        else
            (void)fputs("(unset)", out);
        break;
    case CONF_KEY32:
        (void)fputs(is_zero(place, 32) ? "(unset)" : "(set)", out);
        break;
    case CONF_INT:
        (void)fprintf(out, "%lld", (long long)*(const int64_t *)place);
        break;
    case CONF_RATIO:
        (void)fprintf(out, "%g", *(const double *)place);
        break;
    case CONF_BOOL:
        (void)fputs(*(const bool *)place ? "true" : "false", out);
        break;
    case CONF_CHOICE:
        (void)fputs(item->choices[*(const int *)place], out);
        break;
    }
}

void
conf_print(FILE *out, const struct conf_table *tables, size_t n_tables, const void *target)
{
    for (size_t t = 0; t < n_tables; t++)
        for (size_t i = 0; i < tables[t].count; i++) {
            const struct conf_item *item = &tables[t].items[i];
            (void)fprintf(out, "%s=", item->name);
            print_value(out, item, (const char *)target + item->offset);
            (void)fputc('\n', out);
        }
}

static void
document_item(FILE *out, const struct conf_item *item)
{
    (void)fprintf(out, "| `%s` | ", item->name);
    if (item->default_text && *item->default_text)
        (void)fprintf(out, "`%s`", item->default_text);
    else
        (void)fputs(item->default_text || (item->flags & CONF_OPTIONAL) ? "(none)" : "required",
                    out);
    size_t len = strlen(item->help);
    (void)fprintf(out, " | %c%s%s", toupper((unsigned char)item->help[0]),
                  len ? item->help + 1 : "", len && item->help[len - 1] == '.' ? "" : ".");
    if (item->type == CONF_INT && (item->min != 0 || item->max != 0))
        (void)fprintf(out, " From %lld to %lld.", (long long)item->min, (long long)item->max);
    for (int i = 0; item->choices && item->choices[i]; i++)
        (void)fprintf(out, "%s`%s`%s",
                      i                        ? ", "
                      : item->type == CONF_URL ? " Scheme: "
                                               : " One of: ",
                      item->choices[i], item->choices[i + 1] ? "" : ".");
    if (conf_is_secret(item))
        (void)fprintf(out, " Also `%s_FILE`.", item->name);
    (void)fputs(" |\n", out);
}

void
conf_document(FILE *out, const struct conf_table *tables, size_t n_tables)
{
    for (size_t t = 0; t < n_tables; t++)
        for (size_t i = 0; i < tables[t].count; i++)
            document_item(out, &tables[t].items[i]);
}
