/* SPDX-License-Identifier: MIT */
/*
 * process - starting and finding processes.
 */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_MAX_BYTES (32 * 1024 * 1024) /* a longer log becomes NAME.log.1 */
#define COPY_BYTES    (64 * 1024)

#define POSTMASTER_STATUS 8 /* the line of postmaster.pid that says "ready" or "stopping" */
#define BOOT_ID_LEN       36

static void
boot_id(char id[BOOT_ID_LEN + 1])
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

    if (file == NULL || fscanf(file, "%36s", id) != 1)
        memcpy(id, "unknown", sizeof("unknown"));
    if (file != NULL)
        fclose(file);
}

/* Field 22 of /proc/PID/stat: the start in clock ticks since boot; 0 if there is no such process.
 * The command in field 2 may hold spaces and brackets, so count from the last bracket. */
static unsigned long long
start_time(pid_t pid)
{
    char path[64], line[1024];
    unsigned long long ticks = 0;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fgets(line, sizeof(line), file) != NULL) {
        const char *rest = strrchr(line, ')');
        char state = 'Z';

        if (rest == NULL ||
            sscanf(rest + 1,
                   " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
                   "%llu",
                   &state, &ticks) != 2 ||
            state == 'Z' || state == 'X')
            ticks = 0;
    }
    fclose(file);
    return ticks;
}

int
process_write(const char *path, const char *text)
{
    char temporary[128];

    if (snprintf(temporary, sizeof(temporary), "%s.%d", path, (int)getpid()) >=
        (int)sizeof(temporary)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    FILE *file = fopen(temporary, "we");
    if (file == NULL)
        return -1;
    if (fputs(text, file) < 0 || fclose(file) != 0)
        return -1;
    return rename(temporary, path);
}

static int
open_log(const char *name)
{
    char path[96], old[104];
    struct stat st;

    snprintf(path, sizeof(path), "log/%s.log", name);
    snprintf(old, sizeof(old), "%s.1", path);
    if (stat(path, &st) == 0 && st.st_size > LOG_MAX_BYTES)
        (void)rename(path, old);
    return open(path, O_WRONLY | O_APPEND | O_CREAT, 0640);
}

static int
copy(int from, int to)
{
    static const size_t SIZE = COPY_BYTES;
    char *piece = malloc(SIZE);
    ssize_t n = -1;

    while (piece != NULL && (n = read(from, piece, SIZE)) > 0)
        if (write(to, piece, (size_t)n) != n) {
            n = -1;
            break;
        }
    free(piece);
    return n == 0 ? 0 : -1;
}

/* The process holds its log open: what is in it is copied, and the file begins anew under the same
 * descriptor. Without room for the copy the old lines go, since the log would take what is left. */
void
process_turn_log(const char *name)
{
    char path[96], old[104];
    struct stat st;

    snprintf(path, sizeof(path), "log/%s.log", name);
    snprintf(old, sizeof(old), "%s.1", path);
    if (stat(path, &st) != 0 || st.st_size <= LOG_MAX_BYTES)
        return;
    int log = open(path, O_RDWR | O_CLOEXEC);
    int kept = open(old, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (log >= 0 && (kept < 0 || copy(log, kept) != 0))
        perror(old);
    if (log >= 0 && ftruncate(log, 0) != 0)
        perror(path);
    if (log >= 0)
        close(log);
    if (kept >= 0)
        close(kept);
}

bool
process_postgres_stops(pid_t pid)
{
    char line[256] = "";
    FILE *file = fopen("data/postgres/postmaster.pid", "re");
    bool same = false;

    if (file == NULL)
        return false;
    for (int n = 1; n <= POSTMASTER_STATUS; n++) {
        if (fgets(line, sizeof(line), file) == NULL)
            line[0] = '\0';
        if (n == 1)
            same = strtol(line, NULL, 10) == pid;
    }
    fclose(file);
    return same && strncmp(line, "stopping", 8) == 0;
}

/* In the child: never returns. */
static void
become(const char *name)
{
    char path[96], text[128], id[BOOT_ID_LEN + 1];
    sigset_t none;

    setsid();
    snprintf(path, sizeof(path), "state/%s.start", name);
    boot_id(id);
    snprintf(text, sizeof(text), "%d %llu %s\n", (int)getpid(), start_time(getpid()), id);
    if (process_write(path, text) != 0)
        _exit(111);
    snprintf(path, sizeof(path), "pids/%s.pid", name);
    snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (process_write(path, text) != 0)
        _exit(111);

    int null = open("/dev/null", O_RDONLY), log = open_log(name);
    if (null < 0 || log < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
        _exit(111);
    close_range(3, ~0U, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* Ignored where a script starts the stack in the background, and a service would inherit that. */
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGQUIT, SIG_DFL);
    (void)signal(SIGHUP, SIG_DFL);

    snprintf(path, sizeof(path), "services/%s", name);
    execl(path, name, (char *)NULL);
    perror(path);
    _exit(111);
}

pid_t
process_start(const char *name)
{
    pid_t pid = fork();

    if (pid == 0)
        become(name);
    return pid;
}

pid_t
process_adopt(const char *name, int *pidfd)
{
    char path[96], id[BOOT_ID_LEN + 1], recorded[BOOT_ID_LEN + 1];
    unsigned long long started;
    int pid;

    snprintf(path, sizeof(path), "state/%s.start", name);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    int fields = fscanf(file, "%d %llu %36s", &pid, &started, recorded);
    fclose(file);
    boot_id(id);
    if (fields != 3 || pid <= 1 || started == 0 || strcmp(id, recorded) != 0)
        return 0;

    /* First the pidfd, then the look: from here on the number cannot change its meaning. */
    int fd = pidfd_open(pid, 0);
    if (fd < 0)
        return 0;
    if (start_time(pid) != started) {
        close(fd);
        return 0;
    }
    *pidfd = fd;
    return pid;
}

void
process_forget(const char *name)
{
    char path[96];

    snprintf(path, sizeof(path), "pids/%s.pid", name);
    (void)unlink(path);
    snprintf(path, sizeof(path), "state/%s.start", name);
    (void)unlink(path);
}
