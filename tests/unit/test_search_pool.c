/* SPDX-License-Identifier: MIT */
/* How long long queries rest, so that they take a quarter of the processors' time. */
#include "pool.h"
#include "test.h"

static void
test_rest(void **unused)
{
    static const struct {
        size_t threads;
        long processors;
        int64_t took_us, rest_us;
    } CASES[] = {
        { 4, 1, 1000, 3000 },     { 1, 8, 1000, 3000 }, /* one thread is one processor at most */
        { 4, 2, 1000, 1000 },     { 2, 8, 1000, 1000 },
        { 4, 3, 3000, 1000 },     { 3, 3, 3000, 1000 },
        { 4, 4, 1000, 0 },        { 4, 64, 5000000, 0 },
        { 16, 4, 1000, 0 },       { 4, 2, 0, 0 },
        { 4, 2, 99999, 99999 },   { 4, 2, 100000, 100000 },
        { 4, 2, 100001, 100000 }, { 4, 1, 33333, 99999 },
        { 4, 1, 33334, 100000 },  { 4, 1, 60000000, 100000 },
    };

    for (size_t i = 0; i < TEST_COUNT(CASES); i++)
        assert_int_equal(pool_rest_us(CASES[i].threads, CASES[i].processors, CASES[i].took_us),
                         CASES[i].rest_us);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
