/* SPDX-License-Identifier: MIT */
#include "sandbox/mounts.h"

#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"
#include "sandbox/argv.h"

/* The words of a line: id, parent, device, root, point, options, then none or some of propagation, "-". */
enum field { POINT = 4, OPTIONS = 5, PROPAGATION = 6, FIELDS };

static const char *const DEVICES[] = {
    ARGV_DEVICES "/null",
    ARGV_DEVICES "/zero",
    ARGV_DEVICES "/full",
    ARGV_DEVICES "/urandom",
};

static bool
has_option(const char *options, const char *name)
{
    size_t len = strlen(name);

    for (const char *at = options; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, len) == 0 && (at[len] == ',' || at[len] == '\0'))
            return true;
    }
    return false;
}

static bool
is_below(const char *point, const char *folder)
{
    size_t len = strlen(folder);

    return strncmp(point, folder, len) == 0 && (point[len] == '/' || point[len] == '\0');
}

/* What a sandbox takes: the root's flags are those of the two folders in it. */
static bool
is_taken(const char *point)
{
    return strcmp(point, "/") == 0 || is_below(point, ARGV_ROOT) || is_below(point, ARGV_DEVICES);
}

/* As a bit of a set; 0 = none of them. */
static unsigned
which_device(const char *point)
{
    for (unsigned i = 0; i < ARRAY_LEN(DEVICES); i++) {
        if (strcmp(point, DEVICES[i]) == 0)
            return 1u << i;
    }
    return 0;
}

static const char *
find_fault(char *const *fields, unsigned *devices)
{
    unsigned device = which_device(fields[POINT]);

    if (strcmp(fields[PROPAGATION], "-") != 0)
        return "is not private";
    if (!is_taken(fields[POINT]))
        return NULL;
    if (!has_option(fields[OPTIONS], "nosuid"))
        return "allows set-user-ID";
    if (*devices & device)
        return "is mounted over";
    *devices |= device;
    if (!device && !has_option(fields[OPTIONS], "ro"))
        return "can be written";
    if (!device && !has_option(fields[OPTIONS], "nodev"))
        return "allows devices";
    return NULL;
}

enum rc
mounts_check(FILE *table, struct err *err)
{
    AUTO(free) char *line = NULL;
    unsigned devices = 0;
    size_t room = 0, n_lines = 0;

    while (getline(&line, &room, table) > 0) {
        char *fields[FIELDS], *rest = line;
        const char *fault;

        n_lines++;
        for (size_t i = 0; i < FIELDS; i++) {
            if (!(fields[i] = strsep(&rest, " ")))
                return err_set(err, RC_TEMP, "line %zu of the mounts is not understood", n_lines);
        }
        if ((fault = find_fault(fields, &devices)))
            return err_set(err, RC_TEMP, "the mount of %s %s", fields[POINT], fault);
    }
    if (n_lines == 0 || ferror(table))
        return err_set(err, RC_TEMP, "the mounts cannot be read");
    return RC_OK;
}
