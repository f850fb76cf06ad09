/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "test.h"
#include "workers/executor/jobs/answer.h"
#include "workers/executor/sandbox/cgroup.h"
#include "workers/executor/sandbox/manifest.h"
#include "workers/executor/sandbox/policy.h"
#include "workers/executor/sandbox/pool.h"
#include "workers/executor/sandbox/selftest.h"

#define TASKS "workers/executor/tasks"

static const char GOOD[] =
    "{\"name\":\"one\",\"description\":\"d\",\"summary\":\"Do {a} with {b}\","
    "\"command\":[\"/bin/true\"],\"files\":[\"h.sh\"],\"warm\":2,"
    "\"limits\":{\"wall_ms\":2000,\"memory_bytes\":8388608},"
    "\"params\":{\"type\":\"object\",\"required\":[\"a\"],"
    "\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{}}}}";

static void
put(const char *dir, const char *name, const char *text)
{
    char path[256];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* A tasks folder with one task "one" of the given manifest. */
static void
make_tasks(char dir[TEST_PATH_MAX], const char *manifest)
{
    char command[TEST_PATH_MAX + 256];
    char folder[TEST_PATH_MAX + 8];

    test_temporary("test_executor", dir);
    assert_non_null(mkdtemp(dir));
    (void)snprintf(folder, sizeof(folder), "%s/one", dir);
    assert_int_equal(mkdir(folder, 0755), 0);
    put(folder, "manifest.json", manifest);
    put(folder, "h.sh", "echo hi\n");
    (void)snprintf(command, sizeof(command), "cp " TASKS "/manifest.schema.json %s", dir);
    assert_int_equal(system(command), 0);
}

static void
remove_folder(const char *dir)
{
    char command[TEST_PATH_MAX + 16];

    (void)snprintf(command, sizeof(command), "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

static void
built_in_tasks_load(void **state)
{
    static const char *const NAMES[] = { "code.python", "code.shell", "health_check", "json.query",
                                         "ping" };
    AUTO(catalog) struct catalog catalog = { 0 };
    struct err err = { 0 };

    assert_int_equal(catalog_load(TASKS, &catalog, &err), RC_OK);
    assert_int_equal(catalog.n_actions, 5);
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(catalog.actions[i].name, NAMES[i]);
    assert_int_equal(catalog_find(&catalog, "code.python")->limits.wall_ms, 30000);
    assert_int_equal(catalog_find(&catalog, "code.python")->limits.wall_max_ms, 300000);
    assert_int_equal(catalog_find(&catalog, "code.python")->n_files, 4);
    assert_null(catalog_find(&catalog, "code"));
    assert_null(catalog_find(&catalog, NULL));
}

static void
manifest_is_read(void **state)
{
    AUTO(catalog) struct catalog catalog = { 0 };
    struct err err = { 0 };
    const struct action *one;
    char dir[TEST_PATH_MAX];

    make_tasks(dir, GOOD);
    assert_int_equal(catalog_load(dir, &catalog, &err), RC_OK);
    remove_folder(dir);
    one = catalog_find(&catalog, "one");
    assert_string_equal(one->command[0], "/bin/true");
    assert_null(one->command[1]);
    assert_string_equal(one->files[0].name, "h.sh");
    assert_string_equal(one->files[0].data, "echo hi\n");
    assert_int_equal(one->warm, 2);
    assert_int_equal(one->result, RESULT_NONE);
    assert_int_equal(one->limits.wall_ms, 2000);
    assert_int_equal(one->limits.cpu_ms, 2000);
    assert_int_equal(one->limits.wall_max_ms, 20000);
    assert_int_equal(one->limits.memory_bytes, 8388608);
    assert_int_equal(one->limits.processes, 32);
}

/* Each is the good manifest with one text replaced. */
static void
wrong_manifests_are_refused(void **state)
{
    static const struct {
        const char *old, *new;
    } CASES[] = {
        { "\"name\":\"one\"", "\"name\":\"two\"" },
        { "\"description\":\"d\",", "" },
        { "\"/bin/true\"", "\"true\"" },
        { "[\"/bin/true\"]", "[]" },
        { "\"warm\":2", "\"warm\":17" },
        { "\"warm\":2", "\"wram\":2" },
        { "\"wall_ms\":2000", "\"wall_ms\":600001" },
        { "\"h.sh\"", "\"../../etc/passwd\"" },
        { "\"h.sh\"", "\"missing.sh\"" },
        { "\"h.sh\"", "\"..\"" },
        { "\"type\":\"object\",\"required\"", "\"typo\":\"object\",\"required\"" },
        { "}}}}", "}}}" },
    };

    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct catalog catalog = { .n_actions = 99 };
        struct err err = { 0 };
        const char *at = strstr(GOOD, CASES[i].old);
        char text[1024];
        char dir[TEST_PATH_MAX];

        assert_non_null(at);
        (void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - GOOD), GOOD, CASES[i].new,
                       at + strlen(CASES[i].old));
        make_tasks(dir, text);
        print_message("# %s -> %s\n", CASES[i].old, CASES[i].new);
        assert_int_equal(catalog_load(dir, &catalog, &err), RC_CONFIG);
        assert_non_null(strstr(err.text, dir));
        assert_int_equal(catalog.n_actions, 99);
        remove_folder(dir);
    }
}

static void
requests_are_checked(void **state)
{
    AUTO(catalog) struct catalog catalog = { 0 };
    struct field_errors errors = { 0 };
    struct sandbox sandbox = { 0 };
    struct err err = { 0 };
    struct request request = { .type = "ping" };
    AUTO(json) cJSON *good = cJSON_Parse("{\"type\":\"ping\",\"message\":\"test\"}");
    AUTO(json) cJSON *bad = cJSON_Parse("{\"type\":\"ping\",\"message\":5}");

    assert_int_equal(catalog_load(TASKS, &catalog, &err), RC_OK);
    request.task = bad;
    assert_int_equal(policy_decide(&catalog, &request, &sandbox, &errors, &err), RC_INVALID);
    assert_null(sandbox.action);
    assert_int_equal(errors.count, 1);
    assert_string_equal(errors.items[0].field, "task.message");
    assert_string_equal(
        err.text, "a parameter of ping is wrong: task.message must be a string, not a number");
    AUTO(json) cJSON *null = cJSON_Parse("{\"type\":\"ping\",\"message\":null}");
    request.task = null;
    assert_int_equal(policy_decide(&catalog, &request, &sandbox, &errors, &err), RC_OK);
    assert_null(json_member(null, "message")); /* an optional parameter that is null is absent */
    request.task = good;
    request.type = "pong";
    assert_int_equal(policy_decide(&catalog, &request, &sandbox, &errors, &err), RC_NOTFOUND);
    request.type = "ping";
    request.timeout_seconds = 51;
    errors.count = 0;
    assert_int_equal(policy_decide(&catalog, &request, &sandbox, &errors, &err), RC_INVALID);
    assert_string_equal(errors.items[0].field, "timeout_seconds");
    request.timeout_seconds = 50;
    assert_int_equal(policy_decide(&catalog, &request, &sandbox, &errors, &err), RC_OK);
    assert_int_equal(sandbox.limits.wall_ms, 50000);
    assert_string_equal(sandbox.action->name, "ping");
    request.timeout_seconds = 0;
    assert_int_equal(policy_decide(&catalog, &request, &sandbox, &errors, &err), RC_OK);
    assert_int_equal(sandbox.limits.wall_ms, 5000);
}

static void
summaries_are_short_and_clean(void **state)
{
    static char text[] = "Do {a} with {b}{nothing}{";
    struct action action = { .summary = text };
    AUTO(json) cJSON *params = cJSON_Parse("{\"a\":\"x\\ny\\u001b[0m\",\"b\":{\"c\":[1,true]}}");
    AUTO(json) cJSON *big = cJSON_CreateObject();
    char out[300];
    char small[12];
    char value[201];

    action_summarize(&action, params, out, sizeof(out));
    assert_string_equal(out, "Do x y [0m with {\"c\":[1,true]}{");
    memset(value, 'v', 200);
    value[200] = '\0';
    (void)cJSON_AddStringToObject(big, "a", value);
    action_summarize(&action, big, out, sizeof(out));
    assert_int_equal(strlen(out), 3 + 80 + 3 + 6 + 1);
    assert_memory_equal(out + 83, "\xE2\x80\xA6 with ", 9);
    action_summarize(&action, params, small, sizeof(small));
    assert_true(strlen(small) < sizeof(small));
    assert_memory_equal(small, "Do x y", 6);
}

/* --- pool -------------------------------------------------------------------------------------------- */

static void
pool_fills_evenly_and_gives_the_oldest(void **state)
{
    struct action actions[3] = { { .name = "a", .warm = 4 },
                                 { .name = "b", .warm = 1 },
                                 { .name = "c", .warm = 0 } };
    struct catalog catalog = { .actions = actions, .n_actions = 3 };
    int boxes[5];
    struct pool pool;

    pool_init(&pool, &catalog);
    assert_ptr_equal(pool_wants(&pool), &actions[0]);
    pool_put(&pool, &actions[0], &boxes[0]);
    assert_ptr_equal(pool_wants(&pool), &actions[1]);
    pool_put(&pool, &actions[1], &boxes[1]);
    assert_ptr_equal(pool_wants(&pool), &actions[0]);
    pool_put(&pool, &actions[0], &boxes[2]);
    pool_put(&pool, &actions[0], &boxes[3]);
    pool_put(&pool, &actions[0], &boxes[4]);
    assert_null(pool_wants(&pool));
    assert_int_equal(pool_ready(&pool), 5);
    pool_drop(&pool, &actions[0], &boxes[2]);
    assert_ptr_equal(pool_take(&pool, &actions[0]), &boxes[0]);
    assert_false(pool_low(&pool, &actions[0]));
    assert_ptr_equal(pool_take(&pool, &actions[0]), &boxes[3]);
    assert_true(pool_low(&pool, &actions[0]));
    assert_false(pool_low(&pool, &actions[1]));
    assert_ptr_equal(pool_take(&pool, &actions[0]), &boxes[4]);
    assert_null(pool_take(&pool, &actions[0]));
    assert_null(pool_take(&pool, &actions[2]));
}

/* --- answers ----------------------------------------------------------------------------------------- */

static void
answer_has_the_shape_of_the_contract(void **state)
{
    struct action action = { .result = RESULT_FD3 };
    struct run_result result = { .outcome = OUTCOME_OK,
                                 .output = "hi\xff\n",
                                 .output_len = 4,
                                 .error = "",
                                 .result = "{\"a\":[1]}",
                                 .result_len = 9,
                                 .wall_ms = 5,
                                 .cpu_ms = 4,
                                 .max_rss_bytes = 4096 };
    AUTO(buf) struct buf out = { 0 };

    buf_init(&out, ANSWER_BYTES_MAX);
    assert_int_equal(answer_write(&action, &result, "j", &out), RC_OK);
    assert_string_equal(
        buf_text(&out),
        "{\"status\":\"success\",\"outcome\":\"ok\",\"job_id\":\"j\",\"output\":{\"exit_code\":0,"
        "\"stdout\":\"hi\xEF\xBF\xBD\\n\",\"stderr\":\"\",\"result\":{\"a\":[1]},"
        "\"truncated\":false},\"usage\":{\"wall_ms\":5,\"cpu_ms\":4,\"max_rss_bytes\":4096}}");
}

static void
answer_without_result(void **state)
{
    struct action action = { .result = RESULT_FD3 };
    struct run_result result = { .outcome = OUTCOME_TIMEOUT,
                                 .exit_code = -1,
                                 .output = "",
                                 .error = "",
                                 .result = "{\"a\":",
                                 .result_len = 5 };
    AUTO(buf) struct buf out = { 0 };

    buf_init(&out, ANSWER_BYTES_MAX);
    assert_int_equal(answer_write(&action, &result, NULL, &out), RC_OK);
    assert_string_equal(buf_text(&out),
                        "{\"status\":\"failed\",\"outcome\":\"timeout\",\"output\":{\"exit_code\":"
                        "null,\"stdout\":\"\",\"stderr\":\"result: refused: malformed JSON: "
                        "unexpected end at byte 5\\n\",\"result\":null,\"truncated\":false},"
                        "\"usage\":{\"wall_ms\":0,\"cpu_ms\":0,\"max_rss_bytes\":0}}");
}

/* The text of a result, and what becomes of it: itself, or null and a sentence. */
static void
results_are_exact_or_refused_with_a_reason(void **state)
{
    static const struct {
        const char *text, *expected;
    } CASES[] = {
        { "{\"id\":9007199254740993}",
          "\"stderr\":\"e\",\"result\":{\"id\":9007199254740993},\"t" },
        { "1234567890123456789012345678901234567890123456789012345678901234567890",
          "\"result\":1234567890123456789012345678901234567890123456789012345678901234567890,"
          "\"truncated\":false" },
        { "[1e99999999999999999999999999999999999999999999999999999999999999999999999999,{}]",
          "\"result\":["
          "1e99999999999999999999999999999999999999999999999999999999999999999999999999,{"
          "}],\"truncated\":false" },
        { "1e400", "\"result\":1e400,\"truncated\":false" },
        { "-0.10", "\"result\":-0.10,\"truncated\":false" },
        { "\"\\u001b[31m\\b\x7f\"", "\"result\":\"\\u001b[31m\\b\x7f\",\"truncated\":false" },
        { "\"a\\\\u0000\"", "\"result\":\"a\\\\u0000\",\"truncated\":false" },
        { " [1 ,\n2]\n", "\"result\": [1 ,\n2]\n,\"truncated\":false" },
        { "{\"left_out\":{\"files\":{}}}",
          "\"result\":{\"left_out\":{\"files\":{}}},\"truncated\":true" },
        { "\"a\\u0000\"",
          "\"e\\nresult: refused: U+0000 in a string at byte 3: leave it out\\n\",\"result\":null,"
          "\"truncated\":false" },
        { "\"\\ud800\"", "result: refused: malformed JSON: lone surrogate" },
        { "\"\xed\xa0\x80\"", "result: refused: malformed JSON: what is not UTF-8" },
        { "{\"a\":1,\"\\u0061\":2}", "result: refused: malformed JSON: a member name is repeated" },
        { "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", "result: refused: nested more than 16 deep" },
        { "{\"a\":NaN}", "result: refused: malformed JSON: NaN and Infinity are not JSON" },
        { "", "\"stderr\":\"e\",\"result\":null,\"truncated\":false" },
    };
    struct action action = { .result = RESULT_FD3 };

    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct run_result result = { .output = "",
                                     .error = "e",
                                     .error_len = 1,
                                     .result = CASES[i].text,
                                     .result_len = strlen(CASES[i].text) };
        AUTO(buf) struct buf out = { 0 };

        print_message("# %s\n", CASES[i].text);
        buf_init(&out, ANSWER_BYTES_MAX);
        assert_int_equal(answer_write(&action, &result, NULL, &out), RC_OK);
        assert_non_null(strstr(buf_text(&out), CASES[i].expected));
    }
}

static void
a_result_that_was_cut_is_told(void **state)
{
    static const char SAID[] =
        "\"result: left out; the bound is 262144 bytes of JSON\\n\",\"result\":null,"
        "\"truncated\":true";
    struct action action = { .result = RESULT_FD3 };
    struct run_result result = { .output = "", .error = "", .result = "[1]", .result_len = 3 };
    AUTO(buf) struct buf out = { 0 };

    buf_init(&out, ANSWER_BYTES_MAX);
    result.result_cut = true;
    assert_int_equal(answer_write(&action, &result, NULL, &out), RC_OK);
    assert_non_null(strstr(buf_text(&out), SAID));
    buf_reset(&out);
    action.result = RESULT_STDOUT;
    result.result_cut = false;
    result.output_cut = true;
    assert_int_equal(answer_write(&action, &result, NULL, &out), RC_OK);
    assert_non_null(strstr(buf_text(&out), SAID));
}

/* The sentence has its place even when standard error is full. */
static void
the_reason_is_the_end_of_standard_error(void **state)
{
    struct action action = { .result = RESULT_FD3 };
    char *full = malloc(LIMIT_OUTPUT_KEPT);
    struct run_result result = {
        .output = "", .error = full, .error_len = LIMIT_OUTPUT_KEPT, .result = "[", .result_len = 1
    };
    AUTO(buf) struct buf out = { 0 };

    assert_non_null(full);
    memset(full, 'x', LIMIT_OUTPUT_KEPT);
    buf_init(&out, ANSWER_BYTES_MAX);
    assert_int_equal(answer_write(&action, &result, NULL, &out), RC_OK);
    assert_non_null(strstr(buf_text(&out),
                           "xx\\nresult: refused: malformed JSON: unexpected end at "
                           "byte 1\\n\",\"result\":null,\"truncated\":true"));
    free(full);
}

static void
largest_answer_fits(void **state)
{
    struct action action = { .result = RESULT_STDOUT };
    char *zeros = calloc(1, LIMIT_RESULT_BYTES);
    struct run_result result = { .outcome = OUTCOME_OK,
                                 .output = zeros,
                                 .output_len = LIMIT_RESULT_BYTES,
                                 .error = zeros,
                                 .error_len = LIMIT_OUTPUT_KEPT };
    AUTO(buf) struct buf out = { 0 };

    assert_non_null(zeros);
    buf_init(&out, ANSWER_BYTES_MAX);
    assert_int_equal(answer_write(&action, &result, NULL, &out), RC_OK);
    assert_non_null(strstr(buf_text(&out), "\"truncated\":true"));
    free(zeros);
}

/* --- advice ------------------------------------------------------------------------------------------ */

static void
advice_names_the_setting(void **state)
{
    static const struct {
        const char *said;
        struct selftest_host host;
        const char *names;
    } CASES[] = {
        { "bwrap: No permissions to create a new namespace",
          { .userns_clone = 0, .max_userns = 100, .apparmor_restrict = -1 },
          "kernel.unprivileged_userns_clone=1" },
        { "bwrap: Creating new namespace failed: No space left",
          { .userns_clone = -1, .max_userns = 0, .apparmor_restrict = -1 },
          "user.max_user_namespaces" },
        { "bwrap: setting up uid map: Permission denied",
          { .userns_clone = 1, .max_userns = 100, .apparmor_restrict = 1 },
          "kernel.apparmor_restrict_unprivileged_userns=0" },
        { "bwrap: Can't mount proc on /newroot/proc: Operation not permitted",
          { .userns_clone = -1, .max_userns = 100, .apparmor_restrict = -1 },
          "systempaths=unconfined" },
        { "bwrap: No permissions to create a new namespace",
          { .userns_clone = -1, .max_userns = 100, .apparmor_restrict = -1 },
          "seccomp profile" },
        { "bwrap: execvp /usr/bin/python3: No such file or directory",
          { .userns_clone = -1, .max_userns = 100, .apparmor_restrict = -1 },
          "install" },
    };
    char text[200];

    for (size_t i = 0; i < TEST_COUNT(CASES); i++)
        assert_non_null(strstr(selftest_advise(CASES[i].said, &CASES[i].host, text, sizeof(text)),
                               CASES[i].names));
}

/* --- cgroups: no such folder is delegated here, so a plain one stands in for it ------------------------ */

static void
cgroup_files_are_written_and_read(void **state)
{
    static const struct limits LIMITS = { .memory_bytes = 8388608, .processes = 32 };
    char dir[TEST_PATH_MAX];
    struct err err = { 0 };
    int fd = -7;

    test_temporary("test_executor", dir);
    assert_non_null(mkdtemp(dir));
    assert_int_equal(cgroup_open(dir, &fd, &err), RC_CONFIG);
    assert_non_null(strstr(err.text, "not a folder of cgroup v2"));
    put(dir, "cgroup.controllers", "cpu memory_x pids\n");
    assert_int_equal(cgroup_open(dir, &fd, &err), RC_CONFIG);
    assert_non_null(strstr(err.text, "not passed down"));
    put(dir, "cgroup.controllers", "cpu memory pids\n");
    assert_int_equal(cgroup_open(dir, &fd, &err), RC_CONFIG);
    assert_non_null(strstr(err.text, "cannot switch on"));
    assert_int_equal(fd, -7);
    put(dir, "cgroup.subtree_control", "");
    assert_int_equal(cgroup_open(dir, &fd, &err), RC_OK);
    {
        struct cgroup group = CGROUP_NONE;

        /* A plain folder makes no cgroup.procs: a group that cannot be entered is an error. */
        assert_int_equal(cgroup_make(fd, 1, &LIMITS, &group, &err), RC_TEMP);
        assert_int_equal(group.dir, -1);
    }
    (void)close(fd);
    remove_folder(dir);
}

static void
cgroup_facts_are_parsed(void **state)
{
    char dir[TEST_PATH_MAX];
    struct cgroup group = CGROUP_NONE;
    struct cgroup_facts facts;

    test_temporary("test_executor", dir);
    assert_non_null(mkdtemp(dir));
    put(dir, "memory.peak", "1234567\n");
    put(dir, "memory.events", "low 0\nhigh 0\nmax 17\noom 2\noom_kill 1\noom_group_kill 1\n");
    put(dir, "pids.events", "max 5\n");
    put(dir, "cpu.stat", "usage_usec 2500000\nuser_usec 1\nsystem_usec 2\n");
    group.dir = open(dir, 0);
    cgroup_read(&group, &facts);
    assert_int_equal(facts.memory_peak_bytes, 1234567);
    assert_int_equal(facts.oom_kills, 1);
    assert_int_equal(facts.forks_refused, 5);
    assert_int_equal(facts.cpu_ms, 2500);
    (void)close(group.dir);
    remove_folder(dir);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(built_in_tasks_load),
        cmocka_unit_test(manifest_is_read),
        cmocka_unit_test(wrong_manifests_are_refused),
        cmocka_unit_test(requests_are_checked),
        cmocka_unit_test(summaries_are_short_and_clean),
        cmocka_unit_test(pool_fills_evenly_and_gives_the_oldest),
        cmocka_unit_test(answer_has_the_shape_of_the_contract),
        cmocka_unit_test(answer_without_result),
        cmocka_unit_test(results_are_exact_or_refused_with_a_reason),
        cmocka_unit_test(a_result_that_was_cut_is_told),
        cmocka_unit_test(the_reason_is_the_end_of_standard_error),
        cmocka_unit_test(largest_answer_fits),
        cmocka_unit_test(advice_names_the_setting),
        cmocka_unit_test(cgroup_files_are_written_and_read),
        cmocka_unit_test(cgroup_facts_are_parsed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
