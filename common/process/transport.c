/* SPDX-License-Identifier: MIT */
#include "process/transport.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

static bool
is(const char *text, size_t len, const char *word)
{
    return strlen(word) == len && memcmp(text, word, len) == 0;
}

static bool
starts(const char *text, size_t len, const char *prefix)
{
    size_t n = strlen(prefix);
    return len >= n && memcmp(text, prefix, n) == 0;
}

/* One host with its port. An empty one and a path are Unix sockets of PostgreSQL. */
static bool
is_local(const char *host, size_t len)
{
    const char *end = len > 0 && host[0] == '[' ? memchr(host, ']', len) : NULL;
    if (end) {
        host++;
        len = (size_t)(end - host);
    } else {
        const char *colon = memchr(host, ':', len);
        len = colon ? (size_t)(colon - host) : len;
    }
    return len == 0 || host[0] == '/' || starts(host, len, "%2F") || starts(host, len, "%2f") ||
           is(host, len, "localhost") || is(host, len, "::1") ||
           (starts(host, len, "127.") && strspn(host, "0123456789.") >= len);
}

/* The next host of a URL with its port, without scheme and user information; false: no more. */
static bool
next_host(const char **url, const char **host, size_t *len)
{
    const char *at = *url;
    size_t part = strcspn(at, ",");
    if (!*at)
        return false;
    *host = at;
    *len = part;
    for (size_t i = 0; i + 2 < part; i++) {
        if (memcmp(at + i, "://", 3) == 0) {
            *host = at + i + 3;
            *len = part - i - 3;
            break;
        }
    }
    *len = strcspn(*host, "/?#") < *len ? strcspn(*host, "/?#") : *len;
    for (size_t i = *len; i > 0; i--) {
        if ((*host)[i - 1] == '@') {
            *host += i;
            *len -= i;
            break;
        }
    }
    bool last = strcspn(at, "?") < part; /* what follows are parameters */
    *url = last ? at + strlen(at) : at + part + (at[part] == ',');
    return true;
}

static bool
all_local(const char *url)
{
    const char *host = NULL;
    size_t len = 0;
    while (next_host(&url, &host, &len))
        if (!is_local(host, len))
            return false;
    return true;
}

void
transport_place(const char *url, char out[TRANSPORT_PLACE_MAX])
{
    const char *host = NULL;
    size_t len = 0;
    size_t used = 0;
    out[0] = '\0';
    while (used < TRANSPORT_PLACE_MAX && next_host(&url, &host, &len))
        used += (size_t)snprintf(out + used, TRANSPORT_PLACE_MAX - used, "%s%.*s", used ? "," : "",
                                 (int)len, host);
}

/* libpq also takes its host from a parameter, which wins. */
static bool
parameter_local(const char *url)
{
    const char *query = strchr(url, '?');
    const char *host = query ? strstr(query, "host=") : NULL;
    return !host || is_local(host + 5, strcspn(host + 5, "&"));
}

static bool
verifies_postgres(const char *url)
{
    const char *mode = strstr(url, "sslmode=");
    return mode && starts(mode + 8, strcspn(mode + 8, "&"), "verify-full");
}

const char *
transport_problem(const char *url)
{
    size_t scheme = strcspn(url, ":");
    bool postgres = is(url, scheme, "postgresql") || is(url, scheme, "postgres");
    if (all_local(url) && (!postgres || parameter_local(url)))
        return NULL;
    if (postgres)
        return verifies_postgres(url) ? NULL : "leaves this machine without sslmode=verify-full";
    if (is(url, scheme, "tls") || is(url, scheme, "rediss") || is(url, scheme, "https"))
        return NULL;
    return "leaves this machine unencrypted";
}

void
transport_warn(const char *name, const char *url)
{
    const char *problem = url ? transport_problem(url) : NULL;
    if (problem)
        log_warn("%s %s: passwords and data can be read and changed on the way (ALLOW_PLAINTEXT=1 "
                 "silences this)",
                 name, problem);
}
