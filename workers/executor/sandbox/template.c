/* SPDX-License-Identifier: MIT */
#include "sandbox/template.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "json/json.h"
#include "sandbox/launch.h"
#include "sandbox/mounts.h"

#define SAID_MAX 256 /* bytes kept of what bwrap says */

enum ours { INPUT, OUTPUT, ERROR, STATUS };

/* Regular files only, and none that a mistake has made huge: all are kept in memory. */
static enum rc
open_copied(const char *path, int *out, struct err *err)
{
    AUTO(fd) int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat info;

    if (fd < 0 || fstat(fd, &info) != 0)
        return err_set(err, RC_CONFIG, "%s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode) || info.st_size > TEMPLATE_COPY_BYTES)
        return err_set(err, RC_CONFIG, "%s is not a file of at most %d bytes", path,
                       TEMPLATE_COPY_BYTES);
    *out = fd_take(&fd);
    return RC_OK;
}

/* As a set of bits: what is not there, or not for this user, is left out. */
static unsigned
find_copied(void)
{
    unsigned there = 0;

    for (unsigned i = 0; i < ARGV_COPIED_COUNT; i++) {
        if (access(ARGV_COPIED[i].from, R_OK) == 0)
            there |= 1u << i;
    }
    return there;
}

static enum rc
add_files(struct launch *launch, const struct argv *argv, struct err *err)
{
    for (size_t i = 0; i < argv->n_files; i++) {
        const struct argv_file *file = &argv->files[i];
        int number = ARGV_TEMPLATE_FD_FILES + (int)i;
        int fd = -1;
        enum rc rc = file->path ? open_copied(file->path, &fd, err)
                                : launch_data(launch, number, file->data, file->len, err);

        if (rc != RC_OK)
            return rc;
        if (file->path)
            launch_fd(launch, number, fd);
    }
    return RC_OK;
}

static enum rc
prepare(struct launch *launch, const struct action *action, struct argv *argv, struct err *err)
{
    AUTO(buf) struct buf options = { 0 };
    enum rc rc;

    buf_init(&options, ARGV_OPTIONS_MAX);
    if ((rc = argv_build_template(action, find_copied(), &options, argv)) != RC_OK)
        return err_set(err, RC_CONFIG, "the options of bwrap do not fit %d bytes",
                       ARGV_OPTIONS_MAX);
    if ((rc = launch_pipe(launch, STDIN_FILENO, true, err)) != RC_OK ||
        (rc = launch_pipe(launch, STDOUT_FILENO, false, err)) != RC_OK ||
        (rc = launch_pipe(launch, STDERR_FILENO, false, err)) != RC_OK ||
        (rc = launch_pipe(launch, ARGV_TEMPLATE_FD_STATUS, false, err)) != RC_OK)
        return rc;
    if (write(launch->ours[INPUT], "\n", 1) != 1) /* before there is a reader that could be gone */
        return err_set(err, RC_TEMP, "pipe: %s", strerror(errno));
    rc = launch_data(launch, ARGV_TEMPLATE_FD_ARGS, options.data, options.len, err);
    return rc == RC_OK ? add_files(launch, argv, err) : rc;
}

/* What a pipe has, as text; waits for its first bytes or its end. False when the deadline came first. */
static bool
hear(int fd, int64_t deadline_ms, char text[SAID_MAX])
{
    struct pollfd ready = { .fd = fd, .events = POLLIN };
    int is_ready;
    ssize_t got;

    do {
        int64_t left_ms = deadline_ms - clock_mono_ms();
        is_ready = poll(&ready, 1, left_ms > 0 ? (int)left_ms : 0);
    } while (is_ready < 0 && errno == EINTR);
    got = read(fd, text, SAID_MAX - 1);
    text[got > 0 ? got : 0] = '\0';
    return is_ready > 0;
}

/* The command that bwrap runs when all is built gives back the byte that it is given. */
static enum rc
wait_until_built(const struct launch *launch, int64_t deadline_ms, pid_t *inside, struct err *err)
{
    AUTO(json) cJSON *status = NULL;
    char said[SAID_MAX];

    if (!hear(launch->ours[OUTPUT], deadline_ms, said))
        return err_set(err, RC_TEMP, "bwrap does not build the template within %d ms",
                       TEMPLATE_WAIT_MS);
    if (said[0] != '\n') {
        (void)hear(launch->ours[ERROR], deadline_ms, said);
        said[strcspn(said, "\r\n")] = '\0';
        return err_set(err, RC_CONFIG, "%s", said[0] ? said : "bwrap ended without a word");
    }
    (void)hear(launch->ours[STATUS], deadline_ms, said);
    if (json_read(said, strcspn(said, "\n"), &status, NULL) != RC_OK ||
        (*inside = (pid_t)json_int(status, "child-pid", 0)) <= 0)
        return err_set(err, RC_CONFIG, "bwrap does not tell its child: %s", said);
    return RC_OK;
}

static int
open_namespace(pid_t pid, const char *which)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, which);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* In the vfork child: only system calls. Its exit status is the errno. */
static void
make_private_inside(const struct template *made)
{
    if (!launch_enter(made->users, made->mounts) ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        _exit(errno);
    _exit(0);
}

/* bwrap leaves its mounts as slaves of the host's: what the host mounts later on one of them would appear in
 * every sandbox, with the host's flags. */
static enum rc
make_private(const struct template *made, struct err *err)
{
    sigset_t all, before;
    int status = 0;
    pid_t child;

    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before); /* a handler would run in our memory */
    child = vfork();
    if (child == 0)
        make_private_inside(made);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    if (child < 0)
        return err_set(err, RC_TEMP, "vfork: %s", strerror(errno));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return err_set(err, RC_CONFIG, "the mounts of the template's namespace: %s",
                       WIFEXITED(status) ? strerror(WEXITSTATUS(status)) : "killed");
    return RC_OK;
}

/* What the host mounted between bwrap's bind and now is there, and nothing comes after. */
static enum rc
check_mounts(pid_t inside, struct err *err)
{
    AUTO(file) FILE *table = NULL;
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)inside);
    if (!(table = fopen(path, "re")))
        return err_set(err, RC_TEMP, "%s: %s", path, strerror(errno));
    return mounts_check(table, err);
}

/* The command ends with its input, bwrap with the command, and so both are reaped. Killed, bwrap takes it
 * along (--die-with-parent), but leaves it to us as a stranger. */
static void
end(struct launch *launch, pid_t pid, int64_t deadline_ms)
{
    char said[SAID_MAX];

    fd_cleanup(&launch->ours[INPUT]);
    launch->ours[INPUT] = -1;
    (void)hear(launch->ours[ERROR], deadline_ms, said);
    (void)kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

enum rc
template_make(const char *bwrap, const char *name, const struct action *action,
              struct template *out, struct err *err)
{
    AUTO(launch) struct launch launch = LAUNCH_NONE;
    struct template made = { .action = action, .users = -1, .mounts = -1 };
    struct argv argv;
    int64_t deadline_ms = clock_mono_ms() + TEMPLATE_WAIT_MS;
    pid_t pid, inside = 0;
    enum rc rc;

    launch.bwrap = bwrap;
    launch.name = name;
    if ((rc = prepare(&launch, action, &argv, err)) != RC_OK ||
        (rc = launch_start(&launch, argv.words, &pid, err)) != RC_OK)
        return rc;
    launch_close_child(&launch);
    if ((rc = wait_until_built(&launch, deadline_ms, &inside, err)) == RC_OK) {
        made.users = open_namespace(inside, "user");
        made.mounts = open_namespace(inside, "mnt");
        if (made.users < 0 || made.mounts < 0)
            rc = err_set(err, RC_TEMP, "the template's namespaces: %s", strerror(errno));
        else if ((rc = make_private(&made, err)) == RC_OK)
            rc = check_mounts(inside, err);
    }
    end(&launch, pid, deadline_ms);
    if (rc == RC_OK)
        *out = made;
    else
        template_fini(&made);
    return rc;
}

void
template_fini(struct template *template)
{
    fd_cleanup(&template->users);
    fd_cleanup(&template->mounts);
    *template = (struct template){ .users = -1, .mounts = -1 };
}
