/* SPDX-License-Identifier: MIT */
#include <microhttpd.h>
#include <string.h>
#include <strings.h>

#include "http/http.h"
#include "http/http_own.h"

struct search {
    const char *name;
    const char *first;
    unsigned count;
};

static enum MHD_Result
count_header(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct search *search = arg;
    (void)kind;
    if (strcasecmp(name, search->name) == 0 && search->count++ == 0)
        search->first = value;
    return MHD_YES;
}

static enum MHD_Result
look_at_header(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    /* RFC 9110 5.6.2: what a name may hold */
    static const char TOKEN[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    unsigned *hosts = arg;
    (void)kind, (void)value;
    *hosts += strcasecmp(name, "Host") == 0;
    if (name[0] == '\0' || name[strspn(name, TOKEN)] != '\0')
        *hosts = 2;
    return *hosts < 2 ? MHD_YES : MHD_NO;
}

bool
http_headers_plain(const struct exchange *x)
{
    unsigned hosts = 0;
    (void)MHD_get_connection_values(x->connection, MHD_HEADER_KIND, look_at_header, &hosts);
    return hosts < 2;
}

size_t
http_value_len(const char *value)
{
    size_t len = strlen(value);
    while (len && (value[len - 1] == ' ' || value[len - 1] == '\t'))
        len--;
    return len;
}

const char *
http_header(const struct exchange *x, const char *name, unsigned *count)
{
    if (!count)
        return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
    struct search search = { .name = name };
    (void)MHD_get_connection_values(x->connection, MHD_HEADER_KIND, count_header, &search);
    *count = search.count;
    return search.first;
}
