/* SPDX-License-Identifier: MIT */
/*
 * test_answer_list - what is put into a list of answers comes out again; malformed ones do not.
 */
#include <string.h>

#include "base/cleanup.h"
#include "protocol/answer_list.h"
#include "tests/unit/test.h"

#define ID_1 "0190a5b2-7c3e-7d4f-8a1b-2c3d4e5f6071"
#define ID_2 "0190a5b2-7c3e-7d4f-8a1b-2c3d4e5f6072"

static void
test_there_and_back(void **state)
{
    AUTO(buf) struct buf text = { 0 };
    const struct listed_answer answers[] = {
        { ID_1, "", 200, "{\"a\":\n1}", 8 },
        { ID_2, "secret_in_text", 422, "{}", 2 },
        { ID_1, "", 204, "", 0 },
    };
    struct listed_answer out;
    (void)state;
    buf_init(&text, ANSWER_LIST_BYTES);
    for (size_t i = 0; i < 3; i++)
        answer_list_add(&text, &answers[i]);
    const char *at = text.data;
    size_t left = text.len;
    assert_non_null(at);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(answer_list_next(&at, &left, &out), RC_OK);
        assert_string_equal(out.id, answers[i].id);
        assert_string_equal(out.code, answers[i].code);
        assert_int_equal(out.status, answers[i].status);
        assert_int_equal(out.len, answers[i].len);
        assert_memory_equal(out.body, answers[i].body, out.len);
    }
    assert_int_equal(left, 0);
}

static void
test_malformed(void **state)
{
    static const char *const WRONG[] = {
        "",
        ID_1,
        ID_1 " 200 - 2\n{}",
        ID_1 " 200 - 2\n{}x",
        ID_1 " 200 - 3\n{}\n",
        ID_1 " 200  2\n{}\n",
        ID_1 " 99 - 2\n{}\n",
        ID_1 " 600 - 2\n{}\n",
        ID_1 " -200 - 2\n{}\n",
        ID_1 " 200 - -2\n{}\n",
        ID_1 " 200 - 99999999999999999999\n{}\n",
        "x" ID_1 " 200 - 2\n{}\n",
        "x 200 - 2\n{}\n",
    };
    struct listed_answer out;
    (void)state;
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        const char *at = WRONG[i];
        size_t left = strlen(at);
        assert_int_equal(answer_list_next(&at, &left, &out), RC_CORRUPT);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
