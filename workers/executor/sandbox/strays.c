/* SPDX-License-Identifier: MIT */
#include "sandbox/strays.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

#define NAME       "gantry-sandbox"
#define STAT_MAX   1024
#define STAT_START 19 /* clock ticks since boot */

/* The number in "pid:[4026531836]"; 0 = unknown. */
static unsigned long long
own_space(void)
{
    char text[64] = "";
    ssize_t len = readlink("/proc/self/ns/pid", text, sizeof(text) - 1);
    const char *number = len > 0 ? strchr(text, '[') : NULL;

    return number ? strtoull(number + 1, NULL, 10) : 0;
}

static ssize_t
read_file(int proc, const char *pid, const char *name, char *text, size_t cap)
{
    char path[64];
    ssize_t len;

    (void)snprintf(path, sizeof(path), "%s/%s", pid, name);
    AUTO(fd) int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    len = fd >= 0 ? read(fd, text, cap - 1) : -1;
    text[len > 0 ? len : 0] = '\0';
    return len;
}

/* When a process started; 0 = there is none. */
static unsigned long long
start_of(int proc, const char *pid)
{
    char text[STAT_MAX];
    bool is_there = read_file(proc, pid, "stat", text, sizeof(text)) > 0;
    const char *at = is_there ? strrchr(text, ')') : NULL;

    for (unsigned i = 0; at && i <= STAT_START; i++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at, NULL, 10) : 0;
}

void
strays_tag(char tag[STRAYS_TAG_MAX])
{
    AUTO(fd) int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    unsigned long long space = own_space(), start = proc >= 0 ? start_of(proc, "self") : 0;

    if (space && start)
        (void)snprintf(tag, STRAYS_TAG_MAX, NAME ":%llu:%d:%llu", space, (int)getpid(), start);
    else
        (void)snprintf(tag, STRAYS_TAG_MAX, NAME);
}

/* Also where /proc hides a process that runs (hidepid). */
static bool
is_gone(int proc, long pid, unsigned long long start)
{
    char name[24];

    (void)snprintf(name, sizeof(name), "%ld", pid);
    unsigned long long now = start_of(proc, name);
    return now ? now != start : kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

/* A process of this namespace with a tag whose executor is gone, or is another process by now. */
static bool
is_stray(int proc, const char *pid, unsigned long long space)
{
    char tag[STRAYS_TAG_MAX], *at;

    if (read_file(proc, pid, "cmdline", tag, sizeof(tag)) <= 0 ||
        strncmp(tag, NAME ":", sizeof(NAME)) != 0 ||
        strtoull(tag + sizeof(NAME), &at, 10) != space || *at != ':')
        return false;
    long owner = strtol(at + 1, &at, 10);
    return owner > 0 && *at == ':' && is_gone(proc, owner, strtoull(at + 1, NULL, 10));
}

/* The descriptor comes first: what is killed is what was looked at. */
static bool
end_stray(int proc, const char *pid, unsigned long long space)
{
    AUTO(fd) int pidfd = -1;

    if (!is_stray(proc, pid, space))
        return false;
    pidfd = (int)syscall(SYS_pidfd_open, (pid_t)strtol(pid, NULL, 10), 0);
    return pidfd >= 0 && is_stray(proc, pid, space) &&
           syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) == 0;
}

unsigned
strays_end(void)
{
    unsigned long long space = own_space();
    DIR *dir = space ? opendir("/proc") : NULL;
    const struct dirent *entry;
    unsigned ended = 0;

    if (!dir)
        return 0;
    while ((entry = readdir(dir)) != NULL)
        ended += entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
                 end_stray(dirfd(dir), entry->d_name, space);
    (void)closedir(dir);
    return ended;
}
