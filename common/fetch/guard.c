/* SPDX-License-Identifier: MIT */
#include "fetch/guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "fetch/fetch_own.h"

#define V4_BITS 96u /* of an IPv4 address written as IPv6 before its own */

struct range {
    const char *network;
    unsigned bits;
    const char *what;
};

/* clang-format off */
/* The first that fits says why. */
static const struct range REFUSED_4[] = {
    { "0.0.0.0",          8, "an address of this network" },
    { "10.0.0.0",         8, "a private address" },
    { "100.64.0.0",      10, "a shared address (CGNAT)" },
    { "127.0.0.0",        8, "a loopback address" },
    { "168.63.129.16",   32, "a metadata service" },
    { "169.254.0.0",     16, "a link-local address" },
    { "172.16.0.0",      12, "a private address" },
    { "192.0.0.0",       24, "an address for protocols" },
    { "192.0.2.0",       24, "an address for documentation" },
    { "192.88.99.0",     24, "a 6to4 relay" },
    { "192.168.0.0",     16, "a private address" },
    { "198.18.0.0",      15, "an address for benchmarks" },
    { "198.51.100.0",    24, "an address for documentation" },
    { "203.0.113.0",     24, "an address for documentation" },
    { "224.0.0.0",        4, "a multicast address" },
    { "240.0.0.0",        4, "a reserved address" },
};
static const struct range REFUSED_6[] = {
    { "::1",            128, "a loopback address" },
    { "::",             128, "the unspecified address" },
    { "::ffff:0:0",      96, "an IPv4-mapped address" },
    { "64:ff9b::",       96, "a NAT64 address" },
    { "64:ff9b:1::",     48, "a NAT64 address" },
    { "fc00::",           7, "a private address" },
    { "fe80::",          10, "a link-local address" },
    { "fec0::",          10, "a private address" },
    { "ff00::",           8, "a multicast address" },
    { "2001::",          32, "a Teredo address" },
    { "2001::",          23, "an address for protocols" },
    { "2001:db8::",      32, "an address for documentation" },
    { "2002::",          16, "a 6to4 address" },
    { "3fff::",          20, "an address for documentation" },
};
/* clang-format on */

static bool
within(const uint8_t address[16], const uint8_t network[16], unsigned bits)
{
    unsigned whole = bits / 8;
    unsigned rest = bits % 8;
    if (memcmp(address, network, whole) != 0)
        return false;
    uint8_t mask = (uint8_t)(0xff00 >> rest);
    return rest == 0 || ((address[whole] ^ network[whole]) & mask) == 0;
}

static void
map_4(const void *ip, uint8_t out[16])
{
    memset(out, 0, 10);
    out[10] = out[11] = 0xff;
    memcpy(out + 12, ip, 4);
}

/* Both families as 16 bytes; false: no address at all. */
static bool
read_address(const char *text, uint8_t out[16], bool *is_4)
{
    uint8_t ip[4];
    *is_4 = inet_pton(AF_INET, text, ip) == 1;
    if (*is_4)
        map_4(ip, out);
    return *is_4 || inet_pton(AF_INET6, text, out) == 1;
}

static const char *
first_range(const uint8_t address[16], const struct range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t network[16];
        bool is_4 = false;
        if (read_address(ranges[i].network, network, &is_4) &&
            within(address, network, ranges[i].bits + (is_4 ? V4_BITS : 0)))
            return ranges[i].what;
    }
    return NULL;
}

static bool
is_listed(const uint8_t address[16], const struct guard_networks *listed)
{
    for (size_t i = 0; listed && i < listed->count; i++)
        if (within(address, listed->items[i].address, listed->items[i].bits))
            return true;
    return false;
}

static const char *
refusal_4(const uint8_t address[16])
{
    return first_range(address, REFUSED_4, ARRAY_LEN(REFUSED_4));
}

/* The address behind a translator is reached too: a listed translator does not open it. */
static const char *
refusal_behind(const uint8_t address[16], const struct guard_networks *listed)
{
    static const struct range TRANSLATOR[] = { { "64:ff9b::", 96, "behind NAT64" } };
    uint8_t inner[16];
    if (!first_range(address, TRANSLATOR, ARRAY_LEN(TRANSLATOR)))
        return NULL;
    map_4(address + 12, inner);
    return is_listed(inner, listed) ? NULL : refusal_4(inner);
}

const char *
guard_address_refusal(const struct sockaddr *address, const struct guard_networks *listed)
{
    uint8_t ip[16];
    if (address->sa_family == AF_INET) {
        map_4(&((const struct sockaddr_in *)(const void *)address)->sin_addr, ip);
        return is_listed(ip, listed) ? NULL : refusal_4(ip);
    }
    if (address->sa_family != AF_INET6)
        return "no internet address";
    memcpy(ip, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, sizeof(ip));
    if (is_listed(ip, listed))
        return refusal_behind(ip, listed);
    const char *what = first_range(ip, REFUSED_6, ARRAY_LEN(REFUSED_6));
    /* What is handed out to hosts of the public network lies in 2000::/3. */
    return what || (ip[0] & 0xe0) == 0x20 ? what : "a reserved address";
}

/* --- networks of the operator ------------------------------------------------------------------- */

static enum rc
read_network(const char *text, struct guard_network *out)
{
    char address[INET6_ADDRSTRLEN];
    bool is_4 = false;
    size_t len = strcspn(text, "/");
    if (len >= sizeof(address))
        return RC_INVALID;
    memcpy(address, text, len);
    address[len] = '\0';
    if (!read_address(address, out->address, &is_4))
        return RC_INVALID;
    unsigned most = is_4 ? 32 : 128;
    unsigned long bits = most;
    if (text[len] == '/') {
        char *end = NULL;
        bits = strtoul(text + len + 1, &end, 10);
        if (text[len + 1] < '0' || text[len + 1] > '9' || *end || bits > most)
            return RC_INVALID;
    }
    out->bits = (unsigned)bits + (is_4 ? V4_BITS : 0);
    return RC_OK;
}

enum rc
guard_networks_read(const char *text, struct guard_networks *out, struct err *err)
{
    struct guard_networks networks = { 0 };
    for (const char *at = text; *at;) {
        char word[64];
        size_t len = strcspn(at, ", ");
        if (len >= sizeof(word))
            return err_set(err, RC_CONFIG, "'%.40s…' is not a network", at);
        memcpy(word, at, len);
        word[len] = '\0';
        if (len && networks.count == GUARD_NETWORKS_MAX)
            return err_set(err, RC_CONFIG, "more than %d networks", GUARD_NETWORKS_MAX);
        if (len && read_network(word, &networks.items[networks.count++]) != RC_OK)
            return err_set(err, RC_CONFIG, "'%s' is not a network such as 10.1.0.0/16", word);
        at += len + (at[len] != '\0');
    }
    *out = networks;
    return RC_OK;
}

/* --- hosts ----------------------------------------------------------------------------------------- */

/* Letters, digits and hyphens between dots, or an address; lower case. */
static bool
name_valid(const char *name, size_t len)
{
    char before = '.';
    if (len == 0 || len >= GUARD_HOST_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        bool word = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9') ||
                    name[i] == '_';
        if (!word && (before == '.' || (name[i] != '-' && name[i] != '.')))
            return false;
        if (name[i] == '.' && before == '-')
            return false;
        before = name[i];
    }
    return before != '.' && before != '-';
}

static bool
address_valid(const char *text, size_t len)
{
    char copy[INET6_ADDRSTRLEN];
    uint8_t ip[16];
    if (len >= sizeof(copy))
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    return inet_pton(AF_INET6, copy, ip) == 1;
}

/* Takes "host", "host:port", "[v6]" and "[v6]:port" apart; *len is the host's. */
static bool
split(const char *pattern, const char **host, size_t *len, unsigned *port)
{
    const char *end = pattern + strcspn(pattern, ":");
    *host = pattern;
    if (pattern[0] == '[') {
        end = strchr(pattern, ']');
        if (!end)
            return false;
        *host = pattern + 1;
    }
    *len = (size_t)(end - *host);
    end += *end == ']';
    *port = GUARD_PORT;
    if (*end == '\0')
        return true;
    char *rest = NULL;
    unsigned long number =
        *end == ':' && end[1] >= '1' && end[1] <= '9' ? strtoul(end + 1, &rest, 10) : 0;
    *port = (unsigned)number;
    return number > 0 && number < 65536 && *rest == '\0';
}

bool
guard_host_valid(const char *pattern)
{
    const char *host = NULL;
    size_t len = 0;
    unsigned port = 0;
    if (!split(pattern, &host, &len, &port))
        return false;
    if (pattern[0] == '[')
        return address_valid(host, len);
    if (len == 1 && host[0] == '*')
        return true;
    if (len > 2 && host[0] == '*' && host[1] == '.')
        return name_valid(host + 2, len - 2);
    return name_valid(host, len);
}

bool
guard_host_matches(const char *pattern, const char *host, unsigned port)
{
    const char *own = NULL;
    size_t len = 0, host_len = strlen(host);
    unsigned own_port = 0;
    if (!split(pattern, &own, &len, &own_port) || own_port != port)
        return false;
    if (len == 1 && own[0] == '*')
        return true;
    if (len > 2 && own[0] == '*' && own[1] == '.') /* "*.a" ends in ".a" with something before it */
        return host_len > len - 1 && memcmp(host + host_len - (len - 1), own + 1, len - 1) == 0;
    return host_len == len && memcmp(host, own, len) == 0;
}

/* --- URLs ------------------------------------------------------------------------------------------- */

static void
curl_text_cleanup(char **text)
{
    curl_free(*text);
}
static void
curl_parts_cleanup(CURLU **parts)
{
    curl_url_cleanup(*parts);
}

static enum rc
read_host(CURLU *parts, struct guard_url *out, struct err *err)
{
    AUTO(curl_text) char *host = NULL;
    uint8_t ip[4];
    if (curl_url_get(parts, CURLUPART_HOST, &host, 0) != CURLUE_OK)
        return err_set(err, RC_INVALID, "the URL names no host");
    size_t len = strlen(host);
    if (len > 2 && host[0] == '[') {
        out->literal = address_valid(host + 1, len - 2);
        if (out->literal)
            (void)snprintf(out->host, sizeof(out->host), "%.*s", (int)len - 2, host + 1);
        return out->literal ? RC_OK : err_set(err, RC_INVALID, "the URL's host is not an address");
    }
    for (size_t i = 0; i < len; i++)
        if (host[i] >= 'A' && host[i] <= 'Z')
            host[i] = (char)(host[i] | 0x20);
    if (!name_valid(host, len))
        return err_set(err, RC_INVALID,
                       "the URL's host is not a name of letters, digits, '-' and '.'");
    (void)snprintf(out->host, sizeof(out->host), "%s", host);
    out->literal = inet_pton(AF_INET, host, ip) == 1;
    return RC_OK;
}

enum rc
guard_url_read(const char *url, struct guard_url *out, struct err *err)
{
    AUTO(curl_parts) CURLU *parts = curl_url();
    AUTO(curl_text) char *scheme = NULL;
    AUTO(curl_text) char *user = NULL;
    AUTO(curl_text) char *port = NULL;
    AUTO(curl_text) char *zone = NULL;
    struct guard_url found = { .port = GUARD_PORT };
    if (!parts)
        return err_set(err, RC_TEMP, "no memory for a URL");
    size_t len = strlen(url);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)url[i] <= ' ' || (unsigned char)url[i] >= 0x7f)
            return err_set(err, RC_INVALID,
                           "the URL holds a blank, a control or a non-ASCII character");
    if (len > GUARD_URL_MAX || curl_url_set(parts, CURLUPART_URL, url, 0) != CURLUE_OK ||
        curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK)
        return err_set(err, RC_INVALID, "this is not a URL");
    if (strcmp(scheme, "https") != 0)
        return err_set(err, RC_INVALID, "the URL does not begin with https://");
    if (curl_url_get(parts, CURLUPART_USER, &user, 0) == CURLUE_OK)
        return err_set(err, RC_INVALID, "the URL holds a user name");
    if (curl_url_get(parts, CURLUPART_ZONEID, &zone, 0) == CURLUE_OK)
        return err_set(err, RC_INVALID, "the URL's host is an address with a zone");
    if (curl_url_get(parts, CURLUPART_PORT, &port, 0) == CURLUE_OK)
        found.port = (unsigned)strtoul(port, NULL, 10);
    if (found.port == 0)
        return err_set(err, RC_INVALID, "the URL's port is invalid");
    enum rc rc = read_host(parts, &found, err);
    if (rc == RC_OK)
        *out = found;
    return rc;
}
