/* SPDX-License-Identifier: MIT */
/*
 * test_arena - the cap, alignment, zeroing, reuse.
 */
#include <string.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "test.h"

static void
test_cap(void **unused)
{
    AUTO(arena) struct arena mem = { 0 };

    arena_init(&mem, 64);
    assert_non_null(arena_alloc(&mem, 32));
    assert_int_equal(mem.used_bytes, 32);
    assert_null(arena_alloc(&mem, 33));
    assert_null(arena_alloc(&mem, SIZE_MAX));
    assert_null(arena_calloc(&mem, SIZE_MAX / 2, 4));
    assert_null(arena_strndup(&mem, "x", SIZE_MAX));
    assert_int_equal(mem.used_bytes, 32);
    assert_non_null(arena_alloc(&mem, 32));
    assert_null(arena_alloc(&mem, 1));
    assert_null(arena_strdup(&mem, ""));
    assert_null(arena_printf(&mem, "%d", 5));
    arena_reset(&mem);
    assert_int_equal(mem.used_bytes, 0);
    assert_non_null(arena_alloc(&mem, 64));
}

static void
test_zeroed_and_aligned(void **unused)
{
    static const char ZERO[40000];
    AUTO(arena) struct arena mem = { 0 };

    arena_init(&mem, 1 << 20);
    for (int round = 0; round < 3; round++) {
        for (size_t size = 0; size < 200; size++) {
            char *piece = arena_alloc(&mem, size);
            assert_non_null(piece);
            assert_int_equal((uintptr_t)piece % 16, 0);
            assert_memory_equal(piece, ZERO, size);
            memset(piece, 0xAA, size);
        }
        char *large = arena_calloc(&mem, 4, 10000);
        assert_non_null(large);
        assert_memory_equal(large, ZERO, 40000);
        memset(large, 0xAA, 40000);
        arena_reset(&mem);
    }
}

static void
test_text(void **unused)
{
    AUTO(arena) struct arena mem = { 0 };

    arena_init(&mem, 1 << 20);
    char *first = arena_strndup(&mem, "abcdef", 3);
    char *second = arena_strdup(&mem, "whole");
    char *third = arena_printf(&mem, "%s-%d", "n", 17);
    assert_true(first && second && third);
    assert_string_equal(first, "abc");
    assert_string_equal(second, "whole");
    assert_string_equal(third, "n-17");
    first = arena_strndup(&mem, NULL, 0);
    assert_non_null(first);
    assert_string_equal(first, "");
}

static void
test_many_chunks_keep_content(void **unused)
{
    AUTO(arena) struct arena mem = { 0 };
    char *pieces[64];

    arena_init(&mem, 4 << 20);
    for (int i = 0; i < 64; i++) {
        size_t size = i % 5 == 0 ? 30000 : 3000;
        pieces[i] = arena_alloc(&mem, size);
        assert_non_null(pieces[i]);
        memset(pieces[i], i, size);
    }
    for (int i = 0; i < 64; i++) {
        assert_int_equal(pieces[i][0], i);
        assert_int_equal(pieces[i][2999], i);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cap),
        cmocka_unit_test(test_zeroed_and_aligned),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_many_chunks_keep_content),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
