/* SPDX-License-Identifier: MIT */
/*
 * transport - does a server's URL take credentials and data over a network in clear?
 *
 * Shape:  nats://, tls://, redis://, rediss://, postgresql://, http://, https:// with user
 *         information, several hosts (comma-separated, with or without their own scheme), IPv6
 * Source: contract section 3; issue "TLS everywhere it crosses a machine"
 */
#ifndef GANTRY_PROCESS_TRANSPORT_H
#define GANTRY_PROCESS_TRANSPORT_H

#include <stddef.h>

#define TRANSPORT_PLACE_MAX 128 /* bytes with the NUL */

/* NULL when every host of the URL is this machine or is reached encrypted and verified; else what is
 * wrong, as the end of a sentence. */
const char *transport_problem(const char *url);

/* The URL's hosts and ports, without scheme, credentials, path and parameters, cut to fit. */
void transport_place(const char *url, char out[TRANSPORT_PLACE_MAX]);

/* Log a warning about the variable `name` when there is a problem. url may be NULL. */
void transport_warn(const char *name, const char *url);

#endif
