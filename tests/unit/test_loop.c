/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/loop.h"
#include "test.h"

struct trace {
    struct loop *loop;
    struct loop_watch *watch;
    struct loop_timer *timer;
    int calls;
    int order[16];
    int stop_after;
    unsigned events;
};

static struct loop *
new_loop(void)
{
    struct loop *loop = NULL;
    struct err err;
    assert_int_equal(loop_new(&loop, &err), RC_OK);
    return loop;
}

static void
heap_orders_deadlines(void **state)
{
    (void)state;
    static const int64_t TIMES[] = { 50, 10, 40, 10, 90, 30, 70, 20 };
    static const int64_t SORTED[] = { 10, 20, 30, 35, 50, 70, 90 };
    struct heap heap = { 0 };
    struct heap_node nodes[TEST_COUNT(TIMES)] = { 0 };
    for (size_t i = 0; i < TEST_COUNT(TIMES); i++)
        heap_set(&heap, &nodes[i], TIMES[i]);
    heap_remove(&heap, &nodes[1]);
    heap_remove(&heap, &nodes[1]);
    heap_set(&heap, &nodes[2], 35);
    assert_false(heap_has(&nodes[1]));
    for (size_t i = 0; i < TEST_COUNT(SORTED); i++) {
        struct heap_node *first = heap_first(&heap);
        assert_non_null(first);
        assert_int_equal(first->at_ms, SORTED[i]);
        heap_remove(&heap, first);
    }
    assert_null(heap_first(&heap));
    heap_fini(&heap);
}

static void
count_call(void *arg)
{
    struct trace *trace = arg;
    trace->calls++;
    if (trace->stop_after && trace->calls >= trace->stop_after)
        loop_stop(trace->loop);
}

static void
timers_run_once_and_again(void **state)
{
    (void)state;
    struct trace once = { .loop = new_loop() };
    struct trace again = { .loop = once.loop, .stop_after = 3 };
    struct trace stopped = { .loop = once.loop };
    struct loop_timer *a = loop_timer_new(once.loop, count_call, &once);
    struct loop_timer *b = loop_timer_new(once.loop, count_call, &again);
    struct loop_timer *c = loop_timer_new(once.loop, count_call, &stopped);
    loop_timer_set(a, 1, 0);
    loop_timer_set(b, 5, 5);
    loop_timer_set(c, 2, 0);
    loop_timer_stop(c);
    int64_t start_ms = clock_mono_ms();
    loop_run(once.loop);
    int64_t took_ms = clock_mono_ms() - start_ms;
    assert_int_equal(once.calls, 1);
    assert_int_equal(again.calls, 3);
    assert_int_equal(stopped.calls, 0);
    assert_in_range(took_ms, 14, 5000);
    loop_timer_free(a);
    loop_timer_free(b);
    loop_timer_free(c);
    loop_free(once.loop);
}

static void
free_own_timer(void *arg)
{
    struct trace *trace = arg;
    trace->calls++;
    loop_timer_free(trace->timer);
    loop_stop(trace->loop);
}

static void
timer_may_free_itself(void **state)
{
    (void)state;
    struct trace trace = { .loop = new_loop() };
    trace.timer = loop_timer_new(trace.loop, free_own_timer, &trace);
    loop_timer_set(trace.timer, 0, 1);
    loop_run(trace.loop);
    assert_int_equal(trace.calls, 1);
    loop_free(trace.loop);
}

static void
read_and_free(void *arg, unsigned events)
{
    struct trace *trace = arg;
    trace->events = events;
    trace->calls++;
    loop_watch_free(trace->watch);
}

static void
watches_report_and_end(void **state)
{
    (void)state;
    struct trace trace = { .loop = new_loop() };
    struct err err;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(
        loop_watch_new(trace.loop, fds[0], 0, read_and_free, &trace, &trace.watch, &err), RC_OK);
    assert_int_equal(write(fds[1], "x", 1), 1);
    loop_turn(trace.loop, 0);
    assert_int_equal(trace.calls, 0);
    loop_watch_set(trace.watch, LOOP_READ);
    loop_turn(trace.loop, 0);
    assert_int_equal(trace.calls, 1);
    assert_int_equal(trace.events, LOOP_READ);
    loop_turn(trace.loop, 0);
    assert_int_equal(trace.calls, 1);
    close(fds[0]);
    close(fds[1]);
    loop_free(trace.loop);
}

static void
hang_up_comes_as_both(void **state)
{
    (void)state;
    struct trace trace = { .loop = new_loop() };
    struct err err;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(
        loop_watch_new(trace.loop, fds[0], LOOP_READ, read_and_free, &trace, &trace.watch, &err),
        RC_OK);
    close(fds[1]);
    loop_turn(trace.loop, 100);
    assert_int_equal(trace.events, LOOP_READ | LOOP_WRITE);
    close(fds[0]);
    loop_free(trace.loop);
}

struct numbered {
    struct trace *trace;
    int number;
};

static void
record(void *arg)
{
    struct numbered *n = arg;
    n->trace->order[n->trace->calls++] = n->number;
}

static void
posts_keep_their_order(void **state)
{
    (void)state;
    struct trace trace = { .loop = new_loop() };
    struct numbered n[4] = { { &trace, 1 }, { &trace, 2 }, { &trace, 3 }, { &trace, 4 } };
    for (int i = 0; i < 4; i++)
        loop_post(trace.loop, record, &n[i]);
    loop_turn(trace.loop, 1000);
    assert_int_equal(trace.calls, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(trace.order[i], i + 1);
    loop_free(trace.loop);
}

#define POSTS_EACH 20000

static void *
post_many(void *arg)
{
    struct trace *trace = arg;
    for (int i = 0; i < POSTS_EACH; i++)
        loop_post(trace->loop, count_call, trace);
    return NULL;
}

static void
posts_from_threads_all_arrive(void **state)
{
    (void)state;
    struct trace trace = { .loop = new_loop(), .stop_after = 3 * POSTS_EACH };
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, &trace), 0);
    loop_run(trace.loop);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(trace.calls, 3 * POSTS_EACH);
    loop_free(trace.loop);
}

static int
no_wait(void *arg)
{
    struct trace *trace = arg;
    trace->calls++;
    return 0;
}

static void
prepare_shortens_the_wait(void **state)
{
    (void)state;
    struct trace trace = { .loop = new_loop() };
    loop_prepare(trace.loop, LOOP_RANK_WORK, no_wait, &trace);
    int64_t start_ms = clock_mono_ms();
    loop_turn(trace.loop, 1000);
    assert_in_range(clock_mono_ms() - start_ms, 0, 240);
    assert_int_equal(trace.calls, 1);
    loop_unprepare(trace.loop, no_wait, &trace);
    loop_turn(trace.loop, 0);
    assert_int_equal(trace.calls, 1);
    loop_free(trace.loop);
}

struct ranked {
    char order[8];
    size_t count;
};

static int
settles(void *arg)
{
    struct ranked *ranked = arg;
    ranked->order[ranked->count++] = 's';
    return 0;
}

static int
works(void *arg)
{
    struct ranked *ranked = arg;
    ranked->order[ranked->count++] = 'w';
    return -1;
}

static int
writes(void *arg)
{
    struct ranked *ranked = arg;
    ranked->order[ranked->count++] = 'f';
    return -1;
}

/* In whatever order they were registered. */
static void
prepares_run_by_rank(void **state)
{
    static const struct {
        enum loop_rank rank;
        loop_prepare_fn *fn;
    } HOOKS[] = { { LOOP_RANK_WORK, works },
                  { LOOP_RANK_WRITE, writes },
                  { LOOP_RANK_SETTLE, settles } };
    (void)state;
    for (size_t first = 0; first < 3; first++) {
        struct ranked ranked = { .count = 0 };
        struct loop *loop = new_loop();
        for (size_t i = 0; i < 3; i++)
            loop_prepare(loop, HOOKS[(first + i) % 3].rank, HOOKS[(first + i) % 3].fn, &ranked);
        loop_turn(loop, 0);
        assert_string_equal(ranked.order, "swf");
        loop_free(loop);
    }
}

static void
terminate_is_a_call(void **state)
{
    (void)state;
    struct trace trace = { .loop = new_loop(), .stop_after = 1 };
    struct err err;
    assert_int_equal(loop_on_terminate(trace.loop, count_call, &trace, &err), RC_OK);
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    loop_run(trace.loop);
    assert_int_equal(trace.calls, 1);
    assert_true(loop_stopping(trace.loop));
    loop_free(trace.loop);
}

/* What is still under way after loop_stop() is waited for, not asked for again and again. */
static void
a_stopped_loop_still_waits(void **state)
{
    (void)state;
    struct trace trace = { .loop = new_loop() };
    struct loop_timer *timer = loop_timer_new(trace.loop, count_call, &trace);
    unsigned turns = 0;
    loop_stop(trace.loop);
    loop_timer_set(timer, 200, 0);
    for (; trace.calls == 0; turns++)
        loop_turn(trace.loop, 50);
    assert_in_range(turns, 1, 20);
    loop_timer_free(timer);
    loop_free(trace.loop);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heap_orders_deadlines),
        cmocka_unit_test(timers_run_once_and_again),
        cmocka_unit_test(timer_may_free_itself),
        cmocka_unit_test(watches_report_and_end),
        cmocka_unit_test(hang_up_comes_as_both),
        cmocka_unit_test(posts_keep_their_order),
        cmocka_unit_test(posts_from_threads_all_arrive),
        cmocka_unit_test(prepare_shortens_the_wait),
        cmocka_unit_test(prepares_run_by_rank),
        cmocka_unit_test(terminate_is_a_call),
        cmocka_unit_test(a_stopped_loop_still_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
