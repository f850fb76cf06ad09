/* SPDX-License-Identifier: MIT */
#include "sandbox/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

#define LOW32      0xFFFFFFFFU
#define SANDBOX_ID 1000 /* argv.c: --uid and --gid */

/* clang-format off */
/* By name: a call that this architecture does not have is left out. No socket of any family but pairs
 * of AF_UNIX (add_sockets()), which are used like pipes and cannot be given a descriptor to carry; no
 * shared memory outside a process's own or the bounded tmpfs (SysV, memfd: the sampler could not
 * see them), no way to flush the host's disks (sync, syncfs), nothing that makes a namespace. */
static const char *const ALLOWED[] = {
    "access", "alarm", "arch_prctl", "brk", "capget", "chdir", "chmod", "chown", "clock_getres",
    "clock_gettime", "clock_nanosleep", "close", "close_range", "copy_file_range", "creat",
    "dup", "dup2", "dup3", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_pwait",
    "epoll_pwait2", "epoll_wait", "eventfd", "eventfd2", "execve", "execveat", "exit",
    "exit_group", "faccessat", "faccessat2", "fadvise64", "fallocate", "fchdir", "fchmod",
    "fchmodat", "fchmodat2", "fchown", "fchownat", "fdatasync", "fgetxattr",
    "flistxattr", "flock", "fork", "fstat", "fstatfs", "fsync", "ftruncate", "futex",
    "futex_waitv", "getcpu", "getcwd", "getdents", "getdents64", "getegid", "geteuid", "getgid",
    "getgroups", "getitimer", "getpgid", "getpgrp", "getpeername", "getpid", "getppid",
    "getpriority", "getrandom", "getresgid", "getresuid", "getrlimit", "get_robust_list",
    "getrusage", "getsid", "getsockname", "getsockopt", "gettid", "gettimeofday", "getuid",
    "getxattr", "kill", "lchown", "lgetxattr", "link", "linkat", "listxattr", "llistxattr",
    "lseek", "lstat", "madvise", "membarrier", "mincore", "mkdir", "mkdirat", "mknod",
    "mknodat", "mlock", "mmap", "mprotect", "mremap", "msync", "munlock", "munmap", "nanosleep",
    "newfstatat", "open", "openat", "openat2", "pause", "pipe", "pipe2", "poll", "ppoll",
    "pread64", "preadv", "preadv2", "pselect6", "pwrite64", "pwritev", "pwritev2", "read",
    "readahead", "readlink", "readlinkat", "readv", "recvfrom", "rename", "renameat",
    "renameat2", "restart_syscall", "rmdir", "rseq", "rt_sigaction", "rt_sigpending",
    "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait",
    "rt_tgsigqueueinfo", "sched_getaffinity", "sched_getparam", "sched_get_priority_max",
    "sched_get_priority_min", "sched_getscheduler", "sched_rr_get_interval",
    "sched_setaffinity", "sched_yield", "select", "sendfile", "set_robust_list",
    "set_tid_address", "setitimer", "setpgid", "setpriority", "setrlimit", "setsid", "shutdown",
    "sigaltstack", "splice", "stat", "statfs", "statx", "symlink", "symlinkat", "sysinfo",
    "tee", "tgkill", "time", "timer_create", "timer_delete", "timer_getoverrun",
    "timer_gettime", "timer_settime", "timerfd_create", "timerfd_gettime", "timerfd_settime",
    "times", "tkill", "truncate", "umask", "uname", "unlink", "unlinkat", "utime", "utimensat",
    "utimes", "vfork", "wait4", "waitid", "write", "writev",
};

/* Known and refused: a clear "Operation not permitted" instead of "Function not implemented". */
static const char *const REFUSED[] = {
    "accept", "accept4", "acct", "add_key", "adjtimex", "bind", "bpf", "chroot",
    "clock_adjtime", "clock_settime", "connect", "delete_module", "fanotify_init",
    "finit_module", "fsopen", "get_kernel_syms", "init_module", "io_setup", "io_uring_enter",
    "io_uring_register", "io_uring_setup", "ioperm", "iopl", "kcmp", "kexec_file_load",
    "kexec_load", "keyctl", "listen", "lookup_dcookie", "memfd_create", "memfd_secret",
    "migrate_pages", "modify_ldt", "mount", "mount_setattr", "move_mount", "move_pages",
    "mq_open", "msgget", "name_to_handle_at", "nfsservctl", "open_by_handle_at", "open_tree",
    "perf_event_open", "personality", "pidfd_getfd", "pidfd_open", "pidfd_send_signal",
    "pivot_root", "process_madvise", "process_vm_readv", "process_vm_writev", "ptrace",
    "quotactl", "quotactl_fd", "reboot", "recvmmsg", "recvmsg", "request_key", "seccomp",
    "semget", "sendmmsg", "sendmsg", "setdomainname", "setfsgid", "setfsuid", "setgid",
    "setgroups", "sethostname", "setns", "setregid", "setreuid", "setsockopt", "settimeofday",
    "setuid", "setxattr", "shmat", "shmget", "swapoff", "swapon", "sync", "syncfs", "syslog",
    "umount2", "unshare", "userfaultfd", "vhangup", "vmsplice",
};
/* clang-format on */

/* No TIOCSTI, no TIOCLINUX: only what asks about a descriptor or changes its own flags. */
static const unsigned IOCTLS[] = { TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIOCLEX, FIONCLEX };

/* What programs do with their descriptors, locks, pipes. */
static const unsigned FCNTLS[] = {
    F_DUPFD,
    F_DUPFD_CLOEXEC,
    F_GETFD,
    F_SETFD,
    F_GETFL,
    F_SETFL,
    F_GETLK,
    F_SETLK,
    F_SETLKW,
    F_OFD_GETLK,
    F_OFD_SETLK,
    F_OFD_SETLKW,
    F_GETOWN,
    F_GETOWN_EX,
    F_SETPIPE_SZ,
    F_GETPIPE_SZ,
    F_ADD_SEALS,
    F_GET_SEALS,
    1027 /* F_DUPFD_QUERY */,
};

/* What the kernel grants to the owner of a file, also where it is mounted read-only: the files of the
 * template belong to the user of every task. A lease lets others wait for the file, a hint stays. */
static const unsigned FCNTLS_REFUSED[] = {
    F_SETLEASE,         F_GETLEASE, F_NOTIFY, F_GET_RW_HINT, F_SET_RW_HINT, F_GET_FILE_RW_HINT,
    F_SET_FILE_RW_HINT, F_SETSIG,   F_GETSIG, F_SETOWN,      F_SETOWN_EX,   1029 /* F_CANCELLK */,
};

static const unsigned PRCTLS[] = {
    PR_SET_NAME,
    PR_GET_NAME,
    PR_SET_PDEATHSIG,
    PR_GET_PDEATHSIG,
    PR_GET_DUMPABLE,
    PR_CAPBSET_READ,
    PR_SET_NO_NEW_PRIVS,
    PR_GET_NO_NEW_PRIVS,
    PR_GET_SECUREBITS,
    PR_GET_KEEPCAPS,
    PR_GET_TIMERSLACK,
    PR_GET_SECCOMP,
    0x53564d41 /* PR_SET_VMA: names of anonymous mappings */,
};

static void
filter_cleanup(scmp_filter_ctx *context)
{
    if (*context)
        seccomp_release(*context);
}

static int
add_named(scmp_filter_ctx context, uint32_t action, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int number = seccomp_syscall_resolve_name(names[i]);
        int failed;

        if (number < 0) /* not known, or not on this architecture */
            continue;
        if ((failed = seccomp_rule_add(context, action, number, 0)) != 0)
            return failed;
    }
    return 0;
}

/* A call with one of some values in the low 32 bits of an argument. */
static int
add_choices(scmp_filter_ctx context, uint32_t action, int number, unsigned argument,
            const unsigned *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct scmp_arg_cmp same = {
            .arg = argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = LOW32, .datum_b = values[i]
        };
        int failed = seccomp_rule_add_array(context, action, number, 1, &same);

        if (failed)
            return failed;
    }
    return 0;
}

/* A pair of AF_UNIX reaches nobody outside the sandbox, and sendto without an address only the other end
 * of it. Where there is one multiplexing call for all of them (32-bit x86), none is to be had. Every
 * socket: the words "Network is down" say more than "Operation not permitted". */
static int
add_sockets(scmp_filter_ctx context)
{
    const struct scmp_arg_cmp local = { .arg = 0, .op = SCMP_CMP_EQ, .datum_a = AF_UNIX };
    const struct scmp_arg_cmp other = { .arg = 0, .op = SCMP_CMP_NE, .datum_a = AF_UNIX };
    const struct scmp_arg_cmp nowhere = { .arg = 4, .op = SCMP_CMP_EQ, .datum_a = 0 };
    const struct scmp_arg_cmp address = { .arg = 4, .op = SCMP_CMP_NE, .datum_a = 0 };
    const struct {
        const char *name;
        uint32_t action;
        const struct scmp_arg_cmp *when; /* NULL = always */
    } rules[] = {
        { "socket", SCMP_ACT_ERRNO(ENETDOWN), NULL },    { "socketpair", SCMP_ACT_ALLOW, &local },
        { "socketpair", SCMP_ACT_ERRNO(EPERM), &other }, { "sendto", SCMP_ACT_ALLOW, &nowhere },
        { "sendto", SCMP_ACT_ERRNO(EPERM), &address },
    };

    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        int number = seccomp_syscall_resolve_name(rules[i].name);
        int failed = number < 0 ? 0
                                : seccomp_rule_add_array(context, rules[i].action, number,
                                                         rules[i].when != NULL, rules[i].when);

        if (failed)
            return failed;
    }
    return 0;
}

/* To be who one is: programs that start others reset their rights so (make, by posix_spawn). */
static int
add_reset_ids(scmp_filter_ctx context)
{
    static const char *const names[] = { "setresuid", "setresgid" };
    const struct scmp_arg_cmp same[] = {
        { .arg = 0, .op = SCMP_CMP_MASKED_EQ, .datum_a = LOW32, .datum_b = LOW32 },
        { .arg = 1, .op = SCMP_CMP_MASKED_EQ, .datum_a = LOW32, .datum_b = SANDBOX_ID },
        { .arg = 2, .op = SCMP_CMP_MASKED_EQ, .datum_a = LOW32, .datum_b = LOW32 },
    };
    const struct scmp_arg_cmp other = { .arg = 1, .op = SCMP_CMP_NE, .datum_a = SANDBOX_ID };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        int number = seccomp_syscall_resolve_name(names[i]);
        int failed = seccomp_rule_add_array(context, SCMP_ACT_ALLOW, number, 3, same);

        if (failed || (failed = seccomp_rule_add_array(context, SCMP_ACT_ERRNO(EPERM), number, 1,
                                                       &other)) != 0)
            return failed;
    }
    return 0;
}

/* clone without a single namespace flag; clone3 hides its flags behind a pointer. prlimit64 only
 * of oneself: a limit on the sandbox's first process would end it like a fault of ours. */
static int
add_special(scmp_filter_ctx context)
{
    static const unsigned SELF[] = { 0 };
    const uint64_t namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
    struct scmp_arg_cmp none = {
        .arg = 0, .op = SCMP_CMP_MASKED_EQ, .datum_a = namespaces, .datum_b = 0
    };
    int failed;

    if ((failed = seccomp_rule_add_array(context, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, &none)) ||
        (failed = add_choices(context, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 0, SELF, 1)) ||
        (failed =
             add_choices(context, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, IOCTLS, ARRAY_LEN(IOCTLS))) ||
        (failed =
             add_choices(context, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 0, PRCTLS, ARRAY_LEN(PRCTLS))) ||
        (failed =
             add_choices(context, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, FCNTLS, ARRAY_LEN(FCNTLS))) ||
        (failed = add_choices(context, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(fcntl), 1, FCNTLS_REFUSED,
                              ARRAY_LEN(FCNTLS_REFUSED))))
        return failed;
    return 0;
}

/* libseccomp exports only to a descriptor. */
static enum rc
export_filter(scmp_filter_ctx context, struct buf *filter, struct err *err)
{
    AUTO(fd) int fd = memfd_create("seccomp", MFD_CLOEXEC);
    char piece[4096];
    ssize_t got;
    int failed;

    if (fd < 0)
        return err_set(err, RC_CONFIG, "memfd_create: %s", strerror(errno));
    if ((failed = seccomp_export_bpf(context, fd)) != 0)
        return err_set(err, RC_CONFIG, "seccomp: %s", strerror(-failed));
    if (lseek(fd, 0, SEEK_SET) != 0)
        return err_set(err, RC_CONFIG, "seccomp: %s", strerror(errno));
    while ((got = read(fd, piece, sizeof(piece))) > 0)
        buf_add(filter, piece, (size_t)got);
    if (got < 0 || buf_failed(filter) || filter->len == 0)
        return err_set(err, RC_CONFIG, "seccomp: the filter cannot be read back");
    return RC_OK;
}

enum rc
seccomp_build(struct buf *filter, struct err *err)
{
    AUTO(filter) scmp_filter_ctx context = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    int failed;

    if (!context)
        return err_set(err, RC_CONFIG, "seccomp: libseccomp cannot start a filter");
    if ((failed = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS)) ||
        (failed = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2)) ||
        (failed = add_named(context, SCMP_ACT_ALLOW, ALLOWED, ARRAY_LEN(ALLOWED))) ||
        (failed = add_named(context, SCMP_ACT_ERRNO(EPERM), REFUSED, ARRAY_LEN(REFUSED))) ||
        (failed = add_sockets(context)) || (failed = add_reset_ids(context)) ||
        (failed = add_special(context)))
        return err_set(err, RC_CONFIG, "seccomp: %s", strerror(-failed));
    return export_filter(context, filter, err);
}
