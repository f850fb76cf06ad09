/* SPDX-License-Identifier: MIT */
#include "sandbox/janitor.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

struct janitor {
    int in
        [2]; /* a pipe that carries numbers of descriptors, whole: they are shorter than PIPE_BUF */
    pthread_t threads[JANITOR_THREADS];
    unsigned n_threads;
    atomic_uint late; /* handed over and not yet closed */
};

static void *
work(void *arg)
{
    struct janitor *janitor = arg;
    int fd;

    for (;;) {
        ssize_t got = read(janitor->in[0], &fd, sizeof(fd));

        if (got < 0 && errno == EINTR)
            continue;
        if (got != (ssize_t)sizeof(fd))
            return NULL;
        (void)close(fd);
        atomic_fetch_sub(&janitor->late, 1);
    }
}

/* Signals are for the thread that runs the loop. */
static enum rc
start_threads(struct janitor *janitor, struct err *err)
{
    sigset_t all, before;
    int error = 0;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    while (error == 0 && janitor->n_threads < JANITOR_THREADS) {
        error = pthread_create(&janitor->threads[janitor->n_threads], NULL, work, janitor);
        janitor->n_threads += error == 0;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error ? err_set(err, RC_TEMP, "a thread: %s", strerror(error)) : RC_OK;
}

enum rc
janitor_new(struct janitor **out, struct err *err)
{
    struct janitor *janitor = calloc(1, sizeof(*janitor));
    enum rc rc;

    if (!janitor)
        return err_set(err, RC_TEMP, "no memory");
    if (pipe2(janitor->in, O_CLOEXEC) != 0) {
        rc = err_set(err, RC_TEMP, "pipe2: %s", strerror(errno));
        free(janitor);
        return rc;
    }
    if ((rc = start_threads(janitor, err)) != RC_OK) {
        janitor_free(janitor);
        return rc;
    }
    *out = janitor;
    return RC_OK;
}

void
janitor_free(struct janitor *janitor)
{
    if (!janitor)
        return;
    fd_cleanup(&janitor->in[1]);
    for (unsigned i = 0; i < janitor->n_threads; i++)
        (void)pthread_join(janitor->threads[i], NULL);
    fd_cleanup(&janitor->in[0]);
    free(janitor);
}

int
janitor_hold(const struct janitor *janitor, pid_t pid)
{
    char path[32];

    if (atomic_load(&janitor->late) >= JANITOR_LATE_MAX)
        return -1;
    (void)snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
    return open(path, O_RDONLY | O_CLOEXEC);
}

void
janitor_close(struct janitor *janitor, int *fd)
{
    if (*fd < 0)
        return;
    atomic_fetch_add(&janitor->late, 1);
    while (write(janitor->in[1], fd, sizeof(*fd)) < 0 && errno == EINTR)
        ;
    *fd = -1;
}
