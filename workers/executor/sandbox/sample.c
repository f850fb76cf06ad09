/* SPDX-License-Identifier: MIT */
#include "sandbox/sample.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"

/* What one tmpfs inode costs the kernel, roughly; the most that waits to be read from one of a pair. */
#define INODE_BYTES  1024
#define SOCKET_BYTES (256 * 1024)

static void
dir_cleanup(DIR **dir)
{
    if (*dir)
        (void)closedir(*dir);
}

/* Read a small file of proc; returns its length, 0 when it is gone. */
static size_t
read_small(int dir_fd, const char *name, char *text, size_t cap)
{
    AUTO(fd) int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, cap - 1);

    text[got > 0 ? got : 0] = '\0';
    return got > 0 ? (size_t)got : 0;
}

/* "RssAnon:\t     123 kB" */
static uint64_t
status_bytes(const char *status, const char *name)
{
    const char *line = strstr(status, name);

    return line ? strtoull(line + strlen(name), NULL, 10) * 1024 : 0;
}

/* The processor time of a process (fields 14 and 15 of stat) or of the children that it waited for
 * (16 and 17). They follow the ")" of comm, which the task chooses and which may hold anything. */
static uint64_t
stat_cpu_us(const char *stat, int first_field)
{
    uint64_t rate = (uint64_t)sysconf(_SC_CLK_TCK);
    const char *at = strrchr(stat, ')');
    uint64_t ticks;
    char *end;

    for (int field = 2; at && field < first_field; field++)
        at = strchr(at + 1, ' ');
    if (!at)
        return 0;
    ticks = strtoull(at, &end, 10);
    ticks += strtoull(end, NULL, 10);
    return ticks * 1000000 / rate;
}

/* The first number of schedstat: nanoseconds on a processor, of the first thread alone. */
static uint64_t
first_thread_cpu_us(int proc, const char *pid)
{
    char path[32];
    char text[128];

    (void)snprintf(path, sizeof(path), "%.10s/schedstat", pid);
    return read_small(proc, path, text, sizeof(text)) ? strtoull(text, NULL, 10) / 1000 : 0;
}

static void
add_process(int proc, const char *pid, bool exact, struct sample *sample, uint64_t *cpu_us)
{
    bool first = strcmp(pid, "1") == 0;
    char path[32];
    char text[4096];
    uint64_t own_us;

    (void)snprintf(path, sizeof(path), "%.10s/stat", pid);
    if (read_small(proc, path, text, sizeof(text)) == 0)
        return;
    own_us = stat_cpu_us(text, 14);
    if (exact) {
        uint64_t thread_us = first_thread_cpu_us(proc, pid);
        own_us = thread_us > own_us ? thread_us : own_us;
    } else if (own_us > 0) { /* two numbers, each cut to a tick: half of one more is nearer */
        own_us += 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
    }
    *cpu_us += own_us + stat_cpu_us(text, 16);
    if (first)
        return;
    sample->processes++;
    (void)snprintf(path, sizeof(path), "%.10s/status", pid);
    if (read_small(proc, path, text, sizeof(text)) == 0)
        return;
    sample->memory_bytes += status_bytes(text, "\nRssAnon:") + status_bytes(text, "\nRssShmem:");
}

static void
add_tmpfs(pid_t init_pid, const char *folder, struct sample *sample)
{
    char path[64];
    struct statfs info;

    (void)snprintf(path, sizeof(path), "/proc/%d/root/%s", (int)init_pid, folder);
    if (statfs(path, &info) != 0 || info.f_type != TMPFS_MAGIC)
        return;
    sample->memory_bytes += (info.f_blocks - info.f_bfree) * (uint64_t)info.f_bsize;
    sample->memory_bytes += (info.f_files - info.f_ffree) * INODE_BYTES;
}

/* "sockets: used 2": those of the sandbox's network namespace, which has none but pairs. What they hold
 * is the kernel's memory, which no process shows. */
static void
add_sockets(pid_t init_pid, struct sample *sample)
{
    static const char USED[] = "sockets: used ";
    char path[48];
    char text[512];
    const char *line;

    (void)snprintf(path, sizeof(path), "/proc/%d/net/sockstat", (int)init_pid);
    if (read_small(AT_FDCWD, path, text, sizeof(text)) > 0 && (line = strstr(text, USED)))
        sample->memory_bytes += strtoull(line + sizeof(USED) - 1, NULL, 10) * SOCKET_BYTES;
}

/* The sandbox's /proc. While bwrap still sets up, the path leads to our own, where "self" is us: in
 * the sandbox's we do not exist. */
static enum rc
open_proc(pid_t init_pid, DIR **out)
{
    AUTO(dir) DIR *dir = NULL;
    char path[64];
    char self[16];

    (void)snprintf(path, sizeof(path), "/proc/%d/root/proc", (int)init_pid);
    dir = opendir(path);
    if (!dir || readlinkat(dirfd(dir), "self", self, sizeof(self)) >= 0 ||
        faccessat(dirfd(dir), "1", F_OK, 0) != 0)
        return RC_NOTFOUND;
    *out = TAKE(dir);
    return RC_OK;
}

enum rc
sample_tree(pid_t init_pid, uint32_t stop_after, bool exact, struct sample *out)
{
    AUTO(dir) DIR *dir = NULL;
    struct sample sample = { 0 };
    const struct dirent *entry;
    uint64_t cpu_us = 0;
    enum rc rc;

    if ((rc = open_proc(init_pid, &dir)) != RC_OK)
        return rc;
    while (sample.processes <= stop_after && (entry = readdir(dir))) {
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
            add_process(dirfd(dir), entry->d_name, exact, &sample, &cpu_us);
    }
    add_tmpfs(init_pid, "tmp", &sample);
    add_tmpfs(init_pid, "work", &sample);
    add_sockets(init_pid, &sample);
    sample.cpu_ms = cpu_us / 1000;
    *out = sample;
    return RC_OK;
}

void
sample_limit_processes(pid_t init_pid, uint32_t processes)
{
    struct rlimit limit = { .rlim_cur = processes, .rlim_max = processes };
    char path[64];
    char text[512];
    char *at = text;
    long child;

    /* First its parent: whatever it forks from now on inherits the limit. */
    (void)prlimit(init_pid, RLIMIT_NPROC, &limit, NULL);
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)init_pid, (int)init_pid);
    if (read_small(AT_FDCWD, path, text, sizeof(text)) == 0)
        return;
    while ((child = strtol(at, &at, 10)) > 0)
        (void)prlimit((pid_t)child, RLIMIT_NPROC, &limit, NULL);
}
