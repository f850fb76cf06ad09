/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "test.h"
#include "workers/executor/sandbox/janitor.h"

#define LINGER_S 300 /* a bound against hanging */

static bool
is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void
test_it_holds_a_mount_namespace_and_lets_it_go(void **state)
{
    struct janitor *janitor = NULL;
    char path[64], name[64] = "";
    int fd, number;

    (void)state;
    assert_int_equal(janitor_new(&janitor, NULL), RC_OK);
    fd = number = janitor_hold(janitor, getpid());
    assert_true(fd >= 0);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    assert_true(readlink(path, name, sizeof(name) - 1) > 0);
    assert_memory_equal(name, "mnt:[", 5);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    janitor_close(janitor, &fd);
    assert_int_equal(fd, -1);
    janitor_close(janitor, &fd); /* nothing */
    janitor_free(janitor);
    assert_false(is_open(number));
}

static void
test_what_has_ended_cannot_be_held(void **state)
{
    struct janitor *janitor = NULL;

    (void)state;
    assert_int_equal(janitor_new(&janitor, NULL), RC_OK);
    assert_int_equal(janitor_hold(janitor, 0), -1);
    janitor_free(janitor);
}

/* A connection whose close() waits until the other end, which reads nothing, is closed. */
static void
slow_to_close(int listener, int *fd, int *other)
{
    static const char NOTHING[65536];
    const struct linger linger = { .l_onoff = 1, .l_linger = LINGER_S };
    struct sockaddr_in address;
    socklen_t len = sizeof(address);

    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    *fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(*fd, (struct sockaddr *)&address, len), 0);
    *other = accept(listener, NULL, NULL);
    assert_true(*other >= 0);
    assert_int_equal(setsockopt(*fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
    while (send(*fd, NOTHING, sizeof(NOTHING), MSG_DONTWAIT) > 0)
        ;
    assert_int_equal(errno, EAGAIN);
}

static void
test_with_too_much_to_do_nothing_more_is_held(void **state)
{
    struct janitor *janitor = NULL;
    int others[JANITOR_THREADS], fd;
    AUTO(fd) int listener = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    assert_int_equal(listen(listener, JANITOR_THREADS), 0);
    assert_int_equal(janitor_new(&janitor, NULL), RC_OK);
    for (size_t i = 0; i < JANITOR_THREADS; i++) {
        slow_to_close(listener, &fd, &others[i]);
        janitor_close(janitor, &fd);
    }
    for (size_t i = JANITOR_THREADS; i < JANITOR_LATE_MAX; i++) {
        fd = janitor_hold(janitor, getpid());
        assert_true(fd >= 0);
        janitor_close(janitor, &fd);
    }
    assert_int_equal(janitor_hold(janitor, getpid()), -1);
    for (size_t i = 0; i < JANITOR_THREADS; i++)
        assert_int_equal(close(others[i]), 0);
    while ((fd = janitor_hold(janitor, getpid())) < 0)
        (void)poll(NULL, 0, 1);
    janitor_close(janitor, &fd);
    janitor_free(janitor);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_holds_a_mount_namespace_and_lets_it_go),
        cmocka_unit_test(test_what_has_ended_cannot_be_held),
        cmocka_unit_test(test_with_too_much_to_do_nothing_more_is_held),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
