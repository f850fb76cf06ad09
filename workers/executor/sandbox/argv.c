/* SPDX-License-Identifier: MIT */
#include "sandbox/argv.h"

#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"

/* clang-format off */
/* Own namespaces of every kind; the inner user namespace may make none. Capabilities none. */
static const char *const ISOLATION[] = {
    "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts",
    "--unshare-cgroup", "--disable-userns",
    "--uid", "1000", "--gid", "1000", "--hostname", "sandbox",
    "--new-session", "--die-with-parent", "--clearenv", "--cap-drop", "ALL",
};

/* A user namespace is what gives the right to mount. The template's own processes end once it is built. */
static const char *const TEMPLATE[] = {
    "--unshare-user", "--new-session", "--die-with-parent", "--clearenv", "--cap-drop", "ALL",
    "--perms", "0755", "--dir", ARGV_ROOT,
};

/* What every program may count on. Python's output is never kept back in its buffer, where a kill
 * would lose it, and its caches are no files that a task has made. */
static const char *const ENVIRONMENT[] = {
    "--setenv", "HOME", "/work", "--setenv", "TMPDIR", "/tmp",
    "--setenv", "PATH", "/usr/bin:/bin", "--setenv", "LANG", "C.UTF-8",
    "--setenv", "PYTHONUNBUFFERED", "1", "--setenv", "PYTHONDONTWRITEBYTECODE", "1",
    "--setenv", "CURL_HOME", "/etc", "--setenv", "OPENSSL_CONF", "/etc/openssl.cnf",
};

#define IN(path)     ARGV_ROOT path /* in the template: what a sandbox sees as path */
#define DEVICE(name) ARGV_DEVICES "/" name

/* Programs, libraries and the data that they read (time zones, Perl's modules, headers): what is
 * visible works. No /usr/local, no /var, /home, /root, /run, /sys. /etc/alternatives holds symbolic
 * links (awk and the like). */
static const char *const SYSTEM[] = {
    "--ro-bind", "/usr/bin", IN("/usr/bin"),
    "--ro-bind", "/usr/lib", IN("/usr/lib"),
    "--ro-bind-try", "/usr/lib64", IN("/usr/lib64"),
    "--ro-bind-try", "/usr/libexec", IN("/usr/libexec"),
    "--ro-bind-try", "/usr/share", IN("/usr/share"),
    "--ro-bind-try", "/usr/include", IN("/usr/include"),
    "--symlink", "usr/bin", IN("/bin"), "--symlink", "usr/bin", IN("/sbin"),
    "--symlink", "usr/lib", IN("/lib"), "--symlink", "usr/lib64", IN("/lib64"),
    "--ro-bind-try", "/etc/alternatives", IN("/etc/alternatives"),
};

/* Copies: a mount of each would cost every start. */
const struct argv_copied ARGV_COPIED[ARGV_COPIED_COUNT] = {
    { "/etc/ld.so.cache", IN("/etc/ld.so.cache") },
    { "/etc/ssl/openssl.cnf", IN("/etc/openssl.cnf") },
    { "/etc/manpath.config", IN("/etc/manpath.config") },
    { "/etc/mime.types", IN("/etc/mime.types") },
    { "/etc/protocols", IN("/etc/protocols") },
    { "/etc/services", IN("/etc/services") },
};

/* No terminal and no pty master: bwrap's own --dev would give both, and a writable tmpfs. Beside ARGV_ROOT,
 * because all of that is without devices. */
static const char *const DEVICES[] = {
    "--dev-bind", "/dev/null", DEVICE("null"), "--dev-bind", "/dev/zero", DEVICE("zero"),
    "--dev-bind", "/dev/full", DEVICE("full"), "--dev-bind", "/dev/urandom", DEVICE("urandom"),
    "--symlink", "urandom", DEVICE("random"),
    "--symlink", "/proc/self/fd", DEVICE("fd"), "--symlink", "/proc/self/fd/0", DEVICE("stdin"),
    "--symlink", "/proc/self/fd/1", DEVICE("stdout"),
    "--symlink", "/proc/self/fd/2", DEVICE("stderr"),
    "--symlink", "/tmp", DEVICE("shm"),
};

/* Where each sandbox mounts its own; and around ARGV_ROOT, where no task ever is, what the bwrap of a
 * sandbox needs for its own start: itself (under its own name, by which AppArmor knows it), its libraries, a
 * /tmp to build on, and the /proc of this side. */
static const char *const PLACES[] = {
    "--dir", IN("/dev"), "--dir", IN("/proc"), "--dir", IN("/tmp"), "--dir", IN("/work"),
    "--ro-bind", ARGV_BWRAP, ARGV_BWRAP,
    "--symlink", "../sandbox/usr/lib", "/usr/lib", "--symlink", "usr/lib", "/lib",
    "--symlink", "../sandbox/usr/lib64", "/usr/lib64", "--symlink", "usr/lib64", "/lib64",
    "--symlink", "sandbox/etc", "/etc",
    "--dir", "/tmp", "--bind", "/proc", "/proc",
    "--remount-ro", "/",
};

/* The template has all mounts read-only and without set-user-ID already; --ro-bind makes sure of it once
 * more, and takes the use of devices, which have a bind of their own. /proc cannot be written: an
 * unprivileged process may lower its oom_score_adj again to what it was at its start. */
static const char *const ROOT[] = {
    "--ro-bind", ARGV_ROOT, "/", "--dev-bind", ARGV_DEVICES, "/dev",
    "--proc", "/proc", "--remount-ro", "/proc",
};
/* clang-format on */

/* Names are looked up in files alone, so that nobody waits for a name server or tries again. curl says in
 * one line why it cannot go on: "Could not resolve proxy: there-is-no-network-here". */
static const struct {
    const char *to, *data;
} OWN[ARGV_OWN_FILES] = {
    { IN("/etc/passwd"), "task:x:1000:1000:task:/work:/bin/sh\n" },
    { IN("/etc/group"), "task:x:1000:\n" },
    { IN("/etc/nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files\n" },
    { IN("/etc/.curlrc"), "silent\nshow-error\nproxy = there-is-no-network-here\n" },
};

static void
add_word(struct buf *options, const char *word)
{
    buf_add(options, word, strlen(word) + 1);
}

static void
add_words(struct buf *options, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        add_word(options, words[i]);
}

static void
add_number(struct buf *options, uint64_t number)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRIu64, number);
    add_word(options, text);
}

static void
add_tmpfs(struct buf *options, const char *mode, uint64_t bytes, const char *path)
{
    add_word(options, "--perms");
    add_word(options, mode);
    add_word(options, "--size");
    add_number(options, bytes);
    add_word(options, "--tmpfs");
    add_word(options, path);
}

static void
add_file(struct buf *options, struct argv *argv, const char *path, struct argv_file file)
{
    add_word(options, "--perms");
    add_word(options, "0444");
    add_word(options, "--file");
    add_number(options, ARGV_TEMPLATE_FD_FILES + argv->n_files);
    add_word(options, path);
    argv->files[argv->n_files++] = file;
}

static void
add_etc_files(struct buf *options, struct argv *argv, unsigned there)
{
    for (unsigned i = 0; i < ARGV_COPIED_COUNT; i++) {
        if (there & 1u << i)
            add_file(options, argv, ARGV_COPIED[i].to,
                     (struct argv_file){ .path = ARGV_COPIED[i].from });
    }
    for (size_t i = 0; i < ARGV_OWN_FILES; i++)
        add_file(options, argv, OWN[i].to,
                 (struct argv_file){ .data = OWN[i].data, .len = strlen(OWN[i].data) });
}

static void
add_task_files(struct buf *options, struct argv *argv, const struct action *action)
{
    char path[sizeof(IN("/task/")) + 256];

    add_word(options, "--perms");
    add_word(options, "0555");
    add_word(options, "--dir");
    add_word(options, IN("/task"));
    for (size_t i = 0; i < action->n_files; i++) {
        const struct action_file *file = &action->files[i];

        (void)snprintf(path, sizeof(path), IN("/task/") "%s", file->name);
        add_file(options, argv, path, (struct argv_file){ .data = file->data, .len = file->len });
    }
}

static void
add_command(struct argv *argv, const char *args_fd, const char *const *command)
{
    size_t n = 0;

    argv->words[n++] = ARGV_BWRAP;
    argv->words[n++] = "--args";
    argv->words[n++] = args_fd;
    argv->words[n++] = "--";
    while (*command)
        argv->words[n++] = *command++;
    argv->words[n] = NULL;
}

enum rc
argv_build_template(const struct action *action, unsigned there, struct buf *options,
                    struct argv *out)
{
    /* Says that all is built, by giving back a byte, and ends with its input. */
    static const char *const COMMAND[] = { IN("/usr/bin/cat"), NULL };
    struct argv argv = { 0 };

    add_words(options, TEMPLATE, ARRAY_LEN(TEMPLATE));
    add_words(options, SYSTEM, ARRAY_LEN(SYSTEM));
    add_etc_files(options, &argv, there);
    add_words(options, DEVICES, ARRAY_LEN(DEVICES));
    add_task_files(options, &argv, action);
    add_words(options, PLACES, ARRAY_LEN(PLACES));
    add_word(options, "--json-status-fd");
    add_number(options, ARGV_TEMPLATE_FD_STATUS);
    if (buf_failed(options))
        return RC_LIMIT;
    add_command(&argv, "4", COMMAND); /* ARGV_TEMPLATE_FD_ARGS */
    *out = argv;
    return RC_OK;
}

enum rc
argv_build(const struct sandbox *sandbox, struct buf *options, struct argv *out)
{
    const struct limits *limits = &sandbox->limits;
    struct argv argv = { 0 };

    add_words(options, ISOLATION, ARRAY_LEN(ISOLATION));
    add_words(options, ENVIRONMENT, ARRAY_LEN(ENVIRONMENT));
    add_words(options, ROOT, ARRAY_LEN(ROOT));
    add_tmpfs(options, "1777", limits->tmp_bytes, "/tmp");
    add_tmpfs(options, "0755", limits->tmp_bytes, "/work");
    add_word(options, "--chdir");
    add_word(options, "/work");
    add_word(options, "--seccomp");
    add_number(options, ARGV_FD_SECCOMP);
    add_word(options, "--json-status-fd");
    add_number(options, ARGV_FD_STATUS);
    if (buf_failed(options))
        return RC_LIMIT;
    add_command(&argv, "5", (const char *const *)sandbox->action->command); /* ARGV_FD_ARGS */
    *out = argv;
    return RC_OK;
}
