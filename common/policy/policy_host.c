/* SPDX-License-Identifier: MIT */
/*
 * policy_host - the hosts that rules are about, as URLs, manifests and rules write them.
 */
#include <arpa/inet.h>
#include <bsd/string.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "policy/policy_own.h"

/* An address has one way to be written, whatever it was given as; false: it is none. */
static bool
plain_address(char *host, size_t len)
{
    uint8_t ip[16];
    const char *last = strrchr(host, '.');
    last = last ? last + 1 : host;
    if (host[0] == '[') {
        host[len - 1] = '\0';
        bool good = inet_pton(AF_INET6, host + 1, ip) == 1 &&
                    inet_ntop(AF_INET6, ip, host + 1, POLICY_HOST_MAX - 2);
        (void)strlcat(host, "]", POLICY_HOST_MAX);
        return good;
    }
    return *last < '0' || *last > '9' || inet_pton(AF_INET, host, ip) == 1;
}

/* In lower case; what a parser of URLs might take for another name is none: escapes, a user's name, other
 * scripts, a dot at the end, numbers that stand for an address. */
static bool
plain_host(const char *text, size_t len, char host[POLICY_HOST_MAX])
{
    bool literal = len > 2 && text[0] == '[' && text[len - 1] == ']';
    const char *plain = literal
                            ? "[]:.0123456789abcdefABCDEF"
                            : "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    if (len == 0 || len >= POLICY_HOST_MAX - 48 || strspn(text, plain) < len ||
        text[len - 1] == '.')
        return false;
    for (size_t n = 0; n < len; n++)
        host[n] = (char)tolower((unsigned char)text[n]);
    host[len] = '\0';
    return plain_address(host, len);
}

/* As the rules write them: without a port and in lower case. "" = nobody can say for sure which one it is. */
void
host_of_url(const char *url, char host[POLICY_HOST_MAX])
{
    static const char SCHEME[] = "https://";
    size_t scheme = sizeof(SCHEME) - 1;
    host[0] = '\0';
    if (strncasecmp(url, SCHEME, scheme) != 0)
        return;
    const char *at = url + scheme;
    size_t len = strcspn(at, "/?#");
    size_t end = at[0] == '[' ? strcspn(at, "]") + 1 : strcspn(at, ":/?#");
    size_t digits = end < len ? strspn(at + end + 1, "0123456789") : 0;
    bool good = end == len || (at[end] == ':' && end + 1 + digits == len);
    if (!good || !plain_host(at, end, host))
        host[0] = '\0';
}

/* Of a manifest: "api.example.com" or "*.example.com:8443". */
void
host_of_list(const char *text, char host[POLICY_HOST_MAX])
{
    size_t end = text[0] == '[' ? strcspn(text, "]") + 1 : strcspn(text, ":");
    size_t n = 0;
    for (; n < end && text[n] && n < POLICY_HOST_MAX - 1; n++)
        host[n] = (char)tolower((unsigned char)text[n]);
    host[n] = '\0';
}

/* --- patterns ------------------------------------------------------------------------------------ */

static bool
is_address(const char *pattern)
{
    const char *last = strrchr(pattern, '.');
    last = last ? last + 1 : pattern;
    return pattern[0] == '[' || (*last >= '0' && *last <= '9');
}

/* One that can be written in several ways fits only in the way that hosts are compared in. */
static const char *
address_refusal(const char *pattern, char send[POLICY_HOST_MAX])
{
    if (!plain_host(pattern, strlen(pattern), send))
        return pattern[0] == '[' ? "is not an IPv6 address: send one such as [2001:db8::1]"
                                 : "is not an IPv4 address: send four numbers, such as 192.0.2.1";
    if (strcasecmp(pattern, send) == 0)
        return NULL;
    char plain[POLICY_HOST_MAX];
    (void)strlcpy(plain, send, sizeof(plain));
    (void)snprintf(send, POLICY_HOST_MAX, "is an address in another writing: send %.200s", plain);
    return send;
}

const char *
host_pattern_refusal(const char *pattern, char send[POLICY_HOST_MAX])
{
    static const char PLAIN[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.*[]:";
    size_t len = strlen(pattern);
    size_t plain = strspn(pattern, PLAIN);
    if ((unsigned char)pattern[plain] >= 0x80)
        return "has letters beyond ASCII: send the name as URLs have it (xn--…)";
    if (plain < len)
        return strstr(pattern, "://") || strchr(pattern, '/')
                   ? "has a scheme or a path: send the host alone, such as api.example.com"
                   : "has characters that no host has: send letters, digits, '-', '_', '.' and '*'";
    const char *bracket = strrchr(pattern, ']');
    if (strchr(bracket ? bracket : pattern, ':') && (bracket || !strchr(pattern, '[')))
        return "has a port: send it without";
    if (pattern[len - 1] == '.')
        return "ends with a dot: send it without";
    if (!strchr(pattern, '*') && is_address(pattern))
        return address_refusal(pattern, send);
    return NULL;
}
