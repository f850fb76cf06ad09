/* SPDX-License-Identifier: MIT */
#include "sandbox/launch.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"

#define FD_PARK     512 /* child: sources are moved up here before they take their numbers */
#define EXEC_FAILED 127

void
launch_close_child(struct launch *launch)
{
    while (launch->n_child > 0)
        fd_cleanup(&launch->child[--launch->n_child]);
}

void
launch_cleanup(struct launch *launch)
{
    launch_close_child(launch);
    while (launch->n_ours > 0)
        fd_cleanup(&launch->ours[--launch->n_ours]);
}

void
launch_fd(struct launch *launch, int number, int fd)
{
    assert((size_t)number == launch->n_child && number < LAUNCH_FDS_MAX);
    launch->child[launch->n_child++] = fd;
}

enum rc
launch_pipe(struct launch *launch, int number, bool we_write, struct err *err)
{
    int ends[2];

    assert(launch->n_ours < LAUNCH_PIPES_MAX);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_set(err, RC_TEMP, "pipe: %s", strerror(errno));
    launch->ours[launch->n_ours++] = ends[we_write ? 1 : 0];
    launch_fd(launch, number, ends[we_write ? 0 : 1]);
    if (fcntl(ends[we_write ? 1 : 0], F_SETFL, O_NONBLOCK) != 0)
        return err_set(err, RC_TEMP, "pipe: %s", strerror(errno));
    return RC_OK;
}

enum rc
launch_data(struct launch *launch, int number, const void *data, size_t len, struct err *err)
{
    AUTO(fd) int fd = memfd_create("gantry", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    size_t done = 0;

    while (fd >= 0 && done < len) {
        ssize_t put = write(fd, (const char *)data + done, len - done);

        if (put < 0)
            return err_set(err, RC_TEMP, "memfd: %s", strerror(errno));
        done += (size_t)put;
    }
    if (fd < 0 || lseek(fd, 0, SEEK_SET) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
        return err_set(err, RC_TEMP, "memfd: %s", strerror(errno));
    launch_fd(launch, number, fd_take(&fd));
    return RC_OK;
}

static void
set_limit(__rlimit_resource_t resource, uint64_t value)
{
    struct rlimit limit = { .rlim_cur = value, .rlim_max = value };

    (void)setrlimit(resource, &limit); /* fails only if the hard limit is lower already */
}

/* Backstops behind the sampler; each process has them. The number of processes is set later, from
 * outside: here it would count everything that this user runs. */
static void
set_limits(const struct limits *limits)
{
    struct rlimit cpu = { .rlim_cur = (limits->cpu_ms + 999) / 1000,
                          .rlim_max = (limits->cpu_ms + 999) / 1000 + 2 };

    (void)setrlimit(RLIMIT_CPU, &cpu);
    set_limit(RLIMIT_AS, limits->memory_bytes + LIMIT_AS_HEADROOM);
    set_limit(RLIMIT_FSIZE, limits->file_bytes);
    set_limit(RLIMIT_NOFILE, limits->open_files);
    set_limit(RLIMIT_CORE, 0);
    set_limit(RLIMIT_MEMLOCK, 65536);
    set_limit(RLIMIT_MSGQUEUE, 0);
    set_limit(RLIMIT_SIGPENDING, 1024);
    set_limit(RLIMIT_RTPRIO, 0);
    set_limit(RLIMIT_STACK, 8388608);
}

/* If the machine runs out of memory, tasks go first. In the vfork child, so that every process of the
 * sandbox inherits it, however late this program gets its next turn. The task cannot take it back: its
 * /proc cannot be written. A process that is not dumpable, as this one is once it is confined, has no right
 * to its own file in /proc: it is dumpable for the one call. */
static void
volunteer_for_oom(void)
{
    int was = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
    if (was == 0)
        (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (was == 0)
        (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (fd >= 0) {
        (void)!write(fd, "1000", 4);
        (void)close(fd);
    }
}

/* The signal outlives setns() into a namespace that this user owns, and the exec of a program without
 * set-user-ID. A parent that died before the call is not told. */
static void
die_with(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != parent)
        _exit(EXEC_FAILED);
}

/* First the users': it gives the right to the mounts, until an exec. */
bool
launch_enter(int users, int mounts)
{
    return setns(users, CLONE_NEWUSER) == 0 && setns(mounts, CLONE_NEWNS) == 0;
}

/* In the vfork child: only system calls, nothing of the parent's memory is changed. */
static void
become_bwrap(const struct launch *launch, char *const *words, pid_t parent, const sigset_t *mask)
{
    static const char REFUSED[] = "setns: the namespaces of the template cannot be entered\n";
    static char *const NO_ENVIRONMENT[] = { NULL };
    struct sigaction plain = { .sa_handler = SIG_DFL };
    int parked[LAUNCH_FDS_MAX];
    bool is_inside;

    die_with(parent);
    for (int number = 1; number < NSIG; number++)
        (void)sigaction(number, &plain, NULL);
    (void)sigprocmask(SIG_SETMASK, mask, NULL);
    if (launch->cgroup_procs >= 0 && write(launch->cgroup_procs, "0", 1) != 1)
        _exit(EXEC_FAILED);
    volunteer_for_oom();
    (void)setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + launch->nice);
    is_inside = launch->users < 0 || launch_enter(launch->users, launch->mounts);
    for (size_t i = 0; i < launch->n_child; i++) {
        parked[i] = fcntl(launch->child[i], F_DUPFD_CLOEXEC, FD_PARK);
        if (parked[i] < 0)
            _exit(EXEC_FAILED);
    }
    for (size_t i = 0; i < launch->n_child; i++) {
        if (dup2(parked[i], (int)i) < 0)
            _exit(EXEC_FAILED);
    }
    (void)close_range((unsigned)launch->n_child, ~0U, 0);
    if (!is_inside) {
        (void)!write(STDERR_FILENO, REFUSED, sizeof(REFUSED) - 1);
        _exit(EXEC_FAILED);
    }
    if (launch->limits)
        set_limits(launch->limits);
    (void)execve(launch->bwrap, words, NO_ENVIRONMENT);
    _exit(EXEC_FAILED);
}

enum rc
launch_start(const struct launch *launch, const char *const *words, pid_t *pid, struct err *err)
{
    char *named[ARGV_WORDS_MAX] = { NULL };
    pid_t parent = getpid(), child;
    sigset_t all, before;

    for (size_t i = 0; words[i]; i++)
        memcpy(&named[i], i == 0 ? &launch->name : &words[i], sizeof(named[i]));
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    child = vfork();
    if (child == 0) {
        sigset_t none;

        (void)sigemptyset(&none);
        become_bwrap(launch, named, parent, &none);
    }
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    if (child < 0)
        return err_set(err, RC_TEMP, "vfork: %s", strerror(errno));
    *pid = child;
    return RC_OK;
}
