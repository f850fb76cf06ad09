/* SPDX-License-Identifier: MIT */
/*
 * chunks - a chunked body, decoded as its bytes come.
 *
 * Strict: sizes are hexadecimal digits, every line ends with CR LF, extensions and trailers hold no
 * control characters and are dropped; what is no body is bounded (CHUNKS_EXTRA_MAX).
 *
 * Pure: no connection, no memory of its own.
 *
 * Source: RFC 9112 7.1
 */
#ifndef GANTRY_GATEWAY_HTTP_CHUNKS_H
#define GANTRY_GATEWAY_HTTP_CHUNKS_H

#include <stddef.h>
#include <stdint.h>

#define CHUNKS_EXTRA_MAX 16384 /* bytes of extensions and trailers of a body */

struct http_chunks { /* all zero: before the first byte */
    unsigned state;
    unsigned digits;
    uint64_t left; /* of the chunk at hand */
    size_t extra;
};

enum chunks_step {
    CHUNKS_MORE, /* all bytes were used */
    CHUNKS_PIECE,
    CHUNKS_END,
    CHUNKS_MALFORMED
};

/* Use bytes of data until there is a piece of the body (in data), the body ends, or nothing is left:
 * *used of them. */
enum chunks_step http_chunks_next(struct http_chunks *chunks, const char *data, size_t len,
                                  size_t *used, const char **piece, size_t *piece_len);

#endif
