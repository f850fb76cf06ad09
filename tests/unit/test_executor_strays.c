/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
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

#define SCRIPT "#!/bin/sh\necho $$ >%s/told\nexec sleep 1000\n"

static void
put_script(const char *path, const char *folder)
{
    char text[128];
    int len = snprintf(text, sizeof(text), SCRIPT, folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, (size_t)len), len);
    assert_int_equal(close(fd), 0);
}

/* Namespaces of their own, but with everything that this side has. */
static struct template plain_template(const struct action *action)
{
    struct template made = { .action = action, .users = -1, .mounts = -1 };
    char path[64];
    int ready[2];
    char byte;

    if (pipe2(ready, O_CLOEXEC) != 0)
        return made;
    pid_t child = fork();
    if (child == 0) {
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0)
            (void)!write(ready[1], "x", 1);
        (void)pause();
    }
    (void)close(ready[1]);
    if (read(ready[0], &byte, 1) == 1) {
        (void)snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)child);
        made.users = open(path, O_RDONLY | O_CLOEXEC);
        (void)snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)child);
        made.mounts = open(path, O_RDONLY | O_CLOEXEC);
    }
    (void)close(ready[0]);
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    return made;
}

/* An executor that starts a program in bwrap's place: for a template, or inside one. */
static void
be_executor(const char *bwrap, bool inside)
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
    if (spawner_init(&spawner, bwrap, NULL) != RC_OK)
        _exit(1);
    if (inside)
        spawner.templates[spawner.n_templates++] = plain_template(&action);
    if (spawn_sandbox(&spawner, &sandbox, -1, &spawned, NULL) != RC_OK)
        _exit(1);
    for (;;)
        (void)pause();
}

/* The program asks for no signal of its own, as bwrap until it has read its options. */
static void
ends_with_the_executor(bool inside)
{
    char folder[] = "/tmp/gantry-strays-XXXXXX", script[64], told[64], text[24] = "";

    assert_non_null(mkdtemp(folder));
    (void)snprintf(script, sizeof(script), "%s/bwrap", folder);
    (void)snprintf(told, sizeof(told), "%s/told", folder);
    put_script(script, folder);
    assert_int_equal(mkfifo(told, 0600), 0);
    pid_t executor = fork();
    assert_true(executor >= 0);
    if (executor == 0)
        be_executor(script, inside);
    int fifo =
        open(told, O_RDWR | O_CLOEXEC); /* with both ends, neither side waits for the other */
    int lives = (int)syscall(SYS_pidfd_open, executor, 0);
    struct pollfd ready[] = { { .fd = fifo, .events = POLLIN }, { .fd = lives, .events = POLLIN } };
    assert_true(poll(ready, 2, LINGER_MS) > 0);
    assert_int_equal(ready[1].revents,
                     0); /* an executor that ended by itself has started nothing */
    assert_true(read(fifo, text, sizeof(text) - 1) > 0);
    (void)close(lives);
    int pidfd = (int)syscall(SYS_pidfd_open, strtol(text, NULL, 10), 0);
    (void)kill(executor, SIGKILL);
    assert_int_equal(waitpid(executor, NULL, 0), executor);
    (void)close(fifo);
    assert_true(pidfd >= 0);
    struct pollfd ended = { .fd = pidfd, .events = POLLIN };
    assert_int_equal(poll(&ended, 1, LINGER_MS), 1);
    (void)close(pidfd);
    (void)unlink(script);
    (void)unlink(told);
    (void)rmdir(folder);
}

static void
test_what_stands_for_bwrap_ends_with_the_executor(void **state)
{
    (void)state;
    ends_with_the_executor(true);
}

static void
test_what_builds_a_template_ends_with_the_executor(void **state)
{
    (void)state;
    ends_with_the_executor(false);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_the_sandboxes_of_executors_that_are_gone_are_ended),
        cmocka_unit_test(test_what_stands_for_bwrap_ends_with_the_executor),
        cmocka_unit_test(test_what_builds_a_template_ends_with_the_executor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
