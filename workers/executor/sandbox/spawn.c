/* SPDX-License-Identifier: MIT */
#include "sandbox/spawn.h"

#include <assert.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sandbox/argv.h"
#include "sandbox/filter.h"
#include "sandbox/launch.h"

enum ours { INPUT, OUTPUT, ERROR, RESULT, STATUS };

enum rc
spawner_init(struct spawner *spawner, const char *bwrap, struct err *err)
{
    enum rc rc;

    *spawner = (struct spawner){ .bwrap = bwrap, .nice = 5 };
    strays_tag(spawner->name);
    buf_init(&spawner->filter, SECCOMP_FILTER_MAX);
    if ((rc = seccomp_build(&spawner->filter, err)) != RC_OK)
        spawner_fini(spawner);
    return rc;
}

void
spawner_fini(struct spawner *spawner)
{
    while (spawner->n_templates > 0)
        template_fini(&spawner->templates[--spawner->n_templates]);
    buf_fini(&spawner->filter);
}

static enum rc
find_template(struct spawner *spawner, const struct action *action, const struct template **out,
              struct err *err)
{
    struct template *found = spawner->templates;
    const struct template *end = found + spawner->n_templates;
    enum rc rc;

    while (found < end && found->action != action)
        found++;
    if (found == end) {
        assert(spawner->n_templates < CATALOG_ACTIONS_MAX);
        if ((rc = template_make(spawner->bwrap, spawner->name, action, found, err)) != RC_OK)
            return rc;
        spawner->n_templates++;
    }
    *out = found;
    return RC_OK;
}

static enum rc
make_descriptors(struct launch *launch, const struct spawner *spawner, const struct buf *options,
                 struct err *err)
{
    enum rc rc;

    if ((rc = launch_pipe(launch, STDIN_FILENO, true, err)) != RC_OK ||
        (rc = launch_pipe(launch, STDOUT_FILENO, false, err)) != RC_OK ||
        (rc = launch_pipe(launch, STDERR_FILENO, false, err)) != RC_OK ||
        (rc = launch_pipe(launch, ARGV_FD_RESULT, false, err)) != RC_OK ||
        (rc = launch_pipe(launch, ARGV_FD_STATUS, false, err)) != RC_OK ||
        (rc = launch_data(launch, ARGV_FD_ARGS, options->data, options->len, err)) != RC_OK)
        return rc;
    return launch_data(launch, ARGV_FD_SECCOMP, spawner->filter.data, spawner->filter.len, err);
}

enum rc
spawn_sandbox(struct spawner *spawner, const struct sandbox *sandbox, int cgroup_procs,
              struct spawned *out, struct err *err)
{
    AUTO(launch) struct launch launch = LAUNCH_NONE;
    AUTO(buf) struct buf options = { 0 };
    const struct template *template;
    struct argv argv;
    pid_t pid;
    int pidfd;
    enum rc rc;

    if ((rc = find_template(spawner, sandbox->action, &template, err)) != RC_OK)
        return rc;
    launch.bwrap = spawner->bwrap;
    launch.name = spawner->name;
    launch.limits = &sandbox->limits;
    launch.users = template->users;
    launch.mounts = template->mounts;
    launch.cgroup_procs = cgroup_procs;
    launch.nice = spawner->nice;
    buf_init(&options, ARGV_OPTIONS_MAX);
    if ((rc = argv_build(sandbox, &options, &argv)) != RC_OK)
        return err_set(err, RC_CONFIG, "the options of bwrap do not fit %d bytes",
                       ARGV_OPTIONS_MAX);
    if ((rc = make_descriptors(&launch, spawner, &options, err)) != RC_OK ||
        (rc = launch_start(&launch, argv.words, &pid, err)) != RC_OK)
        return rc;
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0); /* our child, not yet waited for: no race */
    *out = (struct spawned){ .pid = pid, .pidfd = pidfd };
    out->input = fd_take(&launch.ours[INPUT]);
    out->output = fd_take(&launch.ours[OUTPUT]);
    out->error = fd_take(&launch.ours[ERROR]);
    out->result = fd_take(&launch.ours[RESULT]);
    out->status = fd_take(&launch.ours[STATUS]);
    return RC_OK;
}
