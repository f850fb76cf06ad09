/* SPDX-License-Identifier: MIT */
/*
 * rows - rows of the database into a collection.
 *
 * Errors: RC_TEMP no memory · RC_LIMIT the collection is full
 */
#ifndef GANTRY_SEARCH_ROWS_H
#define GANTRY_SEARCH_ROWS_H

#include "base/buf.h"
#include "db/db.h"
#include "index/collection.h"

/* Room for one row at a time; rows_fini() after the last. */
struct row_space {
    size_t dims;
    float *vector;     /* owned */
    const char **tags; /* owned */
    struct buf text;   /* owned: tags with their NUL */
    struct buf terms;  /* owned: analysed here */
};
enum rc rows_init(struct row_space *space, size_t dims, struct err *err);
void rows_fini(struct row_space *space);

/* A result in binary form: the column of the id, and the first of scope, created ns, expiry, source,
 * tags, embedding, terms, text, place (statement "load"). */
enum rc rows_put(struct row_space *space, struct collection *c, const PGresult *rows, int row,
                 int id, int first, struct err *err);

/* Where the database has a row, its ctid, as a collection keeps it; 0: not known, which is so beyond
 * the first 64 GiB of the table. Any change of the row moves it. */
#define PLACE_BYTES 6
uint32_t place_read(const uint8_t bytes[PLACE_BYTES]);
void place_write(uint32_t place, uint8_t out[PLACE_BYTES]);

#endif
