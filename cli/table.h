/* SPDX-License-Identifier: MIT */
/*
 * table - rows for people: aligned columns that fit the terminal.
 *
 * A column is as wide as its widest cell. On a terminal titles are shown, and the columns that may be
 * cut are made narrower until a row fits; if that is not enough the last ones are left out. Elsewhere
 * nothing is cut and there are no titles, so that grep and cut see everything. Control characters of a cell become blanks or U+FFFD: text of
 * strangers cannot write to the screen.
 *
 * Units:   columns of the terminal
 * Threads: one
 */
#ifndef GANTRY_CLI_TABLE_H
#define GANTRY_CLI_TABLE_H

#include <stdbool.h>

#include "base/buf.h"

#define TABLE_COLUMNS_MAX 10

struct table_column {
    const char *title;
    unsigned least; /* as wide at the least, and never cut below that */
    bool cut;       /* may be cut to fit */
    bool right;     /* numbers */
};

struct table {
    const struct table_column *columns; /* borrowed */
    unsigned n_columns;
    unsigned width; /* 0: of standard output, or unbounded where that is no terminal */
    bool titles;
    struct buf cells; /* each with a NUL behind it */
    unsigned n_cells;
};

void table_init(struct table *table, const struct table_column *columns, unsigned count);
void table_cleanup(struct table *table);

/* The next cell of the row; NULL is "-". */
void table_put(struct table *table, const char *text);
__attribute__((format(printf, 2, 3))) void table_putf(struct table *table, const char *format, ...);

/* The rows so far as lines; the table is then empty and its titles are told. */
void table_write(struct table *table, struct buf *out);
/* The same on standard output; an exit code. */
int table_print(struct table *table);

/* Columns that text needs on a screen. */
unsigned table_text_width(const char *text);
/* Size of the terminal at standard output; 0 where there is none. */
void table_screen(unsigned *columns, unsigned *lines);

#endif
