/* SPDX-License-Identifier: MIT */
#include "http/netaddr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define BACKLOG 4096

static enum rc
split(const char *address, char host[128], char port[8], struct err *err)
{
    const char *colon = strrchr(address, ':');
    if (!colon || strlen(colon + 1) < 1 || strlen(colon + 1) > 5)
        return err_set(err, RC_CONFIG, "a listen address is HOST:PORT, not \"%s\"", address);
    const char *from = address;
    size_t len = (size_t)(colon - address);
    if (len >= 2 && from[0] == '[' && from[len - 1] == ']') {
        from++;
        len -= 2;
    }
    if (len >= 128)
        return err_set(err, RC_CONFIG, "the host of a listen address is too long");
    memcpy(host, from, len);
    host[len] = '\0';
    memcpy(port, colon + 1, strlen(colon + 1) + 1);
    return RC_OK;
}

static int
try_listen(const struct addrinfo *ai)
{
    AUTO(fd) int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
        return -1;
    return fd_take(&fd);
}

enum rc
netaddr_listen(const char *address, int *out_fd, struct err *err)
{
    char host[128];
    char port[8];
    enum rc rc = split(address, host, port, err);
    if (rc != RC_OK)
        return rc;
    struct addrinfo hints = { .ai_family = AF_UNSPEC,
                              .ai_socktype = SOCK_STREAM,
                              .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    struct addrinfo *list = NULL;
    int error = getaddrinfo(host[0] ? host : NULL, port, &hints, &list);
    if (error)
        return err_set(err, RC_CONFIG, "cannot listen on %s: %s", address, gai_strerror(error));
    int fd = -1;
    for (const struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next)
        fd = try_listen(ai);
    int failed = errno;
    freeaddrinfo(list);
    if (fd < 0)
        return err_set(err, failed == EADDRINUSE ? RC_TEMP : RC_CONFIG, "cannot listen on %s: %s",
                       address, strerror(failed));
    *out_fd = fd;
    return RC_OK;
}

static void
map_v4(const void *v4, uint8_t address[16])
{
    memset(address, 0, 10);
    address[10] = address[11] = 0xff;
    memcpy(address + 12, v4, 4);
}

bool
netaddr_from_text(const char *text, size_t len, uint8_t address[16])
{
    char copy[INET6_ADDRSTRLEN];
    uint8_t v4[4];
    if (len == 0 || len >= sizeof(copy))
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (inet_pton(AF_INET, copy, v4) == 1) {
        map_v4(v4, address);
        return true;
    }
    return inet_pton(AF_INET6, copy, address) == 1;
}

bool
netaddr_from_socket(const struct sockaddr *sa, uint8_t address[16])
{
    if (sa && sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof(in));
        map_v4(&in.sin_addr, address);
        return true;
    }
    if (sa && sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof(in6));
        memcpy(address, &in6.sin6_addr, 16);
        return true;
    }
    return false;
}

static bool
is_v4(const uint8_t address[16])
{
    static const uint8_t PREFIX[12] = { [10] = 0xff, [11] = 0xff };
    return memcmp(address, PREFIX, sizeof(PREFIX)) == 0;
}

void
netaddr_text(const uint8_t address[16], char *text, size_t cap)
{
    const char *ok = is_v4(address) ? inet_ntop(AF_INET, address + 12, text, (socklen_t)cap)
                                    : inet_ntop(AF_INET6, address, text, (socklen_t)cap);
    if (!ok && cap)
        text[0] = '\0';
}

static enum rc
parse_net(const char *text, size_t len, struct netaddr_net *out, struct err *err)
{
    const char *slash = memchr(text, '/', len);
    size_t address_len = slash ? (size_t)(slash - text) : len;
    unsigned bits = 128;
    if (!netaddr_from_text(text, address_len, out->address))
        return err_set(err, RC_CONFIG, "TRUSTED_PROXIES has an entry that is not a network");
    if (slash) {
        size_t digits = len - address_len - 1;
        bits = 0;
        for (size_t i = 1; i <= digits; i++) {
            if (slash[i] < '0' || slash[i] > '9' || digits > 3)
                return err_set(err, RC_CONFIG, "TRUSTED_PROXIES has an invalid prefix length");
            bits = bits * 10 + (unsigned)(slash[i] - '0');
        }
        if (is_v4(out->address))
            bits += 96;
        if (digits == 0 || bits > 128)
            return err_set(err, RC_CONFIG, "TRUSTED_PROXIES has an invalid prefix length");
    }
    out->bits = bits;
    return RC_OK;
}

enum rc
netaddr_nets_parse(const char *text, struct netaddr_nets *out, struct err *err)
{
    struct netaddr_nets nets = { 0 };
    for (const char *at = text; *at;) {
        size_t len = strcspn(at, ", ");
        if (len) {
            if (nets.count == NETADDR_NETS_MAX)
                return err_set(err, RC_CONFIG, "TRUSTED_PROXIES holds more than %d networks",
                               NETADDR_NETS_MAX);
            enum rc rc = parse_net(at, len, &nets.items[nets.count], err);
            if (rc != RC_OK)
                return rc;
            nets.count++;
        }
        at += len + (at[len] != '\0');
    }
    *out = nets;
    return RC_OK;
}

bool
netaddr_trusted(const struct netaddr_nets *nets, const uint8_t address[16])
{
    for (size_t i = 0; i < nets->count; i++) {
        const struct netaddr_net *net = &nets->items[i];
        unsigned whole = net->bits / 8;
        unsigned rest = net->bits % 8;
        if (memcmp(net->address, address, whole) != 0)
            continue;
        if (rest == 0 || (net->address[whole] >> (8 - rest)) == (address[whole] >> (8 - rest)))
            return true;
    }
    return false;
}

bool
netaddr_client(const struct netaddr_nets *nets, const uint8_t peer[16], const char *forwarded,
               uint8_t client[16])
{
    memcpy(client, peer, 16);
    if (!forwarded || !netaddr_trusted(nets, peer))
        return false;
    const char *end = forwarded + strlen(forwarded);
    while (end > forwarded) {
        const char *start = end;
        while (start > forwarded && start[-1] != ',')
            start--;
        const char *from = start;
        const char *to = end;
        while (from < to && *from == ' ')
            from++;
        while (to > from && to[-1] == ' ')
            to--;
        uint8_t hop[16];
        if (!netaddr_from_text(from, (size_t)(to - from), hop))
            return false;
        memcpy(client, hop, 16);
        if (!netaddr_trusted(nets, hop))
            return false;
        end = start > forwarded ? start - 1 : start;
    }
    return true;
}
