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

/* What every program may count on. Python's output is never kept back in its buffer, where a kill
 * would lose it, and its caches are no files that a task has made. */
static const char *const ENVIRONMENT[] = {
    "--setenv", "HOME", "/work", "--setenv", "TMPDIR", "/tmp",
    "--setenv", "PATH", "/usr/bin:/bin", "--setenv", "LANG", "C.UTF-8",
    "--setenv", "PYTHONUNBUFFERED", "1", "--setenv", "PYTHONDONTWRITEBYTECODE", "1",
    "--setenv", "CURL_HOME", "/etc", "--setenv", "OPENSSL_CONF", "/etc/openssl.cnf",
};

/* Programs, libraries and the data that they read (time zones, Perl's modules, headers): what is
 * visible works. No /usr/local, no /var, /home, /root, /run, /sys. /etc/alternatives holds symbolic
 * links (awk and the like). */
static const char *const SYSTEM[] = {
    "--ro-bind", "/usr/bin", "/usr/bin",
    "--ro-bind", "/usr/lib", "/usr/lib",
    "--ro-bind-try", "/usr/lib64", "/usr/lib64",
    "--ro-bind-try", "/usr/libexec", "/usr/libexec",
    "--ro-bind-try", "/usr/share", "/usr/share",
    "--ro-bind-try", "/usr/include", "/usr/include",
    "--symlink", "usr/bin", "/bin", "--symlink", "usr/bin", "/sbin",
    "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64",
    "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache",
    "--ro-bind-try", "/etc/alternatives", "/etc/alternatives",
    "--ro-bind-try", "/etc/ssl/openssl.cnf", "/etc/openssl.cnf",
    "--ro-bind-try", "/etc/manpath.config", "/etc/manpath.config",
    "--ro-bind-try", "/etc/mime.types", "/etc/mime.types",
    "--ro-bind-try", "/etc/protocols", "/etc/protocols",
    "--ro-bind-try", "/etc/services", "/etc/services",
};

/* No terminal and no pty master: bwrap's own --dev would give both, and a writable tmpfs. /proc cannot
 * be written: an unprivileged process may lower its oom_score_adj again to what it was at its start. */
static const char *const DEVICES[] = {
    "--proc", "/proc", "--remount-ro", "/proc",
    "--dev-bind", "/dev/null", "/dev/null", "--dev-bind", "/dev/zero", "/dev/zero",
    "--dev-bind", "/dev/full", "/dev/full", "--dev-bind", "/dev/random", "/dev/random",
    "--dev-bind", "/dev/urandom", "/dev/urandom",
    "--symlink", "/proc/self/fd", "/dev/fd", "--symlink", "/proc/self/fd/0", "/dev/stdin",
    "--symlink", "/proc/self/fd/1", "/dev/stdout", "--symlink", "/proc/self/fd/2", "/dev/stderr",
    "--symlink", "/tmp", "/dev/shm",
};
/* clang-format on */

static const char PASSWD[] = "task:x:1000:1000:task:/work:/bin/sh\n";
static const char GROUP[] = "task:x:1000:\n";
/* Names are looked up in files alone, so that nobody waits for a name server or tries again. */
static const char NSSWITCH[] = "passwd: files\ngroup: files\nhosts: files\n";
/* curl says in one line why it cannot go on: "Could not resolve proxy: there-is-no-network-here". */
static const char CURLRC[] = "silent\nshow-error\nproxy = there-is-no-network-here\n";

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
add_file(struct buf *options, struct argv *argv, const char *path, const char *data, size_t len)
{
    add_word(options, "--perms");
    add_word(options, "0444");
    add_word(options, "--file");
    add_number(options, ARGV_FD_FILES + argv->n_files);
    add_word(options, path);
    argv->files[argv->n_files++] = (struct argv_file){ .data = data, .len = len };
}

static void
add_task_files(struct buf *options, struct argv *argv, const struct action *action)
{
    char path[8 + 256];

    add_word(options, "--perms");
    add_word(options, "0555");
    add_word(options, "--dir");
    add_word(options, "/task");
    for (size_t i = 0; i < action->n_files; i++) {
        const struct action_file *file = &action->files[i];

        (void)snprintf(path, sizeof(path), "/task/%s", file->name);
        add_file(options, argv, path, file->data, file->len);
    }
}

static void
add_command(struct argv *argv, const struct action *action)
{
    size_t n = 0;

    argv->words[n++] = ARGV_BWRAP;
    argv->words[n++] = "--args";
    argv->words[n++] = "5"; /* ARGV_FD_ARGS */
    argv->words[n++] = "--";
    for (size_t i = 0; action->command[i]; i++)
        argv->words[n++] = action->command[i];
    argv->words[n] = NULL;
}

enum rc
argv_build(const struct sandbox *sandbox, struct buf *options, struct argv *out)
{
    const struct limits *limits = &sandbox->limits;
    struct argv argv = { 0 };

    add_words(options, ISOLATION, ARRAY_LEN(ISOLATION));
    add_words(options, ENVIRONMENT, ARRAY_LEN(ENVIRONMENT));
    add_words(options, SYSTEM, ARRAY_LEN(SYSTEM));
    add_file(options, &argv, "/etc/passwd", PASSWD, sizeof(PASSWD) - 1);
    add_file(options, &argv, "/etc/group", GROUP, sizeof(GROUP) - 1);
    add_file(options, &argv, "/etc/nsswitch.conf", NSSWITCH, sizeof(NSSWITCH) - 1);
    add_file(options, &argv, "/etc/.curlrc", CURLRC, sizeof(CURLRC) - 1);
    add_words(options, DEVICES, ARRAY_LEN(DEVICES));
    add_task_files(options, &argv, sandbox->action);
    add_tmpfs(options, "1777", limits->tmp_bytes, "/tmp");
    add_tmpfs(options, "0755", limits->tmp_bytes, "/work");
    add_words(options, (const char *const[]){ "--remount-ro", "/", "--chdir", "/work" }, 4);
    add_word(options, "--seccomp");
    add_number(options, ARGV_FD_SECCOMP);
    add_word(options, "--json-status-fd");
    add_number(options, ARGV_FD_STATUS);
    if (buf_failed(options))
        return RC_LIMIT;
    add_command(&argv, sandbox->action);
    *out = argv;
    return RC_OK;
}
