/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "test.h"
#include "workers/executor/sandbox/argv.h"
#include "workers/executor/sandbox/policy.h"
#include "workers/executor/sandbox/verdict.h"

/* clang-format off */
/* The whole policy, literally: a changed option must be changed here as well. */
static const char *const TEMPLATE[] = {
    "--unshare-user", "--new-session", "--die-with-parent", "--clearenv", "--cap-drop", "ALL",
    "--perms", "0755", "--dir", "/sandbox",
    "--ro-bind", "/usr/bin", "/sandbox/usr/bin",
    "--ro-bind", "/usr/lib", "/sandbox/usr/lib",
    "--ro-bind-try", "/usr/lib64", "/sandbox/usr/lib64",
    "--ro-bind-try", "/usr/libexec", "/sandbox/usr/libexec",
    "--ro-bind-try", "/usr/share", "/sandbox/usr/share",
    "--ro-bind-try", "/usr/include", "/sandbox/usr/include",
    "--symlink", "usr/bin", "/sandbox/bin",
    "--symlink", "usr/bin", "/sandbox/sbin",
    "--symlink", "usr/lib", "/sandbox/lib",
    "--symlink", "usr/lib64", "/sandbox/lib64",
    "--ro-bind-try", "/etc/alternatives", "/sandbox/etc/alternatives",
    "--perms", "0444", "--file", "5", "/sandbox/etc/ld.so.cache",
    "--perms", "0444", "--file", "6", "/sandbox/etc/openssl.cnf",
    "--perms", "0444", "--file", "7", "/sandbox/etc/manpath.config",
    "--perms", "0444", "--file", "8", "/sandbox/etc/mime.types",
    "--perms", "0444", "--file", "9", "/sandbox/etc/protocols",
    "--perms", "0444", "--file", "10", "/sandbox/etc/services",
    "--perms", "0444", "--file", "11", "/sandbox/etc/passwd",
    "--perms", "0444", "--file", "12", "/sandbox/etc/group",
    "--perms", "0444", "--file", "13", "/sandbox/etc/nsswitch.conf",
    "--perms", "0444", "--file", "14", "/sandbox/etc/.curlrc",
    "--dev-bind", "/dev/null", "/devices/null",
    "--dev-bind", "/dev/zero", "/devices/zero",
    "--dev-bind", "/dev/full", "/devices/full",
    "--dev-bind", "/dev/urandom", "/devices/urandom",
    "--symlink", "urandom", "/devices/random",
    "--symlink", "/proc/self/fd", "/devices/fd",
    "--symlink", "/proc/self/fd/0", "/devices/stdin",
    "--symlink", "/proc/self/fd/1", "/devices/stdout",
    "--symlink", "/proc/self/fd/2", "/devices/stderr",
    "--symlink", "/tmp", "/devices/shm",
    "--perms", "0555", "--dir", "/sandbox/task",
    "--perms", "0444", "--file", "15", "/sandbox/task/main.py",
    "--perms", "0444", "--file", "16", "/sandbox/task/files.py",
    "--dir", "/sandbox/dev", "--dir", "/sandbox/proc", "--dir", "/sandbox/tmp", "--dir", "/sandbox/work",
    "--ro-bind", "/usr/bin/bwrap", "/usr/bin/bwrap",
    "--symlink", "../sandbox/usr/lib", "/usr/lib",
    "--symlink", "usr/lib", "/lib",
    "--symlink", "../sandbox/usr/lib64", "/usr/lib64",
    "--symlink", "usr/lib64", "/lib64",
    "--symlink", "sandbox/etc", "/etc",
    "--dir", "/tmp", "--bind", "/proc", "/proc",
    "--remount-ro", "/",
    "--json-status-fd", "3",
};

static const char *const SANDBOX[] = {
    "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts",
    "--unshare-cgroup", "--disable-userns", "--uid", "1000", "--gid", "1000",
    "--hostname", "sandbox", "--new-session", "--die-with-parent", "--clearenv",
    "--cap-drop", "ALL",
    "--setenv", "HOME", "/work", "--setenv", "TMPDIR", "/tmp",
    "--setenv", "PATH", "/usr/bin:/bin", "--setenv", "LANG", "C.UTF-8",
    "--setenv", "PYTHONUNBUFFERED", "1", "--setenv", "PYTHONDONTWRITEBYTECODE", "1",
    "--setenv", "CURL_HOME", "/etc", "--setenv", "OPENSSL_CONF", "/etc/openssl.cnf",
    "--ro-bind", "/sandbox", "/", "--dev-bind", "/devices", "/dev",
    "--proc", "/proc", "--remount-ro", "/proc",
    "--perms", "1777", "--size", "1048576", "--tmpfs", "/tmp",
    "--perms", "0755", "--size", "1048576", "--tmpfs", "/work",
    "--chdir", "/work", "--seccomp", "6", "--json-status-fd", "4",
};

/* Without copies and without files of the action. */
static const char *const LEAST[] = {
    "--ro-bind-try", "/etc/alternatives", "/sandbox/etc/alternatives",
    "--perms", "0444", "--file", "5", "/sandbox/etc/passwd",
    "--perms", "0444", "--file", "6", "/sandbox/etc/group",
    "--perms", "0444", "--file", "7", "/sandbox/etc/nsswitch.conf",
    "--perms", "0444", "--file", "8", "/sandbox/etc/.curlrc",
    "--dev-bind", "/dev/null", "/devices/null",
};

static const char *const NO_FILES[] = {
    "--symlink", "/tmp", "/devices/shm",
    "--perms", "0555", "--dir", "/sandbox/task",
    "--dir", "/sandbox/dev",
};
/* clang-format on */

#define ALL_COPIES ((1u << ARGV_COPIED_COUNT) - 1)

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

/* The words are in the options, one after the other, from the first one that is like theirs; returns where
 * they end. */
static size_t
assert_words(const struct buf *options, const char *const *words, size_t n)
{
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        while (i == 0 && at < options->len &&
               (strcmp(options->data + at, words[0]) != 0 ||
                strcmp(options->data + at + strlen(words[0]) + 1, words[1]) != 0))
            at += strlen(options->data + at) + 1;
        assert_true(at < options->len);
        assert_string_equal(options->data + at, words[i]);
        at += strlen(words[i]) + 1;
    }
    return at;
}

static void
options_of_a_sandbox_are_the_golden_ones(void **state)
{
    struct action action = two_files();
    struct sandbox sandbox = policy_ahead(&action);
    struct buf options;
    struct argv argv;

    buf_init(&options, ARGV_OPTIONS_MAX);
    assert_int_equal(argv_build(&sandbox, &options, &argv), RC_OK);
    assert_string_equal(options.data, SANDBOX[0]);
    assert_int_equal(assert_words(&options, SANDBOX, TEST_COUNT(SANDBOX)), options.len);
    assert_string_equal(argv.words[0], "/usr/bin/bwrap");
    assert_string_equal(argv.words[1], "--args");
    assert_string_equal(argv.words[2], "5");
    assert_string_equal(argv.words[3], "--");
    assert_string_equal(argv.words[4], "/usr/bin/python3");
    assert_string_equal(argv.words[5], "/task/main.py");
    assert_null(argv.words[6]);
    assert_int_equal(argv.n_files, 0);
    buf_fini(&options);
}

static void
options_of_a_template_are_the_golden_ones(void **state)
{
    struct action action = two_files();
    struct buf options;
    struct argv argv;

    buf_init(&options, ARGV_OPTIONS_MAX);
    assert_int_equal(argv_build_template(&action, ALL_COPIES, &options, &argv), RC_OK);
    assert_string_equal(options.data, TEMPLATE[0]);
    assert_int_equal(assert_words(&options, TEMPLATE, TEST_COUNT(TEMPLATE)), options.len);
    assert_string_equal(argv.words[0], "/usr/bin/bwrap");
    assert_string_equal(argv.words[1], "--args");
    assert_string_equal(argv.words[2], "4");
    assert_string_equal(argv.words[3], "--");
    assert_string_equal(argv.words[4], "/sandbox/usr/bin/cat");
    assert_null(argv.words[5]);
    buf_fini(&options);
}

static void
files_are_the_host_s_ours_and_the_action_s(void **state)
{
    static const char *const COPIES[] = { "/etc/ld.so.cache",    "/etc/ssl/openssl.cnf",
                                          "/etc/manpath.config", "/etc/mime.types",
                                          "/etc/protocols",      "/etc/services" };
    struct action action = two_files();
    struct buf options;
    struct argv argv;

    buf_init(&options, ARGV_OPTIONS_MAX);
    assert_int_equal(argv_build_template(&action, ALL_COPIES, &options, &argv), RC_OK);
    assert_int_equal(argv.n_files, 12);
    for (size_t i = 0; i < TEST_COUNT(COPIES); i++)
        assert_string_equal(argv.files[i].path, COPIES[i]);
    for (size_t i = TEST_COUNT(COPIES); i < argv.n_files; i++)
        assert_null(argv.files[i].path);
    assert_string_equal(argv.files[6].data, "task:x:1000:1000:task:/work:/bin/sh\n");
    assert_int_equal(argv.files[6].len, 36);
    assert_string_equal(argv.files[7].data, "task:x:1000:\n");
    assert_int_equal(argv.files[7].len, 13);
    assert_string_equal(argv.files[8].data, "passwd: files\ngroup: files\nhosts: files\n");
    assert_string_equal(argv.files[9].data,
                        "silent\nshow-error\nproxy = there-is-no-network-here\n");
    assert_string_equal(argv.files[10].data, "print(1)\n");
    assert_int_equal(argv.files[10].len, 9);
    assert_int_equal(argv.files[11].len, 5);
    buf_fini(&options);
}

static void
what_is_not_there_is_left_out(void **state)
{
    static char echo[] = "/usr/bin/true";
    struct action action = { .command = { echo } };
    struct buf options;
    struct argv argv;

    buf_init(&options, ARGV_OPTIONS_MAX);
    assert_int_equal(argv_build_template(&action, 0, &options, &argv), RC_OK);
    (void)assert_words(&options, LEAST, TEST_COUNT(LEAST));
    (void)assert_words(&options, NO_FILES, TEST_COUNT(NO_FILES));
    assert_int_equal(argv.n_files, 4);
    buf_reset(&options);
    assert_int_equal(argv_build_template(&action, 1u << 3, &options, &argv), RC_OK);
    assert_int_equal(argv.n_files, 5);
    assert_string_equal(argv.files[0].path, "/etc/mime.types");
    buf_fini(&options);
}

static void
sizes_are_the_action_s(void **state)
{
    static const char *const SIZES[] = {
        "--size", "18446744073709551615", "--tmpfs", "/tmp",  "--perms", "0755",
        "--size", "18446744073709551615", "--tmpfs", "/work",
    };
    static char echo[] = "/usr/bin/true";
    struct action action = { .command = { echo }, .limits.tmp_bytes = UINT64_MAX };
    struct sandbox sandbox = policy_ahead(&action);
    struct buf options;
    struct argv argv;

    buf_init(&options, ARGV_OPTIONS_MAX);
    assert_int_equal(argv_build(&sandbox, &options, &argv), RC_OK);
    (void)assert_words(&options, SIZES, TEST_COUNT(SIZES));
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
    assert_int_equal(argv_build_template(&action, 0, &options, &argv), RC_LIMIT);
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
        cmocka_unit_test(options_of_a_sandbox_are_the_golden_ones),
        cmocka_unit_test(options_of_a_template_are_the_golden_ones),
        cmocka_unit_test(files_are_the_host_s_ours_and_the_action_s),
        cmocka_unit_test(what_is_not_there_is_left_out),
        cmocka_unit_test(sizes_are_the_action_s),
        cmocka_unit_test(what_does_not_fit_is_an_error),
        cmocka_unit_test(facts_give_outcomes),
        cmocka_unit_test(use_is_what_knows_more),
        cmocka_unit_test(outcomes_have_the_names_of_the_contract),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
