/* SPDX-License-Identifier: MIT */
#include "process/fault.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "process/conf.h"

void
fault_pass(const char *point)
{
    static atomic_ulong passed; /* one point is asked for in a process */
    const char *wanted = conf_env("FAULT_POINT");
    size_t len = strlen(point);
    if (!wanted || strncmp(wanted, point, len) != 0 || (wanted[len] != '\0' && wanted[len] != ':'))
        return;
    unsigned long n = wanted[len] == ':' ? strtoul(wanted + len + 1, NULL, 10) : 1;
    if (atomic_fetch_add(&passed, 1) + 1 == n)
        (void)raise(SIGKILL);
}

long long
fault_number(const char *name, long long number)
{
    const char *wanted = conf_env(name);
    return wanted ? strtoll(wanted, NULL, 10) : number;
}
