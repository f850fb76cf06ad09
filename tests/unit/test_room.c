/* SPDX-License-Identifier: MIT */
/* Room for answers: whose turn it is, and what a query is answered that had room and could not ask. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "bus/bus_own.h"
#include "gateway/effects/forward.h"
#include "gateway/effects/room.h"
#include "gateway/gateway.h"
#include "gateway/requests/request.h"
#include "gateway/tally.h"
#include "test.h"
#include "trace/tracer.h"

#define REQUESTS 32

static const struct route SEARCH = { .kind = ROUTE_QUERY,
                                     .method = METHOD_POST,
                                     .command = CMD_MEMORY_SEARCH,
                                     .path = "/memory/search" };

struct world {
    struct loop *loop;
    struct bus bus; /* not connected */
    struct gateway gw;
    struct request requests[REQUESTS];
    bool granted[REQUESTS];
};

static void
world_begin(struct world *world)
{
    struct err err;
    const struct trace_conf conf = { .ratio = 0 };
    const struct tracer_options options = { .conf = &conf };
    memset(world, 0, sizeof(*world));
    world->gw.bus = &world->bus;
    assert_int_equal(loop_new(&world->loop, &err), RC_OK);
    assert_int_equal(tally_new(&world->gw.tally, &err), RC_OK);
    assert_int_equal(tracer_new(world->loop, &options, &world->gw.tracer, &err), RC_OK);
    world->gw.stages = (struct stages){ .tracer = world->gw.tracer, .series = &world->gw.series };
    assert_int_equal(room_new(world->loop, &world->gw.room, &err), RC_OK);
}

static void
world_end(struct world *world)
{
    for (size_t i = 0; i < REQUESTS; i++)
        buf_fini(&world->requests[i].answer.body);
    tally_free(world->gw.tally);
    room_free(world->gw.room);
    tracer_free(world->gw.tracer);
    series_free(&world->gw.series);
    loop_free(world->loop);
}

static struct request *
request_of(struct world *world, size_t n, const char *workspace)
{
    struct request *r = &world->requests[n];
    memset(r, 0, sizeof(*r));
    r->gw = &world->gw;
    r->route = &SEARCH;
    (void)snprintf(r->actor.workspace, sizeof(r->actor.workspace), "%s", workspace);
    r->load = tally_row(world->gw.tally, workspace);
    assert_non_null(r->load);
    r->load->count++;
    buf_init(&r->answer.body, 4096);
    r->wait_ms = 60000;
    r->start_us = clock_mono_us();
    return r;
}

static void
note_grant(void *arg, bool granted)
{
    *(bool *)arg = granted;
}

/* Whether it has room at once. */
static bool
enters(struct world *world, size_t n, const char *workspace, size_t bytes)
{
    return room_enter(request_of(world, n, workspace), bytes, 60000, note_grant,
                      &world->granted[n]);
}

static void
answer_reply(void *arg, enum rc rc, const struct bus_msg *msg, const struct err *err)
{
    (void)forward_reply(arg, rc, msg, err);
}

static size_t
count_headers(const struct request *r, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < r->answer.n_headers; i++)
        n += strcmp(r->answer.headers[i].name, name) == 0;
    return n;
}

static void
a_query_that_had_room_and_cannot_ask_is_answered_once(void **state)
{
    static struct world world;
    (void)state;
    world_begin(&world);
    assert_true(enters(&world, 0, "w", ROOM_ONE));
    assert_true(enters(&world, 1, "w", ROOM_ONE));
    struct request *r = request_of(&world, 2, "w");
    assert_int_equal(forward_ask(r, false, answer_reply, r), STEP_WAIT);
    assert_int_equal(r->answer.status, 0);
    room_leave(&world.requests[0]);
    assert_int_equal(r->answer.status, 503);
    assert_int_equal(count_headers(r, "Retry-After"), 1);
    assert_non_null(strstr(buf_text(&r->answer.body), "NATS is unavailable"));
    room_leave(&world.requests[1]);
    world_end(&world);
}

#define MID (2u << 20) /* bytes */

/* Three workspaces keep all of it full with answers of 2 MiB; a fourth wants 8 MiB. */
static void
a_large_answer_is_not_passed_by_smaller_ones(void **state)
{
    static const char *const NAMES[] = { "a", "b", "c" };
    static struct world world;
    size_t n = 0;
    (void)state;
    world_begin(&world);
    for (; n < ROOM_ALL / MID; n++)
        assert_true(enters(&world, n, NAMES[n % 3], MID));
    size_t large = n++;
    assert_false(enters(&world, large, "large", ROOM_ONE));
    for (size_t i = 0; i < 4; i++) {
        assert_false(world.granted[large]);
        room_leave(&world.requests[i]);
        assert_false(enters(&world, n + i, NAMES[i % 3], MID));
    }
    assert_true(world.granted[large]);
    for (size_t i = 0; i < 4; i++)
        assert_false(world.granted[n + i]);
    room_leave(&world.requests[large]);
    for (size_t i = 0; i < 4; i++)
        assert_true(world.granted[n + i]);
    world_end(&world);
}

/* Who waits for its own share holds nobody up. */
static void
a_full_share_keeps_nothing_from_others(void **state)
{
    static struct world world;
    (void)state;
    world_begin(&world);
    assert_true(enters(&world, 0, "a", ROOM_ONE));
    assert_true(enters(&world, 1, "a", ROOM_ONE));
    assert_false(enters(&world, 2, "a", ROOM_ONE));
    assert_true(enters(&world, 3, "b", ROOM_ONE));
    assert_true(enters(&world, 4, "c", ROOM_ONE));
    world_end(&world);
}

static void
refuse_reply(void *arg, bool granted)
{
    struct request *r = arg;
    assert_false(granted);
    r->ask.crowded = true;
    (void)forward_reply(r, RC_TEMP, NULL, NULL);
}

static void
the_refusal_says_what_is_full(void **state)
{
    static struct world world;
    (void)state;
    world_begin(&world);
    for (size_t n = 0; n < 4; n++)
        assert_true(enters(&world, n, n % 2 ? "a" : "b", ROOM_ONE));
    assert_true(enters(&world, 4, "c", MID));
    struct request *share = request_of(&world, 6, "b"), *all = request_of(&world, 7, "d");
    assert_true(enters(&world, 8, "e", ROOM_ONE));
    assert_false(room_enter(share, ROOM_ONE, 0, refuse_reply, share));
    assert_false(room_enter(all, ROOM_ONE, 0, refuse_reply, all));
    while (!share->answer.status || !all->answer.status)
        loop_turn(world.loop, 1000);
    assert_non_null(strstr(buf_text(&share->answer.body), "the workspace's answers"));
    assert_non_null(strstr(buf_text(&all->answer.body), "to all workspaces"));
    world_end(&world);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_query_that_had_room_and_cannot_ask_is_answered_once),
        cmocka_unit_test(a_large_answer_is_not_passed_by_smaller_ones),
        cmocka_unit_test(a_full_share_keeps_nothing_from_others),
        cmocka_unit_test(the_refusal_says_what_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
