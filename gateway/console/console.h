/* SPDX-License-Identifier: MIT */
/*
 * console - the pages for people: the console's files and /docs.
 *
 * The files lie under gateway/console/pages, one of them (preact.js) comes from a Debian package at
 * build; gateway/console/pack makes one file of all, which is part of the program.
 *
 * Threads: the loop's thread only
 */
#ifndef GANTRY_GATEWAY_CONSOLE_CONSOLE_H
#define GANTRY_GATEWAY_CONSOLE_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/rc.h"

struct console_file {
    const char *name;
    const char *type;
    const char *digest; /* of SHA-256, 16 hexadecimal digits: the ETag */
    size_t at;          /* in the packed bytes */
    size_t len;
    size_t gzip_at;
    size_t gzip_len;
};

/* NULL: there is none. */
const struct console_file *console_find(const char *name);
const uint8_t *console_bytes(size_t at);
/* Whether a client that sends this Accept-Encoding takes gzip; NULL = it sent none. */
bool console_takes_gzip(const char *accept);

#define DOCS_MAX (2u << 20)
/* The OpenAPI document as a page. */
enum rc docs_write(const struct buf *openapi, struct buf *out, struct err *err);

#endif
