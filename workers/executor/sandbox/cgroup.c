/* SPDX-License-Identifier: MIT */
#include "sandbox/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define OWN_PROCESSES 2 /* bwrap outside and inside */

static bool
read_text(int dir, const char *name, char *text, size_t cap)
{
    AUTO(fd) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, cap - 1);

    text[got > 0 ? got : 0] = '\0';
    return got >= 0;
}

static bool
write_text(int dir, const char *name, const char *text)
{
    AUTO(fd) int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);

    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static bool
write_number(int dir, const char *name, uint64_t number)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRIu64, number);
    return write_text(dir, name, text);
}

static bool
has_word(const char *text, const char *word)
{
    size_t len = strlen(word);

    for (const char *at = text; (at = strstr(at, word)); at += len) {
        if ((at == text || at[-1] == ' ') && (at[len] == '\0' || strchr(" \n", at[len])))
            return true;
    }
    return false;
}

/* The number after "name " in a flat keyed file. */
static uint64_t
keyed_number(int dir, const char *file, const char *name)
{
    char text[1024];
    size_t len = strlen(name);
    const char *at = text;

    if (!read_text(dir, file, text, sizeof(text)))
        return 0;
    while (at && strncmp(at, name, len) != 0) {
        at = strchr(at, '\n');
        at = at ? at + 1 : NULL;
    }
    return at ? strtoull(at + len, NULL, 10) : 0;
}

enum rc
cgroup_open(const char *path, int *fd, struct err *err)
{
    AUTO(fd) int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char text[256];

    if (dir < 0)
        return err_set(err, RC_CONFIG, "EXECUTOR_CGROUP %s: %s", path, strerror(errno));
    if (!read_text(dir, "cgroup.controllers", text, sizeof(text)))
        return err_set(err, RC_CONFIG, "EXECUTOR_CGROUP %s: not a folder of cgroup v2", path);
    if (!has_word(text, "memory") || !has_word(text, "pids"))
        return err_set(err, RC_CONFIG,
                       "EXECUTOR_CGROUP %s: the controllers memory and pids are not passed down to "
                       "it (cgroup.subtree_control of its parent; systemd: Delegate=yes)",
                       path);
    if (!write_text(dir, "cgroup.subtree_control", "+memory +pids"))
        return err_set(err, RC_CONFIG,
                       "EXECUTOR_CGROUP %s: cannot switch on memory and pids for its children: %s "
                       "(it must belong to this user and hold no process itself)",
                       path, strerror(errno));
    *fd = fd_take(&dir);
    return RC_OK;
}

enum rc
cgroup_make(int parent, uint64_t number, const struct limits *limits, struct cgroup *out,
            struct err *err)
{
    struct cgroup group = { .parent = parent, .dir = -1, .procs = -1 };

    (void)snprintf(group.name, sizeof(group.name), "task-%d-%" PRIu64, (int)getpid(), number);
    if (mkdirat(parent, group.name, 0755) != 0)
        return err_set(err, RC_TEMP, "cgroup %s: %s", group.name, strerror(errno));
    group.dir = openat(parent, group.name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    group.procs = openat(group.dir, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    if (group.dir < 0 || group.procs < 0 ||
        !write_number(group.dir, "memory.max", limits->memory_bytes) ||
        !write_number(group.dir, "pids.max", limits->processes + OWN_PROCESSES)) {
        (void)err_set(err, RC_TEMP, "cgroup %s: %s", group.name, strerror(errno));
        cgroup_remove(&group);
        return RC_TEMP;
    }
    (void)write_text(group.dir, "memory.swap.max", "0"); /* absent without swap accounting */
    (void)write_text(group.dir, "memory.oom.group", "1");
    *out = group;
    return RC_OK;
}

void
cgroup_read(const struct cgroup *group, struct cgroup_facts *out)
{
    struct cgroup_facts facts = { 0 };
    char text[64];

    if (group->dir >= 0) {
        if (read_text(group->dir, "memory.peak", text, sizeof(text)))
            facts.memory_peak_bytes = strtoull(text, NULL, 10);
        facts.oom_kills = keyed_number(group->dir, "memory.events", "oom_kill ");
        facts.forks_refused = keyed_number(group->dir, "pids.events", "max ");
        facts.cpu_ms = keyed_number(group->dir, "cpu.stat", "usage_usec ") / 1000;
    }
    *out = facts;
}

void
cgroup_kill(const struct cgroup *group)
{
    if (group->dir >= 0)
        (void)write_text(group->dir, "cgroup.kill",
                         "1"); /* Linux 5.14; the namespace dies anyway */
}

void
cgroup_remove(struct cgroup *group)
{
    if (group->procs >= 0)
        (void)close(group->procs);
    if (group->dir >= 0) {
        (void)close(group->dir);
        (void)unlinkat(group->parent, group->name, AT_REMOVEDIR);
    }
    *group = CGROUP_NONE;
}
