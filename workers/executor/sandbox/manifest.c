/* SPDX-License-Identifier: MIT */
#include "sandbox/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "tasking/folder.h"

#define MANIFEST_SCHEMA "manifest.schema.json"

static char *
copy_text(const char *text)
{
    char *copy = strdup(text);

    if (!copy)
        log_no_memory("the tasks");
    return copy;
}

static void
read_limits(const cJSON *doc, struct limits *out)
{
    const cJSON *limits = json_member(doc, "limits");
    int64_t wall_ms = json_int(limits, "wall_ms", LIMIT_WALL_MS_DEFAULT);
    int64_t wall_max_ms = json_int(limits, "wall_max_ms", wall_ms * 10);

    if (wall_max_ms > LIMIT_WALL_MS_MAX)
        wall_max_ms = LIMIT_WALL_MS_MAX;
    *out = (struct limits){
        .wall_ms = (uint32_t)wall_ms,
        .wall_max_ms = (uint32_t)(wall_max_ms < wall_ms ? wall_ms : wall_max_ms),
        .cpu_ms = (uint32_t)json_int(limits, "cpu_ms", wall_ms),
        .memory_bytes = (uint64_t)json_int(limits, "memory_bytes", 268435456),
        .processes = (uint32_t)json_int(limits, "processes", 32),
        .tmp_bytes = (uint64_t)json_int(limits, "tmp_bytes", 33554432),
        .file_bytes = (uint64_t)json_int(limits, "file_bytes", 33554432),
        .open_files = (uint32_t)json_int(limits, "open_files", 256),
        .memory_exit = (uint8_t)json_int(limits, "memory_exit", 0),
        .output_bytes = (uint64_t)json_int(limits, "output_bytes", 1048576),
    };
}

static enum rc
read_command(const cJSON *doc, struct action *action, struct err *err)
{
    const cJSON *word;
    size_t n = 0;

    cJSON_ArrayForEach (word, json_member(doc, "command")) {
        if (n == ACTION_COMMAND_MAX)
            return err_set(err, RC_CONFIG, "command: more than %d words", ACTION_COMMAND_MAX);
        action->command[n++] = copy_text(word->valuestring);
    }
    if (n == 0 || action->command[0][0] != '/')
        return err_set(err, RC_CONFIG, "command: the program must be an absolute path");
    return RC_OK;
}

static enum rc
read_handler_files(int folder, const cJSON *doc, struct action *action, struct err *err)
{
    static const char SHARED[] = "../lib/";
    const cJSON *entry;
    enum rc rc;

    cJSON_ArrayForEach (entry, json_member(doc, "files")) {
        const char *path = entry->valuestring;
        const char *name =
            strncmp(path, SHARED, sizeof(SHARED) - 1) == 0 ? path + sizeof(SHARED) - 1 : path;
        AUTO(buf) struct buf data = { 0 };
        struct action_file *file = &action->files[action->n_files];

        if (action->n_files == ACTION_FILES_MAX)
            return err_set(err, RC_CONFIG, "files: more than %d", ACTION_FILES_MAX);
        if (name[0] == '\0' || name[0] == '.' || strchr(name, '/'))
            return err_set(err, RC_CONFIG, "files: \"%s\" is not a plain file name", path);
        if ((rc = folder_read(folder, path, ACTION_FILE_BYTES_MAX, &data, err)) != RC_OK)
            return rc;
        file->name = copy_text(name);
        file->len = data.len;
        file->data = copy_text(buf_text(&data)); /* handlers are text: no NUL inside */
        if (strlen(file->data) != file->len) {
            action->n_files++;
            return err_set(err, RC_CONFIG, "files: \"%s\" holds a NUL byte", path);
        }
        action->n_files++;
    }
    return RC_OK;
}

static enum rc
read_result_source(const cJSON *doc, struct action *action)
{
    const char *text = json_string(doc, "result");

    action->result = RESULT_NONE;
    if (text && strcmp(text, "stdout") == 0)
        action->result = RESULT_STDOUT;
    if (text && strcmp(text, "fd3") == 0)
        action->result = RESULT_FD3;
    return RC_OK;
}

static enum rc
check_manifest(const struct schema *shape, const cJSON *doc, const char *folder, struct err *err)
{
    struct field_errors errors = { 0 };
    const char *name = json_string(doc, "name");

    if (schema_check(shape, doc, &errors) != RC_OK)
        return err_set(err, RC_CONFIG, "manifest.json: %s: %s", errors.items[0].field,
                       errors.items[0].detail);
    if (!name || !folder_name_valid(name) || strcmp(name, folder) != 0)
        return err_set(err, RC_CONFIG, "manifest.json: name must be that of its folder, \"%s\"",
                       folder);
    return RC_OK;
}

static void
action_fini(struct action *action)
{
    for (char **word = action->command; *word; word++)
        free(*word);
    for (size_t i = 0; i < action->n_files; i++) {
        free(action->files[i].name);
        free(action->files[i].data);
    }
    free(action->description);
    free(action->summary);
    json_cleanup(&action->params_definition);
    schema_free(action->params);
}

static enum rc
action_load(int folder, const char *name, const struct schema *shape, struct action *action,
            struct err *err)
{
    AUTO(json) cJSON *doc = NULL;
    enum rc rc;

    if ((rc = folder_read_json(folder, "manifest.json", &doc, err)) != RC_OK)
        return rc;
    if ((rc = check_manifest(shape, doc, name, err)) != RC_OK)
        return rc;
    memcpy(action->name, name, strlen(name) + 1); /* check_manifest() bounds it */
    action->description = copy_text(json_string(doc, "description"));
    action->summary = copy_text(json_string(doc, "summary"));
    action->warm = (unsigned)json_int(doc, "warm", 0);
    read_limits(doc, &action->limits);
    if ((rc = read_command(doc, action, err)) != RC_OK)
        return rc;
    if ((rc = read_result_source(doc, action)) != RC_OK)
        return rc;
    if ((rc = read_handler_files(folder, doc, action, err)) != RC_OK)
        return rc;
    action->params_definition = cJSON_DetachItemFromObjectCaseSensitive(doc, "params");
    if (schema_compile(action->params_definition, &action->params, err) != RC_OK) {
        (void)err_wrap(err, "params");
        return err->rc = RC_CONFIG;
    }
    return RC_OK;
}

static int
compare_actions(const void *a, const void *b)
{
    return strcmp(((const struct action *)a)->name, ((const struct action *)b)->name);
}

struct loading {
    struct catalog *catalog;
    const struct schema *shape;
};

static enum rc
load_folder(void *arg, int folder, const char *name, struct err *err)
{
    struct loading *loading = arg;
    struct catalog *catalog = loading->catalog;
    enum rc rc;

    if (catalog->n_actions == CATALOG_ACTIONS_MAX)
        return err_set(err, RC_CONFIG, "more than %d task folders", CATALOG_ACTIONS_MAX);
    rc = action_load(folder, name, loading->shape, &catalog->actions[catalog->n_actions], err);
    catalog->n_actions++; /* also on failure: catalog_fini() releases what was made */
    return rc == RC_OK ? rc : err_wrap(err, "%s", name);
}

static enum rc
load_shape(const char *tasks_dir, struct schema **shape, struct err *err)
{
    AUTO(json) cJSON *definition = NULL;
    AUTO(fd) int dir = open(tasks_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir < 0)
        return err_set(err, RC_CONFIG, "%s: %s", tasks_dir, strerror(errno));
    if (folder_read_json(dir, MANIFEST_SCHEMA, &definition, err) != RC_OK ||
        schema_compile(definition, shape, err) != RC_OK)
        return err_wrap(err, "%s", tasks_dir);
    return RC_OK;
}

enum rc
catalog_load(const char *tasks_dir, struct catalog *out, struct err *err)
{
    AUTO(catalog) struct catalog catalog = { 0 };
    AUTO(schema) struct schema *shape = NULL;
    struct loading loading = { .catalog = &catalog };
    enum rc rc;

    if ((rc = load_shape(tasks_dir, &shape, err)) != RC_OK)
        return rc;
    loading.shape = shape;
    catalog.actions = calloc(CATALOG_ACTIONS_MAX, sizeof(*catalog.actions));
    if (!catalog.actions)
        return err_set(err, RC_TEMP, "no memory");
    if ((rc = folder_each(tasks_dir, load_folder, &loading, err)) != RC_OK)
        return rc;
    if (catalog.n_actions == 0)
        return err_set(err, RC_CONFIG, "%s: no task folder with a manifest.json", tasks_dir);
    qsort(catalog.actions, catalog.n_actions, sizeof(*catalog.actions), compare_actions);
    *out = catalog;
    catalog = (struct catalog){ 0 };
    return RC_OK;
}

void
catalog_fini(struct catalog *catalog)
{
    for (size_t i = 0; i < catalog->n_actions; i++)
        action_fini(&catalog->actions[i]);
    free(catalog->actions);
    *catalog = (struct catalog){ 0 };
}

const struct action *
catalog_find(const struct catalog *catalog, const char *name)
{
    for (size_t i = 0; name && i < catalog->n_actions; i++) {
        if (strcmp(catalog->actions[i].name, name) == 0)
            return &catalog->actions[i];
    }
    return NULL;
}

enum rc
catalog_locate(const char *configured, char *path, size_t cap, struct err *err)
{
    return folder_locate(configured, "workers/executor/tasks", "EXECUTOR_TASKS_DIR", path, cap,
                         err);
}

void
action_summarize(const struct action *action, const cJSON *params, char *text, size_t cap)
{
    folder_summarize(action->summary, params, text, cap);
}
