/* SPDX-License-Identifier: MIT */
/*
 * fuzz_task - whatever a task holds, the sandbox of an action is the same, and a summary is text.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/utf8.h"
#include "json/json.h"
#include "workers/executor/sandbox/argv.h"
#include "workers/executor/sandbox/policy.h"

#define SUMMARY_MAX 300

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct catalog *
tasks(void)
{
    static struct catalog catalog;
    struct err err = { 0 };

    if (catalog.n_actions == 0 && catalog_load("workers/executor/tasks", &catalog, &err) != RC_OK)
        abort();
    return &catalog;
}

/* The options of a request's sandbox must be those of its action, but for the wall limit. */
static void
check_sandbox(const struct sandbox *sandbox)
{
    AUTO(buf) struct buf ours = { .max = ARGV_OPTIONS_MAX };
    AUTO(buf) struct buf ahead = { .max = ARGV_OPTIONS_MAX };
    struct sandbox plain = policy_ahead(sandbox->action);
    struct argv a, b;

    if (argv_build(sandbox, &ours, &a) != RC_OK || argv_build(&plain, &ahead, &b) != RC_OK)
        abort();
    if (ours.len != ahead.len || memcmp(ours.data, ahead.data, ours.len) != 0 ||
        memcmp(a.words, b.words, sizeof(a.words)) != 0 || a.n_files != b.n_files)
        abort();
    if (sandbox->limits.wall_ms == 0 ||
        sandbox->limits.wall_ms > sandbox->action->limits.wall_max_ms)
        abort();
    plain.limits.wall_ms = sandbox->limits.wall_ms;
    if (memcmp(&plain.limits, &sandbox->limits, sizeof(plain.limits)) != 0)
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(json) cJSON *doc = NULL;
    struct field_errors errors = { 0 };
    struct sandbox sandbox = { 0 };
    struct request request = { 0 };
    char summary[SUMMARY_MAX];

    if (json_read((const char *)data, size, &doc, NULL) != RC_OK || !cJSON_IsObject(doc))
        return 0;
    request.task = doc;
    request.type = json_string(doc, "type");
    request.timeout_seconds = (uint32_t)json_int(doc, "timeout_seconds", 0);
    if (policy_decide(tasks(), &request, &sandbox, &errors, NULL) == RC_OK)
        check_sandbox(&sandbox);
    else if (sandbox.action)
        abort();
    for (size_t i = 0; i < tasks()->n_actions; i++) {
        action_summarize(&tasks()->actions[i], doc, summary, sizeof(summary));
        if (!utf8_valid(summary, strlen(summary)))
            abort();
        for (const char *c = summary; *c; c++)
            if ((unsigned char)*c < 0x20)
                abort();
    }
    return 0;
}
