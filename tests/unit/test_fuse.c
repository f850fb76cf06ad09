/* SPDX-License-Identifier: MIT */
/*
 * test_fuse - reciprocal rank fusion with the values of the contract.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "test.h"
#include "workers/search/search.h"

static void
fill(struct leg *leg, const char *ids)
{
    leg->n = 0;
    for (; *ids; ids++) {
        memset(&leg->hits[leg->n], 0, sizeof(leg->hits[0]));
        leg->hits[leg->n++].id[0] = *ids;
    }
}

static void
check(const struct leg *leg, const char *ids, const double *scores)
{
    assert_int_equal(leg->n, strlen(ids));
    for (size_t i = 0; i < leg->n; i++) {
        assert_int_equal(leg->hits[i].id[0], ids[i]);
        if (scores)
            assert_true(fabs(leg->hits[i].value - scores[i]) < 1e-9);
    }
}

static void
scores(void **state)
{
    static struct leg vector, text, out;
    /* (1/61 + 1/61) / (2/61); (1/62 + 1/63) / (2/61); … */
    static const double BOTH[] = { 1.0, 0.9760624679979518, 0.4919354838709677 };
    fill(&vector, "abc");
    fill(&text, "ac");
    fuse(&vector, &text, &out);
    check(&out, "acb", (const double[]){ 1.0, (1 / 63.0 + 1 / 62.0) * 61 / 2, 61 / 124.0 });
    assert_true(fabs(out.hits[1].value - BOTH[1]) < 1e-9);
    assert_true(fabs(out.hits[2].value - BOTH[2]) < 1e-9);
}

static void
one_leg(void **state)
{
    static struct leg vector, text, out;
    fill(&vector, "ab");
    fill(&text, "");
    fuse(&vector, &text, &out);
    check(&out, "ab", (const double[]){ 0.5, 61 / 124.0 });
    fuse(NULL, &vector, &out);
    check(&out, "ab", (const double[]){ 0.5, 61 / 124.0 });
    fuse(NULL, NULL, &out);
    check(&out, "", NULL);
}

static void
ties_keep_the_vector_leg_first(void **state)
{
    static struct leg vector, text, out;
    fill(&vector, "ab");
    fill(&text, "xy");
    fuse(&vector, &text, &out);
    check(&out, "axby", (const double[]){ 0.5, 0.5, 61 / 124.0, 61 / 124.0 });
}

static void
never_more_than_fits(void **state)
{
    static struct leg vector, text, out;
    vector.n = text.n = LEG_MAX;
    for (size_t i = 0; i < LEG_MAX; i++) {
        (void)snprintf(vector.hits[i].id, ID_TEXT_MAX, "v%zu", i);
        (void)snprintf(text.hits[i].id, ID_TEXT_MAX, "t%zu", i);
    }
    fuse(&vector, &text, &out);
    assert_int_equal(out.n, LEG_MAX);
    assert_string_equal(out.hits[0].id, "v0");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores),
        cmocka_unit_test(one_leg),
        cmocka_unit_test(ties_keep_the_vector_leg_first),
        cmocka_unit_test(never_more_than_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
