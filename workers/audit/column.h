/* SPDX-License-Identifier: MIT */
/*
 * column - PostgreSQL arrays in binary form, so that one statement takes many rows and the server
 * parses no text.
 *
 * Shape:  dimensions, flags, element type; length and lower bound of the one dimension; then for
 *         each element its length (-1: NULL) and bytes; all in network byte order
 * Source: array_recv() and the receive functions of the element types
 */
#ifndef GANTRY_AUDIT_COLUMN_H
#define GANTRY_AUDIT_COLUMN_H

#include <stdint.h>

#include "base/buf.h"
#include "db/db.h"

/* The values are the types' object ids, which never change. */
enum column_type {
    COLUMN_BYTES = 17,
    COLUMN_INT8 = 20,
    COLUMN_INT2 = 21,
    COLUMN_INT4 = 23,
    COLUMN_TEXT = 25,
    COLUMN_TIME = 1184,
    COLUMN_UUID = 2950
};

void column_begin(struct buf *column, enum column_type type, size_t max);
void column_int(struct buf *column, int64_t value);     /* of the COLUMN_INTs */
void column_text(struct buf *column, const char *text); /* NULL = SQL NULL */
void column_bytes(struct buf *column, const void *bytes, size_t len);
void column_uuid(struct buf *column, const char *text); /* 36 characters; else SQL NULL */
void column_time(struct buf *column, int64_t wall_ms);
/* Completes the array and makes it the next parameter; NULL, which fits nothing, if it overflowed. */
void column_param(struct db_params *params, struct buf *column);

/* A timestamptz in binary form. */
void column_put_time(uint8_t out[8], int64_t wall_ms);

#endif
