/* SPDX-License-Identifier: MIT */
/*
 * test_query - operators, groups and bounds of a query.
 */
#include <stdlib.h>

#include "analysis/term.h"
#include "match.h"

static void
operators(void **state)
{
    static const struct match_case CASES[] = {
        { "red tea", "red tea", true },
        { "red tea", "red coffee", false },
        { "red tea", "coffee or tea", true },
        { "red tea", "coffee OR milk", false },
        { "red tea", "or tea", true },
        { "red tea", "tea or", true },
        { "red tea", "\"red tea\"", true },
        { "tea red", "\"red tea\"", false },
        { "red hot tea", "\"red tea\"", false },
        { "a getUserById call", "\"user by id\"", true },
        { "deploying the servers", "\"deploy the server\"", true },
        { "今天玩成语接龙游戏", "\"成语接龙游戏\"", true },
        { "red tea", "red -tea", false },
        { "red wine", "red -tea", true },
        { "red tea", "red -\"tea\"", false },
        { "red hot tea", "red -\"red tea\"", true },
        { "red tea", "red- tea", true },
        { "red green-tea", "red -green-tea", false },
        { "red green paint", "red -green-tea", true },
        { "run tar -xvf a.tar", "tar -xvf", true },
        { "red tea", "-coffee", false },
        { "red tea", "-coffee or tea", true },
        { "red tea", "tea \"", true },
        { "red tea", "\"\" tea", true },
        { "red tea", "- tea", true },
        { "red tea", "tea -", true },
        { "red tea", "--tea", true },
        { "5 of 7", "\"5 of 7\"", true },
        { "привет мир", "мир or tea", true },
        { "hello мир", "hello привет", true }, /* a group for each script */
        { "hello мир", "goodbye привет", false },
    };
    match_all(CASES, TEST_COUNT(CASES));
}

static void
nothing_is_an_error(void **state)
{
    static const char *const QUERIES[] = {
        "",      " ",   "-",    "---------------------------------",
        "- - -", "\"",  "or",   "or or or",
        "\xff",  "?!*", "\"\"", "-\""
    };
    for (size_t i = 0; i < TEST_COUNT(QUERIES); i++) {
        AUTO(query) struct query q = { 0 };
        assert_int_equal(query_parse(QUERIES[i], strlen(QUERIES[i]), &q), RC_OK);
        assert_int_equal(q.need_count > 0, i == 6 || i == 7); /* "or" at an end is a word */
        assert_false(q.cut);
    }
}

static void
forms_of_a_word_share_its_number(void **state)
{
    AUTO(query) struct query q = { 0 };
    assert_int_equal(query_parse("universities the", 16, &q), RC_OK);
    assert_int_equal(q.group_count, 1);
    assert_int_equal(q.groups[0].needs, 1); /* "the" is not needed */
    size_t forms = 0;
    for (size_t i = 0; i < q.term_count; i++) {
        if (q.terms[i].term == term_of("the", 3)) {
            assert_true(q.terms[i].weight > 0 && q.terms[i].weight < 0.5F);
            assert_int_not_equal(q.terms[i].word, q.terms[0].word);
        } else {
            assert_int_equal(q.terms[i].word, q.terms[0].word);
            forms++;
        }
    }
    assert_in_range(forms, 2, 4);
    assert_int_equal(q.needs[q.groups[0].first_need].n, forms);
}

/* Everything that an index indexes with is within its array. */
static void
check(const struct query *q)
{
    assert_true(q->term_count <= QUERY_TERMS_MAX && q->ref_count <= QUERY_REFS_MAX);
    assert_true(q->need_count <= QUERY_NEEDS_MAX && q->group_count <= QUERY_GROUPS_MAX);
    for (size_t i = 0; i < q->ref_count; i++)
        assert_true(q->refs[i].term < q->term_count);
    for (size_t i = 0; i < q->need_count; i++) {
        const struct query_need *need = &q->needs[i];
        assert_true(need->n > 0 && need->first + need->n <= q->ref_count);
        assert_true(need->unless == QUERY_NONE || need->unless < q->term_count);
        assert_true(need->kind == QUERY_ANY || q->refs[need->first].offset == 0);
    }
    for (size_t i = 0; i < q->group_count; i++) {
        const struct query_group *group = &q->groups[i];
        assert_true(group->needs > 0 && group->first_need + group->needs <= q->need_count);
        assert_true(group->first_not + group->nots <= q->need_count);
    }
}

static void
long_queries_are_cut(void **state)
{
    static const struct {
        const char *before;
        const char *behind;
    } UNITS[] = {
        { "w", " " },   { "-w", " " },  { "\"a", " b\" " },     { "w", " or " },
        { "x.y", "-" }, { "", "部署" }, { "w", " \u0430 or " },
    };
    AUTO(free) char *text = malloc(65600);
    assert_non_null(text);
    for (size_t i = 0; i < TEST_COUNT(UNITS); i++) {
        AUTO(query) struct query q = { 0 };
        size_t len = 0;
        for (size_t n = 0; len < 65536; n++)
            len += (size_t)snprintf(text + len, 64, "%s%zu%s", UNITS[i].before, n, UNITS[i].behind);
        assert_int_equal(query_parse(text, len, &q), RC_OK);
        assert_true(q.cut);
        check(&q);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operators),
        cmocka_unit_test(nothing_is_an_error),
        cmocka_unit_test(forms_of_a_word_share_its_number),
        cmocka_unit_test(long_queries_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
