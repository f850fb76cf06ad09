/* SPDX-License-Identifier: MIT */
/* POST /ai/execute beside stand-ins for what it calls: what is sent when, and what it comes to. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/effects/forward.h"
#include "gateway/effects/idem.h"
#include "gateway/effects/previews.h"
#include "gateway/effects/share.h"
#include "gateway/effects/tasks.h"
#include "gateway/gateway.h"
#include "gateway/policy/hold.h"
#include "gateway/requests/handlers.h"
#include "gateway/requests/traced.h"
#include "test.h"

#define CALLS_MAX 16

/* What was asked for and has not been answered. */
static struct {
    size_t published, shown, scripts, held;
    hold_fn *on_held;
    void *held_arg;
    char held_id[ID_TEXT_MAX];
    bus_ack_fn *on_ack;
    kv_fn *on_shown, *on_script;
    void *ack_args[CALLS_MAX], *shown_args[CALLS_MAX], *script_args[CALLS_MAX];
    unsigned script;
    bool nats_is_down;
    unsigned released;
    unsigned continued;
    enum step step;
} calls;

static struct settings settings = { .idempotency_ttl_seconds = 60 };
static struct gateway gateway = { .settings = &settings };

enum rc
forward_sign(const struct request *r, enum command command, const char *id, const char *payload,
             size_t len, struct forward_head *head, struct err *err)
{
    memset(head, 0, sizeof(*head));
    return RC_OK;
}

size_t
traced_headers(const struct request *r, uint64_t span, char parent[TRACEPARENT_MAX],
               struct bus_header *headers, size_t n)
{
    return n;
}

void
traced_hop_begin(struct request *r, struct request_hop *hop)
{
}

void
traced_hop_end(struct request *r, enum stage stage, enum command command,
               const struct request_hop *hop, const char *message_id, const char *error)
{
}

enum rc
bus_js_publish(struct bus *bus, const struct bus_out *out, const char *msg_id, uint32_t timeout_ms,
               bus_ack_fn *fn, void *arg, struct err *err)
{
    if (calls.nats_is_down)
        return RC_TEMP;
    calls.on_ack = fn;
    calls.ack_args[calls.published++] = arg;
    return RC_OK;
}

void
kv_script_call(struct kv *kv, unsigned script, size_t n_keys, const struct kv_command *cmd,
               uint32_t timeout_ms, kv_fn *fn, void *arg)
{
    calls.script = script;
    calls.on_script = fn;
    calls.script_args[calls.scripts++] = arg;
}

void
share_key(enum share kind, const char *workspace, char key[SHARE_KEY_MAX])
{
    (void)kind, (void)workspace;
    (void)snprintf(key, SHARE_KEY_MAX, "share");
}

bool
share_used_up(struct gateway *gw, enum share kind, const char *workspace)
{
    (void)gw, (void)kind, (void)workspace;
    return false;
}

const char *
jobs_word(const struct kv_reply *reply)
{
    return reply && reply->count ? reply->items[0].text : "";
}

void
tasks_show(struct request *r, const char *id, const char *action, kv_fn *fn, void *arg)
{
    calls.on_shown = fn;
    calls.shown_args[calls.shown++] = arg;
}

enum rc
hold_all(struct request *r, const struct held *held, size_t n, hold_fn *fn, void *arg)
{
    calls.held += n;
    calls.on_held = fn;
    calls.held_arg = arg;
    (void)snprintf(calls.held_id, sizeof(calls.held_id), "%s", held[0].id);
    return RC_OK;
}

void
hold_show(struct request *r, const char *id, const struct asked *asked, kv_fn *fn, void *arg)
{
    calls.on_shown = fn;
    calls.shown_args[calls.shown++] = arg;
}

void
tasks_id(const struct request *r, size_t number, char id[ID_TEXT_MAX])
{
    (void)snprintf(id, ID_TEXT_MAX, "task-%zu", number);
}

enum rc
tasks_message(const char *action, const cJSON *params, struct buf *out)
{
    buf_puts(out, "{}");
    return RC_OK;
}

enum step
tasks_allow(struct request *r, struct asked *asked, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(asked[i].action, "hold.me") == 0)
            asked[i].decision.outcome = POLICY_APPROVAL;
    return STEP_NEXT;
}

void
preview_look(struct request *r, const char *id, kv_fn *fn, void *arg)
{
    fail();
}

void
preview_use(struct request *r, const char *id, kv_fn *fn, void *arg)
{
    fail();
}

cJSON *
preview_params(const struct request *r, const char *id, const struct kv_reply *reply)
{
    return NULL;
}

void
idem_place(const struct request *r, const char *label, const char *key, char place[IDEM_PLACE_MAX])
{
    (void)snprintf(place, IDEM_PLACE_MAX, "%s", key);
}

void
idem_hash(const struct gateway *gw, const void *data, size_t len, char hex[65])
{
    (void)snprintf(hex, 65, "%.*s", (int)(len < 60 ? len : 60), (const char *)data);
}

void
idem_release(struct gateway *gw, const char *place, const char *id, int64_t attempt)
{
    calls.released++;
}

void
request_continue(struct request *r, enum step step)
{
    calls.continued++;
    calls.step = step;
}

/* --- the tests -------------------------------------------------------------------------------- */

static int
set_up(void **state)
{
    struct request *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    memset(&calls, 0, sizeof(calls));
    r->gw = &gateway;
    r->body_max = 1000;
    r->uri = "/ai/execute";
    r->path_len = strlen(r->uri);
    buf_init(&r->answer.body, ANSWER_MAX);
    *state = r;
    return 0;
}

static int
tear_down(void **state)
{
    struct request *r = *state;
    buf_fini(&r->answer.body);
    json_cleanup(&r->doc);
    free(r->own);
    free(r);
    return 0;
}

static void
begin(struct request *r, const char *body)
{
    assert_int_equal(json_read(body, strlen(body), &r->doc, NULL), RC_OK);
    assert_int_equal(execute_allow(r), STEP_NEXT);
}

static void
ack_all(enum rc rc)
{
    for (size_t i = 0; i < calls.published; i++) {
        assert_int_equal(calls.continued, 0);
        calls.on_ack(calls.ack_args[i], rc, false, NULL);
    }
}

static void
show_all(int64_t depth)
{
    const struct kv_reply items[] = { { .type = KV_TEXT, .text = "ok", .len = 2 },
                                      { .type = KV_INT, .integer = depth } };
    const struct kv_reply reply = { .type = KV_LIST, .count = 2, .items = items };
    for (size_t i = 0; i < calls.shown; i++)
        calls.on_shown(calls.shown_args[i], RC_OK, &reply, NULL);
}

static const char TWO[] = "{\"actions\":[{\"action\":\"ping\"},{\"action\":\"ping\"}]}";

static void
test_what_needs_an_approval_is_held_before_anything_is_published(void **state)
{
    struct request *r = *state;
    begin(r, "{\"actions\":[{\"action\":\"ping\"},{\"action\":\"hold.me\"}]}");
    assert_int_equal(execute_queue(r), STEP_WAIT);
    assert_int_equal(calls.held, 1);
    assert_string_equal(calls.held_id, "task-1");
    assert_int_equal(calls.published, 0);
    calls.on_held(calls.held_arg, RC_OK);
    assert_int_equal(calls.published, 1);
    ack_all(RC_OK);
    assert_int_equal(calls.shown, 2);
    show_all(1);
    assert_int_equal(calls.step, STEP_ANSWERED);
    assert_int_equal(r->answer.status, 202);
}

static void
test_nothing_is_published_when_what_waits_cannot_be_kept(void **state)
{
    struct request *r = *state;
    begin(r, "{\"actions\":[{\"action\":\"ping\"},{\"action\":\"hold.me\"}]}");
    assert_int_equal(execute_queue(r), STEP_WAIT);
    calls.on_held(calls.held_arg, RC_TEMP);
    assert_int_equal(calls.published, 0);
    assert_int_equal(r->answer.status, 503);
}

static void
test_all_is_published_before_a_job_is_shown(void **state)
{
    struct request *r = *state;
    begin(r, TWO);
    assert_int_equal(execute_queue(r), STEP_WAIT);
    assert_int_equal(calls.published, 2);
    assert_int_equal(calls.shown, 0);
    ack_all(RC_OK);
    assert_int_equal(calls.shown, 2);
    assert_int_equal(calls.continued, 0);
    show_all(7);
    assert_int_equal(calls.continued, 1);
    assert_int_equal(calls.step, STEP_ANSWERED);
    assert_int_equal(r->answer.status, 202);
    assert_string_equal(buf_text(&r->answer.body),
                        "{\"job_ids\":[\"task-0\",\"task-1\"],\"queue_depth\":7}");
}

static void
test_nothing_can_be_sent(void **state)
{
    struct request *r = *state;
    begin(r, TWO);
    calls.nats_is_down = true;
    assert_int_equal(execute_queue(r), STEP_ANSWERED);
    assert_int_equal(r->answer.status, 503);
    assert_int_equal(calls.continued, 0);
}

static void
test_a_full_queue_is_the_answer_when_all_acks_are_there(void **state)
{
    struct request *r = *state;
    begin(r, TWO);
    assert_int_equal(execute_queue(r), STEP_WAIT);
    ack_all(RC_LIMIT);
    assert_int_equal(calls.continued, 1);
    assert_int_equal(r->answer.status, 503);
    assert_int_equal(calls.shown, 0);
}

static const char KEYED[] =
    "{\"actions\":[{\"action\":\"ping\",\"client_request_id\":\"a\"},{\"action\":\"ping\","
    "\"client_request_id\":\"a\"},{\"action\":\"ping\"}]}";

static void
reserve_all(const char *word)
{
    const struct kv_reply items[] = { { .type = KV_TEXT, .text = word, .len = strlen(word) },
                                      { .type = KV_TEXT, .text = "task-of-key", .len = 11 },
                                      { .type = KV_INT, .integer = 1 } };
    const struct kv_reply reply = { .type = KV_LIST, .count = 3, .items = items };
    assert_int_equal(calls.script, SCRIPT_IDEM_RESERVE);
    for (size_t i = 0, n = calls.scripts; i < n; i++)
        calls.on_script(calls.script_args[i], RC_OK, &reply, NULL);
}

static void
test_a_key_fixes_the_id_and_gets_its_answer(void **state)
{
    struct request *r = *state;
    begin(r, KEYED);
    assert_int_equal(execute_queue(r), STEP_WAIT);
    assert_int_equal(calls.scripts, 1); /* two actions of one key are one */
    assert_int_equal(calls.published, 0);
    reserve_all("new");
    assert_int_equal(calls.published, 2);
    ack_all(RC_OK);
    show_all(1);
    assert_int_equal(calls.script, SCRIPT_IDEM_RECORD);
    assert_int_equal(calls.continued, 0);
    calls.on_script(calls.script_args[1], RC_TEMP, NULL, NULL); /* not recorded: all the same */
    assert_int_equal(calls.continued, 1);
    assert_string_equal(
        buf_text(&r->answer.body),
        "{\"job_ids\":[\"task-of-key\",\"task-of-key\",\"task-2\"],\"queue_depth\":1}");
    assert_int_equal(calls.released, 0);
}

static void
test_a_key_that_is_busy_sends_nothing(void **state)
{
    struct request *r = *state;
    begin(r, KEYED);
    assert_int_equal(execute_queue(r), STEP_WAIT);
    reserve_all("busy");
    assert_int_equal(calls.published, 0);
    assert_int_equal(calls.continued, 1);
    assert_int_equal(r->answer.status, 409);
}

static void
test_keys_are_given_back_when_publishing_fails(void **state)
{
    struct request *r = *state;
    begin(r, KEYED);
    assert_int_equal(execute_queue(r), STEP_WAIT);
    reserve_all("new");
    ack_all(RC_TEMP);
    assert_int_equal(calls.released, 1);
    assert_int_equal(r->answer.status, 503);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_needs_an_approval_is_held_before_anything_is_published),
        TEST(test_nothing_is_published_when_what_waits_cannot_be_kept),
        TEST(test_all_is_published_before_a_job_is_shown),
        TEST(test_nothing_can_be_sent),
        TEST(test_a_full_queue_is_the_answer_when_all_acks_are_there),
        TEST(test_a_key_fixes_the_id_and_gets_its_answer),
        TEST(test_a_key_that_is_busy_sends_nothing),
        TEST(test_keys_are_given_back_when_publishing_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
