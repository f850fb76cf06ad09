/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"
#include "workers/executor/sandbox/policy.h"
#include "workers/executor/sandbox/spawn.h"
#include "workers/executor/sandbox/strays.h"

#define LINGER_MS 300000 /* a bound against hanging */

static pid_t
sleeper(char *name)
{
    static char *const NONE[] = { NULL };
    static char seconds[] = "1000";
    char *const words[] = { name, seconds, NULL };
    pid_t pid = -1;

    assert_int_equal(posix_spawn(&pid, "/bin/sleep", NULL, NULL, words, NONE), 0);
    return pid;
}

static void
test_only_the_sandboxes_of_executors_that_are_gone_are_ended(void **state)
{
    char ours[STRAYS_TAG_MAX], reused[STRAYS_TAG_MAX + 1], ended[STRAYS_TAG_MAX];
    char no_tag[] = "gantry-sandbox";
    int status = 0;

    (void)state;
    strays_tag(ours);
    assert_int_equal(strncmp(ours, "gantry-sandbox:", 15), 0);
    (void)snprintf(reused, sizeof(reused), "%s1", ours); /* of an earlier process with our number */
    const char *space_end = strchr(ours + 15, ':');
    assert_non_null(space_end);
    (void)snprintf(ended, sizeof(ended), "%.*s:%d:1", (int)(space_end - ours), ours, INT_MAX);
    const pid_t strays[] = { sleeper(reused), sleeper(ended) };
    pid_t kept = sleeper(ours), other = sleeper(no_tag);
    assert_true(strays_end() >= 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(waitpid(strays[i], &status, 0), strays[i]);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGKILL);
    }
    assert_int_equal(waitpid(kept, &status, WNOHANG), 0);
    assert_int_equal(waitpid(other, &status, WNOHANG), 0);
    (void)kill(kept, SIGKILL);
    (void)kill(other, SIGKILL);
    assert_int_equal(waitpid(kept, &status, 0), kept);
    assert_int_equal(waitpid(other, &status, 0), other);
}

static void
put_script(const char *path)
{
    static const char TEXT[] = "#!/bin/sh\nexec sleep 1000\n";
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, TEXT, sizeof(TEXT) - 1), sizeof(TEXT) - 1);
    assert_int_equal(close(fd), 0);
}

/* An executor: starts a program in bwrap's place, tells its number, and waits to be killed. */
static void
be_executor(const char *bwrap, int tell)
{
    static char python[] = "/usr/bin/python3";
    struct action action = { .name = "x", .command = { python } };
    struct spawner spawner;
    struct spawned spawned;

    action.limits = (struct limits){ .cpu_ms = 60000,
                                     .memory_bytes = 1u << 30,
                                     .file_bytes = 1u << 20,
                                     .open_files = 64,
                                     .tmp_bytes = 1u << 20 };
    struct sandbox sandbox = policy_ahead(&action);
    if (spawner_init(&spawner, bwrap, NULL) != RC_OK ||
        spawn_sandbox(&spawner, &sandbox, -1, &spawned, NULL) != RC_OK ||
        write(tell, &spawned.pid, sizeof(spawned.pid)) != sizeof(spawned.pid))
        _exit(1);
    for (;;)
        (void)pause();
}

/* The program asks for no signal of its own, as bwrap until it has read its options. */
static void
test_what_stands_for_bwrap_ends_with_the_executor(void **state)
{
    char folder[] = "/tmp/gantry-strays-XXXXXX", script[64];
    pid_t bwrap = -1;
    int ends[2];

    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(script, sizeof(script), "%s/bwrap", folder);
    put_script(script);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t executor = fork();
    assert_true(executor >= 0);
    if (executor == 0)
        be_executor(script, ends[1]);
    (void)close(ends[1]);
    ssize_t got = read(ends[0], &bwrap, sizeof(bwrap));
    int pidfd = got == sizeof(bwrap) ? (int)syscall(SYS_pidfd_open, bwrap, 0) : -1;
    (void)kill(executor, SIGKILL);
    assert_int_equal(waitpid(executor, NULL, 0), executor);
    (void)close(ends[0]);
    assert_true(pidfd >= 0);
    struct pollfd ended = { .fd = pidfd, .events = POLLIN };
    assert_int_equal(poll(&ended, 1, LINGER_MS), 1);
    (void)close(pidfd);
    (void)unlink(script);
    (void)rmdir(folder);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_the_sandboxes_of_executors_that_are_gone_are_ended),
        cmocka_unit_test(test_what_stands_for_bwrap_ends_with_the_executor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
