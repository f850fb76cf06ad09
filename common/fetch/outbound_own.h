/* SPDX-License-Identifier: MIT */
/*
 * outbound_own - what outbound.c and outbound_address.c share.
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
const struct outbound_pin *outbound_pin_of(const struct outbound_options *options,
                                           const char *host);

#endif
