/* SPDX-License-Identifier: MIT */
/* Signatures of services, by the examples that their pages give; forms. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "crypto/crypto.h"
#include "hooks/form.h"
#include "hooks/scheme.h"
#include "test.h"

/* docs.github.com, "Validating webhook deliveries", "Testing the webhook payload validation" */
#define GITHUB_SECRET "It's a Secret to Everybody"
#define GITHUB_BODY   "Hello, World!"
#define GITHUB_HEX    "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
/* docs.slack.dev, "Verifying requests from Slack" */
#define SLACK_SECRET "8f742231b10e8888abcd99yyyzzz85a5"
#define SLACK_TIME   "1531420618"
#define SLACK_NOW    1531420618
#define SLACK_BODY                                                                                 \
    "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id="         \
    "G8PSS9T3V&"                                                                                   \
    "channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&" \
    "response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F"          \
    "96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121."                                \
    "803a0bc887a14d10d2c447fce8b6703c"
#define SLACK_HEX "a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
/* Of Stripe, whose page has no example: HMAC-SHA-256 of "1492774577." and the body, by openssl dgst. */
#define STRIPE_SECRET "whsec_test"
#define STRIPE_V1     "7656fc2882a7ca0a651666b36bf2f2f22ee204f54f608f227498a2419f2890b2"

struct example {
    const char *scheme, *secret, *body, *name, *value, *time_name, *time, *definition;
    int64_t now_s;
};

static enum rc
verify(const struct example *e, const char *secret, const char *value, size_t len, int64_t now_s)
{
    AUTO(json) cJSON *headers = cJSON_CreateObject();
    AUTO(json) cJSON *definition = NULL;
    assert_non_null(headers);
    assert_non_null(cJSON_AddStringToObject(headers, e->name, value));
    if (e->time_name)
        assert_non_null(cJSON_AddStringToObject(headers, e->time_name, e->time));
    if (strcmp(e->scheme, "standard") == 0)
        assert_non_null(
            cJSON_AddStringToObject(headers, "webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"));
    if (e->definition)
        assert_int_equal(json_read(e->definition, strlen(e->definition), &definition, NULL), RC_OK);
    const struct scheme_request request = {
        .headers = headers, .body = e->body, .len = len, .now_s = now_s
    };
    return scheme_verify(e->scheme, definition, secret, &request);
}

static const struct example EXAMPLES[] = {
    { "github", GITHUB_SECRET, GITHUB_BODY, "x-hub-signature-256", "sha256=" GITHUB_HEX, NULL, NULL,
      NULL, 0 },
    { "slack", SLACK_SECRET, SLACK_BODY, "x-slack-signature", "v0=" SLACK_HEX,
      "x-slack-request-timestamp", SLACK_TIME, NULL, SLACK_NOW },
    { "standard", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "{\"test\": 2432232314}",
      "webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "webhook-timestamp",
      "1614265330", NULL, 1614265330 },
    { "hmac", GITHUB_SECRET, GITHUB_BODY, "x-signature", "mac:" GITHUB_HEX, NULL, NULL,
      "{\"header\":\"X-Signature\",\"prefix\":\"mac:\"}", 0 },
    { "hmac", GITHUB_SECRET, GITHUB_BODY, "x-signature",
      "dXEH6g6yUJ/CESIczphLijdXC211hsIsRvQ3nIsEPhc=", NULL, NULL,
      "{\"header\":\"x-signature\",\"encoding\":\"base64\"}", 0 },
};

static void
test_the_documented_examples(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(EXAMPLES); i++) {
        const struct example *e = &EXAMPLES[i];
        size_t len = strlen(e->body);
        assert_int_equal(verify(e, e->secret, e->value, len, e->now_s), RC_OK);
        assert_int_equal(
            verify(e, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx", e->value, len, e->now_s),
            RC_DENIED);
        assert_int_equal(verify(e, e->secret, e->value, len - 1, e->now_s), RC_DENIED);
        assert_int_equal(verify(e, e->secret, "", len, e->now_s), RC_DENIED);
        if (!e->time)
            continue;
        assert_int_equal(verify(e, e->secret, e->value, len, e->now_s + 300), RC_OK);
        assert_int_equal(verify(e, e->secret, e->value, len, e->now_s + 301), RC_DENIED);
        assert_int_equal(verify(e, e->secret, e->value, len, e->now_s - 301), RC_DENIED);
    }
}

/* Each character of a signature counts, and nothing may follow it. */
static void
test_each_character_counts(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(EXAMPLES); i++) {
        const struct example *e = &EXAMPLES[i];
        char value[120];
        for (size_t at = 0; at < strlen(e->value); at++) {
            (void)snprintf(value, sizeof(value), "%s", e->value);
            value[at] = value[at] == '0' ? '1' : '0';
            assert_int_equal(verify(e, e->secret, value, strlen(e->body), e->now_s), RC_DENIED);
        }
        (void)snprintf(value, sizeof(value), "%.110s0", e->value);
        assert_int_equal(verify(e, e->secret, value, strlen(e->body), e->now_s), RC_DENIED);
        value[strlen(e->value) - 1] = '\0';
        assert_int_equal(verify(e, e->secret, value, strlen(e->body), e->now_s), RC_DENIED);
    }
}

static void
test_an_unknown_scheme_is_denied(void **state)
{
    struct example e = EXAMPLES[0];
    e.scheme = "none";
    assert_int_equal(verify(&e, e.secret, e.value, strlen(e.body), 0), RC_DENIED);
}

static void
test_stripe(void **state)
{
    static const char BODY[] = "{\"id\":\"evt_1\"}";
    struct example e = { "stripe", STRIPE_SECRET, BODY, "stripe-signature", NULL,
                         NULL,     NULL,          NULL, 1492774577 };
    static const struct {
        const char *value;
        enum rc rc;
        int64_t later_s;
    } CASES[] = {
        { "t=1492774577,v1=" STRIPE_V1, RC_OK, 0 },
        { "t=1492774577,v1=" STRIPE_V1 ",v0=00", RC_OK, 300 },
        { "t=1492774577,v1=00,v1=" STRIPE_V1, RC_OK, 0 },
        { "t=1492774577,v1=" STRIPE_V1, RC_DENIED, 301 },
        { "t=1492774578,v1=" STRIPE_V1, RC_DENIED, 0 },
        { "t=1492774577,v0=" STRIPE_V1, RC_DENIED, 0 },
        { "v1=" STRIPE_V1 ",t=1492774577", RC_DENIED, 0 },
        { "t=,v1=" STRIPE_V1, RC_DENIED, 0 },
        { "t=14927745770000000000,v1=" STRIPE_V1, RC_DENIED, 0 },
        { "t=1492774577", RC_DENIED, 0 },
        { "t=1492774577,v1=", RC_DENIED, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        assert_int_equal(
            verify(&e, e.secret, CASES[i].value, strlen(BODY), e.now_s + CASES[i].later_s),
            CASES[i].rc);
}

static void
test_forms(void **state)
{
    static const struct {
        const char *type, *body, *want; /* NULL: refused */
    } CASES[] = {
        { NULL, "{\"a\":1}", "{\"a\":1}" },
        { "application/json", "nonsense", NULL },
        { "application/x-www-form-urlencoded", "a=1&b=x%20y+z&a=2&c",
          "{\"a\":\"1\",\"b\":\"x y z\",\"c\":\"\"}" },
        { "application/x-www-form-urlencoded; charset=utf-8", "payload=%7B%22a%22%3A%5B1%5D%7D",
          "{\"a\":[1]}" },
        { "application/x-www-form-urlencoded", "payload=text", "{\"payload\":\"text\"}" },
        { "application/x-www-form-urlencoded", "", "{}" },
        { "application/x-www-form-urlencoded", "a=%zz", NULL },
        { "application/x-www-form-urlencoded", "a=%2", NULL },
        { "application/x-www-form-urlencoded", "a=%00", NULL },
        { "application/x-www-form-urlencoded", "a=%ff", NULL },
        { "application/x-www-form-urlencodedx", "a=1", NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        AUTO(json) cJSON *doc = NULL;
        AUTO(buf) struct buf out = { 0 };
        struct err err = { 0 };
        enum rc rc = form_read(CASES[i].type, CASES[i].body, strlen(CASES[i].body), &doc, &err);
        assert_int_equal(rc == RC_OK, CASES[i].want != NULL);
        if (rc != RC_OK) {
            assert_null(doc);
            continue;
        }
        buf_init(&out, 1000);
        assert_int_equal(json_canonical(doc, NULL, &out), RC_OK);
        assert_string_equal(buf_text(&out), CASES[i].want);
    }
}

int
main(void)
{
    struct err err = { 0 };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_documented_examples),
        cmocka_unit_test(test_each_character_counts),
        cmocka_unit_test(test_an_unknown_scheme_is_denied),
        cmocka_unit_test(test_stripe),
        cmocka_unit_test(test_forms),
    };
    if (crypto_init(&err) != RC_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
