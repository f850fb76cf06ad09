/* SPDX-License-Identifier: MIT */
/*
 * folder - what the folders of actions have in common: names, files, the place beside the program, the
 * line that previews show.
 *
 * Errors:  RC_CONFIG  a file that is missing, too long, no regular file or no JSON: the text names it
 * Threads: any
 */
#ifndef GANTRY_TASKING_FOLDER_H
#define GANTRY_TASKING_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/rc.h"
#include "json/json.h"

#define FOLDER_NAME_MAX 64 /* with the NUL: [a-z][a-z0-9_]*(.[a-z0-9_]+)* */

bool folder_name_valid(const char *name);
/* Read a regular file below dir_fd whole; a symbolic link as last component is refused. */
enum rc folder_read(int dir_fd, const char *path, size_t max, struct buf *out, struct err *err);
enum rc folder_read_json(int dir_fd, const char *path, cJSON **out, struct err *err);

/* Calls fn for each folder below dir that has a manifest.json, with a descriptor of it. */
typedef enum rc folder_fn(void *arg, int folder, const char *name, struct err *err);
enum rc folder_each(const char *dir, folder_fn *fn, void *arg, struct err *err);

/* The folder to use: configured if it is not empty, else the one beside the program: installed
 * (../share/gantry/PLACE) or in a clone (PLACE, above build/). The error names the variable. */
enum rc folder_locate(const char *configured, const char *place, const char *variable, char *path,
                      size_t cap, struct err *err);

/* A manifest's summary with the parameters put in ("Run {code}": {member} is replaced by its text), at
 * most cap bytes with the NUL. Control bytes become spaces and long values are cut. */
void folder_summarize(const char *summary, const cJSON *params, char *text, size_t cap);

#endif
