/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "crypto/crypto.h"
#include "protocol/jobs.h"
#include "test.h"

#define ID     "01890a5d-ac96-774b-bcce-b302099a8057"
#define FIELDS 11

/* What a task prints may look like the end of its own output. */
#define OUTPUT                                                                                     \
    "\"exit_code\":0,\"stdout\":\"},\\\"usage\\\":{\\u0000\",\"stderr\":\"\",\"result\":"          \
    "{\"id\":9007199254740993},\"truncated\":false"
#define USAGE "\"usage\":{\"wall_ms\":5,\"cpu_ms\":4,\"max_rss_bytes\":4096}"

static const struct jobs JOBS = { .data_key = { 1 } };
static const struct job_ref REF = { .workspace = "w", .id = ID };

static struct kv_reply
text(const char *value)
{
    return (struct kv_reply){ .type = KV_TEXT, .text = value, .len = strlen(value) };
}

/* Sealed for the place where the record lies; owned by the caller. */
static struct kv_reply
sealed(const char *value)
{
    size_t len = strlen(value) + CRYPTO_SEAL_EXTRA;
    uint8_t *bytes = malloc(len);

    assert_non_null(bytes);
    crypto_seal(JOBS.data_key, "job:w:" ID ":answer", value, strlen(value), bytes);
    return (struct kv_reply){ .type = KV_TEXT, .text = (char *)bytes, .len = len };
}

/* The member "result" of a job with this record; outcome NULL: a field that is not there. */
static void
expect_result(const char *answer, const char *outcome, const char *expected)
{
    const struct kv_reply box = answer ? sealed(answer) : (struct kv_reply){ .type = KV_NIL };
    struct kv_reply fields[FIELDS] = { text("completed"), text("ping"), box,      text(""),
                                       text("1"),         text("2"),    text("3") };
    const struct kv_reply reply = { .type = KV_LIST, .count = FIELDS, .items = fields };
    AUTO(buf) struct buf out = { 0 };
    struct json_writer w;
    char whole[1024];

    if (outcome) {
        fields[7] = text(outcome);
        fields[8] = text("5");
        fields[9] = text("4");
        fields[10] = text("4096");
    }
    buf_init(&out, 4096);
    json_begin(&w, &out);
    assert_int_equal(jobs_write_one(&JOBS, &REF, &reply, NULL, &w), RC_OK);
    assert_int_equal(json_end(&w), RC_OK);
    (void)snprintf(whole, sizeof(whole),
                   "{\"job_id\":\"" ID
                   "\",\"status\":\"completed\",\"action\":\"ping\",\"result\":%s,"
                   "\"error\":null,\"duration_ms\":1,\"enqueued_at\":\"1970-01-01T00:00:00.001Z\","
                   "\"started_at\":\"1970-01-01T00:00:00.002Z\","
                   "\"finished_at\":\"1970-01-01T00:00:00.003Z\"}",
                   expected);
    assert_string_equal(buf_text(&out), whole);
    free((void *)(uintptr_t)box.text);
}

static void
test_a_result_is_outcome_output_and_usage(void **state)
{
    (void)state;
    expect_result("{" OUTPUT "}", "ok", "{\"outcome\":\"ok\"," OUTPUT "," USAGE "}");
    expect_result("{" OUTPUT "}", "timeout", "{\"outcome\":\"timeout\"," OUTPUT "," USAGE "}");
}

static void
test_without_a_task_there_is_no_result(void **state)
{
    (void)state;
    expect_result(NULL, NULL, "null");
    expect_result("Action 'x' not allowed", NULL, "null");
    expect_result("Action 'x' not allowed", "", "null");
}

static void
test_a_record_of_version_1_is_read(void **state)
{
    (void)state;
    expect_result("{\"status\":\"success\",\"outcome\":\"ok\",\"job_id\":\"j\",\"output\":"
                  "{\"exit_code\":0,\"stdout\":\"a\"}," USAGE "}",
                  NULL, "{\"outcome\":\"ok\",\"exit_code\":0,\"stdout\":\"a\"," USAGE "}");
}

static void
test_how_a_job_ended(void **state)
{
    const struct kv_reply answer = sealed("{}");
    const struct kv_reply fields[] = { text("done"), text("200"), answer,      text("ok"),
                                       text("5"),    text("4"),   text("4096") };
    struct kv_reply reply = { .type = KV_LIST, .count = 7, .items = fields };
    struct job_end end = { .status = "s", .http = 1 };
    AUTO(buf) struct buf out = { 0 };

    (void)state;
    buf_init(&out, 4096);
    reply.count = 3;
    assert_int_equal(jobs_read_end(&JOBS, &REF, &reply, &end, &out, NULL), RC_BUG);
    assert_int_equal(end.http, 1);
    reply.count = 7;
    assert_int_equal(jobs_read_end(&JOBS, &REF, &reply, &end, &out, NULL), RC_OK);
    assert_int_equal(end.http, 200);
    assert_string_equal(end.status, "s");
    assert_string_equal(end.outcome, "ok");
    assert_string_equal(end.answer, "{}");
    assert_int_equal(end.answer_len, 2);
    assert_int_equal(end.usage.wall_ms, 5);
    assert_int_equal(end.usage.cpu_ms, 4);
    assert_int_equal(end.usage.max_rss_bytes, 4096);
    free((void *)(uintptr_t)answer.text);
}

static void
test_an_answer_of_another_place_is_refused(void **state)
{
    const struct job_ref other = { .workspace = "x", .id = ID };
    const struct kv_reply answer = sealed("{}");
    const struct kv_reply fields[] = { text("done"), text("200"), answer,      text("ok"),
                                       text("5"),    text("4"),   text("4096") };
    const struct kv_reply reply = { .type = KV_LIST, .count = 7, .items = fields };
    struct job_end end = { .http = 1 };
    AUTO(buf) struct buf out = { 0 };

    (void)state;
    buf_init(&out, 4096);
    assert_int_equal(jobs_read_end(&JOBS, &other, &reply, &end, &out, NULL), RC_BUG);
    assert_int_equal(end.http, 1);
    free((void *)(uintptr_t)answer.text);
}

static void
test_states_have_names(void **state)
{
    (void)state;
    assert_string_equal(jobs_status_named("waiting_approval"), "waiting_approval");
    assert_string_equal(jobs_status_named("dead"), "dead");
    assert_null(jobs_status_named("success"));
    assert_null(jobs_status_named(NULL));
    assert_string_equal(jobs_status_of("ok"), "completed");
    assert_string_equal(jobs_status_of("cancelled"), "cancelled");
    assert_string_equal(jobs_status_of("memory_limit"), "failed");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_result_is_outcome_output_and_usage),
        cmocka_unit_test(test_without_a_task_there_is_no_result),
        cmocka_unit_test(test_a_record_of_version_1_is_read),
        cmocka_unit_test(test_how_a_job_ended),
        cmocka_unit_test(test_an_answer_of_another_place_is_refused),
        cmocka_unit_test(test_states_have_names),
    };

    assert_int_equal(crypto_init(NULL), RC_OK);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
