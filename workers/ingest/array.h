/* SPDX-License-Identifier: MIT */
/*
 * array - PostgreSQL arrays as parameters: literals of text and numbers, and the binary form.
 *
 * Source: PostgreSQL manual 8.15.6 (literals); array_recv() in its source (binary form)
 */
#ifndef ARRAY_H
#define ARRAY_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* "{" elements "}": begin, any number of elements, end. text NULL = SQL NULL. */
void array_begin(struct buf *out);
void array_text(struct buf *out, const char *text);
void array_int(struct buf *out, int64_t value);
void array_end(struct buf *out);

/* A one-dimensional array of n elements of a type; add each. bytes NULL = SQL NULL. */
void array_binary_begin(struct buf *out, uint32_t type, size_t n);
void array_binary_add(struct buf *out, const uint8_t *bytes, size_t len);

#endif
