/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "process/transport.h"
#include "test.h"

static void
stays_on_this_machine(void **state)
{
    static const char *const LOCAL[] = {
        "nats://u:p@127.0.0.1:4222",
        "nats://u:p@localhost:4222,nats://u:p@127.0.0.2:4222",
        "redis://u:p%40@[::1]:6379/0",
        "redis://localhost",
        "unix://u:p@/run/redis/redis.sock?db=0",
        "postgresql://r:p@127.0.0.1:5432/gantry?application_name=a,b.example",
        "postgresql://r:p@127.0.0.1,localhost:5433/gantry",
        "postgresql:///gantry?host=/run/postgresql",
        "postgresql://r:p@/gantry?host=/run/postgresql&port=5433",
        "postgresql://r@%2Frun%2Fpostgresql/gantry",
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(LOCAL); i++)
        assert_null(transport_problem(LOCAL[i]));
}

static void
is_encrypted(void **state)
{
    static const char *const GOOD[] = {
        "tls://u:p@nats.example:4222",
        "rediss://u:p@cache.example:6379/0",
        "https://api.example/v1",
        "postgresql://r:p@db.example/gantry?sslmode=verify-full&sslrootcert=/etc/ca.pem",
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(GOOD); i++)
        assert_null(transport_problem(GOOD[i]));
}

static void
is_readable_on_the_way(void **state)
{
    static const char *const BAD[] = {
        "nats://u:p@nats.example:4222",
        "nats://u:p@127.0.0.1:4222,nats://u:p@nats.example:4222",
        "nats://u:p@127.0.0.1:4222,10.0.0.1:4222",
        "redis://u:p@10.0.0.7:6379/0",
        "redis://u:p@127.0.0.1.evil.example:6379",
        "redis://localhost@evil.example",
        "nats://[2001:db8::1]:4222",
        "http://api.example/v1",
        "postgresql://r:p@db.example/gantry",
        "postgresql:///gantry?host=db.example",
        "postgresql://r:p@db.example/gantry?sslmode=require",
        "postgresql://r:p@127.0.0.1,db.example/gantry?sslmode=verify-ca",
    };
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(BAD); i++)
        assert_non_null(transport_problem(BAD[i]));
}

static void
places_have_no_credentials(void **state)
{
    static const struct {
        const char *url, *place;
    } CASES[] = {
        { "nats://u:p%40ss@127.0.0.1:4222", "127.0.0.1:4222" },
        { "nats://u:p@a:1,nats://u:p@[::1]:2", "a:1,[::1]:2" },
        { "postgresql://r:p@db.example/gantry?sslmode=x,y", "db.example" },
        { "redis://host", "host" },
        { "nats://u:p:q@w@h:1/x@y", "h:1" },
        { "", "" },
    };
    char place[TRANSPORT_PLACE_MAX];
    char url[2 * TRANSPORT_PLACE_MAX] = "nats://u:p@";
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        transport_place(CASES[i].url, place);
        assert_string_equal(place, CASES[i].place);
    }
    memset(url + 11, 'h', sizeof(url) - 12);
    transport_place(url, place);
    assert_int_equal(strlen(place), TRANSPORT_PLACE_MAX - 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stays_on_this_machine),
        cmocka_unit_test(is_encrypted),
        cmocka_unit_test(is_readable_on_the_way),
        cmocka_unit_test(places_have_no_credentials),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
