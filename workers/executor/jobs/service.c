/* SPDX-License-Identifier: MIT */
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "jobs/executor.h"
#include "sandbox/rights.h"
#include "sandbox/selftest.h"
#include "sandbox/strays.h"

#define AT(member) offsetof(struct settings, member)

/* clang-format off */
static const struct conf_item ITEMS[] = {
    { .name = "EXECUTOR_SLOTS", .type = CONF_INT, .offset = AT(slots), .default_text = "4", .min = 1, .max = 256,
      .help = "tasks that run at once" },
    { .name = "EXECUTOR_POOL", .type = CONF_BOOL, .offset = AT(pool), .default_text = "1",
      .help = "1 = start sandboxes ahead, as many as the manifests say" },
    { .name = "EXECUTOR_TASKS_DIR", .type = CONF_STRING, .offset = AT(tasks_dir), .default_text = "", .max = 1024,
      .help = "folder of the tasks; empty = the one beside the program" },
    { .name = "EXECUTOR_USER", .type = CONF_STRING, .offset = AT(user), .default_text = RIGHTS_USER_DEFAULT, .max = 64,
      .help = "user that the program switches to when started as root" },
    { .name = "EXECUTOR_CGROUP", .type = CONF_STRING, .offset = AT(cgroup), .default_text = "", .max = 1024,
      .help = "delegated cgroup v2 folder for the limits of tasks; empty = limits by sampling" },
    TASKING_CONF(struct settings, jobs),
};
/* clang-format on */

const struct conf_table EXECUTOR_CONF = { ITEMS, ARRAY_LEN(ITEMS), NULL };

static void
on_runner(void *arg, unsigned events)
{
    struct executor *x = arg;

    (void)events;
    runner_turn(x->runner, 0);
}

__attribute__((noinline)) static enum rc
load_tasks(struct executor *x, struct err *err)
{
    char folder[PATH_MAX];
    enum rc rc = catalog_locate(x->settings->tasks_dir, folder, sizeof(folder), err);

    return rc == RC_OK ? catalog_load(folder, &x->catalog, err) : rc;
}

static void
end_strays(void)
{
    unsigned ended = strays_end();

    if (ended > 0)
        log_warn("%u processes of sandboxes whose executor is gone were ended", ended);
}

/* Privileged until rights_drop(); nothing is connected yet. */
enum rc
executor_start(struct worker *w, struct err *err)
{
    struct executor *x = calloc(1, sizeof(*x));
    enum rc rc;

    if (!x)
        return err_set(err, RC_TEMP, "no memory");
    x->w = w;
    x->settings = worker_conf(w);
    worker_set_state(w, x);
    if ((rc = load_tasks(x, err)) != RC_OK || (rc = rights_drop(x->settings->user, err)) != RC_OK)
        return rc;
    end_strays();
    if ((rc = selftest_run(&x->catalog, NULL, x->settings->cgroup, err)) != RC_OK)
        return rc;
    return RC_OK;
}

enum rc
executor_ready(struct worker *w, struct err *err)
{
    struct executor *x = worker_state(w);
    struct runner_options options = { .catalog = &x->catalog,
                                      .cgroup = x->settings->cgroup,
                                      .pool = x->settings->pool };
    enum rc rc;

    x->taskings = (struct taskings){ .w = w, .kind = &EXECUTOR_KIND, .program = x };
    if ((rc = taskings_open(&x->taskings, &x->settings->jobs, err)) != RC_OK ||
        (rc = runner_new(&options, &x->runner, err)) != RC_OK)
        return rc;
    return loop_watch_new(worker_loop(w), runner_fd(x->runner), LOOP_READ, on_runner, x, &x->watch,
                          err);
}

void
executor_stop(struct worker *w)
{
    struct executor *x = worker_state(w);

    if (!x)
        return;
    loop_watch_free(x->watch);
    runner_free(x->runner);
    taskings_close(&x->taskings);
    catalog_fini(&x->catalog);
    free(x);
    worker_set_state(w, NULL);
}

unsigned
executor_slots_free(struct worker *w)
{
    const struct executor *x = worker_state(w);

    return taskings_free_of(&x->taskings, x->settings->slots);
}

enum rc
executor_dead(struct worker *w, struct call *call, const char *reason, struct err *err)
{
    struct executor *x = worker_state(w);

    return taskings_dead(&x->taskings, call, reason, err);
}
