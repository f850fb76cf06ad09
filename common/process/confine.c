/* SPDX-License-Identifier: MIT */
#include "process/confine.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

#define NOBODY 65534u

/* A leak check at the end of a sanitized program forks and traces itself. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* clang-format off */
/* No program of ours does this; one that tries is not ours any more. */
static const char *const DEADLY[] = { "execve", "execveat", "fork", "vfork" };
static const char *const PRYING[] = { "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd" };

/* What only administrators and debuggers need. */
static const char *const REFUSED[] = {
    "acct", "add_key", "adjtimex", "bpf", "chroot", "clock_adjtime", "clock_settime",
    "delete_module", "fanotify_init", "finit_module", "init_module", "ioperm", "iopl", "kcmp",
    "kexec_file_load", "kexec_load", "keyctl", "lookup_dcookie", "modify_ldt", "name_to_handle_at",
    "open_by_handle_at", "perf_event_open", "quotactl", "quotactl_fd", "reboot", "request_key",
    "settimeofday", "swapoff", "swapon", "syslog", "userfaultfd", "vhangup", "vmsplice",
};

/* What bubblewrap needs to build a sandbox, and nobody else. */
static const char *const BUILDING[] = {
    "fsconfig", "fsmount", "fsopen", "fspick", "mknod", "mknodat", "mount", "mount_setattr",
    "move_mount", "open_tree", "personality", "pivot_root", "setdomainname", "setgid", "setgroups",
    "sethostname", "setns", "setregid", "setresgid", "setresuid", "setreuid", "setuid", "umount2",
    "unshare", "capset", "setfsuid", "setfsgid",
};

static const char *const ABSENT[] = {
    "io_uring_enter", "io_uring_register", "io_uring_setup",
};
static const char *const LISTENING[] = { "accept", "accept4", "listen" };
/* clang-format on */

/* unix and inet for the servers, netlink because the resolver asks which addresses there are. */
static const int FAMILIES[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };
#define FAMILY_MAX 64

static void
filter_cleanup(scmp_filter_ctx *filter)
{
    if (*filter)
        seccomp_release(*filter);
}

static int
add_names(scmp_filter_ctx filter, uint32_t action, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int number = seccomp_syscall_resolve_name(names[i]);
        if (number < 0) /* not known, or not on this architecture */
            continue;
        int failed = seccomp_rule_add(filter, action, number, 0);
        if (failed)
            return failed;
    }
    return 0;
}

/* A new process, where a new thread was meant; clone3 hides its flags behind a pointer. */
static int
add_clone(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp no_thread = {
        .arg = 0, .op = SCMP_CMP_MASKED_EQ, .datum_a = CLONE_THREAD, .datum_b = 0
    };
    int failed =
        seccomp_rule_add_array(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(clone), 1, &no_thread);
    return failed ? failed : seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

static bool
is_family(int family)
{
    for (size_t i = 0; i < ARRAY_LEN(FAMILIES); i++)
        if (FAMILIES[i] == family)
            return true;
    return false;
}

static int
add_families(scmp_filter_ctx filter)
{
    struct scmp_arg_cmp over = { .arg = 0, .op = SCMP_CMP_GE, .datum_a = FAMILY_MAX };
    int failed =
        seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1, &over);
    for (int family = 0; family < FAMILY_MAX && !failed; family++) {
        struct scmp_arg_cmp same = { .arg = 0, .op = SCMP_CMP_EQ, .datum_a = (uint64_t)family };
        if (!is_family(family))
            failed = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket),
                                            1, &same);
    }
    return failed;
}

static int
add_rules(scmp_filter_ctx filter, unsigned needs)
{
    const uint32_t refuse = SCMP_ACT_ERRNO(EPERM);
    int failed = add_names(filter, refuse, REFUSED, ARRAY_LEN(REFUSED));
    if (!failed)
        failed = add_names(filter, SCMP_ACT_ERRNO(ENOSYS), ABSENT, ARRAY_LEN(ABSENT));
    if (!failed && !SANITIZED)
        failed = add_names(filter, SCMP_ACT_KILL_PROCESS, PRYING, ARRAY_LEN(PRYING));
    if (!failed && !(needs & CONFINE_LISTEN))
        failed = add_names(filter, refuse, LISTENING, ARRAY_LEN(LISTENING));
    if (failed || needs & CONFINE_SPAWN)
        return failed;
    failed = add_names(filter, refuse, BUILDING, ARRAY_LEN(BUILDING));
    if (!failed)
        failed = add_names(filter, SCMP_ACT_KILL_PROCESS, DEADLY, ARRAY_LEN(DEADLY));
    if (!failed && !SANITIZED)
        failed = add_clone(filter);
    if (!failed)
        failed = add_families(filter);
    return failed;
}

enum rc
confine_calls(unsigned needs, struct err *err)
{
    AUTO(filter) scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter)
        return err_set(err, RC_CONFIG, "seccomp: libseccomp cannot start a filter");
    int failed = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (!failed)
        failed = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (!failed)
        failed = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (!failed)
        failed = add_rules(filter, needs);
    if (!failed)
        failed = seccomp_load(filter);
    if (failed)
        return err_set(err, RC_CONFIG, "seccomp: %s", strerror(-failed));
    return RC_OK;
}

enum rc
confine_memory(struct err *err)
{
    const struct rlimit none = { 0, 0 };
    if (setrlimit(RLIMIT_CORE, &none) != 0)
        return err_set(err, RC_CONFIG, "cannot disable core dumps: %s", strerror(errno));
    if (!SANITIZED && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return err_set(err, RC_CONFIG, "cannot forbid debuggers: %s", strerror(errno));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_set(err, RC_CONFIG, "no_new_privs: %s", strerror(errno));
    return RC_OK;
}

enum rc
confine_drop_root(struct err *err)
{
    if (geteuid() != 0 && getuid() != 0)
        return RC_OK;
    const struct passwd *entry = getpwnam("nobody");
    uid_t uid = entry && entry->pw_uid ? entry->pw_uid : NOBODY;
    gid_t gid = entry && entry->pw_gid ? entry->pw_gid : NOBODY;
    if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
        return err_set(err, RC_CONFIG, "cannot give up root: %s", strerror(errno));
    if (setuid(0) == 0)
        return err_set(err, RC_CONFIG, "root could be regained");
    return RC_OK;
}
