/* SPDX-License-Identifier: MIT */
/*
 * conf - configuration from environment variables, by table.
 *
 * A program's table names each variable, its type, target, default, bounds and help; from it come
 * parsing, --check-config, --print-config, .env.example and docs/configuration.md. Every problem is
 * reported in one run. A CONF_SECRET is also read from the file that NAME_FILE names (one trailing
 * newline removed), must not be CHANGE_ME, and its variable is wiped from the environment after
 * reading. An unknown GANTRY_* variable is an error.
 *
 * Errors: RC_CONFIG  with the problems printed one per line to standard error
 * Source: contract section 3; Postfix's parameter tables
 */
#ifndef GANTRY_PROCESS_CONF_H
#define GANTRY_PROCESS_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/rc.h"

enum conf_type {
    CONF_STRING, /* char *, owned by conf for the life of the process */
    CONF_SECRET, /* char *, locked in memory, printed as (set) */
    CONF_INT,    /* int64_t */
    CONF_RATIO,  /* double, from 0 to 1 */
    CONF_BOOL,   /* bool: 1 true yes on / 0 false no off */
    CONF_CHOICE, /* int: index into choices */
    CONF_URL,    /* char *, printed without user information; may hold credentials (also _FILE) */
    CONF_KEY32,  /* uint8_t[32]: secret, 64 hexadecimal digits or base64 */
};

enum conf_flag {
    CONF_OPTIONAL = 1 /* may be unset although it has no default */
};

struct conf_item {
    const char *name;
    enum conf_type type;
    size_t offset;              /* of the target in the program's struct */
    const char *default_text;   /* NULL: must be set, unless CONF_OPTIONAL */
    int64_t min, max;           /* CONF_INT: inclusive; CONF_STRING: max length (0 = 1024) */
    const char *const *choices; /* CONF_CHOICE: NULL-terminated */
    unsigned flags;
    const char *help; /* one sentence, for the generated page */
};

struct conf_table {
    const struct conf_item *items;
    size_t count;
    void *into; /* the struct of its offsets; NULL: the target that is given */
};

/* Read the tables from the environment, all at once: one list of problems. */
enum rc conf_read(const struct conf_table *tables, size_t n_tables, void *target, struct err *err);

/* NAME=value lines with secrets as "(set)" or "(unset)". */
void conf_print(FILE *out, const struct conf_table *tables, size_t n_tables, const void *target);

/* Markdown rows "| NAME | default | meaning |"; the source of docs/configuration.md. */
void conf_document(FILE *out, const struct conf_table *tables, size_t n_tables);

/* Zero the secrets of target (before exit or exec). */
void conf_wipe(const struct conf_table *tables, size_t n_tables, void *target);

/* One variable outside any table, for tools (never for secrets); NULL when unset. */
const char *conf_env(const char *name);

#endif
