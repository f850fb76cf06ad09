/* SPDX-License-Identifier: MIT */
/* The machine of a request beside stand-ins for its stages and for the HTTP door. */
#include <stdlib.h>
#include <string.h>

#include "gateway/gateway.h"
#include "gateway/requests/checks.h"
#include "gateway/requests/request.h"
#include "gateway/requests/served.h"
#include "gateway/requests/traced.h"
#include "test.h"

/* A stage's letter is noted when it runs. What one of them comes to is chosen by the test. */
static struct {
    char ran[64];
    char waits, answers; /* the stage that waits, that answers; 0 = none */
    unsigned answered, wanted;
    struct http_head head;
} door;

static enum step
run(struct request *r, char letter)
{
    door.ran[strlen(door.ran)] = letter;
    if (letter == door.answers) {
        r->answer.status = 403;
        return STEP_ANSWERED;
    }
    return letter == door.waits ? STEP_WAIT : STEP_NEXT;
}

#define STAGE(name, letter)                                                                        \
    enum step name(struct request *r)                                                              \
    {                                                                                              \
        return run(r, letter);                                                                     \
    }
STAGE(check_route, 'r')
STAGE(check_size, 's')
STAGE(check_key, 'k')
STAGE(check_scope, 'p')
STAGE(check_servers, 'v')
STAGE(check_load, 'w')
STAGE(check_rate, 'l')
STAGE(check_media, 'm')
STAGE(check_preferences, 'f')
STAGE(check_body, 'B')
STAGE(check_secrets, 'S')
STAGE(check_allowed, 'A')
STAGE(check_idempotency, 'I')
STAGE(announce_effect, 'D')
STAGE(forward_request, 'F')
STAGE(close_identify, '1')
STAGE(close_idempotency, '2')
STAGE(close_audit, '3')

void
traced_begin(struct request *r, bool own_id)
{
}

void
traced_end(const struct request *r, int64_t end_us)
{
}

void
served_count(struct served *served, const struct request *r, uint64_t us, const char *trace_id)
{
}

const char *
method_name(enum http_method method)
{
    return method == METHOD_POST ? "POST" : "another";
}

void
http_belongs(struct exchange *exchange, uint8_t owner)
{
    (void)exchange, (void)owner;
}

const struct http_counts *
http_counts(const struct http_server *server)
{
    static const struct http_counts NONE;
    (void)server;
    return &NONE;
}

const char *
cors_lines(const struct cors *cors, const struct exchange *exchange)
{
    return NULL;
}

const struct http_head *
http_head(const struct exchange *exchange)
{
    return &door.head;
}

const char *
http_header(const struct exchange *exchange, const char *name, unsigned *count)
{
    return NULL;
}

void
http_client(const struct exchange *exchange, char text[HTTP_CLIENT_MAX])
{
    memcpy(text, "::1", 4);
}

void
http_want_body(struct exchange *exchange)
{
    door.wanted++;
}

void
http_answer(struct exchange *exchange, struct http_answer *answer)
{
    door.answered++;
}

static struct settings settings = { .max_body_bytes = 10, .max_buffered_bytes = 100 };
static struct gateway gateway = { .settings = &settings };

static int
set_up(void **state)
{
    memset(&door, 0, sizeof(door));
    door.head.method = "POST";
    door.head.target = "/a?b";
    *state = REQUEST_CALLBACKS.begin(&gateway, NULL);
    assert_non_null(*state);
    return 0;
}

static int
tear_down(void **state)
{
    REQUEST_CALLBACKS.free(*state);
    assert_int_equal(gateway.in_flight, 0);
    assert_int_equal(gateway.buffered_bytes, 0);
    return 0;
}

static void
test_the_order_of_the_checks(void **state)
{
    struct request *r = *state;
    door.answers = 'F';
    REQUEST_CALLBACKS.complete(r);
    assert_string_equal(door.ran, "rskpvwlmfBSAIDF123");
    assert_int_equal(door.answered, 1);
}

static void
test_a_long_body_is_wanted_after_the_head_s_checks(void **state)
{
    struct request *r = *state;
    door.answers = 'F';
    REQUEST_CALLBACKS.head(r);
    assert_string_equal(door.ran, "rskpvwlmf");
    assert_int_equal(door.wanted, 1);
    REQUEST_CALLBACKS.body(r, "12345", 5);
    assert_int_equal(gateway.buffered_bytes, 5);
    REQUEST_CALLBACKS.complete(r);
    assert_string_equal(door.ran, "rskpvwlmfBSAIDF123");
    assert_memory_equal(r->body.data, "12345", 5);
}

static void
test_an_answer_ends_the_checks_and_is_closed_up(void **state)
{
    struct request *r = *state;
    door.answers = 'p';
    REQUEST_CALLBACKS.head(r);
    assert_string_equal(door.ran, "rskp123");
    assert_int_equal(door.answered, 1);
    assert_int_equal(door.wanted, 0);
    REQUEST_CALLBACKS.body(r, "12345", 5); /* comes too late to be kept */
    REQUEST_CALLBACKS.complete(r);
    assert_string_equal(door.ran, "rskp123");
    assert_int_equal(r->body.len, 0);
}

static void
test_a_stage_waits_and_the_next_one_follows(void **state)
{
    struct request *r = *state;
    door.waits = 'k';
    door.answers = 'F';
    REQUEST_CALLBACKS.complete(r);
    assert_string_equal(door.ran, "rsk");
    assert_true(REQUEST_CALLBACKS.waits(r));
    request_continue(r, STEP_NEXT);
    assert_false(REQUEST_CALLBACKS.waits(r));
    assert_string_equal(door.ran, "rskpvwlmfBSAIDF123");
}

static void
test_an_answer_waits_for_its_audit_event(void **state)
{
    struct request *r = *state;
    door.waits = '3';
    door.answers = 'k';
    REQUEST_CALLBACKS.complete(r);
    assert_string_equal(door.ran, "rsk123");
    assert_int_equal(door.answered, 0);
    assert_true(REQUEST_CALLBACKS.waits(r));
    request_continue(r, STEP_NEXT);
    assert_int_equal(door.answered, 1);
    assert_false(REQUEST_CALLBACKS.waits(r));
}

static void
test_a_body_beyond_its_bound(void **state)
{
    struct request *r = *state;
    REQUEST_CALLBACKS.head(r);
    REQUEST_CALLBACKS.body(r, "1234567890", 10);
    assert_int_equal(r->answer.status, 0);
    REQUEST_CALLBACKS.body(r, "1", 1);
    assert_int_equal(r->answer.status, 413);
    assert_int_equal(gateway.buffered_bytes, 0);
    assert_string_equal(door.ran, "rskpvwlmf123");
}

static void
test_a_fault_of_the_head_runs_no_check(void **state)
{
    struct request *r = *state;
    door.head.fault = HTTP_FAULT_TOO_LARGE;
    door.head.why = "too much of it";
    REQUEST_CALLBACKS.complete(r);
    assert_string_equal(door.ran, "123");
    assert_int_equal(r->answer.status, 431);
    assert_string_equal(r->code, "head_too_large");
    assert_non_null(strstr(buf_text(&r->answer.body), "too much of it"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_order_of_the_checks),
        TEST(test_a_long_body_is_wanted_after_the_head_s_checks),
        TEST(test_an_answer_ends_the_checks_and_is_closed_up),
        TEST(test_a_stage_waits_and_the_next_one_follows),
        TEST(test_an_answer_waits_for_its_audit_event),
        TEST(test_a_body_beyond_its_bound),
        TEST(test_a_fault_of_the_head_runs_no_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
