/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "tally.h"
#include "test.h"

static struct tally_row *
row(struct tally *tally, const char *name)
{
    struct tally_row *found = tally_row(tally, name);
    assert_non_null(found);
    return found;
}

static void
rows_are_found_again_until_they_are_dropped(void **state)
{
    struct tally *tally = NULL;
    struct err err;
    char name[16];
    (void)state;
    assert_int_equal(tally_new(&tally, &err), RC_OK);
    for (int i = 0; i < 5000; i++) { /* several in each bucket */
        (void)snprintf(name, sizeof(name), "w%d", i);
        row(tally, name)->count = (uint64_t)i;
    }
    for (int i = 0; i < 5000; i += 2) {
        (void)snprintf(name, sizeof(name), "w%d", i);
        tally_drop(tally, row(tally, name));
    }
    for (int i = 0; i < 5000; i++) {
        (void)snprintf(name, sizeof(name), "w%d", i);
        assert_int_equal(row(tally, name)->count, i % 2 ? i : 0);
    }
    tally_clear(tally);
    assert_int_equal(row(tally, "w1")->count, 0);
    tally_free(tally);
    tally_free(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_found_again_until_they_are_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
