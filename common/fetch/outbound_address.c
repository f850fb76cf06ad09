/* SPDX-License-Identifier: MIT */
/*
 * outbound_address - the operator's addresses, and what the system says.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "fetch/outbound_own.h"

bool
outbound_address_read(const char *text, struct sockaddr_storage *out)
{
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)out;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)out;
    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1)
        out->ss_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1)
        out->ss_family = AF_INET6;
    return out->ss_family != AF_UNSPEC;
}

void
outbound_address_text(const struct sockaddr_storage *address, char out[ADDRESS_ROOM])
{
    char ip[INET6_ADDRSTRLEN] = "";
    bool six = address->ss_family == AF_INET6;
    const void *bytes =
        six ? (const void *)&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr
            : (const void *)&((const struct sockaddr_in *)(const void *)address)->sin_addr;
    (void)inet_ntop(address->ss_family, bytes, ip, sizeof(ip));
    (void)snprintf(out, ADDRESS_ROOM, six ? "[%s]" : "%s", ip);
}

static enum rc
read_pin(const char *word, struct outbound_pin *out)
{
    char address[ADDRESS_ROOM];
    const char *equals = strchr(word, '=');
    if (!equals || (size_t)(equals - word) >= sizeof(out->host))
        return RC_INVALID;
    memcpy(out->host, word, (size_t)(equals - word));
    out->host[equals - word] = '\0';
    const char *from = equals + 1 + (equals[1] == '[');
    size_t len = strcspn(from, equals[1] == '[' ? "]" : ":");
    if (len >= sizeof(address) || (equals[1] == '[' && from[len] != ']') ||
        strchr(out->host, '*') || !guard_host_valid(out->host))
        return RC_INVALID;
    memcpy(address, from, len);
    address[len] = '\0';
    const char *rest = from + len + (from[len] == ']');
    char *end = NULL;
    out->port = 0;
    if (*rest) {
        unsigned long port = *rest == ':' ? strtoul(rest + 1, &end, 10) : 0;
        if (port == 0 || port > 65535 || *end)
            return RC_INVALID;
        out->port = (unsigned)port;
    }
    return outbound_address_read(address, &out->address) ? RC_OK : RC_INVALID;
}

enum rc
outbound_pins_read(const char *text, struct outbound_options *options, struct err *err)
{
    for (const char *at = text; *at;) {
        char word[GUARD_HOST_MAX + ADDRESS_ROOM];
        size_t len = strcspn(at, ", ");
        if (len >= sizeof(word))
            return err_set(err, RC_CONFIG, "'%.40s…' is not HOST=ADDRESS", at);
        memcpy(word, at, len);
        word[len] = '\0';
        if (len && options->n_pins == OUTBOUND_PINS_MAX)
            return err_set(err, RC_CONFIG, "more than %d hosts", OUTBOUND_PINS_MAX);
        if (len && read_pin(word, &options->pins[options->n_pins++]) != RC_OK)
            return err_set(err, RC_CONFIG, "'%.100s' is not HOST=ADDRESS or HOST=ADDRESS:PORT",
                           word);
        at += len + (at[len] != '\0');
    }
    return RC_OK;
}

static void
addrinfo_cleanup(struct addrinfo **list)
{
    if (*list)
        freeaddrinfo(*list);
}

enum rc
outbound_resolve(void *arg, const char *host, struct outbound_addresses *out, struct err *err)
{
    AUTO(addrinfo) struct addrinfo *list = NULL;
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
    (void)arg;
    int failed = getaddrinfo(host, NULL, &hints, &list);
    if (failed)
        return err_set(err, failed == EAI_AGAIN ? RC_TEMP : RC_NOTFOUND, "%s",
                       gai_strerror(failed));
    out->count = 0;
    for (const struct addrinfo *at = list; at && out->count < OUTBOUND_ADDRESSES_MAX;
         at = at->ai_next)
        if (at->ai_addrlen <= sizeof(out->items[0]))
            memcpy(&out->items[out->count++], at->ai_addr, at->ai_addrlen);
    return RC_OK;
}

const struct outbound_pin *
outbound_pin_of(const struct outbound_options *options, const char *host)
{
    for (size_t i = 0; i < options->n_pins; i++)
        if (strcmp(options->pins[i].host, host) == 0)
            return &options->pins[i];
    return NULL;
}
