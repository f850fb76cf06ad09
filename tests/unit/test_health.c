/* SPDX-License-Identifier: MIT */
/* Which server the answer to a core request names, when something is down or has failed. */
#include <string.h>

#include "base/cleanup.h"
#include "test.h"
#include "worker/worker_own.h"

static void
refused(enum server away, const struct err *err, const char *detail)
{
    struct worker w = { .unavailable = away };
    struct delivery delivery = { .w = &w };
    AUTO(arena) struct arena mem = { 0 };
    arena_init(&mem, 1 << 16);
    delivery.call.mem = &mem;
    call_fail(&delivery.call, err);
    delivery_refuse_unavailable(&delivery);
    assert_int_equal(delivery.call.result.status, 503);
    assert_non_null(delivery.call.result.body);
    assert_non_null(strstr(delivery.call.result.body, detail));
}

static void
test_the_server_that_failed(void **unused)
{
    static const struct {
        enum server server;
        const char *detail;
    } CASES[] = {
        { SERVER_POSTGRESQL, "\"detail\":\"PostgreSQL failed: try again.\"" },
        { SERVER_REDIS, "\"detail\":\"Redis failed: try again.\"" },
        { SERVER_NATS, "\"detail\":\"NATS failed: try again.\"" },
        { SERVER_NONE, "\"detail\":\"A part of the service failed: try again.\"" },
        { SERVER_EMBEDDING,
          "\"detail\":\"the embedding server does not work: ask by words (mode text).\"" },
    };
    struct err err;

    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        assert_int_equal(err_set_of(&err, CASES[i].server, RC_TEMP, "it broke"), RC_TEMP);
        refused(SERVER_NONE, &err, CASES[i].detail);
    }
    /* Words of a text say nothing. */
    assert_int_equal(err_set_of(&err, SERVER_REDIS, RC_TEMP, "the database (SQLSTATE): NATS"),
                     RC_TEMP);
    refused(SERVER_NONE, &err, "\"detail\":\"Redis failed: try again.\"");
    assert_int_equal(err_set(&err, RC_TEMP, "the embedding server, Redis, NATS"), RC_TEMP);
    refused(SERVER_NONE, &err, "\"detail\":\"A part of the service failed: try again.\"");
}

static void
test_the_server_that_is_away(void **unused)
{
    struct err err;

    assert_int_equal(err_set_of(&err, SERVER_REDIS, RC_TEMP, "it broke"), RC_TEMP);
    refused(SERVER_POSTGRESQL, &err, "\"detail\":\"PostgreSQL is unavailable.\"");
    refused(SERVER_NATS, &err, "\"detail\":\"NATS is unavailable.\"");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_server_that_failed),
        cmocka_unit_test(test_the_server_that_is_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
