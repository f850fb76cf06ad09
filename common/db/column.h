/* SPDX-License-Identifier: MIT */
/*
 * column - PostgreSQL arrays as parameters, in binary form: one statement takes many rows, and the
 * server parses no text. Where an element is an array itself, that is a literal.
 *
 * Shape:  dimensions, flags, element type; length and lower bound of the one dimension; then for
 *         each element its length (-1: NULL) and bytes; all in network byte order
 * Source: array_recv() and the receive functions of the element types; PostgreSQL manual 8.15.6
 */
#ifndef GANTRY_DB_COLUMN_H
#define GANTRY_DB_COLUMN_H

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
    COLUMN_TID = 27,
    COLUMN_TIME = 1184,
    COLUMN_UUID = 2950
};

/* type: an enum column_type, or the number that the database gave a type of an extension. */
void column_begin(struct buf *column, uint32_t type, size_t max);
void column_int(struct buf *column, int64_t value);                   /* of the COLUMN_INTs */
void column_text(struct buf *column, const char *text);               /* NULL = SQL NULL */
void column_bytes(struct buf *column, const void *bytes, size_t len); /* NULL = SQL NULL */
void column_uuid(struct buf *column, const char *text); /* 36 characters; else SQL NULL */
void column_time(struct buf *column, int64_t wall_ms);
/* Completes the array and makes it the next parameter; NULL, which fits nothing, if it overflowed. */
void column_param(struct db_params *params, struct buf *column);

/* A timestamptz in binary form. */
void column_put_time(uint8_t out[8], int64_t wall_ms);

/* A text[] as text, element by element: for arrays in a column, and of another type by a cast. Every
 * element is quoted, so that none can be taken for NULL or for the array's syntax. */
void literal_begin(struct buf *out);
void literal_text(struct buf *out, const char *text); /* NULL = SQL NULL */
void literal_end(struct buf *out);

#endif
