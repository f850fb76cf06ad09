/* SPDX-License-Identifier: MIT */
#include "sandbox/manifest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/utf8.h"

#define MANIFEST_BYTES_MAX 65536
#define MANIFEST_SCHEMA    "manifest.schema.json"
#define SUMMARY_VALUE_MAX  80 /* bytes of one parameter in a summary */

static void
dir_cleanup(DIR **dir)
{
    if (*dir)
        (void)closedir(*dir);
}

static bool
name_valid(const char *name)
{
    size_t len = strlen(name);
    char before = '.';

    if (len == 0 || len >= ACTION_NAME_MAX)
        return false;
    for (const char *p = name; *p; p++) {
        bool letter = *p >= 'a' && *p <= 'z';
        bool rest = (*p >= '0' && *p <= '9') || *p == '_' || *p == '.';
        if (before == '.' ? !letter : !letter && !rest)
            return false;
        before = *p;
    }
    return before != '.';
}

/* Read a regular file below dir_fd whole; a symbolic link as last component is refused. */
static enum rc
read_file(int dir_fd, const char *path, size_t max, struct buf *out, struct err *err)
{
    AUTO(fd) int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat info;
    char piece[8192];
    ssize_t got;

    if (fd < 0 || fstat(fd, &info) != 0)
        return err_set(err, RC_CONFIG, "%s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return err_set(err, RC_CONFIG, "%s: not a regular file", path);
    buf_init(out, max);
    for (;;) {
        got = read(fd, piece, sizeof(piece));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        buf_add(out, piece, (size_t)got);
    }
    if (got < 0)
        return err_set(err, RC_CONFIG, "%s: %s", path, strerror(errno));
    if (buf_failed(out))
        return err_set(err, RC_CONFIG, "%s: more than %zu bytes", path, max);
    return RC_OK;
}

static enum rc
read_json(int dir_fd, const char *path, cJSON **out, struct err *err)
{
    AUTO(buf) struct buf text = { 0 };
    enum rc rc;

    if ((rc = read_file(dir_fd, path, MANIFEST_BYTES_MAX, &text, err)) != RC_OK)
        return rc;
    if (json_read(buf_text(&text), text.len, out, err) != RC_OK) {
        (void)err_wrap(err, "%s", path);
        return err->rc = RC_CONFIG;
    }
    return RC_OK;
}

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
        if ((rc = read_file(folder, path, ACTION_FILE_BYTES_MAX, &data, err)) != RC_OK)
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
    if (!name || !name_valid(name) || strcmp(name, folder) != 0)
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

    if ((rc = read_json(folder, "manifest.json", &doc, err)) != RC_OK)
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

static enum rc
load_folder(int tasks, const char *name, const struct schema *shape, struct catalog *catalog,
            struct err *err)
{
    AUTO(fd) int folder = openat(tasks, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum rc rc;

    if (folder < 0)
        return errno == ENOTDIR ? RC_OK : err_set(err, RC_CONFIG, "%s: %s", name, strerror(errno));
    if (faccessat(folder, "manifest.json", F_OK, 0) != 0)
        return RC_OK; /* lib/ and the like */
    if (catalog->n_actions == CATALOG_ACTIONS_MAX)
        return err_set(err, RC_CONFIG, "more than %d task folders", CATALOG_ACTIONS_MAX);
    rc = action_load(folder, name, shape, &catalog->actions[catalog->n_actions], err);
    catalog->n_actions++; /* also on failure: catalog_fini() releases what was made */
    return rc == RC_OK ? rc : err_wrap(err, "%s", name);
}

enum rc
catalog_load(const char *tasks_dir, struct catalog *out, struct err *err)
{
    AUTO(catalog) struct catalog catalog = { 0 };
    AUTO(schema) struct schema *shape = NULL;
    AUTO(json) cJSON *definition = NULL;
    AUTO(dir) DIR *dir = opendir(tasks_dir);
    const struct dirent *entry;
    enum rc rc;

    if (!dir)
        return err_set(err, RC_CONFIG, "%s: %s", tasks_dir, strerror(errno));
    if (read_json(dirfd(dir), MANIFEST_SCHEMA, &definition, err) != RC_OK ||
        schema_compile(definition, &shape, err) != RC_OK)
        return err_wrap(err, "%s", tasks_dir);
    catalog.actions = calloc(CATALOG_ACTIONS_MAX, sizeof(*catalog.actions));
    if (!catalog.actions)
        return err_set(err, RC_TEMP, "no memory");
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        if ((rc = load_folder(dirfd(dir), entry->d_name, shape, &catalog, err)) != RC_OK)
            return err_wrap(err, "%s", tasks_dir);
    }
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
    static const char *const BESIDE[] = {
        "../share/gantry/workers/executor/tasks",
        "../workers/executor/tasks",
        "../../workers/executor/tasks",
    };
    char program[PATH_MAX] = { 0 };
    char folder[PATH_MAX];

    if (configured && configured[0]) {
        (void)snprintf(path, cap, "%s", configured);
        return RC_OK;
    }
    if (readlink("/proc/self/exe", program, sizeof(program) - 1) < 0)
        return err_set(err, RC_CONFIG, "/proc/self/exe: %s", strerror(errno));
    (void)dirname(program);
    for (size_t i = 0; i < ARRAY_LEN(BESIDE); i++) {
        int len = snprintf(folder, sizeof(folder), "%s/%s", program, BESIDE[i]);

        if (len > 0 && (size_t)len < sizeof(folder) && (size_t)len < cap &&
            access(folder, R_OK | X_OK) == 0) {
            memcpy(path, folder, (size_t)len + 1);
            return RC_OK;
        }
    }
    return err_set(err, RC_CONFIG, "no task folders beside %s: set EXECUTOR_TASKS_DIR", program);
}

/* Append text to a summary: control bytes become spaces, at most SUMMARY_VALUE_MAX bytes, never
 * half of a character. */
static void
summarize_value(struct buf *out, const char *text)
{
    size_t len = strlen(text);
    size_t step;
    uint32_t code;

    for (size_t at = 0; at < len; at += step) {
        step = utf8_decode(text + at, len - at, &code);
        if (step == 0)
            return;
        if (at + step > SUMMARY_VALUE_MAX) {
            buf_puts(out, "…");
            return;
        }
        if (code < 0x20 || code == 0x7F)
            buf_putc(out, ' ');
        else
            buf_add(out, text + at, step);
    }
}

static void
summarize_member(struct buf *out, const cJSON *params, const char *name, size_t len)
{
    AUTO(buf) struct buf text = { 0 };
    char member[ACTION_NAME_MAX];
    const cJSON *value;

    if (len >= sizeof(member))
        return;
    memcpy(member, name, len);
    member[len] = '\0';
    value = json_member(params, member);
    if (!value)
        return;
    if (cJSON_IsString(value)) {
        summarize_value(out, value->valuestring);
        return;
    }
    buf_init(&text, LIMIT_INPUT_BYTES);
    if (json_canonical(value, NULL, &text) == RC_OK)
        summarize_value(out, buf_text(&text));
}

void
action_summarize(const struct action *action, const cJSON *params, char *text, size_t cap)
{
    AUTO(buf) struct buf out = { 0 };
    const char *at = action->summary;

    buf_init(&out, cap - 1);
    while (*at && !buf_failed(&out)) {
        const char *end = *at == '{' ? strchr(at, '}') : NULL;

        if (end) {
            summarize_member(&out, params, at + 1, (size_t)(end - at - 1));
            at = end + 1;
        } else {
            buf_putc(&out, *at++);
        }
    }
    (void)snprintf(text, cap, "%s", buf_text(&out));
}
