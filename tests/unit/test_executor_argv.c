/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "test.h"
#include "workers/executor/sandbox/argv.h"
#include "workers/executor/sandbox/policy.h"
#include "workers/executor/sandbox/verdict.h"

/* clang-format off */
/* The whole policy, literally: a changed option must be changed here as well. */
static const char *const GOLDEN[] = {
    "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts",
    "--unshare-cgroup", "--disable-userns", "--uid", "1000", "--gid", "1000",
    "--hostname", "sandbox", "--new-session", "--die-with-parent", "--clearenv",
    "--cap-drop", "ALL",
    "--setenv", "HOME", "/work", "--setenv", "TMPDIR", "/tmp",
    "--setenv", "PATH", "/usr/bin:/bin", "--setenv", "LANG", "C.UTF-8",
    "--setenv", "PYTHONUNBUFFERED", "1", "--setenv", "PYTHONDONTWRITEBYTECODE", "1",
    "--setenv", "CURL_HOME", "/etc", "--setenv", "OPENSSL_CONF", "/etc/openssl.cnf",
    "--ro-bind", "/usr/bin", "/usr/bin",
    "--ro-bind", "/usr/lib", "/usr/lib",
    "--ro-bind-try", "/usr/lib64", "/usr/lib64",
    "--ro-bind-try", "/usr/libexec", "/usr/libexec",
    "--ro-bind-try", "/usr/share", "/usr/share",
    "--ro-bind-try", "/usr/include", "/usr/include",
    "--symlink", "usr/bin", "/bin",
    "--symlink", "usr/bin", "/sbin",
    "--symlink", "usr/lib", "/lib",
    "--symlink", "usr/lib64", "/lib64",
    "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache",
    "--ro-bind-try", "/etc/alternatives", "/etc/alternatives",
    "--ro-bind-try", "/etc/ssl/openssl.cnf", "/etc/openssl.cnf",
    "--ro-bind-try", "/etc/manpath.config", "/etc/manpath.config",
    "--ro-bind-try", "/etc/mime.types", "/etc/mime.types",
    "--ro-bind-try", "/etc/protocols", "/etc/protocols",
    "--ro-bind-try", "/etc/services", "/etc/services",
    "--perms", "0444", "--file", "7", "/etc/passwd",
    "--perms", "0444", "--file", "8", "/etc/group",
    "--perms", "0444", "--file", "9", "/etc/nsswitch.conf",
    "--perms", "0444", "--file", "10", "/etc/.curlrc",
    "--proc", "/proc", "--remount-ro", "/proc",
    "--dev-bind", "/dev/null", "/dev/null",
    "--dev-bind", "/dev/zero", "/dev/zero",
    "--dev-bind", "/dev/full", "/dev/full",
    "--dev-bind", "/dev/random", "/dev/random",
    "--dev-bind", "/dev/urandom", "/dev/urandom",
    "--symlink", "/proc/self/fd", "/dev/fd",
    "--symlink", "/proc/self/fd/0", "/dev/stdin",
    "--symlink", "/proc/self/fd/1", "/dev/stdout",
    "--symlink", "/proc/self/fd/2", "/dev/stderr",
    "--symlink", "/tmp", "/dev/shm",
    "--perms", "0555", "--dir", "/task",
    "--perms", "0444", "--file", "11", "/task/main.py",
    "--perms", "0444", "--file", "12", "/task/files.py",
    "--perms", "1777", "--size", "1048576", "--tmpfs", "/tmp",
    "--perms", "0755", "--size", "1048576", "--tmpfs", "/work",
    "--remount-ro", "/", "--chdir", "/work",
    "--seccomp", "6", "--json-status-fd", "4",
};

static const char *const GOLDEN_NO_FILES[] = {
    "--symlink", "/tmp", "/dev/shm",
    "--perms", "0555", "--dir", "/task",
    "--perms", "1777", "--size", "18446744073709551615", "--tmpfs", "/tmp",
};
/* clang-format on */

static struct action
two_files(void)
{
    static char python[] = "/usr/bin/python3", script[] = "/task/main.py";
    static char main_py[] = "main.py", files_py[] = "files.py", text[] = "print(1)\n";
    struct action action = { .name = "x", .command = { python, script } };

    action.limits.tmp_bytes = 1048576;
    action.files[0] = (struct action_file){ .name = main_py, .data = text, .len = 9 };
    action.files[1] = (struct action_file){ .name = files_py, .data = text, .len = 5 };
    action.n_files = 2;
    return action;
}

static void
argument_list_is_the_golden_one(void **state)
{
    struct action action = two_files();
    struct sandbox sandbox = policy_ahead(&action);
    struct buf options;
    struct argv argv;
    size_t at = 0;

    buf_init(&options, ARGV_OPTIONS_MAX);
    assert_int_equal(argv_build(&sandbox, &options, &argv), RC_OK);
    for (size_t i = 0; i < TEST_COUNT(GOLDEN); i++) {
        assert_true(at < options.len);
        assert_string_equal(options.data + at, GOLDEN[i]);
        at += strlen(GOLDEN[i]) + 1;
    }
    assert_int_equal(at, options.len);
    assert_string_equal(argv.words[0], "/usr/bin/bwrap");
    assert_string_equal(argv.words[1], "--args");
    assert_string_equal(argv.words[2], "5");
    assert_string_equal(argv.words[3], "--");
    assert_string_equal(argv.words[4], "/usr/bin/python3");
    assert_string_equal(argv.words[5], "/task/main.py");
    assert_null(argv.words[6]);
    buf_fini(&options);
}

static void
files_are_ours_and_the_task_s(void **state)
{
    struct action action = two_files();
    struct sandbox sandbox = policy_ahead(&action);
    struct buf options;
    struct argv argv;

    buf_init(&options, ARGV_OPTIONS_MAX);
    assert_int_equal(argv_build(&sandbox, &options, &argv), RC_OK);
    assert_int_equal(argv.n_files, 6);
    assert_string_equal(argv.files[0].data, "task:x:1000:1000:task:/work:/bin/sh\n");
    assert_int_equal(argv.files[0].len, 36);
    assert_string_equal(argv.files[1].data, "task:x:1000:\n");
    assert_int_equal(argv.files[1].len, 13);
    assert_string_equal(argv.files[2].data, "passwd: files\ngroup: files\nhosts: files\n");
    assert_string_equal(argv.files[3].data,
                        "silent\nshow-error\nproxy = there-is-no-network-here\n");
    assert_string_equal(argv.files[4].data, "print(1)\n");
    assert_int_equal(argv.files[4].len, 9);
    assert_int_equal(argv.files[5].len, 5);
    buf_fini(&options);
}

static void
without_files_there_is_an_empty_task_folder(void **state)
{
    static char echo[] = "/usr/bin/true";
    struct action action = { .command = { echo }, .limits.tmp_bytes = UINT64_MAX };
    struct sandbox sandbox = policy_ahead(&action);
    struct buf options;
    struct argv argv;
    size_t at = 0;

    buf_init(&options, ARGV_OPTIONS_MAX);
    assert_int_equal(argv_build(&sandbox, &options, &argv), RC_OK);
    while (at < options.len && strcmp(options.data + at, "/dev/shm") != 0)
        at += strlen(options.data + at) + 1;
    at -= strlen("--symlink") + 1 + strlen("/tmp") + 1;
    for (size_t i = 0; i < TEST_COUNT(GOLDEN_NO_FILES); i++) {
        assert_string_equal(options.data + at, GOLDEN_NO_FILES[i]);
        at += strlen(GOLDEN_NO_FILES[i]) + 1;
    }
    buf_fini(&options);
}

static void
what_does_not_fit_is_an_error(void **state)
{
    struct action action = two_files();
    struct sandbox sandbox = policy_ahead(&action);
    struct argv argv = { .n_files = 77 };
    struct buf options;

    buf_init(&options, 100);
    assert_int_equal(argv_build(&sandbox, &options, &argv), RC_LIMIT);
    assert_int_equal(argv.n_files, 77);
    buf_fini(&options);
}

/* --- verdict ---------------------------------------------------------------------------------------- */

static void
facts_give_outcomes(void **state)
{
    static const struct limits LIMITS = { .memory_bytes = 1000, .cpu_ms = 1000, .memory_exit = 86 };
    static const struct {
        const char *name;
        struct facts facts;
        enum outcome outcome;
    } CASES[] = {
        { "exit 0", { .exited = true }, OUTCOME_OK },
        { "exit 1", { .exited = true, .exit_code = 1 }, OUTCOME_NONZERO_EXIT },
        { "exit 128", { .exited = true, .exit_code = 128 }, OUTCOME_NONZERO_EXIT },
        { "SIGSEGV", { .exited = true, .exit_code = 139 }, OUTCOME_SIGNALED },
        { "exit 255", { .exited = true, .exit_code = 255 }, OUTCOME_NONZERO_EXIT },
        { "SIGXCPU", { .exited = true, .exit_code = 152 }, OUTCOME_CPU_LIMIT },
        { "no document", { .exited = false }, OUTCOME_FAULT },
        { "timeout",
          { .killed = true, .kill_reason = OUTCOME_TIMEOUT, .exited = true, .exit_code = 137 },
          OUTCOME_TIMEOUT },
        { "killed without a document",
          { .killed = true, .kill_reason = OUTCOME_CANCELLED },
          OUTCOME_CANCELLED },
        { "died over its memory",
          { .exited = true, .exit_code = 1, .memory_peak_bytes = 1001 },
          OUTCOME_MEMORY_LIMIT },
        { "peak that did no harm",
          { .exited = true, .exit_code = 0, .memory_peak_bytes = 1001 },
          OUTCOME_OK },
        { "at its memory limit",
          { .exited = true, .exit_code = 1, .memory_peak_bytes = 1000 },
          OUTCOME_NONZERO_EXIT },
        { "says that it was refused memory",
          { .exited = true, .exit_code = 86 },
          OUTCOME_MEMORY_LIMIT },
        { "killed by the kernel with its group, bwrap and all",
          { .oom_kills = 1 },
          OUTCOME_MEMORY_LIMIT },
        { "no more forks",
          { .exited = true, .exit_code = 1, .forks_refused = 3 },
          OUTCOME_PROCESS_LIMIT },
        { "processor time", { .exited = true, .exit_code = 9, .cpu_ms = 1001 }, OUTCOME_CPU_LIMIT },
        { "processor time that only a look has seen",
          { .exited = true, .exit_code = 9, .cpu_ms = 4, .cpu_sample_ms = 1001 },
          OUTCOME_CPU_LIMIT },
    };

    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        print_message("# %s\n", CASES[i].name);
        assert_int_equal(verdict_decide(&CASES[i].facts, &LIMITS), CASES[i].outcome);
    }
}

static void
use_is_what_knows_more(void **state)
{
    assert_int_equal(verdict_cpu_ms(&(struct facts){ .cpu_ms = 4, .cpu_sample_ms = 1500 }), 1500);
    assert_int_equal(verdict_cpu_ms(&(struct facts){ .cpu_ms = 1500, .cpu_sample_ms = 4 }), 1500);
    assert_int_equal(verdict_cpu_ms(&(struct facts){ .cpu_ms = 7 }), 7);
}

static void
outcomes_have_the_names_of_the_contract(void **state)
{
    assert_string_equal(outcome_name(OUTCOME_OK), "ok");
    assert_string_equal(outcome_name(OUTCOME_NONZERO_EXIT), "nonzero_exit");
    assert_string_equal(outcome_name(OUTCOME_SIGNALED), "signaled");
    assert_string_equal(outcome_name(OUTCOME_TIMEOUT), "timeout");
    assert_string_equal(outcome_name(OUTCOME_CPU_LIMIT), "cpu_limit");
    assert_string_equal(outcome_name(OUTCOME_MEMORY_LIMIT), "memory_limit");
    assert_string_equal(outcome_name(OUTCOME_PROCESS_LIMIT), "process_limit");
    assert_string_equal(outcome_name(OUTCOME_OUTPUT_LIMIT), "output_limit");
    assert_string_equal(outcome_name(OUTCOME_CANCELLED), "cancelled");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(argument_list_is_the_golden_one),
        cmocka_unit_test(files_are_ours_and_the_task_s),
        cmocka_unit_test(without_files_there_is_an_empty_task_folder),
        cmocka_unit_test(what_does_not_fit_is_an_error),
        cmocka_unit_test(facts_give_outcomes),
        cmocka_unit_test(use_is_what_knows_more),
        cmocka_unit_test(outcomes_have_the_names_of_the_contract),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
