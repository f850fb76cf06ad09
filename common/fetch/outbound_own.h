/* SPDX-License-Identifier: MIT */
/*
 * outbound_own - what outbound.c, outbound_address.c and outbound_lookup.c share.
 */
#ifndef GANTRY_FETCH_OUTBOUND_OWN_H
#define GANTRY_FETCH_OUTBOUND_OWN_H

#include "fetch/outbound.h"

#define ADDRESS_ROOM 64 /* bytes of an address as text with the NUL */

bool outbound_address_read(const char *text, struct sockaddr_storage *out);
/* An IPv6 address in brackets. */
void outbound_address_text(const struct sockaddr_storage *address, char out[ADDRESS_ROOM]);
enum rc outbound_resolve(void *arg, const char *host, struct outbound_addresses *out,
                         struct err *err);
/* Resolves on another thread. RC_LIMIT: not by end_ms, or the request's stop() said so. */
enum rc outbound_lookup(const struct outbound_options *options,
                        const struct outbound_request *request, const char *host, int64_t end_ms,
                        struct outbound_addresses *out, struct err *err);
enum rc outbound_lookups_new(struct outbound_lookups **out, struct err *err);
void outbound_lookups_free(struct outbound_lookups *all); /* NULL is fine */
const struct outbound_pin *outbound_pin_of(const struct outbound_options *options,
                                           const char *host);

#endif
