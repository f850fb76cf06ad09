/* SPDX-License-Identifier: MIT */
/*
 * conf - from the environment to a program's struct.
 *
 * Three passes, so that every problem is reported in one run and a failure leaves the target as it
 * was: fetch all texts (variables and files), check them, store them. Secrets go into pages of their
 * own that are neither swapped nor dumped, and their variables are overwritten: what was read cannot be
 * read again from /proc/PID/environ.
 */
#include "process/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "process/conf_value.h"

#define PREFIX        "GANTRY_"
#define FILE_SUFFIX   "_FILE"
#define NAME_TEXT_MAX 128 /* bytes of a variable's name with suffix and NUL */

/* What `make up` leaves in its env file for people and scripts; sourced, it must stop no program. */
static const char *const INFORMATIONAL[] = {
    "GANTRY_URL",        "GANTRY_ADMIN_URL", "GANTRY_API_KEY", "GANTRY_NATS_OPERATOR_URL",
    "GANTRY_AUDIT_VKEY", "GANTRY_PIDS_DIR",
};

struct fetched {
    const struct conf_item *item;
    void *target; /* borrowed: the struct it goes into */
    char *text;   /* owned; NULL = unset and without a default */
};

struct reading {
    struct fetched *values; /* owned */
    size_t count;
    unsigned problems;
};

static void
wipe_text(char *text)
{
    if (text) {
        explicit_bzero(text, strlen(text));
        free(text);
    }
}

static void
reading_cleanup(struct reading *r)
{
    for (size_t i = 0; i < r->count; i++)
        wipe_text(r->values[i].text);
    free(r->values);
}

__attribute__((format(printf, 3, 4))) static void
problem(struct reading *r, const char *name, const char *format, ...)
{
    va_list args;

    r->problems++;
    (void)fprintf(stderr, "configuration: %s: ", name);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
}

bool
conf_is_secret(const struct conf_item *item)
{
    return item->type == CONF_SECRET || item->type == CONF_URL || item->type == CONF_KEY32;
}

/* The file's content without one trailing newline; NULL and errno if it cannot be had. */
static char *
read_file(const char *path)
{
    AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text;
    size_t len = 0;
    ssize_t n;

    if (fd < 0)
        return NULL;
    text = calloc(1, CONF_SECRET_MAX + 2);
    if (!text)
        return NULL;
    while ((n = read(fd, text + len, CONF_SECRET_MAX + 1 - len)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        len += (size_t)n;
        if (len > CONF_SECRET_MAX) {
            errno = EFBIG;
            break;
        }
    }
    if (n == 0 && strlen(text) != len) {
        errno = EILSEQ; /* a NUL inside */
        n = -1;
    }
    if (n != 0) {
        explicit_bzero(text, len);
        free(text);
        return NULL;
    }
    if (len > 0 && text[len - 1] == '\n')
        text[len - 1] = '\0';
    return text;
}

/* The variable's text, or its file's, or the default; empty counts as unset. */
static void
fetch(struct reading *r, const struct conf_item *item, struct fetched *value)
{
    char file_name[NAME_TEXT_MAX];
    const char *text = getenv(item->name);
    const char *path = NULL;

    value->item = item;
    if (conf_is_secret(item)) {
        (void)snprintf(file_name, sizeof(file_name), "%s" FILE_SUFFIX, item->name);
        path = getenv(file_name);
    }
    if (text && *text == '\0')
        text = NULL;
    if (path && *path != '\0') {
        if (text) {
            problem(r, item->name, "is set, and %s too", file_name);
            return;
        }
        value->text = read_file(path);
        if (!value->text)
            problem(r, file_name, "cannot read the file: %s", strerrordesc_np(errno));
        else if (*value->text == '\0')
            problem(r, file_name, "the file is empty");
        return;
    }
    if (!text)
        text = item->default_text;
    if (text) {
        value->text = strdup(text);
        if (!value->text)
            problem(r, item->name, "out of memory");
    } else if (!(item->flags & CONF_OPTIONAL) && conf_is_secret(item)) {
        problem(r, item->name, "must be set (or %s)", file_name);
    } else if (!(item->flags & CONF_OPTIONAL)) {
        problem(r, item->name, "must be set");
    }
}

static void
check(struct reading *r, const struct fetched *value)
{
    char why[CONF_WHY_MAX];

    if (!value->text)
        return;
    if (strstr(value->text, "CHANGE_ME"))
        problem(r, value->item->name, "still holds CHANGE_ME");
    else if (!conf_value_check(value->item, value->text, why))
        problem(r, value->item->name, "%s", why);
}

/* Whether name is name_of_item, or its file's name. */
static bool
names_item(const char *name, size_t len, const struct conf_item *item)
{
    size_t own = strlen(item->name);

    if (len < own || memcmp(name, item->name, own) != 0)
        return false;
    if (len == own)
        return true;
    return conf_is_secret(item) && len == own + sizeof(FILE_SUFFIX) - 1 &&
           memcmp(name + own, FILE_SUFFIX, sizeof(FILE_SUFFIX) - 1) == 0;
}

static bool
is_known(const struct reading *r, const char *name, size_t len)
{
    for (size_t i = 0; i < r->count; i++)
        if (names_item(name, len, r->values[i].item))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(INFORMATIONAL); i++)
        if (strlen(INFORMATIONAL[i]) == len && memcmp(INFORMATIONAL[i], name, len) == 0)
            return true;
    return false;
}

static void
check_unknown(struct reading *r)
{
    for (char **entry = environ; entry && *entry; entry++) {
        size_t len = strcspn(*entry, "=");
        if (strncmp(*entry, PREFIX, sizeof(PREFIX) - 1) == 0 && !is_known(r, *entry, len)) {
            char name[NAME_TEXT_MAX];
            (void)snprintf(name, sizeof(name), "%.*s", (int)(len < 100 ? len : 100), *entry);
            problem(r, name, "no such setting");
        }
    }
}

/* A copy of a secret in pages of its own. Locking may be forbidden (RLIMIT_MEMLOCK); the rest holds. */
static char *
lock_text(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (copy == MAP_FAILED)
        return NULL;
    (void)mlock(copy, size);
    (void)madvise(copy, size, MADV_DONTDUMP);
    memcpy(copy, text, size);
    return copy;
}

static void
wipe_variable(const char *name)
{
    char *text = getenv(name);

    if (text) {
        explicit_bzero(text, strlen(text));
        (void)unsetenv(name);
    }
}

static bool
store(struct fetched *value)
{
    const struct conf_item *item = value->item;
    void *place = (char *)value->target + item->offset;
    char *text;

    switch (item->type) {
    case CONF_STRING:
        *(char **)place = TAKE(value->text);
        return true;
    case CONF_SECRET:
    case CONF_URL:
        text = value->text ? lock_text(value->text) : NULL;
        if (value->text && !text)
            return false;
        *(char **)place = text;
        break;
    case CONF_KEY32:
        (void)mlock(place, 32);
        conf_value_store(item, value->text, place);
        break;
    case CONF_INT:
    case CONF_RATIO:
    case CONF_BOOL:
    case CONF_CHOICE:
        conf_value_store(item, value->text, place);
        return true;
    }
    wipe_variable(item->name);
    return true;
}

enum rc
conf_read(const struct conf_table *tables, size_t n_tables, void *target, struct err *err)
{
    __attribute__((cleanup(reading_cleanup))) struct reading r = { 0 };
    size_t total = 0;

    for (size_t t = 0; t < n_tables; t++)
        total += tables[t].count;
    r.values = calloc(total + 1, sizeof(*r.values));
    if (!r.values)
        return err_set(err, RC_TEMP, "no memory for the configuration");
    for (size_t t = 0; t < n_tables; t++)
        for (size_t i = 0; i < tables[t].count; i++) {
            r.values[r.count].target = tables[t].into ? tables[t].into : target;
            fetch(&r, &tables[t].items[i], &r.values[r.count++]);
        }
    for (size_t i = 0; i < r.count; i++)
        check(&r, &r.values[i]);
    check_unknown(&r);
    if (r.problems > 0)
        return err_set(err, RC_CONFIG, "%u problem%s in the configuration", r.problems,
                       r.problems == 1 ? "" : "s");
    for (size_t i = 0; i < r.count; i++)
        if (!store(&r.values[i]))
            return err_set(err, RC_TEMP, "no memory for the configuration");
    return RC_OK;
}

void
conf_wipe(const struct conf_table *tables, size_t n_tables, void *target)
{
    for (size_t t = 0; t < n_tables; t++)
        for (size_t i = 0; i < tables[t].count; i++) {
            const struct conf_item *item = &tables[t].items[i];
            void *place = (char *)target + item->offset;
            if (item->type == CONF_KEY32)
                explicit_bzero(place, 32);
            else if (conf_is_secret(item) && *(char **)place)
                explicit_bzero(*(char **)place, strlen(*(char **)place));
        }
}

const char *
conf_env(const char *name)
{
    return getenv(name);
}
