/* SPDX-License-Identifier: MIT */
/*
 * http - the one door to libmicrohttpd: listeners on the program's loop.
 *
 * The daemon is driven from the loop (its epoll descriptor is watched, it runs once a turn): its
 * internal threads hang above 125 connections (architecture, facts). A request that waits is a
 * suspended connection. What the library refuses before it calls us is counted in refused.
 *
 * Threads: the loop's thread only
 * Source:  libmicrohttpd's manual, external epoll; contract 4.1
 */
#ifndef GATEWAY_HTTP_H
#define GATEWAY_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "base/rc.h"
#include "requests/request.h"

struct http_server;

struct http_options {
    const char *address; /* "127.0.0.1:8080", "[::1]:8080" */
    unsigned max_connections;
    unsigned timeout_seconds;
    const char *trusted_proxies;
    size_t max_body;
    bool admin; /* the requests of this listener are for admin.c */
};

enum rc http_open(struct gateway *gw, struct loop *loop, const struct http_options *options,
                  struct http_server **out, struct err *err);
/* No new connections; answers say Connection: close. */
void http_quiesce(struct http_server *server);
/* Every suspended request must have been continued. */
void http_close(struct http_server *server);
unsigned http_connections(const struct http_server *server);
uint64_t http_refused(const struct http_server *server);

/* A header of the request; NULL when absent. Several of one name: the first, and *count of them. */
const char *http_header(const struct exchange *exchange, const char *name, unsigned *count);
/* Of a header's value, without the blanks behind it (RFC 9110 5.5), which MHD leaves there. */
size_t http_value_len(const char *value);
/* Every name is a token ("Transfer-Encoding :" is none) and there is at most one Host. */
bool http_headers_plain(const struct exchange *exchange);
bool http_is_admin(const struct exchange *exchange);
/* After request_continue(): the connection goes on. */
void http_resume(struct exchange *exchange);
/* The answer is followed by the end of the connection. */
void http_close_after(struct exchange *exchange);

#endif
