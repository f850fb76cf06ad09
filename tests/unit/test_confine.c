/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process/confine.h"
#include "test.h"

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

/* What became of a confined child that made one attempt: its errno (0 = it succeeded), or minus the
 * signal that ended it. */
static int
outcome(unsigned needs, int (*attempt)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct err err;
        if (confine_memory(&err) != RC_OK || confine_calls(needs, &err) != RC_OK)
            _exit(255);
        errno = 0;
        _exit(attempt() < 0 ? errno : 0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int
try_exec(void)
{
    char *const argv[] = { (char *)"true", NULL };
    return execv("/bin/true", argv);
}

static int
try_fork(void)
{
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        _exit(0);
    return pid;
}

static int
try_clone3(void)
{
    return (int)syscall(SYS_clone3, NULL, 0);
}

static int
try_ptrace(void)
{
    return (int)ptrace(PTRACE_TRACEME, 0, 0, 0);
}

static int
try_read_parent(void)
{
    char byte;
    struct iovec to = { &byte, 1 }, from = { &to, 1 };
    return (int)process_vm_readv(getppid(), &to, 1, &from, 1, 0);
}

static int
try_unshare(void)
{
    return unshare(CLONE_NEWUSER);
}

static int
try_mount(void)
{
    return mount("none", "/tmp", "tmpfs", 0, NULL);
}

static int
try_keys(void)
{
    return (int)syscall(SYS_keyctl, 0, 0, 0, 0, 0);
}

static int
try_io_uring(void)
{
    return (int)syscall(SYS_io_uring_setup, 1, NULL);
}

static int
try_packet_socket(void)
{
    return socket(AF_PACKET, SOCK_RAW, 0);
}

static int
try_listen(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd < 0 ? -1 : listen(fd, 1);
}

static int
try_setuid(void)
{
    return setuid(0);
}

static void *
say_so(void *arg)
{
    *(bool *)arg = true;
    return NULL;
}

static int
try_daily_work(void)
{
    pthread_t thread;
    bool ran = false;
    char byte;
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    int inet = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || read(fd, &byte, 1) != 1 || inet < 0)
        return -1;
    if (pthread_create(&thread, NULL, say_so, &ran) != 0 || pthread_join(thread, NULL) != 0)
        return -1;
    return ran ? 0 : -1;
}

static int
core_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_CORE, &limit) != 0)
        return -1;
    errno = ERANGE;
    bool closed = limit.rlim_max == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 &&
                  (SANITIZED || prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
    return closed ? 0 : -1;
}

static void
ends_what_is_not_ours(void **state)
{
    (void)state;
    assert_int_equal(outcome(0, try_exec), -SIGSYS);
    assert_int_equal(outcome(CONFINE_LISTEN, try_exec), -SIGSYS);
    if (SANITIZED)
        return;
    assert_int_equal(outcome(0, try_fork), -SIGSYS);
    assert_int_equal(outcome(0, try_ptrace), -SIGSYS);
    assert_int_equal(outcome(0, try_read_parent), -SIGSYS);
    assert_int_equal(outcome(CONFINE_SPAWN, try_ptrace), -SIGSYS);
}

static void
refuses_what_nobody_needs(void **state)
{
    (void)state;
    assert_int_equal(outcome(0, try_unshare), EPERM);
    assert_int_equal(outcome(0, try_mount), EPERM);
    assert_int_equal(outcome(0, try_setuid), EPERM);
    assert_int_equal(outcome(0, try_keys), EPERM);
    assert_int_equal(outcome(CONFINE_SPAWN, try_keys), EPERM);
    assert_int_equal(outcome(0, try_io_uring), ENOSYS);
    assert_int_equal(outcome(0, try_packet_socket), EAFNOSUPPORT);
    assert_int_equal(outcome(0, try_listen), EPERM);
    if (!SANITIZED)
        assert_int_equal(outcome(0, try_clone3), ENOSYS);
}

static void
leaves_the_daily_work(void **state)
{
    (void)state;
    assert_int_equal(outcome(0, try_daily_work), 0);
    assert_int_equal(outcome(CONFINE_LISTEN, try_listen), 0);
    assert_int_equal(outcome(CONFINE_SPAWN, try_daily_work), 0);
    assert_int_equal(outcome(CONFINE_SPAWN, try_exec), 0);
    assert_int_equal(outcome(0, core_limit), 0);
}

static void
gives_up_root(void **state)
{
    (void)state;
    if (geteuid() != 0)
        return;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct err err;
        bool gone = confine_drop_root(&err) == RC_OK && getuid() != 0 && getegid() != 0 &&
                    setuid(0) != 0 && getgroups(0, NULL) == 0;
        _exit(gone ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_what_is_not_ours),
        cmocka_unit_test(refuses_what_nobody_needs),
        cmocka_unit_test(leaves_the_daily_work),
        cmocka_unit_test(gives_up_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
