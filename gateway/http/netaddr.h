/* SPDX-License-Identifier: MIT */
/*
 * netaddr - listen addresses, networks of trusted proxies, and who the client behind them is.
 *
 * Shape:  address "127.0.0.1:8080", "[::1]:8080", ":8080"; networks "127.0.0.0/8,::1/128,10.0.0.7"
 * Errors: RC_CONFIG  not of the shape, or the port is taken
 */
#ifndef GANTRY_GATEWAY_HTTP_NETADDR_H
#define GANTRY_GATEWAY_HTTP_NETADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/rc.h"

#define NETADDR_NETS_MAX 16

struct netaddr_net {
    uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
    unsigned bits;
};

struct netaddr_nets {
    size_t count;
    struct netaddr_net items[NETADDR_NETS_MAX];
};

/* A listening, non-blocking socket. */
enum rc netaddr_listen(const char *address, int *out_fd, struct err *err);
enum rc netaddr_nets_parse(const char *text, struct netaddr_nets *out, struct err *err);
bool netaddr_trusted(const struct netaddr_nets *nets, const uint8_t address[16]);
bool netaddr_from_socket(const struct sockaddr *sa, uint8_t address[16]);
bool netaddr_from_text(const char *text, size_t len, uint8_t address[16]);
void netaddr_text(const uint8_t address[16], char *text, size_t cap);

/* The client's address: the peer's, or, if the peer is trusted, the last address of
 * X-Forwarded-For that is not trusted itself. forwarded may be NULL. */
/* True: every address of forwarded is trusted, so an earlier line of the header has the word. */
bool netaddr_client(const struct netaddr_nets *nets, const uint8_t peer[16], const char *forwarded,
                    uint8_t client[16]);

#endif
