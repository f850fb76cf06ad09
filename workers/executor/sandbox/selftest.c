/* SPDX-License-Identifier: MIT */
#include "sandbox/selftest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "json/json.h"
#include "sandbox/policy.h"
#include "sandbox/run.h"

#define TURN_MS 50

struct probe {
    bool done;
    struct err err;
};

static void
runner_cleanup(struct runner **runner)
{
    runner_free(*runner);
}

static int64_t
read_setting(const char *path)
{
    AUTO(file) FILE *file = fopen(path, "re");
    char text[32];

    return file && fgets(text, sizeof(text), file) ? strtoll(text, NULL, 10) : -1;
}

const char *
selftest_advise(const char *said, const struct selftest_host *host, char *text, size_t cap)
{
    bool namespaces = strstr(said, "namespace") || strstr(said, "uid map") ||
                      strstr(said, "Operation not permitted") || strstr(said, "RTM_NEWADDR");
    const char *advice = "run gantry-executor --run-one to see it fail by hand";

    if (strstr(said, "proc"))
        advice = "in a container start it with security_opt systempaths=unconfined, so that a new "
                 "/proc may be mounted";
    else if (host->userns_clone == 0)
        advice = "set sysctl kernel.unprivileged_userns_clone=1";
    else if (host->max_userns == 0)
        advice = "set sysctl user.max_user_namespaces to 10000 or more";
    else if (host->apparmor_restrict == 1 && namespaces)
        advice = "set sysctl kernel.apparmor_restrict_unprivileged_userns=0, or load an AppArmor "
                 "profile that allows userns for /usr/bin/bwrap";
    else if (namespaces)
        advice = "in a container use the seccomp profile of deploy/, which allows bubblewrap's "
                 "namespace calls; outside check the limits under /proc/sys/user";
    else if (strstr(said, "execvp") || strstr(said, "No such file"))
        advice = "install bubblewrap, python3 and jq from the distribution's packages";
    (void)snprintf(text, cap, "%s", advice);
    return text;
}

static void
explain_fault(const char *said, struct err *err)
{
    struct selftest_host host = {
        .userns_clone = read_setting("/proc/sys/kernel/unprivileged_userns_clone"),
        .max_userns = read_setting("/proc/sys/user/max_user_namespaces"),
        .apparmor_restrict = read_setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
    };
    char advice[200];

    (void)err_set(err, RC_CONFIG, "the sandbox is not available here: %s (%s)", said,
                  selftest_advise(said, &host, advice, sizeof(advice)));
}

/* The names of the checks that did not hold. */
static void
explain_checks(const struct run_result *result, struct err *err)
{
    AUTO(json) cJSON *doc = NULL;
    char failed[200] = "";
    const cJSON *check;
    size_t len = 0;

    if (result->outcome != OUTCOME_OK ||
        json_read(result->output, result->output_len, &doc, NULL) != RC_OK) {
        (void)err_set(err, RC_CONFIG, "the sandbox's self-test ended with %s, exit code %d: %.*s",
                      outcome_name(result->outcome), result->exit_code,
                      (int)(result->error_len > 150 ? 150 : result->error_len), result->error);
        return;
    }
    if (json_bool(doc, "healthy", false))
        return;
    cJSON_ArrayForEach (check, json_member(doc, "checks")) {
        if (!cJSON_IsTrue(check) && len < sizeof(failed))
            len += (size_t)snprintf(failed + len, sizeof(failed) - len, " %s", check->string);
    }
    (void)err_set(err, RC_CONFIG, "the sandbox does not hold on this kernel:%s", failed);
}

static void
judge(void *arg, const struct run_result *result)
{
    struct probe *probe = arg;

    probe->done = true;
    if (result->outcome == OUTCOME_FAULT)
        explain_fault(result->fault, &probe->err);
    else
        explain_checks(result, &probe->err);
}

enum rc
selftest_run(const struct catalog *catalog, const char *bwrap, const char *cgroup, struct err *err)
{
    AUTO(buf) struct buf task = { 0 };
    struct json_writer w;
    AUTO(runner) struct runner *runner = NULL;
    struct runner_options options = { .catalog = catalog, .bwrap = bwrap, .cgroup = cgroup };
    const struct action *action = catalog_find(catalog, SELFTEST_ACTION);
    struct probe probe = { 0 };
    struct sandbox sandbox;
    enum rc rc;

    if (!action)
        return err_set(err, RC_CONFIG, "there is no action %s: the executor cannot test itself",
                       SELFTEST_ACTION);
    sandbox = policy_ahead(action);
    if ((rc = runner_new(&options, &runner, err)) != RC_OK)
        return rc;
    buf_init(&task, 256);
    json_begin(&w, &task);
    json_object(&w, NULL);
    json_put_string(&w, "type", SELFTEST_ACTION);
    json_close(&w);
    if ((rc = json_end(&w)) != RC_OK)
        return err_set(err, rc, "the self-test's task does not fit");
    rc = runner_start(runner, &sandbox, buf_text(&task), task.len, judge, &probe, NULL, &probe.err);
    if (rc == RC_CONFIG) { /* not even the template */
        explain_fault(probe.err.text, err);
        return rc;
    }
    if (rc != RC_OK)
        return err_set(err, rc, "%s", probe.err.text);
    while (!probe.done)
        runner_turn(runner, TURN_MS);
    return probe.err.rc == RC_OK ? RC_OK : err_set(err, probe.err.rc, "%s", probe.err.text);
}
