/* SPDX-License-Identifier: MIT */
/* When the audit log counts as stopped: events come, and none is recorded. */
#include "metrics/streams.h"
#include "test.h"

#define AGO_MS 1000000 /* the first answer */

static void
test_events_come_and_none_is_recorded(void **unused)
{
    struct stream_progress progress = { 0 };

    assert_false(stream_progress_stuck(&progress, AGO_MS));
    stream_progress_saw(&progress, 0, 700, AGO_MS);
    stream_progress_saw(&progress, 3, 703, AGO_MS + 5000);
    assert_false(stream_progress_stuck(&progress, AGO_MS + 44999));
    assert_true(stream_progress_stuck(&progress, AGO_MS + 45000));
    stream_progress_saw(&progress, 9, 709, AGO_MS + 60000);
    assert_true(stream_progress_stuck(&progress, AGO_MS + 60000));
    stream_progress_saw(&progress, 8, 709, AGO_MS + 65000); /* one was recorded */
    assert_false(stream_progress_stuck(&progress, AGO_MS + 65000));
    assert_false(stream_progress_stuck(&progress, AGO_MS + 900000));
}

/* What a killed server brought back stays in the stream for hours, and is no sign of anything. */
static void
test_what_only_stays_does_not_count(void **unused)
{
    struct stream_progress progress = { 0 };

    stream_progress_saw(&progress, 5, 700, AGO_MS);
    for (int64_t ms = 5000; ms <= 7200000; ms += 5000) {
        stream_progress_saw(&progress, 5, 700, AGO_MS + ms);
        assert_false(stream_progress_stuck(&progress, AGO_MS + ms));
    }
}

/* Others come and are recorded meanwhile, now and then one between two looks. */
static void
test_what_stays_hides_nothing(void **unused)
{
    struct stream_progress progress = { 0 };

    stream_progress_saw(&progress, 5, 700, AGO_MS);
    for (int64_t n = 1; n <= 100; n++) {
        stream_progress_saw(&progress, 5, 700 + n, AGO_MS + n * 60000);
        assert_false(stream_progress_stuck(&progress, AGO_MS + n * 60000));
    }
    stream_progress_saw(&progress, 6, 801, AGO_MS + 6005000); /* and then none any more */
    assert_false(stream_progress_stuck(&progress, AGO_MS + 6044999));
    assert_true(stream_progress_stuck(&progress, AGO_MS + 6045000));
}

static void
test_no_answer_begins_anew(void **unused)
{
    struct stream_progress progress = { 0 };

    stream_progress_saw(&progress, 0, 700, AGO_MS);
    stream_progress_saw(&progress, 3, 703, AGO_MS + 5000);
    stream_progress_forget(&progress);
    assert_false(stream_progress_stuck(&progress, AGO_MS + 90000));
    stream_progress_saw(&progress, 3, 703, AGO_MS + 95000);
    assert_false(stream_progress_stuck(&progress, AGO_MS + 95000));
    stream_progress_saw(&progress, 4, 704, AGO_MS + 100000);
    assert_false(stream_progress_stuck(&progress, AGO_MS + 139999));
    assert_true(stream_progress_stuck(&progress, AGO_MS + 140000));
}

/* How long it was empty is not how long the first event waits. */
static void
test_nothing_came_for_long(void **unused)
{
    struct stream_progress progress = { 0 };

    for (int64_t ms = 0; ms <= 3600000; ms += 5000)
        stream_progress_saw(&progress, 0, 700, AGO_MS + ms);
    stream_progress_saw(&progress, 1, 701, AGO_MS + 3605000);
    assert_false(stream_progress_stuck(&progress, AGO_MS + 3644999));
    assert_true(stream_progress_stuck(&progress, AGO_MS + 3645000));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_come_and_none_is_recorded),
        cmocka_unit_test(test_what_only_stays_does_not_count),
        cmocka_unit_test(test_what_stays_hides_nothing),
        cmocka_unit_test(test_no_answer_begins_anew),
        cmocka_unit_test(test_nothing_came_for_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
