/* SPDX-License-Identifier: MIT */
/*
 * cleanup - handles that release themselves when their scope ends.
 *
 * AUTO(kind) declares a handle of a kind; the module that owns the kind provides
 * kind_cleanup(T *). TAKE(handle) moves ownership out and leaves the handle empty:
 *
 *     AUTO(json) cJSON *doc = NULL;
 *     ...
 *     call->doc = TAKE(doc);
 *
 * Source: the cleanup attribute of gcc and clang; bubblewrap's and crun's use of it.
 */
#ifndef GANTRY_BASE_CLEANUP_H
#define GANTRY_BASE_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define AUTO(kind) __attribute__((cleanup(kind##_cleanup)))

#define TAKE(pointer)                                                                              \
    __extension__({                                                                                \
        __typeof__(pointer) taken_ = (pointer);                                                    \
        (pointer) = NULL;                                                                          \
        taken_;                                                                                    \
    })

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

/* AUTO(free) char *text: any malloc()ed pointer. */
static inline void
free_cleanup(void *pointer)
{
    free(*(void **)pointer);
}

/* AUTO(fd) int fd = -1: a descriptor; negative means none. */
static inline void
fd_cleanup(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

/* The descriptor leaves its scope: returns it and leaves -1 behind. */
static inline int
fd_take(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

/* AUTO(file) FILE *file = NULL. */
static inline void
file_cleanup(FILE **file)
{
    if (*file)
        (void)fclose(*file);
}

#endif
