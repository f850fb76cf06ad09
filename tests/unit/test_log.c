/* SPDX-License-Identifier: MIT */
/*
 * test_log - what a line looks like, and what never gets into one.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "test.h"

static int pipe_fds[2];
static int saved_stderr;
static char output[LOG_LINE_MAX * 2];

static void
capture_start(void)
{
    assert_int_equal(pipe(pipe_fds), 0);
    saved_stderr = dup(STDERR_FILENO);
    assert_int_equal(dup2(pipe_fds[1], STDERR_FILENO), STDERR_FILENO);
}

/* The line without its time, which is checked for its shape. */
static const char *
capture_end(size_t skip)
{
    assert_int_equal(dup2(saved_stderr, STDERR_FILENO), STDERR_FILENO);
    close(saved_stderr);
    close(pipe_fds[1]);
    ssize_t n = read(pipe_fds[0], output, sizeof(output) - 1);
    close(pipe_fds[0]);
    assert_true(n >= 0);
    output[n] = '\0';
    if (n == 0)
        return "";
    assert_true((size_t)n > skip + 24);
    assert_int_equal(output[skip + 10], 'T');
    assert_int_equal(output[skip + 23], 'Z');
    return output + skip + 24;
}

static void
test_json_line(void **unused)
{
    log_init("gantry-test", LOG_INFO, LOG_JSON);
    capture_start();
    errno = ENOENT;
    log_fields(LOG_WARN, "a \"quoted\"\nmessage", "id", "x\x01\x7f\\", "bad",
               "\xff\xc3\xa9\xc2\x9b", NULL);
    assert_int_equal(errno, ENOENT);
    assert_string_equal(capture_end(7),
                        "\",\"level\":\"warn\",\"prog\":\"gantry-test\",\"msg\":\"a "
                        "\\\"quoted\\\"\\nmessage\",\"id\":\"x\\u0001\\u007f\\\\\","
                        "\"bad\":\"\\ufffd\xc3\xa9\\u009b\"}\n");
}

static void
test_text_line(void **unused)
{
    log_init("gantry-test", LOG_INFO, LOG_TEXT);
    capture_start();
    log_fields(LOG_ERROR, "no\nluck", "k", "a b\x1b[31m\xff", NULL);
    assert_string_equal(capture_end(0),
                        " error gantry-test msg=\"no\\nluck\" k=\"a b\\x1b[31m\\xff\"\n");
    capture_start();
    log_info("count %d", 3);
    assert_string_equal(capture_end(0), " info  gantry-test msg=\"count 3\"\n");
}

static void
test_levels(void **unused)
{
    log_init("gantry-test", LOG_WARN, LOG_TEXT);
    assert_false(log_enabled(LOG_INFO));
    assert_true(log_enabled(LOG_WARN));
    capture_start();
    log_debug("not %s", "seen");
    log_info("not seen");
    log_fields(LOG_INFO, "not seen", NULL);
    assert_string_equal(capture_end(0), "");
}

static void
test_secrets_are_blotted_out(void **unused)
{
    log_init("p", LOG_INFO, LOG_TEXT);
    capture_start();
    log_info("%s", "key relay_sk_0123456789ABabcdef, nats://user:pass@host:4222/x http://h/a@b");
    assert_string_equal(capture_end(0), " info  p msg=\"key relay_sk_[redacted], "
                                        "nats://[redacted]@host:4222/x http://h/a@b\"\n");
}

static void
test_bounded(void **unused)
{
    static char huge[10000];

    memset(huge, '"', sizeof(huge) - 1);
    log_init("p", LOG_INFO, LOG_JSON);
    capture_start();
    log_fields(LOG_INFO, huge, "one", huge, "two", huge, "three", huge, NULL);
    (void)capture_end(7);
    size_t len = strlen(output);
    assert_true(len <= LOG_LINE_MAX);
    assert_string_equal(output + len - 15, "\"\",\"cut\":true}\n");
    capture_start();
    log_info("%s", huge);
    (void)capture_end(7);
    len = strlen(output);
    assert_string_equal(output + len - 8, "\\\"...\"}\n");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_line), cmocka_unit_test(test_text_line),
        cmocka_unit_test(test_levels),    cmocka_unit_test(test_secrets_are_blotted_out),
        cmocka_unit_test(test_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
