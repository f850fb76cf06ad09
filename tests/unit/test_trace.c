/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/cleanup.h"
#include "base/loop.h"
#include "crypto/crypto.h"
#include "test.h"
#include "trace/otlp.h"
#include "trace/tracer.h"

#define ID     "0af7651916cd43dd8448eb211c80319c"
#define PARENT "00-" ID "-b7ad6b7169203331-01"

static void
traceparents_of_the_standard_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool sampled;
    } GOOD[] = {
        { PARENT, true },
        { "00-" ID "-b7ad6b7169203331-00", false },
        { "00-" ID "-b7ad6b7169203331-fe", false }, /* flags that nobody knows */
        { "00-" ID "-b7ad6b7169203331-ff", true },
        { "cc-" ID "-b7ad6b7169203331-01", true }, /* a version to come */
        { "cc-" ID "-b7ad6b7169203331-01-what-will-be", true },
    };
    for (size_t i = 0; i < TEST_COUNT(GOOD); i++) {
        struct trace_parent out = { 0 };
        assert_true(trace_parent_read(GOOD[i].text, &out));
        assert_string_equal(out.id, ID);
        assert_int_equal(out.span, 0xb7ad6b7169203331);
        assert_int_equal(out.sampled, GOOD[i].sampled);
    }
}

static void
hostile_traceparents_are_as_if_absent(void **state)
{
    (void)state;
    static const char *const BAD[] = {
        NULL,
        "",
        "00",
        "00-" ID "-b7ad6b7169203331",
        "00-" ID "-b7ad6b7169203331-0",
        "00-" ID "-b7ad6b7169203331-01-",
        "00-" ID "-b7ad6b7169203331-01-more",
        "00-" ID "-b7ad6b7169203331-011",
        "cc-" ID "-b7ad6b7169203331-01.more",
        "ff-" ID "-b7ad6b7169203331-01",
        "0-" ID "-b7ad6b7169203331-01",
        "zz-" ID "-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-" ID "-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-" ID "-B7AD6B7169203331-01",
        "00-" ID "-b7ad6b7169203331-0X",
        "00_" ID "_b7ad6b7169203331_01",
        "00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01",
        " 00-" ID "-b7ad6b7169203331-01",
        "00-" ID "-b7ad6b71692\r\n331-01",
        "00-\xff\xff" ID "-b7ad6b7169203331-01",
    };
    for (size_t i = 0; i < TEST_COUNT(BAD); i++) {
        struct trace_parent out;
        memset(&out, 7, sizeof(out));
        assert_false(trace_parent_read(BAD[i], &out));
        assert_int_equal(out.id[0], 7);
    }
}

static void
traceparents_are_written(void **state)
{
    (void)state;
    struct trace trace = { .id = ID, .sampled = true };
    char text[TRACEPARENT_MAX];
    trace_parent_write(&trace, 0xb7ad6b7169203331, text);
    assert_string_equal(text, PARENT);
    trace.sampled = false;
    trace_parent_write(&trace, 1, text);
    assert_string_equal(text, "00-" ID "-0000000000000001-00");
}

static void
tracestates_that_could_do_harm_are_dropped(void **state)
{
    (void)state;
    char many[TRACESTATE_MAX] = "a=1", longer[TRACESTATE_MAX + 8];
    for (unsigned i = 0; i < 32; i++)
        strcat(many, ",a=1");
    memset(longer, 'a', sizeof(longer));
    longer[1] = '=';
    longer[sizeof(longer) - 1] = '\0';
    assert_true(trace_state_valid("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"));
    assert_false(trace_state_valid(NULL));
    assert_false(trace_state_valid(""));
    assert_false(trace_state_valid("nothing"));
    assert_false(trace_state_valid("a=1\r\nNats-Msg-Id: x"));
    assert_false(trace_state_valid("a=\x80"));
    assert_false(trace_state_valid(many));
    assert_false(trace_state_valid(longer));
}

static char NOWHERE[] =
    "http://127.0.0.1:9"; /* nothing is sent before the first turn of the loop */

struct world {
    struct loop *loop;
    struct tracer *tracer;
};

static void
open_world(struct world *world, enum trace_sampler sampler, double ratio, int64_t clients)
{
    struct err err;
    const struct trace_conf conf = { .endpoint = NOWHERE,
                                     .service_name = (char[]){ "" },
                                     .resource_attributes = (char[]){ "" },
                                     .sampler = sampler,
                                     .ratio = ratio,
                                     .clients_per_minute = clients };
    const struct tracer_options options = { &conf, "test", "0", "" };
    *world = (struct world){ 0 };
    assert_int_equal(crypto_init(&err), RC_OK);
    assert_int_equal(loop_new(&world->loop, &err), RC_OK);
    assert_int_equal(tracer_new(world->loop, &options, &world->tracer, &err), RC_OK);
}

static void
close_world(struct world *world)
{
    tracer_free(world->tracer);
    loop_free(world->loop);
}

static unsigned
sampled_of(struct world *world, unsigned n, const char *parent, bool trusted)
{
    const struct trace_headers headers = { parent, NULL, trusted, NULL };
    unsigned count = 0;
    for (unsigned i = 0; i < n; i++) {
        struct trace trace;
        trace_begin(world->tracer, &headers, &trace);
        assert_int_equal(strlen(trace.id), 32);
        assert_true(trace.span != 0);
        count += trace.sampled;
    }
    return count;
}

static void
samplers_have_their_standard_meanings(void **state)
{
    (void)state;
    static const char DARK[] = "00-" ID "-b7ad6b7169203331-00";
    static const struct {
        enum trace_sampler sampler;
        double ratio;
        bool root, lit, dark; /* all or none */
    } CASES[] = {
        { SAMPLER_ALWAYS_ON, 0, true, true, true },
        { SAMPLER_ALWAYS_OFF, 1, false, false, false },
        { SAMPLER_RATIO, 1, true, true, true },
        { SAMPLER_RATIO, 0, false, false, false },
        { SAMPLER_PARENT_ON, 0, true, true, false },
        { SAMPLER_PARENT_OFF, 0, false, true, false },
        { SAMPLER_PARENT_RATIO, 0, false, true, false },
        { SAMPLER_PARENT_RATIO, 1, true, true, false },
    };
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct world world;
        open_world(&world, CASES[i].sampler, CASES[i].ratio, 0);
        assert_int_equal(sampled_of(&world, 100, NULL, false), CASES[i].root ? 100 : 0);
        assert_int_equal(sampled_of(&world, 100, PARENT, true), CASES[i].lit ? 100 : 0);
        assert_int_equal(sampled_of(&world, 100, DARK, true), CASES[i].dark ? 100 : 0);
        close_world(&world);
    }
}

static void
a_ratio_is_kept(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, SAMPLER_PARENT_RATIO, 0.1, 0);
    unsigned count = sampled_of(&world, 100000, NULL, false);
    assert_true(count > 9000 && count < 11000);
    close_world(&world);
}

#define REQUEST    "019ad0f2-7c1b-7abc-9def-0123456789ab"
#define REQUEST_ID "019ad0f27c1b7abc9def0123456789ab"

/* The gateway makes the id and begins the trace; whoever is told only the id continues it. */
static void
an_id_of_a_request_implies_its_trace(void **state)
{
    (void)state;
    static const struct {
        enum trace_sampler sampler;
        double ratio;
        bool first, next;
    } CASES[] = {
        { SAMPLER_ALWAYS_ON, 0, true, true },     { SAMPLER_ALWAYS_OFF, 1, false, false },
        { SAMPLER_RATIO, 0.94, true, true },      { SAMPLER_RATIO, 0.93, false, false },
        { SAMPLER_PARENT_ON, 0, true, false },    { SAMPLER_PARENT_OFF, 0, false, false },
        { SAMPLER_PARENT_RATIO, 1, true, false },
    };
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        struct world world;
        struct trace first, next;
        open_world(&world, CASES[i].sampler, CASES[i].ratio, 0);
        trace_begin(world.tracer, &(struct trace_headers){ .request_id = REQUEST }, &first);
        trace_begin(world.tracer, &(struct trace_headers){ .request_id = REQUEST, .trusted = true },
                    &next);
        assert_string_equal(first.id, REQUEST_ID);
        assert_string_equal(next.id, REQUEST_ID);
        assert_true(first.implied && next.implied);
        assert_true(first.parent == 0 && next.parent == 0 && first.span != next.span);
        assert_int_equal(first.sampled, CASES[i].first);
        assert_int_equal(next.sampled, CASES[i].next);
        close_world(&world);
    }
}

static void
a_parent_says_more_than_the_requests_id(void **state)
{
    (void)state;
    struct world world;
    struct trace trace;
    open_world(&world, SAMPLER_PARENT_ON, 1, 0);
    trace_begin(world.tracer,
                &(struct trace_headers){ PARENT, "a=1", .trusted = true, .request_id = REQUEST },
                &trace);
    assert_string_equal(trace.id, ID);
    assert_int_equal(trace.parent, 0xb7ad6b7169203331);
    assert_string_equal(trace.state, "a=1");
    assert_false(trace.implied);
    trace_begin(world.tracer, &(struct trace_headers){ "00-bad", "a=1", .request_id = REQUEST },
                &trace);
    assert_string_equal(trace.id, REQUEST_ID);
    assert_null(trace.state);
    close_world(&world);
}

/* A client that says "sampled" with each request, or looks for ids that the ratio takes, gets its share. */
static void
clients_cannot_break_the_bounds(void **state)
{
    (void)state;
    static const char CHOSEN[] = "00-0af7651916cd43dd8400000000000001-b7ad6b7169203331-00";
    static const enum trace_sampler SAMPLERS[] = { SAMPLER_PARENT_RATIO, SAMPLER_RATIO,
                                                   SAMPLER_PARENT_OFF };
    for (size_t i = 0; i < TEST_COUNT(SAMPLERS); i++) {
        struct world world;
        open_world(&world, SAMPLERS[i], 0.001, 60);
        const char *parent = SAMPLERS[i] == SAMPLER_RATIO ? CHOSEN : PARENT;
        unsigned count = sampled_of(&world, 50000, parent, false);
        assert_true(count >= 1 && count < 1000); /* a burst, some a second, one in a thousand */
        assert_true(tracer_counts(world.tracer)->bounded >= 49000);
        close_world(&world);
    }
    struct world world;
    open_world(&world, SAMPLER_PARENT_ON, 1, 0);
    assert_int_equal(sampled_of(&world, 1000, PARENT, false), 1000); /* it would be taken anyway */
    close_world(&world);
}

static void
without_an_endpoint_there_are_ids_only(void **state)
{
    (void)state;
    struct err err;
    const struct trace_conf conf = { .sampler = SAMPLER_ALWAYS_ON, .ratio = 1 };
    const struct tracer_options options = { &conf, "test", "0", "" };
    struct tracer *tracer = NULL;
    struct trace trace;
    const struct trace_headers headers = { PARENT, "a=1", true, NULL };
    assert_int_equal(crypto_init(&err), RC_OK);
    assert_int_equal(tracer_new(NULL, &options, &tracer, &err), RC_OK);
    trace_begin(tracer, &headers, &trace);
    assert_string_equal(trace.id, ID);
    assert_int_equal(trace.parent, 0xb7ad6b7169203331);
    assert_string_equal(trace.state, "a=1");
    assert_false(trace.sampled);
    assert_false(tracer_on(tracer));
    tracer_free(tracer);
}

static void
the_queue_is_bounded(void **state)
{
    (void)state;
    struct world world;
    const struct trace_headers headers = { 0 };
    struct trace trace;
    open_world(&world, SAMPLER_ALWAYS_ON, 1, 0);
    trace_begin(world.tracer, &headers, &trace);
    const struct span span = { .trace = &trace, .id = 1, .kind = SPAN_INTERNAL, .name = "x" };
    for (unsigned i = 0; i < 3000; i++)
        trace_span(world.tracer, &span);
    assert_int_equal(tracer_counts(world.tracer)->dropped, 3000 - 2048);
    close_world(&world);
}

static void
a_span_is_that_of_otlp(void **state)
{
    (void)state;
    const struct trace trace = {
        .id = ID, .span = 0xab, .parent = 0xcd, .sampled = true, .state = "a=1"
    };
    const struct span_attribute attributes[] = { { "http.route", "/a\"b", 0 },
                                                 { "n", NULL, 200 },
                                                 { NULL, "left out", 0 } };
    const struct span span = { .trace = &trace,
                               .id = 0xab,
                               .parent = 0xcd,
                               .kind = SPAN_SERVER,
                               .name = "GET /x",
                               .start_us = 1,
                               .end_us = 1001,
                               .error = "timeout",
                               .attributes = attributes,
                               .n_attributes = 3 };
    AUTO(buf) struct buf text = { 0 };
    buf_init(&text, 4096);
    assert_int_equal(otlp_span(&span, 1700000000000000, &text), RC_OK);
    assert_string_equal(
        buf_text(&text),
        "{\"traceId\":\"" ID
        "\",\"spanId\":\"00000000000000ab\",\"parentSpanId\":\"00000000000000cd\","
        "\"traceState\":\"a=1\",\"flags\":1,\"name\":\"GET /x\",\"kind\":2,"
        "\"startTimeUnixNano\":\"1700000000000001000\",\"endTimeUnixNano\":\"1700000000001001000\","
        "\"attributes\":[{\"key\":\"http.route\",\"value\":{\"stringValue\":\"/a\\\"b\"}},"
        "{\"key\":\"n\",\"value\":{\"intValue\":\"200\"}},"
        "{\"key\":\"error.type\",\"value\":{\"stringValue\":\"timeout\"}}],\"status\":{\"code\":2}"
        "}");
}

static void
lists_are_percent_decoded(void **state)
{
    (void)state;
    const char *list = " a=1 , b%20c = d%2Ce=f,";
    struct otlp_pair pair;
    struct err err;
    assert_int_equal(otlp_pair_next(&list, &pair, &err), RC_OK);
    assert_string_equal(pair.name, "a");
    assert_string_equal(pair.value, "1");
    assert_int_equal(otlp_pair_next(&list, &pair, &err), RC_OK);
    assert_string_equal(pair.name, "b c");
    assert_string_equal(pair.value, "d,e=f");
    assert_int_equal(otlp_pair_next(&list, &pair, &err), RC_NOTFOUND);
    static const char *const BAD[] = { "a", "=b", "a=%2", "a=%zz", "a=%0d%0a", "a=\xff" };
    for (size_t i = 0; i < TEST_COUNT(BAD); i++) {
        list = BAD[i];
        assert_int_equal(otlp_pair_next(&list, &pair, &err), RC_CONFIG);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(traceparents_of_the_standard_are_read),
        cmocka_unit_test(hostile_traceparents_are_as_if_absent),
        cmocka_unit_test(traceparents_are_written),
        cmocka_unit_test(tracestates_that_could_do_harm_are_dropped),
        cmocka_unit_test(samplers_have_their_standard_meanings),
        cmocka_unit_test(a_ratio_is_kept),
        cmocka_unit_test(an_id_of_a_request_implies_its_trace),
        cmocka_unit_test(a_parent_says_more_than_the_requests_id),
        cmocka_unit_test(clients_cannot_break_the_bounds),
        cmocka_unit_test(without_an_endpoint_there_are_ids_only),
        cmocka_unit_test(the_queue_is_bounded),
        cmocka_unit_test(a_span_is_that_of_otlp),
        cmocka_unit_test(lists_are_percent_decoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
