/* SPDX-License-Identifier: MIT */
/*
 * http_own - what http.c and http_head.c share; nobody else includes it.
 *
 * Source: gateway/http/http.h
 */
#ifndef GATEWAY_HTTP_OWN_H
#define GATEWAY_HTTP_OWN_H

#include <stdbool.h>
#include <stdint.h>

struct MHD_Connection;
struct http_server;
struct peer;
struct request;

struct exchange { /* one request of a connection */
    struct http_server *server;
    struct MHD_Connection *connection;
    struct peer *peer;
    struct request *request; /* owned */
    uint64_t length;         /* Content-Length; 0 if there is none */
    uint64_t arrived;        /* bytes of the body so far */
    bool begun;
    bool held; /* suspended between the head and the body */
    bool complete;
    bool suspended;
    bool close_after;
};

#endif
