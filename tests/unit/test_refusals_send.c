/* SPDX-License-Identifier: MIT */
/* Counts of refusals beside stand-ins for Redis and NATS: under which ids they are sent. */
#include <stdio.h>
#include <string.h>

#include "gateway/audit/audit_own.h"
#include "gateway/gateway.h"
#include "test.h"

#define ID    "0198c0de-7a2b-7c3d-8e4f-5a6b7c8d9e0f"
#define OTHER "0198c0de-7a2b-7c3d-8e4f-5a6b7c8d9e10"

/* What was asked for and has not been answered, and what it said. */
static struct {
    kv_fn *on_stored;
    bus_ack_fn *on_taken;
    void *kv_arg, *bus_arg;
    unsigned stored, published, removed;
    char id[64], value[1024], msg_id[64], data[1024];
    bool nats_is_down;
} calls;

static struct gateway gateway;
static struct audit audit;

bool
kv_connected(const struct kv *kv)
{
    return true;
}

void
kv_call(struct kv *kv, const struct kv_command *cmd, uint32_t timeout_ms, kv_fn *fn, void *arg)
{
    const char *name = cmd->args[0].data;

    if (strcmp(name, "HDEL") == 0)
        calls.removed++;
    if (strcmp(name, "HSET") != 0)
        return;
    calls.stored++;
    calls.on_stored = fn;
    calls.kv_arg = arg;
    (void)snprintf(calls.id, sizeof(calls.id), "%s", cmd->args[2].data);
    (void)snprintf(calls.value, sizeof(calls.value), "%.*s", (int)cmd->args[3].len,
                   cmd->args[3].data);
}

enum rc
bus_js_publish(struct bus *bus, const struct bus_out *out, const char *msg_id, uint32_t timeout_ms,
               bus_ack_fn *fn, void *arg, struct err *err)
{
    if (calls.nats_is_down)
        return RC_TEMP;
    calls.published++;
    calls.on_taken = fn;
    calls.bus_arg = arg;
    (void)snprintf(calls.msg_id, sizeof(calls.msg_id), "%s", msg_id);
    (void)snprintf(calls.data, sizeof(calls.data), "%.*s", (int)out->len, (const char *)out->data);
    return RC_OK;
}

static int
begin(void **state)
{
    memset(&calls, 0, sizeof(calls));
    memset(&audit, 0, sizeof(audit));
    audit.gw = &gateway;
    STAILQ_INIT(&audit.unsure);
    return 0;
}

static int
end(void **state)
{
    refusals_drop(&audit);
    assert_int_equal(audit.n_out, 0);
    assert_int_equal(audit.n_unsure, 0);
    return 0;
}

static void
redis_says(enum rc rc)
{
    kv_fn *fn = calls.on_stored;

    assert_non_null(fn);
    calls.on_stored = NULL;
    fn(calls.kv_arg, rc, NULL, NULL);
}

static void
audit_says(enum rc rc)
{
    bus_ack_fn *fn = calls.on_taken;

    assert_non_null(fn);
    calls.on_taken = NULL;
    fn(calls.bus_arg, rc, false, NULL);
}

static bool
count(const char *id, struct refusal *row)
{
    const struct audit_request_event event = {
        .event_id = id,
        .actor = AUDIT_ACTOR_ANONYMOUS,
        .key_id = "",
        .action = "memory.list",
        .status = AUDIT_DENIED,
        .http_status = 401,
        .error_code = "unauthorized",
        .duration_ms = -1,
        .region = "",
        .client = "192.0.2.1",
        .time_ms = 1700000000000,
        .count = 30,
    };

    *row = (struct refusal){ .count = 30 };
    return refusals_store(&audit, "acme", &event, row);
}

static void
test_what_redis_has_is_counted_no_more(void **state)
{
    struct refusal row;

    assert_true(count(ID, &row));
    assert_int_equal(row.count, 0);
    assert_string_equal(calls.id, ID);
    redis_says(RC_OK);
    refusals_again(&audit, true);
    assert_int_equal(calls.stored, 1);
    assert_int_equal(calls.published, 0);
    assert_int_equal(audit.n_stored, 1);
}

/* It may be there all the same: once more, the same event under the same id. */
static void
test_what_redis_may_have_is_the_same_event(void **state)
{
    struct refusal row, other;
    char value[1024];

    assert_true(count(ID, &row));
    memcpy(value, calls.value, sizeof(value));
    assert_memory_equal(value, "acme\n{", 6);
    redis_says(RC_TEMP);
    assert_int_equal(audit.n_out, 0);
    assert_int_equal(row.count, 0);
    assert_int_equal(audit.refusals.rows[0].count, 0);

    assert_false(count(OTHER, &other));
    assert_int_equal(other.count, 30);
    refusals_again(&audit, false);
    assert_int_equal(calls.stored, 2);
    assert_string_equal(calls.id, ID);
    assert_string_equal(calls.value, value);
    assert_false(count(OTHER, &other));
    redis_says(RC_OK);
    assert_true(count(OTHER, &other));
    redis_says(RC_OK);
    refusals_again(&audit, false);
    assert_int_equal(calls.stored, 3);
}

static void
test_it_goes_to_audit_under_its_id(void **state)
{
    struct refusal row;

    assert_true(count(ID, &row));
    redis_says(RC_TEMP);
    calls.nats_is_down = true;
    refusals_again(&audit, true);
    assert_int_equal(audit.n_unsure, 1);
    calls.nats_is_down = false;
    refusals_again(&audit, true);
    assert_int_equal(calls.published, 1);
    assert_string_equal(calls.msg_id, ID ".audit");
    assert_string_equal(calls.data, calls.value + 5);
    audit_says(RC_LIMIT); /* a full share: Redis keeps it */
    assert_int_equal(calls.stored, 2);
    assert_string_equal(calls.id, ID);
    redis_says(RC_TEMP);
    assert_int_equal(audit.n_unsure, 1);
    refusals_again(&audit, true);
    audit_says(RC_OK);
    assert_int_equal(calls.removed, 1);
    assert_int_equal(audit.n_unsure, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_redis_has_is_counted_no_more, begin, end),
        cmocka_unit_test_setup_teardown(test_what_redis_may_have_is_the_same_event, begin, end),
        cmocka_unit_test_setup_teardown(test_it_goes_to_audit_under_its_id, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
