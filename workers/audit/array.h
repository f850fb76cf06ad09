/* SPDX-License-Identifier: MIT */
/*
 * array - PostgreSQL array literals, so that one statement takes many rows.
 *
 * Shape: {1,2,"text with \" and \\",NULL}
 */
#ifndef GANTRY_AUDIT_ARRAY_H
#define GANTRY_AUDIT_ARRAY_H

#include <stdint.h>

#include "buf.h"

void array_begin(struct buf *array, size_t max);
void array_int(struct buf *array, int64_t value);
void array_text(struct buf *array, const char *text); /* NULL = SQL NULL */
/* Closes the literal and returns it; NULL if it did not fit. */
const char *array_end(struct buf *array);

#endif
