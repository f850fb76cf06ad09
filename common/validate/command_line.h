/* SPDX-License-Identifier: MIT */
/*
 * command_line - where a command line gives a password: "mysql -pX", "curl -u user:X", "--password X".
 *
 * What a letter means depends on the program ("mkdir -p x" makes a folder), so a short option counts
 * only where the same command names a program that takes a password there. A long option counts by its
 * name, which the caller judges. Words may stand between quotes, as in a list of JSON or YAML, and a
 * line may go on behind a backslash. All looks around a place are bounded, for linear time.
 *
 * Source: the programs' own manuals
 */
#ifndef GANTRY_VALIDATE_COMMAND_LINE_H
#define GANTRY_VALIDATE_COMMAND_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "json/json.h"

struct argument {
    const char
        *name; /* of a long option, without hyphens; NULL: by the program, a password for certain */
    size_t name_len;
    const char *value; /* what follows; points into the text */
    size_t len;
};

/* The option that begins at text[at], a hyphen, if it has a value. */
bool argument_at(const char *text, size_t len, size_t at, struct argument *out);

/* The option that word, a string among the elements of a list, belongs to, if its value is in that word;
 * first is the first of the elements. */
bool argument_in_list(const cJSON *first, const cJSON *word, struct argument *out);

#endif
