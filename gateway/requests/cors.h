/* SPDX-License-Identifier: MIT */
/*
 * cors - pages of other origins that may ask from a browser: CORS_ORIGINS, by default none.
 *
 * An answer to such a page has the lines that let it be read; a preflight (OPTIONS with
 * Access-Control-Request-Method) is answered before any key is looked at, since browsers send none.
 * An origin that is not listed gets no such line, and the browser keeps the answer from the page.
 *
 * Errors:  RC_CONFIG  an entry is not an origin
 * Threads: the loop's thread only
 * Source:  WHATWG Fetch 3.3; RFC 6454
 */
#ifndef GANTRY_GATEWAY_REQUESTS_CORS_H
#define GANTRY_GATEWAY_REQUESTS_CORS_H

#include "requests/request.h"

struct cors;

enum rc cors_open(const char *origins, struct cors **out, struct err *err);
void cors_close(struct cors *cors); /* NULL allowed */

/* The header lines for the request's origin; NULL: it names none, or one that is not on the list. */
const char *cors_lines(const struct cors *cors, const struct exchange *exchange);
bool cors_is_preflight(const struct request *r);
/* allowed: the methods of the path, as in struct route_match. */
enum step cors_preflight(struct request *r, unsigned allowed);

#endif
