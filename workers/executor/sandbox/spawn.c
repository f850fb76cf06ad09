/* SPDX-License-Identifier: MIT */
#include "sandbox/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sandbox/filter.h"

#define FDS_MAX     (ARGV_FD_FILES + ARGV_OWN_FILES + ACTION_FILES_MAX)
#define FD_PARK     512 /* child: sources are moved up here before they take their numbers */
#define EXEC_FAILED 127

/* The descriptors of one start: those that bwrap gets, by number, and our ends of the pipes. */
struct plan {
    int child[FDS_MAX]; /* -1 = none */
    size_t n_child;
    int ours[5]; /* input, output, error, result, status */
    char *const *words;
    pid_t parent;
    int cgroup_procs;
    int nice;
    const struct limits *limits;
};

static void
plan_cleanup(struct plan *plan)
{
    for (size_t i = 0; i < FDS_MAX; i++)
        fd_cleanup(&plan->child[i]);
    for (size_t i = 0; i < ARRAY_LEN(plan->ours); i++)
        fd_cleanup(&plan->ours[i]);
}

enum rc
spawner_init(struct spawner *spawner, const char *bwrap, struct err *err)
{
    enum rc rc;

    *spawner = (struct spawner){ .bwrap = bwrap, .nice = 5 };
    strays_tag(spawner->name);
    buf_init(&spawner->filter, SECCOMP_FILTER_MAX);
    if ((rc = seccomp_build(&spawner->filter, err)) != RC_OK)
        spawner_fini(spawner);
    return rc;
}

void
spawner_fini(struct spawner *spawner)
{
    buf_fini(&spawner->filter);
}

/* A sealed memfd at offset 0: each start needs its own, since bwrap reads to the end. */
static int
make_file(const char *name, const void *data, size_t len)
{
    AUTO(fd) int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    size_t done = 0;

    while (fd >= 0 && done < len) {
        ssize_t put = write(fd, (const char *)data + done, len - done);

        if (put < 0)
            return -1;
        done += (size_t)put;
    }
    if (fd < 0 || lseek(fd, 0, SEEK_SET) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
        return -1;
    return fd_take(&fd);
}

/* Our end never blocks; the handler's is an ordinary pipe. */
static int
make_pipe(struct plan *plan, size_t ours, int number, bool we_write)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    plan->ours[ours] = ends[we_write ? 1 : 0];
    plan->child[number] = ends[we_write ? 0 : 1];
    return fcntl(plan->ours[ours], F_SETFL, O_NONBLOCK);
}

static enum rc
make_descriptors(struct plan *plan, const struct spawner *spawner, const struct argv *argv,
                 const struct buf *options, struct err *err)
{
    if (make_pipe(plan, 0, STDIN_FILENO, true) != 0 ||
        make_pipe(plan, 1, STDOUT_FILENO, false) != 0 ||
        make_pipe(plan, 2, STDERR_FILENO, false) != 0 ||
        make_pipe(plan, 3, ARGV_FD_RESULT, false) != 0 ||
        make_pipe(plan, 4, ARGV_FD_STATUS, false) != 0)
        return err_set(err, RC_TEMP, "pipe: %s", strerror(errno));
    plan->child[ARGV_FD_ARGS] = make_file("args", options->data, options->len);
    plan->child[ARGV_FD_SECCOMP] = make_file("seccomp", spawner->filter.data, spawner->filter.len);
    for (size_t i = 0; i < argv->n_files; i++)
        plan->child[ARGV_FD_FILES + i] = make_file("file", argv->files[i].data, argv->files[i].len);
    plan->n_child = ARGV_FD_FILES + argv->n_files;
    for (size_t i = 0; i < plan->n_child; i++) {
        if (plan->child[i] < 0)
            return err_set(err, RC_TEMP, "memfd: %s", strerror(errno));
    }
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

/* The signal outlives the exec of a program without set-user-ID. A parent that died before the call is
 * not told. */
static void
die_with(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != parent)
        _exit(EXEC_FAILED);
}

/* In the vfork child: only system calls, nothing of the parent's memory is changed. */
static void
become_bwrap(const struct plan *plan, const char *bwrap, const sigset_t *mask)
{
    static char *const NO_ENVIRONMENT[] = { NULL };
    struct sigaction plain = { .sa_handler = SIG_DFL };
    int parked[FDS_MAX];

    die_with(plan->parent);
    for (int number = 1; number < NSIG; number++)
        (void)sigaction(number, &plain, NULL);
    (void)sigprocmask(SIG_SETMASK, mask, NULL);
    if (plan->cgroup_procs >= 0 && write(plan->cgroup_procs, "0", 1) != 1)
        _exit(EXEC_FAILED);
    volunteer_for_oom();
    (void)setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + plan->nice);
    for (size_t i = 0; i < plan->n_child; i++) {
        parked[i] = fcntl(plan->child[i], F_DUPFD_CLOEXEC, FD_PARK);
        if (parked[i] < 0)
            _exit(EXEC_FAILED);
    }
    for (size_t i = 0; i < plan->n_child; i++) {
        if (dup2(parked[i], (int)i) < 0)
            _exit(EXEC_FAILED);
    }
    (void)close_range((unsigned)plan->n_child, ~0U, 0);
    set_limits(plan->limits);
    (void)execve(bwrap, plan->words, NO_ENVIRONMENT);
    _exit(EXEC_FAILED);
}

static enum rc
start(const struct plan *plan, const char *bwrap, pid_t *pid, struct err *err)
{
    sigset_t all, before;

    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    *pid = vfork();
    if (*pid == 0) {
        sigset_t none;

        (void)sigemptyset(&none);
        become_bwrap(plan, bwrap, &none);
    }
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    if (*pid < 0)
        return err_set(err, RC_TEMP, "vfork: %s", strerror(errno));
    return RC_OK;
}

enum rc
spawn_sandbox(const struct spawner *spawner, const struct sandbox *sandbox, int cgroup_procs,
              struct spawned *out, struct err *err)
{
    AUTO(plan) struct plan plan = { .ours = { -1, -1, -1, -1, -1 } };
    AUTO(buf) struct buf options = { 0 };
    char *words[ARGV_WORDS_MAX];
    struct argv argv;
    pid_t pid;
    int pidfd;
    enum rc rc;

    for (size_t i = 0; i < FDS_MAX; i++)
        plan.child[i] = -1;
    buf_init(&options, ARGV_OPTIONS_MAX);
    if ((rc = argv_build(sandbox, &options, &argv)) != RC_OK)
        return err_set(err, RC_CONFIG, "the options of bwrap do not fit %d bytes",
                       ARGV_OPTIONS_MAX);
    if ((rc = make_descriptors(&plan, spawner, &argv, &options, err)) != RC_OK)
        return rc;
    memcpy(words, argv.words, sizeof(words));
    memcpy(words, &(const char *){ spawner->name }, sizeof(words[0]));
    plan.words = words;
    plan.parent = getpid();
    plan.limits = &sandbox->limits;
    plan.cgroup_procs = cgroup_procs;
    plan.nice = spawner->nice;
    if ((rc = start(&plan, spawner->bwrap, &pid, err)) != RC_OK)
        return rc;
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0); /* our child, not yet waited for: no race */
    *out = (struct spawned){ .pid = pid, .pidfd = pidfd };
    out->input = fd_take(&plan.ours[0]);
    out->output = fd_take(&plan.ours[1]);
    out->error = fd_take(&plan.ours[2]);
    out->result = fd_take(&plan.ours[3]);
    out->status = fd_take(&plan.ours[4]);
    return RC_OK;
}
