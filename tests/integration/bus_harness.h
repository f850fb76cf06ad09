/* SPDX-License-Identifier: MIT */
/*
 * bus_harness - a nats-server that the test starts and kills, and the loop to wait on.
 */
#ifndef BUS_HARNESS_H
#define BUS_HARNESS_H

#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "bus/bus.h"
#include "test.h"

#define LONG_MS 60000 /* against hanging only */

static pid_t server_pid;
static struct loop *loop;
static struct bus *bus;

static inline void
start_server(void)
{
    char dash_c[] = "-c";
    char *argv[] = { getenv("BUS_SERVER"), dash_c, getenv("BUS_CONFIG"), NULL };
    assert_int_equal(posix_spawn(&server_pid, argv[0], NULL, NULL, argv, environ), 0);
}

static inline void
stop_server(int how)
{
    kill(server_pid, how);
    waitpid(server_pid, NULL, 0);
}

static inline void
turn_until(const bool *flag)
{
    int64_t until_ms = clock_mono_ms() + LONG_MS;
    while (!*flag && clock_mono_ms() < until_ms)
        loop_turn(loop, 10);
    assert_true(*flag);
}

static inline void
turn_for(int64_t ms)
{
    int64_t until_ms = clock_mono_ms() + ms;
    while (clock_mono_ms() < until_ms)
        loop_turn(loop, 10);
}

/* Turns the loop until the condition holds. */
#define TURN_UNTIL(condition)                                                                      \
    do {                                                                                           \
        int64_t until_ms_ = clock_mono_ms() + LONG_MS;                                             \
        while (!(condition) && clock_mono_ms() < until_ms_)                                        \
            loop_turn(loop, 10);                                                                   \
        assert_true(condition);                                                                    \
    } while (0)

struct answer {
    bool done;
    enum rc rc;
    enum server server;
    bool duplicate;
    char data[64];
    char text[ERR_TEXT_MAX];
    int calls;
};

static inline void
on_ack(void *arg, enum rc rc, bool duplicate, const struct err *err)
{
    struct answer *answer = arg;
    answer->done = true;
    answer->rc = rc;
    answer->server = rc == RC_OK ? SERVER_NONE : err->server;
    answer->duplicate = duplicate;
    answer->calls++;
    snprintf(answer->text, sizeof(answer->text), "%s", rc == RC_OK ? "" : err->text);
}

static inline void
on_reply(void *arg, enum rc rc, const struct bus_msg *msg, const struct err *err)
{
    struct answer *answer = arg;
    on_ack(arg, rc, false, err);
    if (rc == RC_OK)
        snprintf(answer->data, sizeof(answer->data), "%.*s", (int)msg->len, msg->data);
}

static inline void
js_api(const char *subject, const char *body)
{
    struct err err;
    char *data = NULL;
    size_t len = 0;
    struct bus_out out = { .subject = subject, .data = body, .len = strlen(body) };
    assert_int_equal(bus_request_sync(bus, &out, LONG_MS, &data, &len, &err), RC_OK);
    if (strstr(data, "\"error\""))
        fail_msg("%s: %s", subject, data);
    free(data);
}

#endif
