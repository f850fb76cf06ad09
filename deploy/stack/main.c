/* SPDX-License-Identifier: MIT */
/*
 * supervisor - keeps the processes of one local stack running (make up).
 *
 * Theory of operation. Each executable file services/NAME is a process that shall run. A file that
 * appears is started, one that is gone is stopped (TERM, then INT, at last KILL), one that dies is
 * started again: at once the first time, then after 0.5, 1, 2 … 30 s; ten seconds of life make it
 * new. Exit code 100 (configuration) is not started again. SIGHUP reads services/ again and gives
 * every process that is down a new chance.
 *
 * The processes have sessions of their own and no tie to this one: when it ends, by whatever
 * signal, they run on, and the next supervisor of the directory adopts them by their pid files.
 * state/NAME.status says for `make status` what is known. When the folder itself is gone, everything
 * is stopped.
 *
 * usage: gantry-supervisor STACK_DIR   goes into the background when everything is adopted
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "process.h"

#define SERVICES_MAX   64
#define BACKOFF_MIN_MS 500
#define BACKOFF_MAX_MS 30000
#define STEADY_MS      10000 /* a life this long forgives earlier failures */
#define INT_AFTER_MS   2000  /* PostgreSQL waits for its clients on TERM and ends on INT */
#define KILL_AFTER_MS  45000
#define LOOK_MS        5000 /* how often to look at the folder, logs and PostgreSQL */
#define EXIT_CONFIG    100

enum state { WAITING, RUNNING, FAILED, STOPPING };
static const char *const STATE_NAMES[] = { "waiting", "running", "failed", "stopping" };

struct service {
    char name[SERVICE_NAME_MAX];
    enum state state;
    bool wanted;       /* services/NAME is there */
    pid_t pid;         /* RUNNING and STOPPING */
    int pidfd;         /* owned; -1 = none */
    int64_t since_ms;  /* start, or request to stop */
    int64_t next_ms;   /* WAITING: when to start; STOPPING: the next, harder signal */
    unsigned failures; /* in a row */
    unsigned restarts; /* in all */
    char last[64];     /* how it ended the last time */
};

struct table {
    size_t count;
    struct service services[SERVICES_MAX];
};

static int64_t
now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
report(const struct service *s)
{
    char path[96], text[256];

    snprintf(path, sizeof(path), "state/%s.status", s->name);
    snprintf(text, sizeof(text), "%s\t%d\t%lld\t%u\t%s\n", STATE_NAMES[s->state], (int)s->pid,
             (long long)time(NULL), s->restarts, s->last[0] != '\0' ? s->last : "-");
    if (process_write(path, text) != 0)
        perror(path);
}

static void
start(struct service *s)
{
    s->pid = process_start(s->name);
    s->since_ms = now_ms();
    if (s->pid < 0) {
        snprintf(s->last, sizeof(s->last), "fork: %s", strerror(errno));
        s->pid = 0;
        s->next_ms = s->since_ms + BACKOFF_MIN_MS;
    } else {
        s->pidfd = pidfd_open(s->pid, 0);
        s->state = RUNNING;
    }
    report(s);
}

static void
stop(struct service *s)
{
    s->state = STOPPING;
    s->since_ms = now_ms();
    s->next_ms = s->since_ms + INT_AFTER_MS;
    (void)pidfd_send_signal(s->pidfd, SIGTERM, NULL, 0);
    report(s);
}

static void
stop_harder(struct service *s, int64_t now)
{
    bool late = now - s->since_ms >= KILL_AFTER_MS;

    (void)pidfd_send_signal(s->pidfd, late ? SIGKILL : SIGINT, NULL, 0);
    s->next_ms = late ? now + 1000 : s->since_ms + KILL_AFTER_MS;
}

/* The process is gone. One that was adopted is not our child: its exit code is unknown. */
static void
ended(struct service *s)
{
    siginfo_t info = { 0 };
    int64_t now = now_ms(), delay = 0;
    bool configuration = false;

    if (waitid(P_PIDFD, (id_t)s->pidfd, &info, WEXITED) != 0)
        snprintf(s->last, sizeof(s->last), "ended");
    else if (info.si_code == CLD_EXITED)
        snprintf(s->last, sizeof(s->last), "exit %d", info.si_status);
    else
        snprintf(s->last, sizeof(s->last), "signal %d", info.si_status);
    configuration = info.si_code == CLD_EXITED && info.si_status == EXIT_CONFIG;
    close(s->pidfd);
    s->pidfd = -1;
    s->pid = 0;
    process_forget(s->name);
    if (s->state == STOPPING && !s->wanted) {
        s->state = WAITING;
        report(s);
        return;
    }
    if (now - s->since_ms >= STEADY_MS)
        s->failures = 0;
    if (s->failures > 0) {
        unsigned doublings = s->failures - 1 > 6 ? 6 : s->failures - 1;

        delay = BACKOFF_MIN_MS << doublings;
    }
    s->failures++;
    s->restarts++;
    s->state = configuration ? FAILED : WAITING;
    s->next_ms = now + (delay > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : delay);
    report(s);
}

static struct service *
find(struct table *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->services[i].name, name) == 0)
            return &table->services[i];
    if (table->count == SERVICES_MAX || strlen(name) >= SERVICE_NAME_MAX) {
        fprintf(stderr, "%s: too many services, or too long a name\n", name);
        return NULL;
    }
    struct service *s = &table->services[table->count++];
    *s = (struct service){ .state = WAITING, .pidfd = -1 };
    memcpy(s->name, name, strlen(name) + 1);
    s->pid = process_adopt(name, &s->pidfd);
    if (s->pid > 0) {
        s->state = RUNNING;
        s->since_ms = now_ms();
        report(s);
    }
    return s;
}

/* Read a directory's names without their suffix; each becomes a service. */
static int
scan(struct table *table, const char *path, const char *suffix, bool wanted)
{
    DIR *dir = opendir(path);

    if (dir == NULL) {
        perror(path);
        return -1;
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char name[sizeof(entry->d_name)];
        size_t len = strlen(entry->d_name), cut = strlen(suffix);

        if (entry->d_name[0] == '.' || len <= cut || strcmp(entry->d_name + len - cut, suffix) != 0)
            continue;
        snprintf(name, sizeof(name), "%.*s", (int)(len - cut), entry->d_name);
        struct service *s = find(table, name);
        if (s != NULL && wanted)
            s->wanted = true;
    }
    closedir(dir);
    return 0;
}

/* Bring what runs in line with services/. */
static void
reload(struct table *table)
{
    int64_t now = now_ms();

    for (size_t i = 0; i < table->count; i++)
        table->services[i].wanted = false;
    if (scan(table, "pids", ".pid", false) != 0 || scan(table, "services", "", true) != 0)
        return;
    for (size_t i = 0; i < table->count; i++) {
        struct service *s = &table->services[i];

        if (!s->wanted && s->state == RUNNING)
            stop(s);
        if (s->state == FAILED || s->state == WAITING) {
            s->state = WAITING;
            s->failures = 0;
            s->next_ms = now;
        }
    }
}

/* Start and stop what is due; returns how long to wait for the next. */
static int
advance(struct table *table)
{
    int64_t now = now_ms(), wait = -1;

    for (size_t i = 0; i < table->count; i++) {
        struct service *s = &table->services[i];
        bool timed = s->state == STOPPING || (s->state == WAITING && s->wanted);

        if (timed && s->next_ms <= now) {
            if (s->state == STOPPING)
                stop_harder(s, now);
            else
                start(s);
            timed = s->state == STOPPING || s->state == WAITING;
        }
        if (timed && (wait < 0 || s->next_ms - now < wait))
            wait = s->next_ms > now ? s->next_ms - now : 0;
    }
    return (int)wait;
}

/* Somebody removed the stack's folder: what ran on it has nothing left to serve. True when all
 * of it has ended. */
static bool
abandoned(struct table *table)
{
    bool all = true;

    if (access("supervisor.lock", F_OK) == 0 || errno != ENOENT)
        return false;
    for (size_t i = 0; i < table->count; i++) {
        struct service *s = &table->services[i];

        s->wanted = false;
        if (s->state == RUNNING)
            stop(s);
        all = all && s->state != STOPPING;
    }
    return all;
}

/* PostgreSQL ends on TERM only when its clients have gone, and ours do not go: it would take no new
 * connections for ever. It is told to end now, and started again. Logs are kept short meanwhile. */
static void
look_after(const struct table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct service *s = &table->services[i];

        process_turn_log(s->name);
        if (s->state != RUNNING || strcmp(s->name, "postgres") != 0 ||
            !process_postgres_stops(s->pid))
            continue;
        fprintf(stderr, "postgres was told to stop and waits for its clients: ending them\n");
        (void)pidfd_send_signal(s->pidfd, SIGINT, NULL, 0);
    }
}

/* Returns on TERM or INT. */
static void
supervise(struct table *table, int signals)
{
    int64_t look_ms = 0;

    while (!abandoned(table)) {
        if (now_ms() >= look_ms) {
            look_after(table);
            look_ms = now_ms() + LOOK_MS;
        }
        struct pollfd fds[SERVICES_MAX + 1] = { { .fd = signals, .events = POLLIN } };
        int wait = advance(table);

        wait = wait < 0 || wait > LOOK_MS ? LOOK_MS : wait;

        for (size_t i = 0; i < table->count; i++) /* poll() skips a negative descriptor */
            fds[i + 1] = (struct pollfd){ .fd = table->services[i].pidfd, .events = POLLIN };
        if (poll(fds, table->count + 1, wait) < 0 && errno != EINTR) {
            perror("poll");
            return;
        }
        for (size_t i = 0; i < table->count; i++)
            if (fds[i + 1].fd >= 0 && (fds[i + 1].revents & POLLIN) != 0)
                ended(&table->services[i]);

        struct signalfd_siginfo info;
        while (read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
            if (info.ssi_signo != (uint32_t)SIGHUP)
                return;
            reload(table);
        }
    }
}

/* Become a daemon; the caller's process ends when the table is read, with the daemon ready. */
static int
detach(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int log = open("log/supervisor.log", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);

    if (null < 0 || log < 0)
        return -1;
    pid_t pid = fork();
    if (pid < 0)
        return -1;
    if (pid > 0)
        _exit(0);
    setsid();
    if (dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
        return -1;
    return 0;
}

int
main(int argc, char **argv)
{
    struct table table = { 0 };
    sigset_t set;
    char text[32];

    if (argc != 2) {
        fprintf(stderr, "usage: gantry-supervisor STACK_DIR\n");
        return 2;
    }
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (signals < 0 || chdir(argv[1]) != 0) {
        perror(argv[1]);
        return 111;
    }
    int lock = open("supervisor.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) != 0) {
        fprintf(stderr, "%s: a supervisor runs already\n", argv[1]);
        return 111;
    }
    if (detach() != 0) {
        perror("log/supervisor.log");
        return 111;
    }
    snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (process_write("supervisor.pid", text) != 0) {
        perror("supervisor.pid");
        return 111;
    }
    reload(&table);
    supervise(&table, signals);
    (void)unlink("supervisor.pid");
    return 0;
}
