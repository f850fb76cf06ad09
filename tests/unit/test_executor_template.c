/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "test.h"
#include "workers/executor/sandbox/argv.h"
#include "workers/executor/sandbox/mounts.h"
#include "workers/executor/sandbox/selftest.h"
#include "workers/executor/sandbox/spawn.h"
#include "workers/executor/sandbox/template.h"

#define TASKS "workers/executor/tasks"

struct bounds {
    char folder[64], script[80];
};

/* A program in bwrap's place. */
static void
put_script(struct bounds *bounds, const char *text)
{
    (void)snprintf(bounds->folder, sizeof(bounds->folder), "/tmp/gantry-template-XXXXXX");
    assert_non_null(mkdtemp(bounds->folder));
    (void)snprintf(bounds->script, sizeof(bounds->script), "%s/bwrap", bounds->folder);
    int fd = open(bounds->script, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
}

static void
remove_script(const struct bounds *bounds)
{
    assert_int_equal(unlink(bounds->script), 0);
    assert_int_equal(rmdir(bounds->folder), 0);
}

static struct action
one_file(void)
{
    static char program[] = "/usr/bin/true", name[] = "main.py", text[] = "print(1)\n";
    struct action action = { .name = "x", .command = { program }, .n_files = 1 };

    action.files[0] = (struct action_file){ .name = name, .data = text, .len = strlen(text) };
    return action;
}

static bool
same_bytes(const char *one, const char *other)
{
    AUTO(file) FILE *a = fopen(one, "re");
    AUTO(file) FILE *b = fopen(other, "re");
    int x, y;

    if (!a || !b)
        return false;
    do {
        x = getc(a);
        y = getc(b);
    } while (x == y && x != EOF);
    return x == y;
}

/* What a process of the template's namespaces sees, which the test leaves to a child: its status tells
 * which look failed first. host: a descriptor of the host's root. */
static int
look_inside(const struct template *made, int host)
{
    struct stat info;

    if (setns(made->users, CLONE_NEWUSER) != 0 || setns(made->mounts, CLONE_NEWNS) != 0)
        return 1;
    for (size_t i = 0; i < ARGV_COPIED_COUNT; i++) {
        char there[128];
        (void)snprintf(there, sizeof(there), "/proc/self/fd/%d%s", host, ARGV_COPIED[i].from);
        bool is_there = stat(there, &info) == 0;
        if (is_there ? !same_bytes(there, ARGV_COPIED[i].to) : stat(ARGV_COPIED[i].to, &info) == 0)
            return 10 + (int)i;
    }
    if (stat("/sandbox/task/main.py", &info) != 0 || info.st_size != 9 ||
        (info.st_mode & 07777) != 0444)
        return 2;
    if (stat("/sandbox/etc/shadow", &info) == 0 || stat("/sandbox/usr/local", &info) == 0 ||
        stat("/home", &info) == 0)
        return 3;
    if (open("/sandbox/x", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0 || errno != EROFS)
        return 4;
    if (open("/sandbox/etc/x", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0 || errno != EROFS)
        return 5;
    if (open("/sandbox/usr/bin/x", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0 || errno != EROFS)
        return 6;
    if (chmod("/sandbox/etc/passwd", 0666) == 0)
        return 7;
    /* As a sandbox would with all capabilities in its own namespaces. */
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return 8;
    if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL) == 0 || errno != EPERM)
        return 9;
    if (mount(NULL, "/sandbox/usr/bin", NULL, MS_REMOUNT | MS_BIND, NULL) == 0 || errno != EPERM)
        return 20;
    return umount2("/sandbox/usr/bin", MNT_DETACH) == 0 || errno != EINVAL ? 21 : 0;
}

static void
test_a_template_has_the_copies_and_cannot_be_written(void **state)
{
    struct action action = one_file();
    struct template made;
    struct err err = { 0 };
    int status = -1;

    (void)state;
    if (template_make(ARGV_BWRAP, "gantry-sandbox", &action, &made, &err) != RC_OK)
        fail_msg("%s", err.text);
    assert_ptr_equal(made.action, &action);
    assert_int_equal(waitpid(-1, &status, WNOHANG), -1); /* nobody is left of it */
    int host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(look_inside(&made, host));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    (void)close(host);
    template_fini(&made);
    assert_int_equal(made.users, -1);
    assert_int_equal(made.mounts, -1);
}

/* In a child: a host that shares its mounts, as systemd makes them, and mounts after the template is built. */
static int
mount_later(void)
{
    struct action action = one_file();
    struct template made;
    struct err err = { 0 };

    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) != 0)
        return 1;
    if (template_make(ARGV_BWRAP, "gantry-sandbox", &action, &made, &err) != RC_OK)
        return 2;
    if (mount("later", "/usr/share", "tmpfs", 0, "mode=1777") != 0)
        return 3;
    if (setns(made.users, CLONE_NEWUSER) != 0 || setns(made.mounts, CLONE_NEWNS) != 0)
        return 4;
    return open("/sandbox/usr/share/x", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0 || errno != EROFS
               ? 5
               : 0;
}

static void
test_a_later_mount_of_the_host_is_not_in_a_template(void **state)
{
    int status = -1;

    (void)state;
    if (geteuid() != 0)
        skip();
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(mount_later());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* What a mount of the host at the wrong moment leaves: bwrap has bound it, but not made it read-only. */
static void
test_a_template_with_a_mount_that_can_be_written_is_refused(void **state)
{
    struct action action = one_file();
    struct template made = { .users = 77, .mounts = 78 };
    struct bounds bounds;
    struct err err = { 0 };

    (void)state;
    put_script(&bounds, "#!/bin/sh\nshift 3\n"
                        "exec " ARGV_BWRAP " --args 4 --bind /tmp /sandbox/usr/share -- \"$@\"\n");
    assert_int_equal(template_make(bounds.script, "gantry-sandbox", &action, &made, &err), RC_TEMP);
    assert_string_equal(err.text, "the mount of /sandbox/usr/share can be written");
    assert_int_equal(made.users, 77);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    remove_script(&bounds);
}

#define REST " - tmpfs tmpfs rw,mode=755\n"
#define ROOT "1 0 0:1 / / ro,nosuid,nodev,relatime" REST

static void
test_mounts_of_a_template(void **state)
{
    static const struct {
        const char *table, *fault; /* NULL = none */
    } CASES[] = {
        { ROOT "2 1 0:2 / /sandbox/usr/bin ro,nosuid,nodev,relatime" REST
               "3 1 0:3 /null /devices/null rw,nosuid,relatime" REST
               "4 1 0:4 / /proc rw,relatime" REST "5 1 0:4 / /sandboxes rw" REST,
          NULL },
        { "1 0 0:1 / / rw,nosuid,nodev" REST, "the mount of / can be written" },
        { "1 0 0:1 / / rorw,nosuid,nodev" REST, "the mount of / can be written" },
        { "1 0 0:1 / / nosuid,nodev,ro" REST, NULL },
        { "1 0 0:1 / / ro,nodev" REST, "the mount of / allows set-user-ID" },
        { "1 0 0:1 / / ro,nosuid" REST, "the mount of / allows devices" },
        { ROOT "2 1 0:2 / /sandbox rw,nosuid,nodev" REST, "the mount of /sandbox can be written" },
        { ROOT "2 1 0:2 / /sandbox/usr/share/x rw,nosuid,nodev" REST,
          "the mount of /sandbox/usr/share/x can be written" },
        { ROOT "2 1 0:2 / /sandbox/dev/sda rw,nosuid" REST,
          "the mount of /sandbox/dev/sda can be written" },
        { ROOT "2 1 0:2 / /sandbox/dev/sda ro,nosuid" REST,
          "the mount of /sandbox/dev/sda allows devices" },
        { ROOT "2 1 0:2 / /devices ro,nosuid" REST, "the mount of /devices allows devices" },
        { ROOT "2 1 0:2 /full /sandbox/dev/full rw,nosuid" REST,
          "the mount of /sandbox/dev/full can be written" },
        { ROOT "2 1 0:2 / /devices/full rw" REST, "the mount of /devices/full allows set-user-ID" },
        { ROOT "2 1 0:2 /zero /devices/zero rw,nosuid" REST
               "3 2 0:3 / /devices/zero rw,nosuid" REST,
          "the mount of /devices/zero is mounted over" },
        { ROOT "2 1 0:2 / /sandbox/usr/bin ro,nosuid,nodev master:7" REST,
          "the mount of /sandbox/usr/bin is not private" },
        { ROOT "2 1 0:2 / /proc rw shared:1 master:7" REST, "the mount of /proc is not private" },
        { ROOT "2 1 0:2 / /sandbox\n", "line 2 of the mounts is not understood" },
        { "\n", "line 1 of the mounts is not understood" },
    };

    (void)state;
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        char text[1024];
        struct err err = { 0 };

        (void)snprintf(text, sizeof(text), "%s", CASES[i].table);
        AUTO(file) FILE *table = fmemopen(text, strlen(text), "r");
        assert_non_null(table);
        assert_int_equal(mounts_check(table, &err), CASES[i].fault ? RC_TEMP : RC_OK);
        assert_string_equal(err.text, CASES[i].fault ? CASES[i].fault : "");
    }
    AUTO(file) FILE *nothing = fopen("/dev/null", "re");
    assert_non_null(nothing);
    assert_int_equal(mounts_check(nothing, NULL), RC_TEMP);
}

static void
test_what_bwrap_says_is_the_error(void **state)
{
    static const struct {
        const char *script, *text;
    } CASES[] = {
        { "#!/bin/sh\necho 'bwrap: No permissions to create a new namespace' >&2; echo 2 >&2\n",
          "bwrap: No permissions to create a new namespace" },
        { "#!/bin/sh\nexit 1\n", "bwrap ended without a word" },
        { "#!/nowhere\n", "bwrap ended without a word" },
        { "#!/bin/sh\nexec cat 3>&-\n", "bwrap does not tell its child: " },
    };

    (void)state;
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct action action = one_file();
        struct template made = { .users = 77, .mounts = 78 };
        struct bounds bounds;
        struct err err = { 0 };

        put_script(&bounds, CASES[i].script);
        assert_int_equal(template_make(bounds.script, "gantry-sandbox", &action, &made, &err),
                         RC_CONFIG);
        assert_string_equal(err.text, CASES[i].text);
        assert_int_equal(made.users, 77);
        assert_int_equal(made.mounts, 78);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        remove_script(&bounds);
    }
}

static void
test_a_bwrap_that_hangs_is_ended(void **state)
{
    struct action action = one_file();
    struct template made = { .users = 77, .mounts = 78 };
    struct bounds bounds;
    struct err err = { 0 };

    (void)state;
    put_script(&bounds, "#!/bin/sh\necho 'bwrap: busy' >&2\nexec sleep 1000\n");
    assert_int_equal(template_make(bounds.script, "gantry-sandbox", &action, &made, &err), RC_TEMP);
    assert_string_equal(err.text, "bwrap does not build the template within 5000 ms");
    assert_int_equal(made.mounts, 78);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    remove_script(&bounds);
}

/* Before any task is taken, and with what to change. */
static void
test_without_a_template_the_self_test_fails(void **state)
{
    AUTO(catalog) struct catalog catalog = { 0 };
    struct bounds bounds;
    struct err err = { 0 };

    (void)state;
    put_script(&bounds, "#!/bin/sh\necho \"bwrap: Can't mount proc on /newroot/proc\" >&2\n");
    assert_int_equal(catalog_load(TASKS, &catalog, &err), RC_OK);
    assert_int_equal(selftest_run(&catalog, bounds.script, NULL, &err), RC_CONFIG);
    assert_non_null(strstr(err.text, "the sandbox is not available here: bwrap: Can't mount proc"));
    assert_non_null(strstr(err.text, "systempaths=unconfined"));
    remove_script(&bounds);
}

/* Waits for its end; said: its standard error. */
static void
hear_out(const struct spawned *spawned, char said[128])
{
    size_t len = 0;
    ssize_t got;

    assert_int_equal(fcntl(spawned->error, F_SETFL, 0), 0); /* it may block */
    while ((got = read(spawned->error, said + len, 127 - len)) > 0)
        len += (size_t)got;
    assert_int_equal(got, 0);
    said[len] = '\0';
    assert_int_equal(waitpid(spawned->pid, NULL, 0), spawned->pid);
    const int fds[] = { spawned->pidfd, spawned->input,  spawned->output,
                        spawned->error, spawned->result, spawned->status };
    for (size_t i = 0; i < TEST_COUNT(fds); i++)
        assert_int_equal(close(fds[i]), 0);
}

/* As in a container whose seccomp profile does not know setns(). */
static void
test_a_sandbox_that_cannot_enter_its_template_says_so(void **state)
{
    struct action action = one_file();
    struct sandbox sandbox = policy_ahead(&action);
    struct spawner spawner;
    struct spawned spawned;
    char said[128];

    (void)state;
    assert_int_equal(spawner_init(&spawner, ARGV_BWRAP, NULL), RC_OK);
    spawner.templates[spawner.n_templates++] = (struct template){
        .action = &action,
        .users = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC), /* ours: nobody can enter it */
        .mounts = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC),
    };
    assert_int_equal(spawn_sandbox(&spawner, &sandbox, -1, &spawned, NULL), RC_OK);
    hear_out(&spawned, said);
    assert_string_equal(said, "setns: the namespaces of the template cannot be entered\n");
    spawner_fini(&spawner);
}

/* The second lock: were there a mount in the template that can be written, a sandbox could not. */
static void
test_a_sandbox_has_no_mount_that_can_be_written(void **state)
{
    static char touch[] = "/usr/bin/touch", path[] = "/usr/share/x";
    struct action action = { .name = "x",
                             .command = { touch, path },
                             .limits = { .cpu_ms = 60000,
                                         .memory_bytes = 67108864,
                                         .tmp_bytes = 1048576,
                                         .file_bytes = 1048576,
                                         .open_files = 64 } };
    struct sandbox sandbox = policy_ahead(&action);
    struct spawner spawner;
    struct spawned spawned;
    char said[128];
    int status = -1;

    (void)state;
    assert_int_equal(spawner_init(&spawner, ARGV_BWRAP, NULL), RC_OK);
    struct template *made = &spawner.templates[spawner.n_templates++];
    assert_int_equal(template_make(ARGV_BWRAP, "gantry-sandbox", &action, made, NULL), RC_OK);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(setns(made->users, CLONE_NEWUSER) != 0 || setns(made->mounts, CLONE_NEWNS) != 0 ||
              mount("x", "/sandbox/usr/share", "tmpfs", 0, "mode=1777") != 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(spawn_sandbox(&spawner, &sandbox, -1, &spawned, NULL), RC_OK);
    hear_out(&spawned, said);
    assert_non_null(strstr(said, "'/usr/share/x': Read-only file system"));
    spawner_fini(&spawner);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_template_has_the_copies_and_cannot_be_written),
        cmocka_unit_test(test_a_later_mount_of_the_host_is_not_in_a_template),
        cmocka_unit_test(test_a_template_with_a_mount_that_can_be_written_is_refused),
        cmocka_unit_test(test_mounts_of_a_template),
        cmocka_unit_test(test_what_bwrap_says_is_the_error),
        cmocka_unit_test(test_a_bwrap_that_hangs_is_ended),
        cmocka_unit_test(test_without_a_template_the_self_test_fails),
        cmocka_unit_test(test_a_sandbox_that_cannot_enter_its_template_says_so),
        cmocka_unit_test(test_a_sandbox_has_no_mount_that_can_be_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
