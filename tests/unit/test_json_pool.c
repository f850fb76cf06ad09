/* SPDX-License-Identifier: MIT */
/*
 * test_json_pool - pieces that do not overlap, whatever their size and the order of their ends.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "json/json_pool.h"
#include "test.h"

#define PIECES 5000

/* Sizes around every limit: none, small ones, the largest that shares a chunk, more than a chunk. */
static size_t
size_of(size_t i)
{
    static const size_t SIZES[] = { 1, 0, 64, 16, 17, 4096, 4097, 15, 40000, 3, 65536, 100 };
    return SIZES[i % TEST_COUNT(SIZES)];
}

static void
fill(unsigned char *piece, size_t i)
{
    memset(piece, (int)(i % 251), size_of(i));
}

static void
check(const unsigned char *piece, size_t i)
{
    for (size_t at = 0; at < size_of(i); at++)
        assert_int_equal(piece[at], i % 251);
}

static void
pieces_are_apart(void **state)
{
    static unsigned char *pieces[PIECES];
    for (size_t i = 0; i < PIECES; i++) {
        pieces[i] = json_pool_alloc(size_of(i));
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        fill(pieces[i], i);
        if (i % 3 == 2) { /* some end early, and their place is not given away under others */
            check(pieces[i - 1], i - 1);
            json_pool_free(pieces[i - 1]);
            pieces[i - 1] = NULL;
        }
    }
    for (size_t i = PIECES; i-- > 0;)
        if (pieces[i]) {
            check(pieces[i], i);
            json_pool_free(pieces[i]);
        }
    json_pool_free(NULL);
}

static void *
allocate(void *arg)
{
    unsigned char **pieces = arg;
    for (size_t i = 0; i < PIECES; i++) {
        pieces[i] = json_pool_alloc(size_of(i));
        fill(pieces[i], i);
    }
    return NULL;
}

/* What one thread made another one ends, while the first goes on or is gone. */
static void
threads(void **state)
{
    static unsigned char *pieces[2][PIECES];
    pthread_t thread[2];
    for (size_t t = 0; t < 2; t++)
        assert_int_equal(pthread_create(&thread[t], NULL, allocate, pieces[t]), 0);
    for (size_t t = 0; t < 2; t++)
        pthread_join(thread[t], NULL);
    for (size_t i = 0; i < PIECES; i++)
        for (size_t t = 0; t < 2; t++) {
            check(pieces[t][i], i);
            json_pool_free(pieces[t][i]);
        }
}

static void *
allocate_one(void *arg)
{
    void **piece = arg;
    *piece = json_pool_alloc(16);
    json_pool_leave();
    return NULL;
}

/* A chunk that is given back is had again by one of the threads that come later. */
static void
threads_that_leave(void **state)
{
    enum { THREADS = 64 };
    static void *pieces[THREADS];
    size_t distinct = 0;
#if defined(__SANITIZE_ADDRESS__)
    skip(); /* each piece is a block of its own there */
#endif
    for (size_t t = 0; t < THREADS; t++) {
        pthread_t thread;
        bool known = false;
        assert_int_equal(pthread_create(&thread, NULL, allocate_one, &pieces[t]), 0);
        pthread_join(thread, NULL);
        json_pool_free(pieces[t]);
        for (size_t i = 0; i < t; i++)
            known = known || pieces[i] == pieces[t];
        distinct += !known;
    }
    assert_true(distinct < THREADS / 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(pieces_are_apart),
                                        cmocka_unit_test(threads),
                                        cmocka_unit_test(threads_that_leave) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
