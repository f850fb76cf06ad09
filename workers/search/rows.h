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
 * tags, embedding, terms, text (statement "load"). */
enum rc rows_put(struct row_space *space, struct collection *c, const PGresult *rows, int row,
                 int id, int first, struct err *err);

#endif
