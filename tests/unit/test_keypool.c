/* SPDX-License-Identifier: MIT */
/*
 * test_keypool - queues take turns; suspects come last, a full queue refuses.
 */
#include <string.h>

#include "gateway/keys/keypool.h"
#include "test.h"

/* Argon2id with m=8 and t=1, from the reference library. */
#define SECRET "abcdefghabcdefghabcdefghabcdefgh"
#define PHC                                                                                        \
    "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$"                                           \
    "mZa2wFa9xRzgfahX+8lmM+faFLGeH/I6UP9BkzdHH+8"
#define TURNS_MAX 1000
#define TURN_MS   20

struct asked {
    struct keypool_check job; /* first: the pool gives it back */
    char name;
    char *order;
};

static void
on_done(void *arg)
{
    const struct asked *asked = arg;
    size_t n = strlen(asked->order);
    asked->order[n] = asked->name;
    asked->order[n + 1] = '\0';
}

static void
ask(struct keypool *pool, struct asked *asked, char name, const char *client)
{
    bool suspect = name >= 'A' && name <= 'Z';
    memcpy(asked->job.phc, PHC, sizeof(PHC));
    memcpy(asked->job.secret, SECRET, sizeof(asked->job.secret));
    asked->job.secret[0] = suspect ? 'x' : 'a';
    asked->job.suspect = suspect;
    asked->job.done = on_done;
    asked->name = name;
    assert_true(keypool_add(pool, &asked->job, client));
}

static void
suspects_come_last(void **state)
{
    static const char NAMES[] = "ABcdeC";
    struct loop *loop = NULL;
    struct keypool *pool = NULL;
    struct asked asked[sizeof(NAMES) - 1] = { 0 };
    char order[sizeof(NAMES)] = "";
    (void)state;
    assert_int_equal(loop_new(&loop, NULL), RC_OK);
    assert_int_equal(keypool_open(loop, 1, &pool, NULL), RC_OK);
    for (size_t i = 0; i < TEST_COUNT(asked); i++) {
        asked[i].order = order;
        ask(pool, &asked[i], NAMES[i], i % 2 ? "192.0.2.1" : "192.0.2.2");
    }
    for (int i = 0; i < TURNS_MAX && strlen(order) < TEST_COUNT(asked); i++)
        loop_turn(loop, TURN_MS);
    assert_int_equal(strlen(order), TEST_COUNT(asked));
    /* The first may be taken before anybody else is there. */
    assert_int_equal(strspn(order + (order[0] == 'A'), "cde"), 3);
    for (size_t i = 0; i < TEST_COUNT(asked); i++)
        assert_int_equal(asked[i].job.result, NAMES[i] <= 'Z' ? RC_DENIED : RC_OK);
    keypool_close(pool);
    loop_free(loop);
}

static void
a_full_lane_refuses_and_closing_gives_back(void **state)
{
    static struct asked asked[KEYPOOL_QUEUE_MAX + 2];
    char order[KEYPOOL_QUEUE_MAX + 4] = "";
    struct loop *loop = NULL;
    struct keypool *pool = NULL;
    size_t taken = 0;
    (void)state;
    assert_int_equal(loop_new(&loop, NULL), RC_OK);
    assert_int_equal(keypool_open(loop, 1, &pool, NULL), RC_OK);
    for (size_t i = 0; i < TEST_COUNT(asked); i++) {
        memcpy(asked[i].job.secret, SECRET, sizeof(asked[i].job.secret)); /* no hash: wrong */
        asked[i].job.suspect = true;
        asked[i].job.done = on_done;
        asked[i].name = 'x';
        asked[i].order = order;
        taken += keypool_add(pool, &asked[i].job, "192.0.2.1");
    }
    assert_in_range(taken, KEYPOOL_QUEUE_MAX, KEYPOOL_QUEUE_MAX + 1); /* one may be in work */
    keypool_close(pool);
    loop_turn(loop, 0);
    assert_int_equal(strlen(order), taken);
    loop_free(loop);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(suspects_come_last),
        cmocka_unit_test(a_full_lane_refuses_and_closing_gives_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
