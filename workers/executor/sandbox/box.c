/* SPDX-License-Identifier: MIT */
#include "sandbox/box.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "json/json.h"
#include "sandbox/sample.h"

#define KILL_AGAIN_MS 200
#define READ_PIECE    8192
#define READ_PIECES   8

static void
close_watch(struct box *box, enum box_watch which)
{
    fd_cleanup(&box->fds[which]);
    box->fds[which] = -1;
}

enum rc
box_start(struct spawner *spawner, struct janitor *janitor, const struct sandbox *sandbox,
          int group_parent, uint64_t number, struct box **out, struct err *err)
{
    struct box *box = calloc(1, sizeof(*box));
    struct spawned spawned;
    enum rc rc;

    if (!box)
        return err_set(err, RC_TEMP, "no memory");
    box->sandbox = *sandbox;
    box->cgroup = CGROUP_NONE;
    box->janitor = janitor;
    box->mounts = -1;
    for (size_t i = 0; i < BOX_WATCHES; i++)
        box->fds[i] = -1;
    if (group_parent >= 0 &&
        (rc = cgroup_make(group_parent, number, &sandbox->limits, &box->cgroup, err)) != RC_OK) {
        free(box);
        return rc;
    }
    if ((rc = spawn_sandbox(spawner, sandbox, box->cgroup.procs, &spawned, err)) != RC_OK) {
        cgroup_remove(&box->cgroup);
        free(box);
        return rc;
    }
    box->pid = spawned.pid;
    box->fds[BOX_OUTER] = spawned.pidfd;
    box->fds[BOX_INPUT] = spawned.input;
    box->fds[BOX_OUTPUT] = spawned.output;
    box->fds[BOX_ERROR] = spawned.error;
    box->fds[BOX_RESULT] = spawned.result;
    box->fds[BOX_STATUS] = spawned.status;
    box->started_ms = clock_mono_ms();
    buf_init(&box->input, LIMIT_INPUT_BYTES);
    buf_init(&box->output,
             sandbox->action->result == RESULT_STDOUT ? LIMIT_RESULT_BYTES : LIMIT_OUTPUT_KEPT);
    buf_init(&box->error, LIMIT_OUTPUT_KEPT);
    buf_init(&box->result, LIMIT_RESULT_BYTES);
    buf_init(&box->status, BOX_STATUS_MAX);
    *out = box;
    return RC_OK;
}

void
box_free(struct box *box)
{
    if (!box)
        return;
    for (size_t i = 0; i < BOX_WATCHES; i++)
        close_watch(box, (enum box_watch)i);
    janitor_close(box->janitor, &box->mounts);
    cgroup_remove(&box->cgroup);
    buf_fini(&box->input);
    buf_fini(&box->output);
    buf_fini(&box->error);
    buf_fini(&box->result);
    buf_fini(&box->status);
    free(box);
}

/* --- feeding ----------------------------------------------------------------------------------- */

static void
write_input(struct box *box)
{
    while (box->fds[BOX_INPUT] >= 0 && box->input_done < box->input.len) {
        ssize_t put = write(box->fds[BOX_INPUT], box->input.data + box->input_done,
                            box->input.len - box->input_done);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0 && errno == EAGAIN)
            return;
        if (put < 0)
            break; /* EPIPE: the handler does not want it */
        box->input_done += (size_t)put;
    }
    close_watch(box, BOX_INPUT);
}

enum rc
box_feed(struct box *box, const struct limits *limits, const char *input, size_t len)
{
    buf_add(&box->input, input, len);
    if (buf_failed(&box->input))
        return RC_LIMIT;
    box->sandbox.limits = *limits;
    box->fed = true;
    box->fed_ms = clock_mono_ms();
    if (box->init_pid > 0)
        sample_limit_processes(box->init_pid, limits->processes + LIMIT_PROCESSES_HEADROOM);
    write_input(box);
    return RC_OK;
}

/* --- the namespace's first process ---------------------------------------------------------------- */

/* The parent of a process: field 4 of stat. */
static pid_t
parent_of(pid_t pid)
{
    AUTO(file) FILE *file = NULL;
    char path[32];
    char text[512];
    const char *at;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    if (!file || !fgets(text, sizeof(text), file) || !(at = strrchr(text, ')')) || !at[1] || !at[2])
        return -1;
    at = strchr(at + 2, ' ');
    return at ? (pid_t)strtol(at, NULL, 10) : -1;
}

/* Its number may have been used again if bwrap has died and reaped it in between. */
static void
learn_init(struct box *box, pid_t pid)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    pid_t parent = parent_of(pid);

    if (pidfd >= 0 && (parent == box->pid || parent == getpid())) {
        box->init_pid = pid;
        box->fds[BOX_INIT] = pidfd;
        box->mounts = janitor_hold(box->janitor, pid);
    } else {
        fd_cleanup(&pidfd);
        box->init_gone = true;
    }
    if (box->facts.killed)
        box_kill(box, box->facts.kill_reason);
    else if (box->fed && box->init_pid > 0)
        sample_limit_processes(pid, box->sandbox.limits.processes + LIMIT_PROCESSES_HEADROOM);
}

static void
read_status_line(struct box *box, const char *line, size_t len)
{
    AUTO(json) cJSON *doc = NULL;
    int64_t pid;
    int64_t code;

    if (json_read(line, len, &doc, NULL) != RC_OK)
        return;
    pid = json_int(doc, "child-pid", 0);
    code = json_int(doc, "exit-code", -1);
    if (pid > 0 && box->init_pid == 0 && !box->init_gone)
        learn_init(box, (pid_t)pid);
    if (code >= 0 && !box->facts.exited) {
        box->facts.exited = true;
        box->facts.exit_code = (int)code;
        box->ended_ms = clock_mono_ms();
    }
}

/* --- descriptors ----------------------------------------------------------------------------------- */

/* Read what is there, at most READ_PIECES at a time; false at the end of the pipe. What does not fit
 * into out is counted and dropped. */
static bool
read_pipe(int fd, struct buf *out, uint64_t *seen, bool *cut)
{
    char piece[READ_PIECE];

    for (int i = 0; i < READ_PIECES; i++) {
        ssize_t got = read(fd, piece, sizeof(piece));
        size_t room = out->max - out->len;

        if (got < 0)
            return errno == EAGAIN || errno == EINTR;
        if (got == 0)
            return false;
        if ((size_t)got > room)
            *cut = true;
        buf_add(out, piece, (size_t)got > room ? room : (size_t)got);
        *seen += (uint64_t)got;
    }
    return true;
}

static void
read_status(struct box *box)
{
    uint64_t seen = 0;
    bool cut = false;
    bool more = read_pipe(box->fds[BOX_STATUS], &box->status, &seen, &cut);
    const char *text = buf_text(&box->status);
    const char *end;

    while ((end = strchr(text, '\n'))) {
        if (end > text)
            read_status_line(box, text, (size_t)(end - text));
        text = end + 1;
    }
    {
        AUTO(free) char *rest = strdup(text);

        buf_reset(&box->status);
        if (rest)
            buf_puts(&box->status, rest);
    }
    if (!more)
        close_watch(box, BOX_STATUS);
}

/* Add what wait4() says of one of the two processes of bwrap and of what they waited for. The outer
 * one's memory is that of this program (vfork shares it until exec): only init's counts. */
static void
add_usage(struct box *box, const struct rusage *usage, bool with_memory)
{
    uint64_t peak = (uint64_t)usage->ru_maxrss * 1024;

    box->facts.cpu_ms += (uint64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000 +
                         (uint64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1000;
    if (with_memory && peak > box->facts.memory_peak_bytes)
        box->facts.memory_peak_bytes = peak;
}

/* Look at the tree and keep what it has used; false when there is nothing to look at. */
static bool
note_use(struct box *box, bool exact, struct sample *sample)
{
    struct facts *facts = &box->facts;

    if (box->init_pid == 0 || box->init_gone ||
        sample_tree(box->init_pid, box->sandbox.limits.processes, exact, sample) != RC_OK)
        return false;
    if (sample->memory_bytes > facts->memory_peak_bytes)
        facts->memory_peak_bytes = sample->memory_bytes;
    if (sample->cpu_ms > facts->cpu_sample_ms)
        facts->cpu_sample_ms = sample->cpu_ms;
    return true;
}

/* Once both have exited: unless the outer process has waited for init, it is ours now (we are a
 * subreaper). */
static void
reap_init(struct box *box)
{
    struct rusage usage;

    if (box->pid == 0 && box->init_gone && box->init_pid > 0 &&
        wait4(box->init_pid, NULL, WNOHANG, &usage) == box->init_pid)
        add_usage(box, &usage, true);
}

static void
note_init_gone(struct box *box)
{
    box->init_gone = true;
    close_watch(box, BOX_INIT);
    reap_init(box);
}

static void
reap_outer(struct box *box)
{
    struct rusage usage;
    struct sample last;

    if (box->pid == 0 || wait4(box->pid, NULL, WNOHANG, &usage) != box->pid)
        return;
    box->pid = 0;
    close_watch(box, BOX_OUTER);
    add_usage(box, &usage, false);
    if (box->ended_ms == 0)
        box->ended_ms = clock_mono_ms();
    while (box->fds[BOX_STATUS] >= 0)
        read_status(box); /* its only writer is gone: this reaches the end */
    if (box->init_pid == 0) {
        box->init_gone = true;    /* it never came to having one */
    } else if (!box->init_gone) { /* survivors of the handler die with it, uncounted */
        (void)note_use(box, true, &last);
        (void)syscall(SYS_pidfd_send_signal, box->fds[BOX_INIT], SIGKILL, NULL, 0);
    }
    reap_init(box);
}

static void
read_output(struct box *box, enum box_watch which)
{
    struct buf *out = which == BOX_OUTPUT ? &box->output : &box->error;
    bool cut = false;

    if (!read_pipe(box->fds[which], out, &box->output_seen, &cut))
        close_watch(box, which);
    if (cut && which == BOX_OUTPUT)
        box->output_cut = true;
    if (box->output_seen > box->sandbox.limits.output_bytes)
        box_kill(box, OUTCOME_OUTPUT_LIMIT);
}

void
box_event(struct box *box, enum box_watch which)
{
    uint64_t seen = 0;

    if (box->fds[which] < 0)
        return;
    switch (which) {
    case BOX_OUTER:
        reap_outer(box);
        break;
    case BOX_INIT:
        note_init_gone(box);
        break;
    case BOX_INPUT:
        write_input(box);
        break;
    case BOX_OUTPUT:
    case BOX_ERROR:
        read_output(box, which);
        break;
    case BOX_RESULT:
        if (!read_pipe(box->fds[which], &box->result, &seen, &box->result_cut))
            close_watch(box, which);
        break;
    case BOX_STATUS:
        read_status(box);
        break;
    }
}

/* --- limits ----------------------------------------------------------------------------------------- */

void
box_kill(struct box *box, enum outcome reason)
{
    struct sample last;

    if (!box->facts.killed) {
        /* An exit that was already told stands, except that a flood is a flood. */
        if (box->facts.exited && reason != OUTCOME_OUTPUT_LIMIT)
            return;
        box->facts.killed = true;
        box->facts.kill_reason = reason;
        if (box->fed) /* nobody will tell afterwards what it has used */
            (void)note_use(box, true, &last);
    }
    box->killed_ms = clock_mono_ms();
    cgroup_kill(&box->cgroup);
    /* Not known yet: learn_init() comes back here. bwrap killed before it has told the number could
     * leave a child behind that waits for it; box_tick() does so only as the last resort. */
    if (box->init_pid > 0 && !box->init_gone)
        (void)syscall(SYS_pidfd_send_signal, box->fds[BOX_INIT], SIGKILL, NULL, 0);
}

static void
check_use(struct box *box)
{
    const struct limits *limits = &box->sandbox.limits;
    struct cgroup_facts group;
    struct sample sample;

    if (!note_use(box, false, &sample))
        return;
    cgroup_read(&box->cgroup, &group);
    if (sample.memory_bytes > limits->memory_bytes)
        box_kill(box, OUTCOME_MEMORY_LIMIT);
    else if (sample.processes > limits->processes || group.forks_refused > 0)
        box_kill(box, OUTCOME_PROCESS_LIMIT);
    else if (sample.cpu_ms > limits->cpu_ms)
        box_kill(box, OUTCOME_CPU_LIMIT);
}

void
box_tick(struct box *box, int64_t now_ms)
{
    if (box->facts.killed) {
        if (now_ms - box->killed_ms >= KILL_AGAIN_MS) {
            if (box->pid > 0)
                (void)kill(box->pid, SIGKILL);
            box_kill(box, box->facts.kill_reason);
        }
        return;
    }
    if (!box->fed || box->pid == 0)
        return;
    if (now_ms - box->fed_ms >= (int64_t)box->sandbox.limits.wall_ms)
        box_kill(box, OUTCOME_TIMEOUT);
    else
        check_use(box);
}

bool
box_finished(const struct box *box)
{
    return box->pid == 0 && box->init_gone && box->fds[BOX_OUTPUT] < 0 && box->fds[BOX_ERROR] < 0 &&
           box->fds[BOX_RESULT] < 0;
}

bool
box_broken(const struct box *box)
{
    return !box->fed && (box->pid == 0 || box->facts.exited || box->facts.killed);
}
