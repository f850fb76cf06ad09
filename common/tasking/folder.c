/* SPDX-License-Identifier: MIT */
#include "tasking/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/utf8.h"

#define MANIFEST_BYTES_MAX 65536
#define MANIFEST           "manifest.json"
#define SUMMARY_VALUE_MAX  80        /* bytes of one parameter in a summary */
#define SUMMARY_DOC_MAX    (4 << 20) /* bytes of a parameter that is no text */

static void
dir_cleanup(DIR **dir)
{
    if (*dir)
        (void)closedir(*dir);
}

bool
folder_name_valid(const char *name)
{
    size_t len = strlen(name);
    char before = '.';

    if (len == 0 || len >= FOLDER_NAME_MAX)
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
enum rc
folder_read(int dir_fd, const char *path, size_t max, struct buf *out, struct err *err)
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

enum rc
folder_read_json(int dir_fd, const char *path, cJSON **out, struct err *err)
{
    AUTO(buf) struct buf text = { 0 };
    enum rc rc;

    if ((rc = folder_read(dir_fd, path, MANIFEST_BYTES_MAX, &text, err)) != RC_OK)
        return rc;
    if (json_read(buf_text(&text), text.len, out, err) != RC_OK) {
        (void)err_wrap(err, "%s", path);
        return err->rc = RC_CONFIG;
    }
    return RC_OK;
}

static enum rc
visit(int dir, const char *name, folder_fn *fn, void *arg, struct err *err)
{
    AUTO(fd) int folder = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (folder < 0)
        return errno == ENOTDIR ? RC_OK : err_set(err, RC_CONFIG, "%s: %s", name, strerror(errno));
    if (faccessat(folder, MANIFEST, F_OK, 0) != 0)
        return RC_OK; /* lib/ and the like */
    return fn(arg, folder, name, err);
}

enum rc
folder_each(const char *dir, folder_fn *fn, void *arg, struct err *err)
{
    AUTO(dir) DIR *all = opendir(dir);
    const struct dirent *entry;

    if (!all)
        return err_set(err, RC_CONFIG, "%s: %s", dir, strerror(errno));
    while ((entry = readdir(all)))
        if (entry->d_name[0] != '.' && visit(dirfd(all), entry->d_name, fn, arg, err) != RC_OK)
            return err_wrap(err, "%s", dir);
    return RC_OK;
}

enum rc
folder_locate(const char *configured, const char *place, const char *variable, char *path,
              size_t cap, struct err *err)
{
    static const char *const BESIDE[] = {
        "../share/gantry",
        "..",
        "../..",
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
        int len = snprintf(folder, sizeof(folder), "%s/%s/%s", program, BESIDE[i], place);

        if (len > 0 && (size_t)len < sizeof(folder) && (size_t)len < cap &&
            access(folder, R_OK | X_OK) == 0) {
            memcpy(path, folder, (size_t)len + 1);
            return RC_OK;
        }
    }
    return err_set(err, RC_CONFIG, "no folders %s beside %.200s: set %s", place, program, variable);
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
    char member[FOLDER_NAME_MAX];
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
    buf_init(&text, SUMMARY_DOC_MAX);
    if (json_canonical(value, NULL, &text) == RC_OK)
        summarize_value(out, buf_text(&text));
}

void
folder_summarize(const char *summary, const cJSON *params, char *text, size_t cap)
{
    AUTO(buf) struct buf out = { 0 };
    const char *at = summary;

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
