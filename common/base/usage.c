/* SPDX-License-Identifier: MIT */
/*
 * usage - by system calls where there are some: our processes may not be looked into by others, which
 * makes /proc/self/fd root's.
 */
#include "base/usage.h"

#include <poll.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define FDS_AT_ONCE 256u
#define FDS_MAX     65536u /* descriptors looked at; nothing of ours has more */

static uint64_t
us_of(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * 1000000u + (uint64_t)time->tv_usec;
}

/* poll() names the descriptors that are not open. */
static uint64_t
count_fds(uint64_t max)
{
    struct pollfd fds[FDS_AT_ONCE];
    uint64_t count = 0;
    for (uint64_t first = 0; first < max && first < FDS_MAX; first += FDS_AT_ONCE) {
        for (unsigned i = 0; i < FDS_AT_ONCE; i++)
            fds[i] = (struct pollfd){ .fd = (int)(first + i) };
        if (poll(fds, FDS_AT_ONCE, 0) < 0)
            continue;
        for (unsigned i = 0; i < FDS_AT_ONCE; i++)
            count += !(fds[i].revents & POLLNVAL);
    }
    return count;
}

static void
read_memory(struct usage *out)
{
    unsigned long long pages[2];
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return;
    if (fscanf(file, "%llu %llu", &pages[0], &pages[1]) == 2) {
        uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
        out->virtual_bytes = pages[0] * page;
        out->resident_bytes = pages[1] * page;
    }
    (void)fclose(file);
}

void
usage_read(struct usage *out)
{
    struct rusage used;
    struct rlimit limit;
    *out = (struct usage){ 0 };
    if (getrusage(RUSAGE_SELF, &used) == 0)
        out->cpu_us = us_of(&used.ru_utime) + us_of(&used.ru_stime);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        out->max_fds = limit.rlim_cur;
    out->open_fds = count_fds(out->max_fds);
    read_memory(out);
}
