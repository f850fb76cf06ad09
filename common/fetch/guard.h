/* SPDX-License-Identifier: MIT */
/*
 * guard - where a request may go that somebody else has caused: hosts, addresses, URLs.
 *
 * Three questions, each a function of its arguments only. Is the URL one that we speak (https, no user
 * information)? Is its host on a list? Is the address that its name stands for on the public network,
 * or in a network that the operator has listed? An address is refused by the special-purpose registries
 * and by what reaches an inner network under another name: loopback, private, link-local (with the
 * metadata services), shared (CGNAT), multicast, IPv4-mapped, NAT64, 6to4, Teredo, documentation.
 *
 * Shape:   a host on a list is "api.example.com", "*.example.com" (any name below, not that name) or "*";
 *          each with ":port", or it stands for port 443
 *          a network is "10.1.0.0/16" or "fd00:1::/48"; without a length it is one address
 * Threads: any
 * Source:  RFC 6890 and the IANA registries of special-purpose addresses; RFC 6052, 3056, 4380
 */
#ifndef GANTRY_FETCH_GUARD_H
#define GANTRY_FETCH_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/rc.h"

#define GUARD_HOST_MAX     254 /* bytes with the NUL */
#define GUARD_NETWORKS_MAX 32
#define GUARD_URL_MAX      8192 /* bytes */
#define GUARD_PORT         443

struct guard_network {
    uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
    unsigned bits;
};
struct guard_networks {
    size_t count;
    struct guard_network items[GUARD_NETWORKS_MAX];
};

/* Networks separated by blanks or commas; RC_CONFIG names the malformed one. */
enum rc guard_networks_read(const char *text, struct guard_networks *out, struct err *err);

/* Why the address is refused, as a phrase ("a private address"); NULL: it may be connected to. */
const char *guard_address_refusal(const struct sockaddr *address,
                                  const struct guard_networks *listed);

/* Whether the text is a host as a list may have it. */
bool guard_host_valid(const char *pattern);
bool guard_host_matches(const char *pattern, const char *host, unsigned port);

struct guard_url {
    char host[GUARD_HOST_MAX]; /* lower case; an IPv6 address without brackets */
    unsigned port;
    bool literal; /* the host is an address */
};
/* RC_INVALID: not a URL, not https, with user information, or a host that is no name. The error does not
 * repeat the URL. */
enum rc guard_url_read(const char *url, struct guard_url *out, struct err *err);

#endif
