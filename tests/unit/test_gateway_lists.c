/* SPDX-License-Identifier: MIT */
/*
 * test_gateway_lists - which commands of a turn travel together, and how many may wait in lists.
 *
 * The bus, the claim and the request are stand-ins.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "gateway/effects/lists.h"
#include "gateway/gateway.h"
#include "gateway/requests/request.h"
#include "protocol/command_list.h"
#include "tests/unit/test.h"

#define SENT_MAX 8192
#define TRACE    "0af7651916cd43dd8448eb211c80319c"

struct sent {
    char msg_id[128], list[8];
    char state[64];    /* of the first command of a list */
    char parent[64];   /* the header traceparent */
    size_t count, len; /* count: commands */
};

static struct sent sent[SENT_MAX];
static size_t n_sent, n_answered;
static enum rc answer = RC_OK;
static struct request requests[SENT_MAX];
static const struct route INGEST = { .kind = ROUTE_COMMAND, .command = CMD_MEMORY_INGEST };
static const struct route RUN = { .kind = ROUTE_COMMAND, .command = CMD_EXECUTOR_RUN };
static const char *payload = "{}", *trace_state;

static void
read_first(const char *text, size_t len, struct sent *one)
{
    struct list_item item;
    assert_int_equal(command_list_next(&text, &len, &item), RC_OK);
    snprintf(one->state, sizeof(one->state), "%.63s", item.state);
}

enum rc
bus_js_publish(struct bus *bus, const struct bus_out *out, const char *msg_id, uint32_t timeout_ms,
               bus_ack_fn *fn, void *arg, struct err *err)
{
    struct sent *one = &sent[n_sent++];
    (void)bus, (void)timeout_ms;
    *one = (struct sent){ .count = 1, .len = out->len };
    snprintf(one->msg_id, sizeof(one->msg_id), "%s", msg_id);
    for (size_t i = 0; i < out->n_headers; i++) {
        if (strcmp(out->headers[i].name, TRACEPARENT_HEADER) == 0)
            snprintf(one->parent, sizeof(one->parent), "%s", out->headers[i].value);
        if (strcmp(out->headers[i].name, LIST_HEADER) == 0) {
            snprintf(one->list, sizeof(one->list), "%s", out->headers[i].value);
            assert_int_equal(command_list_check(out->data, out->len, &one->count, err), RC_OK);
            read_first(out->data, out->len, one);
        }
    }
    if (answer != RC_OK)
        return err_set(err, answer, "as the test wants it");
    fn(arg, RC_OK, false, NULL);
    return RC_OK;
}

enum rc
forward_sign(const struct request *r, enum command command, const char *id, const char *text,
             size_t len, struct forward_head *head, struct err *err)
{
    (void)r, (void)command, (void)id, (void)text, (void)len, (void)err;
    snprintf(head->actor, sizeof(head->actor), "claim");
    return RC_OK;
}

const char *
request_payload(const struct request *r, size_t *len)
{
    (void)r;
    *len = strlen(payload);
    return payload;
}

static void
on_ack(void *arg, enum rc rc, bool duplicate, const struct err *err)
{
    (void)arg, (void)duplicate, (void)err;
    assert_int_equal(rc, answer);
    n_answered++;
}

static void
add(struct gateway *gw, size_t i, const struct route *route, const char *workspace)
{
    struct request *r = &requests[i];
    struct forward_head head = { .actor = "claim" };
    char msg_id[LISTS_MSG_ID_MAX];
    *r = (struct request){ .gw = gw,
                           .route = route,
                           .trace = { .id = TRACE, .state = trace_state } };
    snprintf(r->actor.workspace, sizeof(r->actor.workspace), "%s", workspace);
    snprintf(r->id, sizeof(r->id), "id%zu", i);
    snprintf(msg_id, sizeof(msg_id), "id%zu.1", i);
    command_subject(head.subject, workspace, route->command);
    lists_add(gw->lists, r, &head, msg_id, on_ack);
}

static void
turn(struct gateway *gw)
{
    n_sent = n_answered = 0;
    loop_turn(gw->loop, 0);
}

static int
set_up(void **state)
{
    static struct gateway gw;
    struct err err;
    gw = (struct gateway){ 0 };
    payload = "{}";
    answer = RC_OK;
    if (loop_new(&gw.loop, &err) != RC_OK)
        return -1;
    lists_open(&gw, &gw.lists);
    *state = &gw;
    return 0;
}

static int
tear_down(void **state)
{
    struct gateway *gw = *state;
    lists_free(gw->lists);
    loop_free(gw->loop);
    return 0;
}

/* A claim names the request, whose id says which trace it is: no header, unless there is more to say. */
static void
test_a_trace_that_the_claim_implies(void **state)
{
    struct gateway *gw = *state;
    add(gw, 0, &RUN, "alpha");
    add(gw, 1, &RUN, "alpha");
    add(gw, 2, &RUN, "alpha");
    add(gw, 3, &RUN, "alpha");
    for (size_t i = 0; i < 4; i++)
        requests[i].trace.implied = i > 0;
    requests[2].trace.sampled = true;
    requests[3].idem.attempt = 2; /* its claim names no request */
    turn(gw);
    assert_int_equal(n_sent, 4);
    assert_int_equal(strlen(sent[0].parent), 55);
    assert_string_equal(sent[1].parent, "");
    assert_int_equal(strlen(sent[2].parent), 55);
    assert_int_equal(strlen(sent[3].parent), 55);
}

static void
test_alone_as_ever(void **state)
{
    struct gateway *gw = *state;
    add(gw, 0, &INGEST, "w1");
    turn(gw);
    assert_int_equal(n_sent, 1);
    assert_string_equal(sent[0].msg_id, "id0.1");
    assert_string_equal(sent[0].list, "");
    assert_int_equal(sent[0].len, 2);
    turn(gw);
    assert_int_equal(n_sent, 0);
}

static void
test_together_by_subject(void **state)
{
    struct gateway *gw = *state;
    add(gw, 0, &INGEST, "w1");
    add(gw, 1, &INGEST, "w2");
    add(gw, 2, &RUN, "w1");
    add(gw, 3, &INGEST, "w1");
    add(gw, 4, &RUN, "w1");
    turn(gw);
    assert_int_equal(n_sent, 4);
    assert_int_equal(n_answered, 5);
    assert_string_equal(sent[0].list, "2");
    assert_string_equal(sent[0].msg_id, "id0.1.l2");
    for (int i = 1; i < 4; i++)
        assert_string_equal(sent[i].list, ""); /* another workspace's, and tasks */
}

/* What a stream holds beyond its number of messages. */
static void
test_commands_beyond_messages(void **state)
{
    static const struct route APPEND = { .kind = ROUTE_COMMAND, .command = CMD_AUDIT_APPEND };
    struct gateway *gw = *state;
    for (size_t i = 0; i < 3; i++)
        add(gw, i, &INGEST, "w1");
    add(gw, 3, &INGEST, "w2");
    add(gw, 4, &APPEND, "w1");
    add(gw, 5, &APPEND, "w1");
    turn(gw);
    assert_int_equal(n_sent, 3);
    assert_int_equal(lists_beyond_messages(gw->lists, STREAM_MEMORY), 2);
    assert_int_equal(lists_beyond_messages(gw->lists, STREAM_AUDIT), 1);
    lists_done(gw->lists, "id2");
    assert_int_equal(lists_beyond_messages(gw->lists, STREAM_MEMORY), 0);
    assert_int_equal(lists_beyond_messages(gw->lists, STREAM_AUDIT), 1);
    lists_done(gw->lists, "id5");
    assert_int_equal(lists_beyond_messages(gw->lists, STREAM_AUDIT), 0);
}

/* A header may hold tabs, the line of a list may not: one request would make the whole list malformed. */
static void
test_a_tracestate_with_tabs(void **state)
{
    struct gateway *gw = *state;
    trace_state = "a=1,\tb=2\t,c=3";
    assert_true(trace_state_valid(trace_state));
    add(gw, 0, &INGEST, "w1");
    trace_state = NULL;
    add(gw, 1, &INGEST, "w1");
    turn(gw);
    assert_int_equal(n_sent, 1);
    assert_int_equal(sent[0].count, 2);
    assert_string_equal(sent[0].state, "a=1, b=2 ,c=3");
}

static void
test_bounds_of_a_list(void **state)
{
    struct gateway *gw = *state;
    AUTO(free) char *large = malloc(100u << 10);
    assert_non_null(large);
    for (size_t i = 0; i < COMMAND_LIST_MAX + 2; i++)
        add(gw, i, &INGEST, "w1");
    turn(gw);
    assert_int_equal(n_sent, 2);
    assert_int_equal(sent[0].count, COMMAND_LIST_MAX);
    assert_int_equal(sent[1].count, 2);
    memset(large, 'x', (100u << 10) - 1);
    large[(100u << 10) - 1] = '\0';
    payload = large;
    for (size_t i = 0; i < 3; i++)
        add(gw, i, &INGEST, "w1");
    turn(gw);
    assert_int_equal(n_sent, 2);
    assert_int_equal(sent[0].count, 2);
    assert_true(sent[0].len <= COMMAND_LIST_BYTES);
    assert_int_equal(sent[1].count, 1);
}

static void
test_a_failure_is_everybodys(void **state)
{
    struct gateway *gw = *state;
    answer = RC_TEMP;
    for (size_t i = 0; i < 3; i++)
        add(gw, i, &INGEST, "w1");
    add(gw, 3, &INGEST, "w2");
    turn(gw);
    assert_int_equal(n_answered, 4);
}

/* So many commands of a workspace wait in lists; then each counts for itself at the stream. */
static void
test_how_many_may_wait(void **state)
{
    struct gateway *gw = *state;
    size_t next = 0;
    for (int lists = 0; lists < 4096 / COMMAND_LIST_MAX; lists++) {
        for (int i = 0; i < COMMAND_LIST_MAX; i++)
            add(gw, next++, &INGEST, "w1");
        turn(gw);
        assert_int_equal(n_sent, 1);
    }
    for (int i = 0; i < 3; i++)
        add(gw, next++, &INGEST, "w1");
    add(gw, next++, &INGEST, "other");
    add(gw, next++, &INGEST, "other");
    turn(gw);
    assert_int_equal(n_sent, 4);  /* the other workspace's two together */
    lists_done(gw->lists, "id0"); /* says nothing: not the last one of its list */
    lists_done(gw->lists, "id63");
    for (int i = 0; i < COMMAND_LIST_MAX + 1; i++)
        add(gw, next++, &INGEST, "w1");
    turn(gw);
    assert_int_equal(n_sent, 2);
    assert_int_equal(sent[0].count, COMMAND_LIST_MAX);
    /* The events of the lists are lost: one that travelled alone after them tells as much. */
    lists_done(gw->lists, "id4096");
    add(gw, next++, &INGEST, "w1");
    add(gw, next++, &INGEST, "w1");
    turn(gw);
    assert_int_equal(n_sent, 1);
}

static void
test_a_lost_event_is_made_up_for(void **state)
{
    struct gateway *gw = *state;
    size_t next = 0;
    while (next < 4096) {
        add(gw, next++, &INGEST, "w1");
        if (next % COMMAND_LIST_MAX == 0)
            turn(gw);
    }
    /* That of id4096, the first alone, never comes: the 1,024th after it is watched too. */
    while (next < 4096 + 1025) {
        add(gw, next++, &INGEST, "w1");
        if (next % COMMAND_LIST_MAX == 0)
            turn(gw);
    }
    turn(gw);
    lists_done(gw->lists, "id5120");
    add(gw, next++, &INGEST, "w1");
    add(gw, next++, &INGEST, "w1");
    turn(gw);
    assert_int_equal(n_sent, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_alone_as_ever, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_trace_that_the_claim_implies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_together_by_subject, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_commands_beyond_messages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_tracestate_with_tabs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bounds_of_a_list, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_failure_is_everybodys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_how_many_may_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_lost_event_is_made_up_for, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
