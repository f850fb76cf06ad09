/* SPDX-License-Identifier: MIT */
/*
 * manifest - the task folders: what each action runs, with which limits and parameters.
 *
 * Shape:   TASKS/NAME/manifest.json and the files that it names in `files` (handler and helpers;
 *          an entry "../lib/x.py" is taken from TASKS/lib/). Everything is read into memory once,
 *          at start, so that a sandbox needs no access to the folder.
 * Errors:  RC_CONFIG  a manifest, a schema or a file is wrong: the text names folder and member
 * Source:  contract section 6; docs/tasks.md
 */
#ifndef GANTRY_EXECUTOR_SANDBOX_MANIFEST_H
#define GANTRY_EXECUTOR_SANDBOX_MANIFEST_H

#include <stddef.h>

#include "base/rc.h"
#include "json/json.h"
#include "sandbox/limits.h"
#include "validate/schema.h"

#define CATALOG_ACTIONS_MAX   64
#define ACTION_NAME_MAX       64 /* with the NUL: [a-z][a-z0-9_]*(.[a-z0-9_]+)* */
#define ACTION_COMMAND_MAX    16
#define ACTION_FILES_MAX      16
#define ACTION_FILE_BYTES_MAX 262144
#define ACTION_WARM_MAX       16

/* Where the handler's `result` comes from. */
enum result_source {
    RESULT_NONE,   /* null */
    RESULT_STDOUT, /* standard output, if it is one JSON document and the exit code is 0 */
    RESULT_FD3,    /* what the handler writes as JSON to file descriptor 3 */
};

struct action_file {
    char *name; /* owned; as seen in the sandbox: /task/NAME */
    char *data; /* owned */
    size_t len;
};

struct action {
    char name[ACTION_NAME_MAX];
    char *description; /* owned */
    char *summary;     /* owned; "Run {code}": {member} is replaced by the parameter's text */
    char *command[ACTION_COMMAND_MAX + 1]; /* owned; NULL-terminated; [0] is an absolute path */
    enum result_source result;
    unsigned warm; /* sandboxes kept started ahead */
    struct limits limits;
    cJSON *params_definition; /* owned; the JSON Schema, for GET /ai/actions */
    struct schema *params;    /* owned; compiled */
    struct action_file files[ACTION_FILES_MAX];
    size_t n_files;
};

struct catalog {
    struct action *actions; /* owned; sorted by name */
    size_t n_actions;
};

/* Read every folder of tasks_dir that has a manifest.json. On failure *out is untouched. */
enum rc catalog_load(const char *tasks_dir, struct catalog *out, struct err *err);
void catalog_fini(struct catalog *catalog);
#define catalog_cleanup catalog_fini

/* NULL when there is no such action. */
const struct action *catalog_find(const struct catalog *catalog, const char *name);

/* The folder to use: configured if it is not empty, else the one beside the program: installed
 * (../share/gantry/workers/executor/tasks) or in a clone (above build/). */
enum rc catalog_locate(const char *configured, char *path, size_t cap, struct err *err);

/* The manifest's summary with the parameters put in, at most cap bytes with the NUL. Control bytes
 * become spaces and long values are cut. */
void action_summarize(const struct action *action, const cJSON *params, char *text, size_t cap);

#endif
