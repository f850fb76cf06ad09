/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "json/json_pointer.h"
#include "recipe/fill.h"
#include "recipe/message.h"
#include "recipe/recipe.h"
#include "test.h"

static cJSON *
doc_of(const char *text)
{
    cJSON *doc = NULL;
    struct err err = { 0 };
    assert_int_equal(json_read(text, strlen(text), &doc, &err), RC_OK);
    assert_non_null(doc);
    return doc;
}

static const char *
text_of(const cJSON *doc, struct buf *out)
{
    buf_init(out, 65536);
    assert_int_equal(json_canonical(doc, NULL, out), RC_OK);
    return buf_text(out);
}

/* --- pointers ------------------------------------------------------------------------------------------ */

static void
test_pointers(void **state)
{
    /* the examples of RFC 6901 */
    AUTO(json)
    cJSON *doc = doc_of("{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"e^f\":3,"
                        "\"g|h\":4,\"i\\\\j\":5,\"k\\\"l\":6,\" \":7,\"m~n\":8}");
    static const struct {
        const char *pointer;
        int value;
    } KNOWN[] = { { "/", 0 },     { "/a~1b", 1 }, { "/c%d", 2 }, { "/e^f", 3 }, { "/g|h", 4 },
                  { "/i\\j", 5 }, { "/k\"l", 6 }, { "/ ", 7 },   { "/m~0n", 8 } };
    static const char *const NONE[] = { "/foo/2", "/foo/-",   "/foo/00", "/foo/x", "/bar",
                                        "foo",    "/foo/0/x", "/m~n",    "/m~2n",  "/foo/-1" };
    assert_ptr_equal(json_pointer(doc, "", 0), doc);
    assert_string_equal(json_pointer(doc, "/foo/1", 6)->valuestring, "baz");
    for (size_t i = 0; i < TEST_COUNT(KNOWN); i++) {
        const cJSON *value = json_pointer(doc, KNOWN[i].pointer, strlen(KNOWN[i].pointer));
        assert_non_null(value);
        assert_int_equal(value->valueint, KNOWN[i].value);
    }
    for (size_t i = 0; i < TEST_COUNT(NONE); i++)
        assert_null(json_pointer(doc, NONE[i], strlen(NONE[i])));
}

/* --- filling in ------------------------------------------------------------------------------------------- */

static void
test_values_are_put_into_json(void **state)
{
    AUTO(json)
    cJSON *values = doc_of("{\"params\":{\"s\":\"a\\\"},{\\\"b\",\"n\":1.5,\"t\":true,\"l\":[\"x\","
                           "\"y\"],\"o\":{\"k\":1},"
                           "\"z\":null}}");
    static const struct {
        const char *template, *filled;
    } CASES[] = {
        { "{\"a\":\"{/params/s}\"}", "{\"a\":\"a\\\"},{\\\"b\"}" },
        { "{\"a\":\"<{/params/s}>\"}", "{\"a\":\"<a\\\"},{\\\"b>\"}" },
        { "{\"a\":\"{/params/n}\",\"b\":\"n={/params/n}\"}", "{\"a\":1.5,\"b\":\"n=1.5\"}" },
        { "{\"a\":\"{/params/t}\",\"b\":\"{/params/o}\"}", "{\"a\":true,\"b\":{\"k\":1}}" },
        { "{\"a\":\"{/params/none}\",\"b\":\"{/params/z}\",\"c\":\"-{/params/none}-\"}",
          "{\"c\":\"--\"}" },
        { "[\"{/params/none}\",\"{/params/n}\",{\"x\":[]}]", "[1.5,{\"x\":[]}]" },
        { "{\"a\":\"{no}\",\"b\":\"{/params/n\"}", "{\"a\":\"{no}\",\"b\":\"{/params/n\"}" },
        { "{\"a\":\"{/params/none|other}\",\"b\":\"{/params/n|other}\"}",
          "{\"a\":\"other\",\"b\":\"1.5\"}" },
        { "{\"$each\":\"/params/l\",\"$item\":{\"v\":\"{/item}\",\"n\":\"{/params/n}\"}}",
          "[{\"n\":1.5,\"v\":\"x\"},{\"n\":1.5,\"v\":\"y\"}]" },
        { "{\"a\":{\"$each\":\"/params/none\",\"$item\":1},\"b\":2}", "{\"b\":2}" },
        { "{\"a\":{\"$if\":\"/params/none\",\"x\":1},\"b\":{\"$if\":\"/params/n\",\"x\":1}}",
          "{\"b\":{\"x\":1}}" },
    };
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        AUTO(json) cJSON *template = doc_of(CASES[i].template);
        AUTO(json) cJSON *filled = NULL;
        AUTO(buf) struct buf text = { 0 };
        struct err err = { 0 };
        assert_int_equal(fill_json(template, values, &filled, &err), RC_OK);
        assert_string_equal(text_of(filled, &text), CASES[i].filled);
    }
}

static void
test_each_place_encodes(void **state)
{
    AUTO(json)
    cJSON *values = doc_of(
        "{\"p\":{\"s\":\"a b/c?d&e=\xc3\xa9\",\"line\":\"a\\r\\nX: b\",\"up\":\"..\",\"e\":\"\","
        "\"o\":{},\"l\":[1,\"&\"],\"t\":false}}");
    AUTO(json)
    cJSON *pairs =
        doc_of("{\"q\":\"{/p/s}\",\"l\":\"{/p/l}\",\"none\":\"{/p/none}\",\"t&\":\"{/p/t}\"}");
    AUTO(buf) struct buf out = { 0 };
    struct err err = { 0 };
    buf_init(&out, 4096);
    assert_int_equal(fill_text("/x/{/p/s}/y", values, FILL_SEGMENT, &out, &err), RC_OK);
    assert_string_equal(buf_text(&out), "/x/a%20b%2Fc%3Fd%26e%3D%C3%A9/y");
    buf_reset(&out);
    assert_int_equal(fill_pairs(pairs, values, &out, &err), RC_OK);
    assert_string_equal(buf_text(&out), "q=a%20b%2Fc%3Fd%26e%3D%C3%A9&l=1&l=%26&t%26=false");
    AUTO(json) cJSON *no_pairs = doc_of("[\"{/p/s}\"]");
    assert_int_equal(fill_pairs(no_pairs, values, &out, &err), RC_INVALID);
    static const char *const NO_SEGMENT[] = { "{/p/up}", "{/p/e}", "{/p/none}", "{/p/o}" };
    for (size_t i = 0; i < TEST_COUNT(NO_SEGMENT); i++)
        assert_int_equal(fill_text(NO_SEGMENT[i], values, FILL_SEGMENT, &out, &err), RC_INVALID);
    assert_int_equal(fill_text("{/p/line}", values, FILL_HEADER, &out, &err), RC_INVALID);
    assert_non_null(strstr(err.text, "/p/line"));
    assert_null(strstr(err.text, "X: b"));
    assert_int_equal(fill_text("{/p/s}", values, FILL_HEADER, &out, &err),
                     RC_INVALID); /* not ASCII */
    assert_int_equal(fill_text("a {/p/o}", values, FILL_PLAIN, &out, &err), RC_INVALID);
}

/* --- e-mail ------------------------------------------------------------------------------------------------ */

static void
test_a_message(void **state)
{
    AUTO(json)
    cJSON *mail = doc_of(
        "{\"to\":[\"a@example.com\",\"b@example.com\"],\"cc\":[],\"subject\":\"Gr\xc3\xbc\xc3\x9f"
        "e\\r\\nBcc: evil@example.com\",\"text\":\"Hello\",\"id\":\"ID\",\"attachments\":"
        "[{\"name\":\"a\\\"\\r\\n b.txt\",\"type\":\"text/plain\",\"data\":\"aGk=\"}]}");
    static const char EXPECTED[] =
        "To: a@example.com,\r\n b@example.com\r\n"
        "Subject: =?utf-8?B?R3LDvMOfZQ0KQmNjOiBldmlsQGV4YW1wbGUuY29t?=\r\n"
        "Date: Sat, 28 Nov 2026 13:30:05 +0000\r\n"
        "Message-ID: <ID@gantry.invalid>\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: multipart/mixed; boundary=\"=_m_ID\"\r\n\r\n"
        "--=_m_ID\r\n"
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        "SGVsbG8=\r\n"
        "--=_m_ID\r\n"
        "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n"
        "Content-Disposition: attachment; filename*=UTF-8''a%22%0D%0A%20b.txt\r\n\r\n"
        "aGk=\r\n"
        "--=_m_ID--\r\n";
    AUTO(buf) struct buf out = { 0 };
    struct err err = { 0 };
    buf_init(&out, 65536);
    assert_int_equal(message_write(mail, 1795872605000, &out, &err), RC_OK);
    assert_string_equal(buf_text(&out), EXPECTED);
}

static void
test_messages_out_of_form(void **state)
{
    static const char *const WRONG[] = {
        "{\"to\":[\"a@example.com\\r\\nBcc: b@example.com\"]}",
        "{\"to\":[\"a\"]}",
        "{\"to\":[\"a@\"]}",
        "{\"to\":[\"a@b, c@d\"]}",
        "{\"to\":[\"A <a@b>\"]}",
        "{\"to\":[5]}",
        "{\"cc\":[\"@b\"]}",
        "{\"reply_to\":\"x\\ny@b\"}",
        "{\"attachments\":[{\"name\":\"a\",\"type\":\"text/plain\\r\\nX: y\",\"data\":\"aGk=\"}]}",
        "{\"attachments\":[{\"name\":\"a\",\"type\":\"multipart/mixed\",\"data\":\"aGk=\"}]}",
        "{\"attachments\":[{\"name\":\"a\",\"type\":\"text/plain\",\"data\":\"!\"}]}",
        "{\"attachments\":[{\"name\":\"\",\"type\":\"text/plain\",\"data\":\"aGk=\"}]}",
    };
    for (size_t i = 0; i < TEST_COUNT(WRONG); i++) {
        AUTO(json) cJSON *mail = doc_of(WRONG[i]);
        AUTO(buf) struct buf out = { 0 };
        struct err err = { 0 };
        buf_init(&out, 65536);
        if (message_write(mail, 0, &out, &err) != RC_INVALID)
            fail_msg("taken: %s", WRONG[i]);
    }
    AUTO(json)
    cJSON *both = doc_of("{\"to\":[\"a@b\"],\"text\":\"t\",\"html\":\"<p>\",\"id\":\"I\"}");
    AUTO(buf) struct buf out = { 0 };
    struct err err = { 0 };
    buf_init(&out, 65536);
    assert_int_equal(message_write(both, 0, &out, &err), RC_OK);
    assert_non_null(strstr(buf_text(&out), "multipart/alternative; boundary=\"=_a_I\""));
}

/* --- the built-in recipes ---------------------------------------------------------------------------------- */

static void
load(struct recipes *recipes, const char *service)
{
    struct err err = { 0 };
    if (recipes_load("workers/connector/actions", service, recipes, &err) != RC_OK)
        fail_msg("%s", err.text);
}

static enum rc
build(const struct recipes *recipes, const char *name, const char *params, struct built *out,
      struct err *err)
{
    AUTO(buf) struct buf text = { 0 };
    buf_init(&text, 65536);
    buf_printf(&text, "{\"params\":%s,\"secrets\":{\"token\":\"T0KEN\"},\"id\":\"the-id\"}",
               params);
    AUTO(json) cJSON *values = doc_of(buf_text(&text));
    const struct recipe *recipe = recipes_find(recipes, name);
    struct field_errors errors = { 0 };
    assert_non_null(recipe);
    if (recipe_check(recipe, cJSON_GetObjectItemCaseSensitive(values, "params"), &errors) != RC_OK)
        fail_msg("%s: %s %s", name, errors.items[0].field, errors.items[0].detail);
    return recipe_build(recipe, values, 1795872605000, out, err);
}

static void
test_built_in_requests(void **state)
{
    static const struct {
        const char *service, *name, *params, *method, *url, *headers, *body;
    } CASES[] = {
        { "google", "slack.post", "{\"channel\":\"C1\",\"text\":\"hi \\\"x\\\"\"}", "POST",
          "https://slack.com/api/chat.postMessage",
          "Authorization: Bearer T0KEN|Content-Type: application/json|",
          "{\"channel\":\"C1\",\"text\":\"hi \\\"x\\\"\"}" },
        { "google", "github.issue",
          "{\"owner\":\"o\",\"repo\":\"r.x\",\"title\":\"t\",\"labels\":[\"bug\"]}", "POST",
          "https://api.github.com/repos/o/r.x/issues",
          "Authorization: Bearer T0KEN|Accept: application/vnd.github+json|X-GitHub-Api-Version: "
          "2022-11-28|User-Agent: gantry|Content-Type: application/json|",
          "{\"title\":\"t\",\"labels\":[\"bug\"]}" },
        { "google", "outlook.send",
          "{\"from\":\"me@x.example\",\"to\":[\"a@b.example\"],\"subject\":\"s\",\"text\":\"t\"}",
          "POST", "https://graph.microsoft.com/v1.0/users/me%40x.example/sendMail",
          "Authorization: Bearer T0KEN|client-request-id: the-id|Content-Type: application/json|",
          "{\"message\":{\"subject\":\"s\",\"body\":{\"contentType\":\"Text\",\"content\":\"t\"},"
          "\"toRecipients\":[{\"emailAddress\":{\"address\":\"a@b.example\"}}]}}" },
        { "google", "task.create", "{\"title\":\"t\"}", "POST",
          "https://tasks.googleapis.com/tasks/v1/lists/@default/tasks",
          "Authorization: Bearer T0KEN|Accept: application/json|Content-Type: application/json|",
          "{\"title\":\"t\"}" },
        { "microsoft", "task.create", "{\"list\":\"a/b\",\"title\":\"t\"}", "POST",
          "https://graph.microsoft.com/v1.0/me/todo/lists/a%2Fb/tasks",
          "Authorization: Bearer T0KEN|Accept: application/json|Content-Type: application/json|",
          "{\"title\":\"t\"}" },
        { "google", "http.request",
          "{\"method\":\"GET\",\"url\":\"https://a.example/x?y=1\",\"query\":{\"q\":\"a&b\"}}",
          "GET", "https://a.example/x?y=1&q=a%26b", "Accept: */*|User-Agent: gantry|", "" },
        { "google", "http.request",
          "{\"method\":\"POST\",\"url\":\"https://a.example/\",\"json\":[1],\"idempotency_header\":"
          "\"Idempotency-Key\"}",
          "POST", "https://a.example/",
          "Accept: */*|User-Agent: gantry|Idempotency-Key: the-id|Content-Type: application/json|",
          "[1]" },
    };
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        AUTO(recipes) struct recipes recipes = { 0 };
        AUTO(buf) struct buf headers = { 0 };
        struct built built = { 0 };
        struct err err = { 0 };
        load(&recipes, CASES[i].service);
        if (build(&recipes, CASES[i].name, CASES[i].params, &built, &err) != RC_OK)
            fail_msg("%s: %s", CASES[i].name, err.text);
        assert_string_equal(built.method, CASES[i].method);
        assert_string_equal(buf_text(&built.url), CASES[i].url);
        buf_init(&headers, 4096);
        for (size_t h = 0; h < built.n_headers; h++)
            buf_printf(&headers, "%s|", built.headers[h]);
        assert_string_equal(buf_text(&headers), CASES[i].headers);
        assert_string_equal(buf_text(&built.body), CASES[i].body);
        built_fini(&built);
    }
}

static void
test_gmail(void **state)
{
    AUTO(recipes) struct recipes recipes = { 0 };
    struct built built = { 0 };
    struct err err = { 0 };
    load(&recipes, "google");
    assert_int_equal(build(&recipes, "gmail.send",
                           "{\"to\":[\"a@b.example\"],\"subject\":\"s\",\"text\":\"t\"}", &built,
                           &err),
                     RC_OK);
    /* "To: a@b.example\r\nSubject:" */
    assert_non_null(strstr(buf_text(&built.body), "{\"raw\":\"VG86IGFAYi5leGFtcGxlDQpTdWJqZWN0Oi"));
    assert_false(built.safe);
    assert_false(built.keyed);
    built_fini(&built);
    assert_int_equal(build(&recipes, "gmail.send",
                           "{\"to\":[\"a@b\\r\\nBcc: c@d\"],\"subject\":\"s\"}", &built, &err),
                     RC_INVALID);
    assert_int_equal(built.n_headers, 0);
}

static void
test_requests_that_are_refused(void **state)
{
    static const char *const WRONG[] = {
        "{\"method\":\"GET\",\"url\":\"http://a.example/\"}",
        "{\"method\":\"GET\",\"url\":\"https://u:p@a.example/\"}",
        "{\"method\":\"GET\",\"url\":\"https://a.example/#x\"}",
        "{\"method\":\"GET\",\"url\":\"file:///etc/passwd\"}",
        "{\"method\":\"GET\",\"url\":\"https://a.example/\",\"accept\":\"a\\r\\nX: y\"}",
        "{\"method\":\"POST\",\"url\":\"https://a.example/\",\"idempotency_header\":\"X: y\"}",
        "{\"method\":\"POST\",\"url\":\"https://a.example/\",\"idempotency_header\":\"host\"}",
        "{\"method\":\"POST\",\"url\":\"https://a.example/\",\"idempotency_header\":"
        "\"Transfer-Encoding\"}",
        "{\"method\":\"POST\",\"url\":\"https://a.example/\",\"idempotency_header\":"
        "\"Content-Length\"}",
        "{\"method\":\"POST\",\"url\":\"https://a.example/\",\"idempotency_header\":\"accept\"}",
    };
    AUTO(recipes) struct recipes recipes = { 0 };
    load(&recipes, "google");
    for (size_t i = 0; i < TEST_COUNT(WRONG); i++) {
        struct built built = { 0 };
        struct err err = { 0 };
        if (build(&recipes, "http.request", WRONG[i], &built, &err) != RC_INVALID)
            fail_msg("taken: %s", WRONG[i]);
    }
}

/* --- what an answer means ---------------------------------------------------------------------------------- */

static void
test_the_judge(void **state)
{
    enum { UNSAFE, SAFE, KEYED };
    static const struct {
        int kind;
        enum outbound_end end;
        bool sent;
        int status, retry_after_s;
        unsigned attempt;
        enum recipe_verdict verdict;
        const char *outcome;
    } CASES[] = {
        { UNSAFE, OUTBOUND_ANSWERED, true, 201, 0, 1, VERDICT_OK, "ok" },
        { UNSAFE, OUTBOUND_ANSWERED, true, 200, 0, 1, VERDICT_FAILED, "http_error" },
        { UNSAFE, OUTBOUND_ANSWERED, true, 303, 0, 1, VERDICT_UNKNOWN, "unknown" },
        { KEYED, OUTBOUND_ANSWERED, true, 302, 0, 1, VERDICT_UNKNOWN, "unknown" },
        { UNSAFE, OUTBOUND_ANSWERED, true, 307, 0, 1, VERDICT_FAILED, "http_error" },
        { SAFE, OUTBOUND_ANSWERED, true, 302, 0, 1, VERDICT_FAILED, "http_error" },
        { UNSAFE, OUTBOUND_ANSWERED, true, 422, 0, 1, VERDICT_FAILED, "http_error" },
        { UNSAFE, OUTBOUND_ANSWERED, true, 401, 0, 1, VERDICT_REFRESH, "http_error" },
        { UNSAFE, OUTBOUND_ANSWERED, true, 429, 0, 1, VERDICT_AGAIN, "throttled" },
        { UNSAFE, OUTBOUND_ANSWERED, true, 429, 0, 3, VERDICT_FAILED, "throttled" },
        { UNSAFE, OUTBOUND_ANSWERED, true, 429, 3600, 1, VERDICT_FAILED, "throttled" },
        { UNSAFE, OUTBOUND_ANSWERED, true, 503, 1, 1, VERDICT_AGAIN, "throttled" },
        { UNSAFE, OUTBOUND_ANSWERED, true, 503, 0, 1, VERDICT_UNKNOWN, "unknown" },
        { UNSAFE, OUTBOUND_ANSWERED, true, 500, 0, 1, VERDICT_UNKNOWN, "unknown" },
        { UNSAFE, OUTBOUND_ANSWERED, true, 504, 0, 1, VERDICT_UNKNOWN, "unknown" },
        { SAFE, OUTBOUND_ANSWERED, true, 500, 0, 1, VERDICT_AGAIN, "http_error" },
        { SAFE, OUTBOUND_ANSWERED, true, 500, 0, 3, VERDICT_FAILED, "http_error" },
        { KEYED, OUTBOUND_ANSWERED, true, 502, 0, 1, VERDICT_AGAIN, "unknown" },
        { KEYED, OUTBOUND_ANSWERED, true, 502, 0, 3, VERDICT_UNKNOWN, "unknown" },
        { UNSAFE, OUTBOUND_UNREACHABLE, false, 0, 0, 1, VERDICT_AGAIN, "connect_error" },
        { UNSAFE, OUTBOUND_UNREACHABLE, false, 0, 0, 3, VERDICT_FAILED, "connect_error" },
        { UNSAFE, OUTBOUND_TIMEOUT, false, 0, 0, 1, VERDICT_AGAIN, "timeout" },
        { UNSAFE, OUTBOUND_REFUSED, false, 0, 0, 1, VERDICT_FAILED, "egress_denied" },
        { UNSAFE, OUTBOUND_REFUSED, true, 0, 0, 1, VERDICT_UNKNOWN, "unknown" },
        { SAFE, OUTBOUND_REFUSED, true, 0, 0, 1, VERDICT_FAILED, "egress_denied" },
        { SAFE, OUTBOUND_UNFOLLOWED, true, 0, 0, 1, VERDICT_FAILED, "policy_denied" },
        { UNSAFE, OUTBOUND_UNFOLLOWED, true, 0, 0, 1, VERDICT_UNKNOWN, "unknown" },
        { UNSAFE, OUTBOUND_UNTRUSTED, false, 0, 0, 1, VERDICT_FAILED, "tls_error" },
        { UNSAFE, OUTBOUND_BROKEN, true, 0, 0, 1, VERDICT_UNKNOWN, "unknown" },
        { UNSAFE, OUTBOUND_TIMEOUT, true, 0, 0, 1, VERDICT_UNKNOWN, "unknown" },
        { UNSAFE, OUTBOUND_TOO_LARGE, true, 0, 0, 1, VERDICT_UNKNOWN, "unknown" },
        { SAFE, OUTBOUND_BROKEN, true, 0, 0, 1, VERDICT_AGAIN, "connect_error" },
        { SAFE, OUTBOUND_TOO_LARGE, true, 0, 0, 1, VERDICT_FAILED, "answer_too_large" },
        { KEYED, OUTBOUND_BROKEN, true, 0, 0, 1, VERDICT_AGAIN, "unknown" },
        { KEYED, OUTBOUND_BROKEN, true, 0, 0, 3, VERDICT_UNKNOWN, "unknown" },
        { UNSAFE, OUTBOUND_STOPPED, false, 0, 0, 1, VERDICT_CANCELLED, "cancelled" },
        { UNSAFE, OUTBOUND_STOPPED, true, 0, 0, 1, VERDICT_UNKNOWN, "unknown" },
        { SAFE, OUTBOUND_STOPPED, true, 0, 0, 1, VERDICT_CANCELLED, "cancelled" },
    };
    AUTO(recipes) struct recipes recipes = { 0 };
    load(&recipes, "google");
    const struct recipe *recipe = recipes_find(&recipes, "github.issue"); /* 201 is its success */
    assert_non_null(recipe);
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        const struct built built = { .safe = CASES[i].kind == SAFE,
                                     .keyed = CASES[i].kind == KEYED };
        const struct outbound_answer answer = { .end = CASES[i].end,
                                                .sent = CASES[i].sent,
                                                .status = CASES[i].status,
                                                .retry_after_s = CASES[i].retry_after_s };
        struct recipe_judgement judgement = recipe_judge(recipe, &built, &answer, CASES[i].attempt);
        if (judgement.verdict != CASES[i].verdict ||
            strcmp(judgement.outcome, CASES[i].outcome) != 0)
            fail_msg("case %zu: verdict %d, outcome %s", i, judgement.verdict, judgement.outcome);
        if (judgement.verdict == VERDICT_AGAIN)
            assert_true(judgement.wait_ms >= (uint32_t)CASES[i].retry_after_s * 1000 &&
                        judgement.wait_ms > 0);
    }
}

static void
test_results_are_masked(void **state)
{
    AUTO(recipes) struct recipes recipes = { 0 };
    AUTO(json) cJSON *secrets = doc_of("[\"s3cret-token\",\"x\"]");
    struct outbound_answer answer = { .end = OUTBOUND_ANSWERED, .status = 200 };
    AUTO(buf) struct buf out = { 0 };
    load(&recipes, "google");
    const struct recipe *recipe = recipes_find(&recipes, "slack.post");
    buf_init(&answer.body, 4096);
    buf_init(&out, RECIPE_OUTPUT_MAX);
    assert_non_null(recipe);
    /* Slack says no with a 200 */
    buf_puts(&answer.body,
             "{\"ok\":false,\"error\":\"bad s3cret-token and s3cret-tokens3cret-token\","
             "\"s3cret-token\":\"x\"}");
    struct built built = { 0 };
    assert_int_equal(recipe_judge(recipe, &built, &answer, 1).verdict, VERDICT_FAILED);
    assert_int_equal(recipe_output(recipe, &answer, "it said no", 1, secrets, &out), RC_OK);
    assert_string_equal(
        buf_text(&out),
        "{\"http_status\":200,\"result\":{\"ok\":false,\"error\":\"bad (secret) and "
        "(secret)(secret)\",\"(secret)\":\"x\"},\"message\":\"it said no\","
        "\"attempts\":1}");
    buf_reset(&answer.body);
    buf_reset(&out);
    buf_puts(&answer.body, "{\"ok\":true,\"channel\":\"C1\",\"ts\":\"1.2\",\"more\":1}");
    assert_int_equal(recipe_judge(recipe, &built, &answer, 1).verdict, VERDICT_OK);
    assert_int_equal(recipe_output(recipe, &answer, NULL, 2, secrets, &out), RC_OK);
    assert_string_equal(buf_text(&out),
                        "{\"http_status\":200,\"result\":{\"channel\":\"C1\",\"ts\":\"1.2\"},"
                        "\"message\":null,\"attempts\":2}");
    buf_reset(&out);
    assert_int_equal(recipe_output(recipe, NULL, "no", 0, secrets, &out), RC_OK);
    assert_string_equal(buf_text(&out), "{\"http_status\":null,\"result\":null,\"message\":\"no\","
                                        "\"attempts\":0}");
    buf_fini(&answer.body);
}

/* As a service may give it back: in a URL, in a page, as credentials of its own making. */
static void
test_forms_of_a_secret_are_masked(void **state)
{
    static const char *const SHOWN[][2] = {
        { "a p+ss/w\"rd!? b", "a (secret) b" },
        { "A P+SS/W\"RD!?", "A (secret)" },
        { "q=p%2Bss%2Fw%22rd%21%3F&r=p%2bss%2fw%22rd%21%3f", "q=(secret)&r=(secret)" },
        { "p+ss/w\\\"rd!?", "(secret)" },
        { "Basic cCtzcy93InJkIT8=", "Basic (secret)8=" },         /* of itself */
        { "Basic dTpwK3NzL3cicmQhPw==", "Basic dTp(secret)w==" }, /* of u:… */
        { "eC51OnArc3MvdyJyZCE_", "eC51On(secret)" },             /* of x.u:… */
        { "xx p+ss/w\"rd!?-and-more yy", "xx (secret) yy" },
        { "p+ss/w is a part", "p+ss/w is a part" },
        { "tiny", "tiny" },
    };
    AUTO(recipes) struct recipes recipes = { 0 };
    AUTO(json)
    cJSON *secrets = doc_of("[\"p+ss/w\\\"rd!?\",\"p+ss/w\\\"rd!?-and-more\",\"tiny\"]");
    load(&recipes, "google");
    for (size_t i = 0; i < TEST_COUNT(SHOWN); i++) {
        AUTO(buf) struct buf out = { 0 };
        AUTO(json) cJSON *doc = NULL;
        buf_init(&out, RECIPE_OUTPUT_MAX);
        assert_int_equal(recipe_output(recipes_find(&recipes, "slack.post"), NULL, SHOWN[i][0], 1,
                                       secrets, &out),
                         RC_OK);
        doc = doc_of(buf_text(&out));
        assert_string_equal(json_string(doc, "message"), SHOWN[i][1]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pointers),
        cmocka_unit_test(test_values_are_put_into_json),
        cmocka_unit_test(test_each_place_encodes),
        cmocka_unit_test(test_a_message),
        cmocka_unit_test(test_messages_out_of_form),
        cmocka_unit_test(test_built_in_requests),
        cmocka_unit_test(test_gmail),
        cmocka_unit_test(test_requests_that_are_refused),
        cmocka_unit_test(test_the_judge),
        cmocka_unit_test(test_results_are_masked),
        cmocka_unit_test(test_forms_of_a_secret_are_masked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
