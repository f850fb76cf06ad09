/* SPDX-License-Identifier: MIT */
/* When the search worker gives back what its searches left. */
#include "rest.h"
#include "test.h"

static void
test_once_after_many(void **state)
{
    struct rest rest = { 0 };

    assert_false(rest_is_due(&rest, 0));
    assert_false(rest_is_due(&rest, REST_SEARCHES + 1)); /* they are under way */
    assert_false(rest_is_due(&rest, REST_SEARCHES + 5));
    assert_true(rest_is_due(&rest, REST_SEARCHES + 5));
    assert_false(rest_is_due(&rest, REST_SEARCHES + 5));
    assert_false(rest_is_due(&rest, 2 * REST_SEARCHES)); /* few since */
    assert_false(rest_is_due(&rest, 2 * REST_SEARCHES));
    assert_false(rest_is_due(&rest, 3 * REST_SEARCHES));
    assert_true(rest_is_due(&rest, 3 * REST_SEARCHES));
}

static void
test_not_after_few(void **state)
{
    struct rest rest = { 0 };

    for (uint64_t searches = 0; searches < REST_SEARCHES; searches += 100) {
        assert_false(rest_is_due(&rest, searches));
        assert_false(rest_is_due(&rest, searches));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once_after_many),
        cmocka_unit_test(test_not_after_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
