/* SPDX-License-Identifier: MIT */
#include "test.h"
#include "transport.h"

static void
stays_on_this_machine(void **state)
{
    static const char *const LOCAL[] = {
        "nats://u:p@127.0.0.1:4222",
        "nats://u:p@localhost:4222,nats://u:p@127.0.0.2:4222",
        "redis://u:p%40@[::1]:6379/0",
        "redis://localhost",
        "postgresql://r:p@127.0.0.1:5432/gantry?application_name=a,b.example",
        "postgresql://r:p@127.0.0.1,localhost:5433/gantry",
        "postgresql:///gantry?host=/run/postgresql",
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stays_on_this_machine),
        cmocka_unit_test(is_encrypted),
        cmocka_unit_test(is_readable_on_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
