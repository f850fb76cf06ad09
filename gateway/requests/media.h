/* SPDX-License-Identifier: MIT */
/*
 * media - what a Content-Type says.
 *
 * Shape:  a media type, or by mistake several in a list; a member without a type is none
 * Source: RFC 9110, 8.3 (which has a recipient choose what to do with several)
 */
#ifndef GANTRY_GATEWAY_REQUESTS_MEDIA_H
#define GANTRY_GATEWAY_REQUESTS_MEDIA_H

#include <stdbool.h>
#include <stddef.h>

enum media_kind {
    MEDIA_JSON,      /* application/json or …+json, in UTF-8 or US-ASCII, which is a part of it */
    MEDIA_CHARSET,   /* JSON in another charset */
    MEDIA_PARAMETER, /* JSON, then something that is no parameter */
    MEDIA_OTHER
};

/* Points into the text that was read. */
struct media {
    enum media_kind kind;
    const char *type; /* with its subtype */
    size_t type_len;
    const char *charset; /* as it was written, without quotes; NULL = none */
    size_t charset_len;
};

/* Reads the next member and moves *at behind it; false: there is no more. */
bool media_next(const char **at, struct media *out);

#endif
