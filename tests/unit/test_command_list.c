/* SPDX-License-Identifier: MIT */
/*
 * test_command_list - what is put into a list comes out again; whatever is malformed is refused whole.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "protocol/command_list.h"
#include "tests/unit/test.h"

static enum rc
check(const char *text)
{
    struct err err;
    size_t count;
    return command_list_check(text, strlen(text), &count, &err);
}

static void
test_there_and_back(void **state)
{
    AUTO(buf) struct buf text = { 0 };
    const struct list_item items[] = {
        { "a.1", "2,x,y", "00-t-s-00", "k=v, l=w", "{\"a\":\n1}", 8 },
        { "b.2", "2,z", "-", "", "", 0 },
    };
    struct list_item item;
    struct err err;
    size_t count = 0;
    buf_init(&text, COMMAND_LIST_BYTES);
    command_list_add(&text, &items[0]);
    command_list_add(&text, &items[1]);
    const char *at = text.data;
    size_t left = text.len;
    assert_non_null(at);
    assert_string_equal(at, "a.1 2,x,y 00-t-s-00 8 k=v, l=w\n{\"a\":\n1}\nb.2 2,z - 0 \n\n");
    assert_true(text.len <= command_list_size(&items[0]) + command_list_size(&items[1]));
    assert_int_equal(command_list_check(at, left, &count, &err), RC_OK);
    assert_int_equal(count, 2);
    for (size_t i = 0; i < ARRAY_LEN(items); i++) {
        assert_int_equal(command_list_next(&at, &left, &item), RC_OK);
        assert_string_equal(item.msg_id, items[i].msg_id);
        assert_string_equal(item.claim, items[i].claim);
        assert_string_equal(item.parent, items[i].parent);
        assert_string_equal(item.state, items[i].state);
        assert_int_equal(item.len, items[i].len);
        assert_memory_equal(item.payload, items[i].payload, item.len);
    }
    assert_int_equal(left, 0);
    assert_int_equal(command_list_next(&at, &left, &item), RC_CORRUPT);
}

static void
test_malformed(void **state)
{
    static const char *const TEXTS[] = {
        "",
        "a",
        "a b",
        "a b c 1",
        "a b c 1 \n",
        "a b c 1 \nx",
        "a b c 2 \nx\n",
        "a b c 0 \nx\n",
        "a b c\n0\n\n",
        "a b c 0\n\n",
        " b c 0 \n\n",
        "a  c 0 \n\n",
        "a b  0 \n\n",
        "a b c x \n\n",
        "a b c -1 \n\n",
        "a b c 0 \n\na",
        "\x01 b c 0 \n\n",
        "a \x7f c 0 \n\n",
        "a\xff b c 0 \n\n",
        "a b c 0 \t\n\n",
        "a b c 18446744073709551616 \n\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++)
        assert_int_equal(check(TEXTS[i]), RC_CORRUPT);
    assert_int_equal(check("a b c 0 \n\n"), RC_OK);
}

static void
test_bounds(void **state)
{
    static char body[COMMAND_LIST_BYTES];
    AUTO(buf) struct buf text = { 0 };
    struct err err;
    size_t count;
    buf_init(&text, 2 * COMMAND_LIST_BYTES);
    struct list_item item = { "a", "b", "c", "", "", 0 };
    for (int i = 0; i < COMMAND_LIST_MAX; i++)
        command_list_add(&text, &item);
    assert_non_null(text.data);
    assert_int_equal(command_list_check(text.data, text.len, &count, &err), RC_OK);
    command_list_add(&text, &item);
    assert_int_equal(command_list_check(text.data, text.len, &count, &err), RC_CORRUPT);
    buf_reset(&text);
    memset(body, 'x', sizeof(body));
    item.payload = body;
    item.len = sizeof(body);
    command_list_add(&text, &item);
    assert_non_null(text.data);
    assert_int_equal(command_list_check(text.data, text.len, &count, &err), RC_CORRUPT);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
